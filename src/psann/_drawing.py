"""How every picture looks, and how matplotlib's figures become SVG for a page or PNG files.

Figures are drawn in the colours of the light page. In the SVG each of these is replaced by the CSS
variable of its name, so that the same picture follows the page into dark and onto paper. Colours
are those of Okabe & Ito (2008, https://jfly.uni-koeln.de/color/), which colour-blind readers can
tell apart; lines differ in style as well, for print in grey.
"""

from __future__ import annotations

import functools
import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.textpath import TextPath

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
WIDTH_IN = 5.8
_PNG_DPI = 160
_SVG = "http://www.w3.org/2000/svg"
_XLINK = "http://www.w3.org/1999/xlink"
_LEGEND_ROW_IN = 0.22
_LEGEND_PT, _LEGEND_KEY_PT, _LEGEND_EDGE_PT = 8.5, 44.0, 12.0
_VARIABLES = {colour: f"var(--{name})" for name, colour in COLOURS.items()}
_REFERENCE = re.compile(r"#([a-z]\w{9,})")
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_COLOUR = re.compile(r"#[0-9a-f]{6}")
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": COLOURS["muted"],
    "axes.labelcolor": COLOURS["ink"],
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "axes.titlelocation": "left",
    "axes.titlecolor": COLOURS["ink"],
    "figure.constrained_layout.use": True,
    "font.size": 10.0,
    "grid.color": COLOURS["rule"],
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "legend.columnspacing": 1.4,
    "legend.fontsize": _LEGEND_PT,
    "lines.linewidth": 1.4,
    "svg.fonttype": "none",
    "svg.hashsalt": "psann",
    "text.color": COLOURS["ink"],
    # A run may be called $\frac$: names are texts, not formulas.
    "text.parse_math": False,
    "xtick.color": COLOURS["muted"],
    "ytick.color": COLOURS["muted"],
}


@contextmanager
def drawing_style() -> Iterator[None]:
    """Draw and save in the style of the report, whatever style the reader's own matplotlib has."""
    with mpl.rc_context(), warnings.catch_warnings():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        # A name in letters that the drawing font lacks: the page has more fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        yield


def new_figure(height_in: float) -> Figure:
    """Make an empty figure of the report's width.

    Parameters
    ----------
    height_in : float
        Height in inches without a legend.
    """
    return Figure(figsize=(WIDTH_IN, height_in))


def named(label: str | None) -> str | None:
    """A label as an artist takes it until `add_legend`: a leading `_` would hide it."""
    return f" {label}" if label is not None and label.startswith(("_", " ")) else label


def add_legend(figure: Figure) -> None:
    """Put one legend for all panels above them, where it hides nothing.

    Parameters
    ----------
    figure : Figure
        The figure; it grows by the height of the legend.
    """
    found: dict[str, Artist] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label.removeprefix(" "), handle)
    columns = _columns_that_fit(list(found))
    n_rows = -(-len(found) // columns)
    figure.set_figheight(figure.get_figheight() + _LEGEND_ROW_IN * n_rows)
    keys = [f" {label}" for label in found]
    legend = figure.legend(list(found.values()), keys, loc="outside upper left", ncols=columns)
    for text, label in zip(legend.get_texts(), found, strict=True):
        text.set_text(label)


def _columns_that_fit(labels: Sequence[str]) -> int:
    """Most columns, filled from the top as matplotlib does, that the width holds."""
    widths = [_width_pt(label) for label in labels]
    for columns in (4, 3, 2):
        n_rows = -(-len(labels) // columns)
        longest = [max(widths[i : i + n_rows]) for i in range(0, len(labels), n_rows)]
        if sum(_LEGEND_KEY_PT + width for width in longest) <= WIDTH_IN * 72 - _LEGEND_EDGE_PT:
            return columns
    return 1


@functools.cache
def _width_pt(label: str) -> float:
    letters = TextPath((0, 0), label or " ", size=_LEGEND_PT)
    return float(letters.get_extents().x1) if len(letters.vertices) else 0.0


def to_png(figure: Figure) -> bytes:
    """Draw a figure on white, for a document."""
    file = io.BytesIO()
    with drawing_style():
        figure.savefig(file, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return file.getvalue()


def to_svg(figure: Figure, *, key: str, label: str) -> str:
    """Draw a figure as an element of a page: texts as text, colours as CSS variables.

    Parameters
    ----------
    key : str
        Begins every id in it; differs between the figures of a page.

    Returns
    -------
    str
        One `svg` element, the same for the same figure.
    """
    file = io.BytesIO()
    with drawing_style():
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    root = ElementTree.fromstring(file.getvalue().decode())
    for element in root.findall(f"{{{_SVG}}}metadata"):
        root.remove(element)
    _drop_style_sheet(root)
    _rename_ids(root, key)
    for element in root.iter():
        _shorten(element)
    _flatten(root)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": label}
    ElementTree.register_namespace("", _SVG)
    return ElementTree.tostring(root, encoding="unicode")


def _drop_style_sheet(root: ElementTree.Element) -> None:
    """It would apply to the whole page, which has these rules for its pictures."""
    for element in root.findall(f"{{{_SVG}}}defs"):
        for sheet in element.findall(f"{{{_SVG}}}style"):
            element.remove(sheet)


def _rename_ids(root: ElementTree.Element, key: str) -> None:
    """Keep the ids that something refers to, under names of this figure's own."""
    used: dict[str, str] = {}

    def renamed(found: re.Match[str]) -> str:
        return "#" + used.setdefault(found[1], f"{key}-{len(used)}")

    for element in root.iter():
        target = element.attrib.pop(f"{{{_XLINK}}}href", None)
        if target is not None:
            element.set("href", _REFERENCE.sub(renamed, target))
        for name in ("clip-path", "style"):
            if "url(" in element.get(name, ""):
                element.set(name, _REFERENCE.sub(renamed, element.attrib[name]))
    for element in root.iter():
        name = element.attrib.pop("id", "")
        if name in used:
            element.set("id", used[name])


def _shorten(element: ElementTree.Element) -> None:
    path = element.get("d")
    if path is not None:
        element.set("d", _short_path(path))
    for name in ("x", "y", "width", "height", "transform", "viewBox", "points"):
        text = element.get(name)
        if text is not None:
            element.set(name, _NUMBER.sub(_rounded, " ".join(text.split())))
    if element.get("transform", "").startswith("rotate(-0 "):
        del element.attrib["transform"]
    # A CSS variable is surely understood in a style only.
    painted = {name: element.attrib.pop(name, None) for name in ("fill", "stroke")}
    own = [f"{name}: {colour}" for name, colour in painted.items() if colour is not None]
    style = "; ".join([element.get("style", ""), *own]).strip("; ")
    if style:
        rules = [rule.strip() for rule in style.split(";")]
        kept = ";".join(
            rule.replace(": ", ":") for rule in rules if not rule.startswith("font-family")
        )
        element.set("style", _COLOUR.sub(lambda found: _VARIABLES.get(found[0], found[0]), kept))
    if element.tag != f"{{{_SVG}}}text":
        element.text = None
    element.tail = None


def _short_path(path: str) -> str:
    """Write a path of straight lines with steps between tenths of a point: half the length."""
    words = path.split()
    end = ["z"] if words[-1] == "z" else []
    words = words[: len(words) - len(end)]
    commands = [(words[i], words[i + 1 : i + 3]) for i in range(0, len(words) - 2, 3)]
    if any(command not in ("M", "L") for command, _ in commands):
        return _NUMBER.sub(_rounded, " ".join(words + end))
    parts, at = [], (0, 0)
    for command, (x, y) in commands:
        here = (round(10 * float(x)), round(10 * float(y)))
        if command == "M":
            parts.append(f"M{here[0] / 10:g} {here[1] / 10:g}")
        elif here != at:
            parts.append(_step((here[0] - at[0]) / 10, (here[1] - at[1]) / 10))
        at = here
    return "".join(parts + end)


def _step(across: float, down: float) -> str:
    x, y = (re.sub(r"^(-?)0\.", r"\1.", f"{length:g}") for length in (across, down))
    if not down:
        return f"h{x}"
    return f"v{y}" if not across else f"l{x}{'' if y[0] == '-' else ' '}{y}"


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def _flatten(element: ElementTree.Element) -> None:
    """Take away groups that say nothing."""
    for child in list(element):
        _flatten(child)
    children: list[ElementTree.Element] = []
    for child in list(element):
        if child.get("style") == "fill:none":  # the ground, which is the page's
            continue
        says_nothing = child.tag in (f"{{{_SVG}}}g", f"{{{_SVG}}}defs") and (
            not len(child) or (not child.attrib and child.tag.endswith("}g"))
        )
        children += list(child) if says_nothing else [child]
    element[:] = children
