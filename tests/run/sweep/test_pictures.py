"""The pictures of a sweep show every trial that has a value, where its keys put it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from made_sweeps import made_sweep_folder
from psann.presentation.figure import Dots, Figure, Line
from psann.run.sweep.pictures import pictures_of

VALUES = [0.1, 0.4, None, 0.2, 0.3]


def figures(folder: Path) -> dict[str, Figure]:
    return {each.name: each.figure for each in pictures_of(made_sweep_folder(folder, VALUES))}


def dots(figure: Figure, colour: str) -> list[tuple[float, float]]:
    (found,) = (
        mark
        for mark in figure.panels[0].marks
        if isinstance(mark, Dots) and mark.look.colour == colour
    )
    return sorted(zip(found.x.tolist(), found.y.tolist(), strict=True))


def test_every_trial_with_a_value_is_a_dot_at_its_key_and_value(tmp_path: Path) -> None:
    drawn = figures(tmp_path)
    assert list(drawn) == ["trials", "key-1", "key-2", "parallel"]
    assert dots(drawn["trials"], "blue") == [(0, 0.1), (1, 0.4), (3, 0.2), (4, 0.3)]
    by_lr = drawn["key-1"]
    assert by_lr.x.is_log
    assert [lr for lr, _ in dots(by_lr, "blue")] == [0.001, 0.002, 0.008, 0.016]
    assert dots(by_lr, "vermillion") == [(0.002, 0.4)]


def test_choices_that_are_no_numbers_have_their_names_on_the_axis(tmp_path: Path) -> None:
    assert [text for _, text in figures(tmp_path)["key-2"].x.ticks] == ["softmax", "tanh"]


def test_the_parallel_view_has_a_line_per_trial_between_least_and_largest(tmp_path: Path) -> None:
    marks = figures(tmp_path)["parallel"].panels[0].marks
    lines = [mark.y for mark in marks if isinstance(mark, Line)]
    assert len(lines) == 4 and all(len(line) == 3 for line in lines)
    heights = np.stack(lines)
    assert heights.min(axis=0).tolist() == [0, 0, 0] and heights.max(axis=0).tolist() == [1, 1, 1]
    assert lines[-1][-1] == 1.0  # the best is drawn last, and is the best


def test_without_a_value_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert pictures_of(made_sweep_folder(tmp_path, [None, None])) == ()
