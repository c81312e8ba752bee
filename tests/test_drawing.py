"""Figures as parts of a page: same bytes, own ids, colours by name, texts as text."""

from __future__ import annotations

import re

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from psann._drawing import (
    COLOURS,
    WIDTH_IN,
    add_legend,
    drawing_style,
    named,
    new_figure,
    to_png,
    to_svg,
)


def figure(label: str = "a line", n: int = 100) -> Figure:
    with drawing_style():
        made = new_figure(2.0)
        axes = made.subplots()
        axes.plot(np.sin(np.arange(n)), color=COLOURS["blue"], label=named(label))
        axes.fill_between(
            [0, 9], [1, 1], color=COLOURS["orange"], hatch="//", label=named("filled")
        )
        add_legend(made)
    return made


def test_same_figure_gives_the_same_bytes() -> None:
    assert to_svg(figure(), key="a", label="x") == to_svg(figure(), key="a", label="x")
    assert to_png(figure()) == to_png(figure())


def test_style_of_the_reader_changes_nothing() -> None:
    plain = to_svg(figure(), key="a", label="x")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        assert to_svg(figure(), key="a", label="x") == plain
        assert mpl.rcParams["font.size"] == 30


def test_colours_are_variables_of_the_page() -> None:
    svg = to_svg(figure(), key="a", label="x")
    assert "var(--blue)" in svg
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) == set()


def test_every_reference_has_its_target_and_no_id_is_idle() -> None:
    svg = to_svg(figure(), key="f7", label="x")
    ids = re.findall(r' id="([^"]*)"', svg)
    used = re.findall(r'(?:href="|url\()#([^")]*)', svg)
    assert sorted(ids) == sorted(set(used))
    assert all(name.startswith("f7-") for name in ids)


def test_names_stay_text_whatever_they_hold() -> None:
    svg = to_svg(figure("<script>$\\frac$ 日本"), key="a", label='"<b>')
    assert "&lt;script&gt;$\\frac$ 日本" in svg
    assert "<script" not in svg
    assert 'aria-label="&quot;&lt;b&gt;"' in svg


def test_nothing_but_drawing_is_left_in_the_element() -> None:
    svg = to_svg(figure(), key="a", label="x")
    for part in ("<style", "metadata", "xlink", "font-family", "<!DOCTYPE", "\n"):
        assert part not in svg


def vector_of(command: str, lengths: str) -> tuple[float, float]:
    """Read a step of a path as the SVG standard has it."""
    numbers = [float(length) for length in re.findall(r"-?(?:\d+\.?\d*|\.\d+)", lengths)]
    return {"h": (*numbers, 0.0), "v": (0.0, *numbers)}.get(command, tuple(numbers))


def test_paths_are_drawn_where_they_were() -> None:
    made = Figure(figsize=(5, 3), dpi=72, layout="none")
    axes = made.add_axes((0.1, 0.1, 0.8, 0.8))
    (line,) = axes.plot(np.random.default_rng(0).normal(size=80))
    svg = to_svg(made, key="a", label="x")
    longest = max(re.findall(r' d="([^"]*)"', svg), key=len)
    x, y = np.cumsum([vector_of(*word) for word in re.findall(r"([Mlhv])([^Mlhv]*)", longest)], 0).T
    expected = axes.transData.transform(line.get_xydata())
    assert len(x) == 80
    assert x == pytest.approx(expected[:, 0], abs=0.06)
    assert 3 * 72 - y == pytest.approx(expected[:, 1], abs=0.06)


@pytest.mark.parametrize("length", [3, 8, 12, 14, 16, 28])
def test_legend_stays_within_the_figure(length: int) -> None:
    with drawing_style():
        made = new_figure(3.0)
        axes = made.subplots()
        for i in range(10):
            axes.plot([0, 1], [0, i], label=f" {'run and more w' * 2}"[:length] + str(i))
        add_legend(made)
        made.draw_without_rendering()
        (legend,) = made.legends
        box = legend.get_window_extent()
    assert box.x1 <= WIDTH_IN * made.dpi
    assert box.y0 > axes.get_window_extent().y1
