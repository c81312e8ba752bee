"""Content as files: one HTML page that needs nothing else, or markdown with SVG files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from psann._text import mask_secrets
from psann._whole_file import is_stream, write_whole
from psann.errors import PsannError, UsageError, unavailable

if TYPE_CHECKING:
    from jinja2 import Environment

    from psann.presentation.content import Picture, Report

# What markdown would read as markup: anywhere, and as the first of a line.
_MARKUP = re.compile(r"([\\`*_\[\]<>|~$&])|^([-+#=])(?=[-+#=\s]|$)|(?<=^\d)([.)])(?=\s)")


def write_page(report: Report, output: Path, *, format: str) -> list[Path]:
    """Write a page in the format `html` or `markdown`; the same content gives the same bytes.

    Parameters
    ----------
    output : Path
        The file. Markdown puts its pictures beside it in `<name>-figures/`.

    Raises
    ------
    PsannError
        If jinja2 is not installed.
    UsageError
        If markdown, whose pictures lie beside it, is to go where nothing lies.
    """
    if format != "html" and is_stream(output):
        raise UsageError(
            f"-o must be a file for a report in markdown, whose pictures lie beside it; got "
            f"{output}. Name a file, or give --format html."
        )
    if format == "html":
        return [write_whole(output, render_html(report).encode())]
    folder = output.with_name(f"{output.stem}-figures")
    text, pictures = render_markdown(report, folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    files = [write_whole(folder / name, data) for name, data in pictures.items()]
    return [write_whole(output, text.encode()), *files]


def render_html(report: Report) -> str:
    """Write content as one HTML page: no script, no network, light and dark, screen and paper.

    Parameters
    ----------
    report : Report
        Any content; every text of it is escaped.
    """
    from markupsafe import Markup

    from psann.presentation.drawing import COLOURS, to_html

    def drawn(picture: Picture) -> Markup:
        # Of our own making, which has escaped every text in it.
        return Markup(to_html(picture.figure, label=picture.title))

    environment = _environment(is_html=True)
    environment.filters["drawn"] = drawn
    return environment.get_template("page.html.j2").render(report=report, colours=COLOURS)


def render_markdown(report: Report, folder: str) -> tuple[str, dict[str, bytes]]:
    """Write content as markdown.

    Parameters
    ----------
    report : Report
        Any content; what could be markup is escaped.

    Returns
    -------
    text : str
        The document.
    pictures : dict
        SVG files by name.
    """
    from psann.presentation.drawing import to_svg

    files: dict[str, bytes] = {}

    def file_of(picture: Picture) -> str:
        name = f"{len(files) + 1:02d}-{picture.name}.svg"
        files[name] = to_svg(picture.figure, label=picture.title)
        return f"{folder}/{name}"

    environment = _environment(is_html=False)
    environment.filters |= {"file": file_of, "md": markdown_text}
    text = environment.get_template("page.md.j2").render(report=report)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", files


def markdown_text(text: str) -> str:
    r"""Escape what markdown would read as markup.

    Examples
    --------
    >>> print(markdown_text("a|b <script>"))
    a\|b \<script\>
    """
    return _MARKUP.sub(r"\\\g<0>", mask_secrets(text))


def _environment(*, is_html: bool) -> Environment:
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        why = unavailable(error, install="pip install 'psann[report]'")
        raise PsannError(f"A report needs jinja2, and {why}") from None

    return Environment(
        loader=PackageLoader("psann", "presentation"),
        autoescape=is_html,
        finalize=lambda value: mask_secrets(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
