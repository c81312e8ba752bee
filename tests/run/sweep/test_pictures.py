"""The pictures of a sweep show every trial that has a value, where its keys put it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from made_sweeps import made_sweep_folder
from psann.run.sweep.pictures import pictures_of

VALUES = [0.1, 0.4, None, 0.2, 0.3]


def test_every_trial_with_a_value_is_a_dot_at_its_key_and_value(tmp_path: Path) -> None:
    pictures = {each.name: each for each in pictures_of(made_sweep_folder(tmp_path, VALUES))}
    assert list(pictures) == ["trials", "key-1", "key-2", "parallel"]
    dots = np.asarray(pictures["trials"].figure.axes[0].collections[0].get_offsets())
    assert sorted(map(tuple, dots.tolist())) == [(0, 0.1), (1, 0.4), (3, 0.2), (4, 0.3)]
    by_lr = pictures["key-1"].figure.axes[0]
    assert by_lr.get_xscale() == "log"
    lrs = np.asarray(by_lr.collections[0].get_offsets())[:, 0]
    assert sorted(lrs.tolist()) == [0.001, 0.002, 0.008, 0.016]
    ring = np.asarray(by_lr.collections[1].get_offsets())
    assert ring.tolist() == [[0.002, 0.4]]


def test_choices_that_are_no_numbers_have_their_names_on_the_axis(tmp_path: Path) -> None:
    pictures = {each.name: each for each in pictures_of(made_sweep_folder(tmp_path, VALUES))}
    axes = pictures["key-2"].figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["softmax", "tanh"]


def test_the_parallel_view_has_a_line_per_trial_between_least_and_largest(tmp_path: Path) -> None:
    (picture,) = (
        each for each in pictures_of(made_sweep_folder(tmp_path, VALUES)) if each.name == "parallel"
    )
    lines = [np.asarray(line.get_ydata()) for line in picture.figure.axes[0].lines]
    assert len(lines) == 4 and all(len(line) == 3 for line in lines)
    heights = np.stack(lines)
    assert heights.min(axis=0).tolist() == [0, 0, 0] and heights.max(axis=0).tolist() == [1, 1, 1]
    assert lines[-1][-1] == 1.0  # the best is drawn last, and is the best


def test_without_a_value_there_is_nothing_to_draw(tmp_path: Path) -> None:
    assert pictures_of(made_sweep_folder(tmp_path, [None, None])) == ()
