"""Content as HTML and as markdown; pages of whole runs are tested with the report."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from foreign import LOOKALIKES
from psann.errors import PsannError
from psann.presentation.content import Report
from psann.presentation.page import markdown_text, write_page


@pytest.mark.parametrize("text", [*LOOKALIKES, "- a", "+ a", "---"])
def test_every_text_comes_back_from_a_table_of_markdown_as_it_was(text: str) -> None:
    cell = markdown_text(text)
    table = f"| {cell} | b |\n|---|---|\n| {cell} | {cell} |\n"
    cells = [each for each in MarkdownIt().enable("table").parse(table) if each.type == "inline"]
    assert len(cells) == 4
    for place in (0, 2, 3):
        parts = cells[place].children or []
        assert {part.type for part in parts} <= {"text", "text_special"}
        assert "".join(part.content for part in parts) == text.strip(" ")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("*a* [b](c) <d>", "\\*a\\* \\[b\\](c) \\<d\\>"),
        ("# a", "\\# a"),
        ("--- ", "\\--- "),
        ("1. a", "1\\. a"),
        ("+0.5 (-3)", "+0.5 (-3)"),
    ],
)
def test_markup_is_escaped_and_numbers_are_left_alone(text: str, escaped: str) -> None:
    assert markdown_text(text) == escaped


def test_missing_extra_is_named_with_its_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    report = Report(title="a", status="", sections=())
    with pytest.raises(PsannError, match=r"pip install 'psann\[report\]'"):
        write_page(report, tmp_path / "report.html", format="html")
