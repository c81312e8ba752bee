"""Figures as parts of a page and as files: same bytes, colours by name, texts as they are."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from psann.presentation.axes import Axis, number_axis
from psann.presentation.drawing import COLOURS, to_html, to_svg
from psann.presentation.figure import Area, Bars, Dots, Figure, Line, Look, Panel, Rules

X = np.arange(5.0)


def figure(label: str = "a line", y: object = (0.0, 1.0, 4.0, 2.0, 2.0)) -> Figure:
    values = np.asarray(y, dtype=float)
    marks = (
        Area(x=X, low=X * 0, high=X, colour="orange", opacity=0.5, label="filled"),
        Line(x=X, y=values, look=Look("blue", "6 3", 2.0), label=label),
        Dots(x=X[:2], y=X[:2], look=Look("green", width=5.0), label="dots"),
        Rules(x=X[2:3], look=Look("muted")),
        Bars(edges=np.array([[0.0, 1.0, 0.0, 2.0]]), colour="purple", label="bar"),
    )
    panel = Panel(title="height, m", marks=marks, y=Axis(low=0.0, high=4.0, ticks=((2.0, "2"),)))
    return Figure(panels=[panel], x=number_axis(X, margin=0.0), x_title="row")


def paths(drawn: str, colour: str) -> list[str]:
    """What is drawn in a colour, without the samples of the legend."""
    plot = drawn.partition('<div class="panels"')[2]
    return re.findall(rf'<path d="([^"]*)" style="(?:stroke|fill):var\(--{colour}\)', plot)


def test_same_figure_gives_the_same_bytes() -> None:
    assert to_html(figure(), label="x") == to_html(figure(), label="x")
    assert to_svg(figure(), label="x") == to_svg(figure(), label="x")


def test_colours_on_a_page_are_variables_and_in_a_file_those_of_the_light_page() -> None:
    page, file = to_html(figure(), label="x"), to_svg(figure(), label="x").decode()
    assert set(re.findall(r"var\(--(\w+)\)", page)) <= set(COLOURS)
    assert not re.findall(r"#[0-9a-f]{6}\b", page)
    assert set(re.findall(r"#[0-9a-f]{6}\b", file)) <= set(COLOURS.values())
    assert "var(" not in file


@pytest.mark.parametrize("draw", [to_html, to_svg])
def test_texts_are_shown_as_they_are(draw: object) -> None:
    drawn = draw(figure("<script>$\\frac$ 日本"), label='"<b>')  # type: ignore[operator]
    text = drawn if isinstance(drawn, str) else drawn.decode()
    assert "<script" not in text
    root = ElementTree.fromstring(text)
    shown = {part.strip() for part in root.itertext()}
    assert {"<script>$\\frac$ 日本", "filled", "dots", "bar", "height, m", "row", "2"} <= shown
    assert root.get("aria-label") == '"<b>'


def test_points_are_drawn_where_they_are() -> None:
    (path,) = paths(to_html(figure(), label="x"), "blue")
    # 4000 units across 0 ... 4, 2000 down from 4 to 0.
    assert path == "M0 2000l1000-500l1000-1500l1000 1000h1000"


def test_gaps_part_a_line_and_a_lonely_point_is_a_dot() -> None:
    (path,) = paths(to_html(figure(y=[0.0, np.nan, 4.0, 2.0, np.nan]), label="x"), "blue")
    assert path == "M0 2000h0M2000 0l1000 1000"


def test_areas_are_closed_and_bars_have_their_edges() -> None:
    page = to_html(figure(), label="x")
    (area,) = paths(page, "orange")
    assert area.startswith("M0 2000h1000") and area.endswith("z")
    assert paths(page, "purple") == ["M0 2000H1000V1000H0z"]


def test_area_that_leaves_a_log_axis_is_closed_over_what_is_on_it() -> None:
    area = Area(x=X, low=np.array([1.0, 1, 0, 1, 1]), high=X * 0 + 10, colour="sky")
    y = Axis(low=1.0, high=10.0, is_log=True)
    panel = Panel(title="wealth", marks=[area], y=y)
    made = Figure(panels=[panel], x=number_axis(X, margin=0.0), x_title="row")
    (path,) = paths(to_html(made, label="x"), "sky")
    assert path.count("M") == path.count("z") == 1


def test_file_has_every_text_within_it() -> None:
    root = ElementTree.fromstring(to_svg(figure("n" * 28), label="x"))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for text in root.iter("{http://www.w3.org/2000/svg}text"):
        assert 0 < float(text.attrib["x"]) < width
        assert 0 < float(text.attrib["y"]) < height


def test_label_at_the_end_of_an_axis_does_not_stick_out() -> None:
    page = to_html(figure(), label="x")
    sides = re.findall(r'<i class="(\w+)" style="left:([\d.]+)%">', page)
    assert sides[0] == ("middle", "0")
    assert sides[-1] == ("last", "100")


def test_nothing_asks_for_anything_else() -> None:
    for text in (to_html(figure(), label="x"), to_svg(figure(), label="x").decode()):
        assert not re.findall(r"(?:href|src)=|url\(|<style|<!DOCTYPE|<metadata", text)
