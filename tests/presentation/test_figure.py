"""The legend names each thing once."""

from __future__ import annotations

import numpy as np

from psann.presentation.axes import Axis
from psann.presentation.figure import Figure, Line, Look, Mark, Panel, Rules

X = np.arange(2.0)


def line(label: str, colour: str = "blue") -> Mark:
    return Line(x=X, y=X, look=Look(colour), label=label)


def test_legend_has_the_first_of_each_label_of_all_panels_and_none_without() -> None:
    panels = [[line("a"), line("")], [line("a", "green"), Rules(x=X, look=Look("ink"), label="b")]]
    axis = Axis(low=0.0, high=1.0)
    drawn = [Panel(title="", marks=marks, y=axis) for marks in panels]
    legend = Figure(panels=drawn, x=axis, x_title="").legend
    assert [mark.label for mark in legend] == ["a", "b"]
    assert legend[0] is panels[0][0]
