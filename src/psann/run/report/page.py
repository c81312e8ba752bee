"""From runs to a file: one HTML page that needs nothing else, or markdown with SVG files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from psann._text import mask_secrets
from psann._whole_file import write_whole
from psann.errors import PsannError, UsageError
from psann.run.reading.reading import RunView

if TYPE_CHECKING:
    from jinja2 import Environment

    from psann.run.reading.content import Picture, Report

FORMATS = ("html", "markdown")
_POINTS = 500
_FEWEST_POINTS = 100
# What markdown would read as markup: anywhere, and as the first of a line.
_MARKUP = re.compile(r"([\\`*_\[\]<>|~$&])|^([-+#=])(?=[-+#=\s]|$)|(?<=^\d)([.)])(?=\s)")


def write_report(
    runs: Sequence[RunView], output: Path | str, *, format: str = "html"
) -> list[Path]:
    """Write a report of one run, or a comparison of several.

    The same runs give the same bytes, wherever they lie and whenever it is written.

    Parameters
    ----------
    output : Path or str
        The file. Markdown puts its pictures beside it in `<name>-figures/`.

    Raises
    ------
    UsageError
        If there is no run, or no such format, or `output` is a directory or lies in a run's.
    PsannError
        If jinja2 is not installed.
    """
    output = Path(output)
    _check(runs, output, format)
    from psann.run.report.comparison import report_of

    return write_page(report_of(runs, points=points_of(len(runs))), output, format=format)


def points_of(n_runs: int) -> int:
    """Most points per line in the pictures of a page about so many runs."""
    return max(_FEWEST_POINTS, _POINTS // n_runs)


def write_page(report: Report, output: Path, *, format: str) -> list[Path]:
    """Write any content as `write_report` does."""
    if format == "html":
        return [write_whole(output, render_html(report).encode())]
    folder = output.with_name(f"{output.stem}-figures")
    text, pictures = render_markdown(report, folder.name)
    folder.mkdir(parents=True, exist_ok=True)
    files = [write_whole(folder / name, data) for name, data in pictures.items()]
    return [write_whole(output, text.encode()), *files]


def render_html(report: Report) -> str:
    """Write a report as one HTML page: no script, no network, light and dark, screen and paper.

    Parameters
    ----------
    report : Report
        Any content; every text of it is escaped.
    """
    from markupsafe import Markup

    from psann._drawing import COLOURS, to_html

    def drawn(picture: Picture) -> Markup:
        # Of our own making, which has escaped every text in it.
        return Markup(to_html(picture.figure, label=picture.title))

    environment = _environment(is_html=True)
    environment.filters["drawn"] = drawn
    return environment.get_template("page.html.j2").render(report=report, colours=COLOURS)


def render_markdown(report: Report, folder: str) -> tuple[str, dict[str, bytes]]:
    """Write a report as markdown.

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
    from psann._drawing import to_svg

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
    except ModuleNotFoundError as error:
        raise PsannError(
            f"A report needs jinja2, and {error.name} is not installed. "
            "Install it with: pip install 'psann[report]'"
        ) from None

    return Environment(
        loader=PackageLoader("psann.run", "report"),
        autoescape=is_html,
        finalize=lambda value: mask_secrets(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _check(runs: Sequence[RunView], output: Path, format: str) -> None:
    if not runs:
        raise UsageError("A report needs at least one run.")
    if format not in FORMATS:
        raise UsageError(f"--format must be one of {', '.join(FORMATS)}; got {format!r}.")
    if output.is_dir():
        raise UsageError(f"-o must be a file; {output} is a directory.")
    inside = [run for run in runs if output.resolve().is_relative_to(run.path.resolve())]
    if inside:
        raise UsageError(
            f"-o must lie outside the run directory {inside[0].path}, which holds the run's own "
            f"files only; got {output}."
        )
