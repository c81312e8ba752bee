"""How figures become parts of a page, or SVG files for a document.

On a page a figure takes the width that there is: its shapes are stretched, its texts and the width
of its lines are not, so that both are as readable on a telephone as on a wide screen. Colours are
CSS variables, so that one drawing follows the page into dark and onto paper. They are those of
Okabe & Ito (2008, https://jfly.uni-koeln.de/color/), which colour-blind readers can tell apart;
lines differ in style as well, for print in grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from unicodedata import east_asian_width

import numpy as np

from psann._typing import Floats
from psann.presentation.axes import Axis
from psann.presentation.figure import Area, Bars, Dots, Figure, Line, Look, Mark, Panel, Rules

# Name in the style sheet -> colour on white. The page knows them in light and in dark.
COLOURS = {
    "ink": "#1f2328",
    "paper": "#ffffff",
    "muted": "#59636e",
    "rule": "#d1d9e0",
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#00875f",
    "purple": "#b8538c",
    "orange": "#c77f00",
    "sky": "#3c9fd6",
    "olive": "#8a7d00",
}
_STRETCHED = (4000, 2000)
"""Units across and down of a panel on a page, whatever its size."""
_FAR_OUT = 1e6  # in these units: nowhere
_MOST_EDGE = 0.95
# Of a file, in pixels.
_WIDTH, _MARGIN, _FONT, _ROW, _FINE = 720, 14, 12.5, 20, 10
_FONTS = "system-ui, 'DejaVu Sans', Verdana, sans-serif"


@dataclass(frozen=True)
class _Canvas:
    """Units of a panel, how many of them a pixel has, and how a colour is written."""

    width: float
    height: float
    pixel: float
    paint: Callable[[str], str]


def to_html(figure: Figure, *, label: str) -> str:
    """Draw a figure as an element of a page, whose style sheet it needs.

    Parameters
    ----------
    label : str
        What it is, for those who cannot see it.

    Returns
    -------
    str
        One `div`, the same for the same figure.
    """
    canvas = _Canvas(*_STRETCHED, pixel=1.0, paint=lambda name: f"var(--{name})")
    widest = max(len(text) for panel in figure.panels for _, text in panel.y.ticks or ((0.0, ""),))
    parts = [f'<div class="chart" role="img" aria-label="{escape(label)}">']
    if figure.legend:
        keys = "".join(_html_key(mark, canvas) for mark in figure.legend)
        parts.append(f'<ul class="legend">{keys}</ul>')
    parts.append(f'<div class="panels" style="--left:{max(widest, 2) + 1}ch">')
    for panel in figure.panels:
        labels = "".join(
            f'<i style="top:{100 * (1 - at):.4g}%">{escape(text)}</i>'
            for at, text in _placed(panel.y)
        )
        parts.append(
            f'<p class="axis">{escape(panel.title)}</p>'
            f'<div class="plot" style="height:{panel.height_px}px">'
            f'<svg viewBox="0 0 {_STRETCHED[0]} {_STRETCHED[1]}" preserveAspectRatio="none">'
            f"{_shapes(panel, figure.x, canvas)}</svg>{labels}</div>"
        )
    below = "".join(
        f'<i class="{_side(at)}" style="left:{100 * at:.4g}%">{escape(text)}</i>'
        for at, text in _placed(figure.x)
    )
    title = f'<p class="axis below">{escape(figure.x_title)}</p>' if figure.x_title else ""
    return "".join([*parts, f'<div class="times">{below}</div>{title}</div></div>'])


def to_svg(figure: Figure, *, label: str) -> bytes:
    """Draw a figure on white as a file for a document.

    Returns
    -------
    bytes
        An SVG file, the same for the same figure.
    """
    widest = max((_width(t) for panel in figure.panels for _, t in panel.y.ticks), default=0.0)
    left = _MARGIN + max(widest, 2 * _FONT) + 6
    inner = _WIDTH - left - _MARGIN
    body, top = _svg_legend(figure.legend)
    for panel in figure.panels:
        body.append(_text(panel.title, left, top + _FONT, "muted"))
        top += _ROW
        canvas = _Canvas(inner * _FINE, panel.height_px * _FINE, _FINE, COLOURS.__getitem__)
        body.append(
            f'<svg x="{left:g}" y="{top:g}" width="{inner:g}" height="{panel.height_px}" '
            f'viewBox="0 0 {canvas.width:g} {canvas.height:g}" overflow="visible" fill="none" '
            f'stroke-linejoin="round">{_shapes(panel, figure.x, canvas)}</svg>'
        )
        for at, text in _placed(panel.y):
            y = top + (1 - at) * panel.height_px + 0.35 * _FONT
            body.append(_text(text, left - 6, y, "muted", "end"))
        top += panel.height_px + 0.7 * _ROW
    for at, text in _placed(figure.x):
        anchor = "end" if _side(at) == "last" else "middle"
        body.append(_text(text, left + at * inner, top + 0.5 * _FONT, "muted", anchor))
    body.append(_text(figure.x_title, left, top + 0.5 * _FONT + _ROW, "muted"))
    height = round(top + _FONT + _ROW + _MARGIN)
    lead = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}" '
        f'font-family="{_FONTS}" font-size="{_FONT}">'
        f'<rect width="100%" height="100%" fill="{COLOURS["paper"]}"/>'
    )
    return "".join([lead, *body, "</svg>\n"]).encode()


# ---------------------------------------------------------------------------------------- shapes


@np.errstate(all="ignore")  # what is not on the axes is not drawn
def _shapes(panel: Panel, x: Axis, canvas: _Canvas) -> str:
    """The grid, then the marks in their order."""
    grid = [(at * canvas.width, 0.0, canvas.height) for at, _ in _placed(x)]
    lines = "".join(f"M{at:.0f} 0V{canvas.height:g}" for at, *_ in grid)
    for at, _ in _placed(panel.y):
        lines += f"M0 {(1 - at) * canvas.height:.0f}H{canvas.width:g}"
    drawn = [f'<path d="{lines}" style="{_pen(Look("rule", width=0.8), canvas)}"/>']
    drawn += [_shape(mark, panel.y, x, canvas) for mark in panel.marks]
    return "".join(drawn)


def _shape(mark: Mark, y: Axis, x: Axis, canvas: _Canvas) -> str:
    """One mark as an SVG path."""

    def points(across: Floats, up: Floats) -> Floats:
        places = (x.places(across) * canvas.width, (1 - y.places(up)) * canvas.height)
        return np.column_stack(places)

    match mark:
        case Line():
            path = "".join(_runs(points(mark.x, mark.y)))
            return f'<path d="{path}" style="{_pen(mark.look, canvas)}"/>'
        case Area():
            outline = points(np.append(mark.x, mark.x[::-1]), np.append(mark.low, mark.high[::-1]))
            known = outline[
                (np.abs(outline) < _FAR_OUT).all(axis=1)
            ]  # on a log axis ruin has no place
            filled = f"fill:{canvas.paint(mark.colour)};opacity:{mark.opacity:g}"
            return f'<path d="{"".join(_runs(known))}z" style="{filled}"/>'
        case Dots():
            path = "".join(f"M{a:.0f} {b:.0f}h0" for a, b in points(mark.x, mark.y))
            return f'<path d="{path}" style="{_pen(mark.look, canvas)};stroke-linecap:round"/>'
        case Rules():
            places = (x.places(mark.x) * canvas.width).tolist()
            path = "".join(f"M{at:.0f} 0V{canvas.height:g}" for at in places)
            return f'<path d="{path}" style="{_pen(mark.look, canvas)}"/>'
        case Bars():
            path = ""
            for left, right, low, high in mark.edges:
                (a, b), (c, d) = points(np.array([left, right]), np.array([low, high]))
                path += f"M{a:.0f} {b:.0f}H{c:.0f}V{d:.0f}H{a:.0f}z"
            return f'<path d="{path}" style="fill:{canvas.paint(mark.colour)}"/>'


def _runs(points: Floats) -> Sequence[str]:
    """Paths through the points between gaps, in whole units from one to the next."""
    is_there = (np.abs(points) < _FAR_OUT).all(axis=1)
    whole = np.rint(points[is_there]).astype(np.int64)
    cuts = np.flatnonzero(np.diff(np.flatnonzero(is_there)) > 1) + 1
    paths = []
    for run in np.split(whole, cuts):
        if len(run):
            steps = np.diff(run, axis=0)
            steps = steps[steps.any(axis=1)].tolist()
            lead = f"M{run[0, 0]} {run[0, 1]}"
            paths.append(lead + ("".join(_step(*step) for step in steps) or "h0"))
    return paths


def _step(across: int, down: int) -> str:
    if not down:
        return f"h{across}"
    return f"v{down}" if not across else f"l{across}{'' if down < 0 else ' '}{down}"


def _pen(look: Look, canvas: _Canvas) -> str:
    style = f"stroke:{canvas.paint(look.colour)};stroke-width:{look.width * canvas.pixel:g}"
    if look.dashes:
        dashes = " ".join(f"{float(part) * canvas.pixel:g}" for part in look.dashes.split())
        return f"{style};stroke-dasharray:{dashes}"
    return style


# ------------------------------------------------------------------------------------ texts, keys


def _placed(axis: Axis) -> list[tuple[float, str]]:
    places = axis.places([value for value, _ in axis.ticks]).tolist()
    return [
        (at, text)
        for at, (_, text) in zip(places, axis.ticks, strict=True)
        if -1e-9 <= at <= 1.000001
    ]


def _side(at: float) -> str:
    """Whether a label below an axis must not stick out at its end."""
    return "last" if at > _MOST_EDGE else "middle"


def _key(mark: Mark, canvas: _Canvas) -> str:
    """A sample of a mark, 26 pixels by 10."""
    one = canvas.pixel
    if isinstance(mark, Area | Bars):
        opacity = mark.opacity if isinstance(mark, Area) else 1.0
        style = f"fill:{canvas.paint(mark.colour)};opacity:{opacity:g}"
        return (
            f'<path d="M{3 * one:g} 0h{20 * one:g}v{10 * one:g}h{-20 * one:g}z" style="{style}"/>'
        )
    style = _pen(mark.look, canvas)
    if isinstance(mark, Dots):
        middle = f"M{13 * one:g} {5 * one:g}h0"
        return f'<path d="{middle}" style="{style};stroke-linecap:round"/>'
    return f'<path d="M0 {5 * one:g}h{26 * one:g}" style="{style}"/>'


def _html_key(mark: Mark, canvas: _Canvas) -> str:
    sample = f'<svg viewBox="0 0 26 10" width="26" height="10">{_key(mark, canvas)}</svg>'
    return f"<li>{sample}<span>{escape(mark.label)}</span></li>"


def _svg_legend(marks: Sequence[Mark]) -> tuple[list[str], float]:
    """Two columns of samples with their names, and where the panels begin."""
    canvas = _Canvas(26, 10, 1.0, COLOURS.__getitem__)
    column = (_WIDTH - 2 * _MARGIN) / 2
    drawn = []
    for place, mark in enumerate(marks):
        x, y = _MARGIN + place % 2 * column, _MARGIN + place // 2 * _ROW
        sample = f'<g transform="translate({x:g} {y:g})" fill="none">{_key(mark, canvas)}</g>'
        drawn += [sample, _text(mark.label, x + 34, y + 9.5, "ink")]
    return drawn, _MARGIN + -(-len(marks) // 2) * _ROW


def _text(text: str, x: float, y: float, colour: str, anchor: str = "start") -> str:
    where = f'x="{x:.4g}" y="{y:.4g}" fill="{COLOURS[colour]}" text-anchor="{anchor}"'
    return f"<text {where}>{escape(text)}</text>" if text else ""


def _width(text: str) -> float:
    """Pixels that a text takes at most, by the broadest of the fonts."""
    return sum(_FONT if east_asian_width(sign) in "WF" else 0.65 * _FONT for sign in text)
