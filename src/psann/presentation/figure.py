"""What a figure shows before it is drawn: lines, layers, dots and bars on axes, in data units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psann._typing import Floats
from psann.presentation.axes import Axis


@dataclass(frozen=True)
class Look:
    """How a line is drawn: told apart by colour, and without colour by its style."""

    colour: str
    """Name in `psann.presentation.drawing.COLOURS`."""
    dashes: str = ""
    """Lengths of dashes and gaps in pixels."""
    width: float = 1.6


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line through points; NaN is a gap, a point between gaps a dot."""

    x: Floats
    y: Floats
    look: Look
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Area:
    """What lies between two lines."""

    x: Floats
    low: Floats
    high: Floats
    colour: str
    opacity: float = 1.0
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Dots:
    """Points; the width of the look is their diameter."""

    x: Floats
    y: Floats
    look: Look
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Upright lines through the whole panel."""

    x: Floats
    look: Look
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Bars:
    """Rectangles: rows of left, right, lower and upper edge."""

    edges: Floats
    colour: str
    label: str = ""


Mark = Line | Area | Dots | Rules | Bars


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One pair of axes."""

    title: str
    """What the upright axis shows, and its unit."""
    marks: Sequence[Mark]
    y: Axis
    height_px: int = 150


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Panels below each other on one axis."""

    panels: Sequence[Panel]
    x: Axis
    x_title: str

    @property
    def legend(self) -> list[Mark]:
        """The first mark of each label, in the order of drawing."""
        found: dict[str, Mark] = {}
        for panel in self.panels:
            for mark in panel.marks:
                if mark.label:
                    found.setdefault(mark.label, mark)
        return list(found.values())
