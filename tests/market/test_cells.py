"""Separators, header rows, and lines that do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from psann.errors import DataError
from psann.market.cells import read_text
from psann.market.findings import Findings
from psann.market.options import Format
from psann.market.sheet import Sheet


def cut(text: str, *, texts: tuple[str, ...] = (), **options: object) -> tuple[Sheet, Findings]:
    findings = Findings()
    sheet = read_text(
        lambda: iter(text.splitlines()),
        source="t.csv",
        stem="t",
        format=Format(**options),  # type: ignore[arg-type]
        texts=texts,
        findings=findings,
    )
    return sheet, findings


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_cuts_all_lines_alike(sep: str) -> None:
    sheet, findings = cut(f"d{sep}a\n1 x{sep}2.5\n2 x{sep}3.5\n")
    assert (sheet.sep, sheet.levels, findings.problems) == (sep, [["d", "a"]], [])
    assert sheet.lines == [2, 3]


def test_two_separators_that_both_cut_are_asked_for() -> None:
    _, findings = cut("a;b,c\n1;2,3\n")
    assert "';' and ','" in findings.problems[0] or "',' and ';'" in findings.problems[0]
    sheet, findings = cut("a;b,c\n1;2,3\n", sep=";")
    assert (sheet.columns[1], findings.problems) == (["2,3"], [])


def test_separators_in_quotes_do_not_cut() -> None:
    sheet, _ = cut('"a","b"\n"x, y","1,5"\n')
    assert sheet.columns == [["x, y"], ["1,5"]]


def test_plain_numbers_are_numbers_and_whole_ones_stay_as_written() -> None:
    sheet, _ = cut("d,n,a\nx,007,1.5\ny,008,\n")
    assert sheet.columns[:2] == [["x", "y"], ["007", "008"]]
    np.testing.assert_array_equal(sheet.columns[2], [1.5, np.nan])


def test_whole_numbers_of_a_field_are_numbers() -> None:
    sheet, _ = cut("time,a,volume\n0001,1.5,700\n")
    assert sheet.columns[0] == ["0001"]
    np.testing.assert_array_equal(sheet.columns[2], [700.0])


def test_a_number_that_needs_thought_far_below_makes_all_cells_text_again() -> None:
    rows = [f"x{n},1.5" for n in range(1500)]
    sheet, _ = cut("\n".join(["d,a", *rows, 'y,"1,234.5"']))
    assert sheet.columns[1][-1] == "1,234.5"
    assert sheet.n_rows == 1501


def test_named_columns_stay_texts() -> None:
    sheet, _ = cut("d,a,b\nx,1.50,2.5\n", texts=("a",))
    assert sheet.columns[1] == ["1.50"]


def test_lines_are_those_of_the_file() -> None:
    sheet, _ = cut("# a\n\nd,a\n\nx,1.5\ny,2.5\n,\n", comment="#")
    assert (sheet.lines, sheet.n_rows) == ([5, 6], 2)


def test_what_was_said_of_the_rows_holds() -> None:
    sheet, findings = cut("bla\nd,a\nx,1.5\ny,2.5\nz,no\nend\n", skip_rows=1, max_rows=2)
    assert (sheet.columns[0], findings.problems) == (["x", "y"], [])
    sheet, _ = cut("x,1.5\ny,2.5\n", header=0, columns=("d", "a"))
    assert (sheet.levels, sheet.n_rows) == ([["d", "a"]], 2)


def test_a_torn_line_is_told_by_its_number_and_the_rest_is_read() -> None:
    sheet, findings = cut("d,a\nx,1.5\ny,2.5,7\nz,3.5\n")
    assert sheet.columns[0] == ["x", "z"]
    assert findings.problems == [
        "t.csv, line 3: a row must have 2 cells as the header has; got 3 ('y,2.5,7'). Complete or "
        "delete the line."
    ]


@pytest.mark.parametrize(
    ("after", "is_section"),
    [
        ("z,3.5\n", False),
        ("x,3.5\n", True),  # told before
        ("d,a\nz,3.5\n", True),  # below a header of its own
        ("", True),  # a footer
    ],
)
def test_a_line_of_words_ends_the_table_where_it_does_not_go_on(
    after: str, is_section: bool
) -> None:
    sheet, findings = cut(f"d,a\nx,1.5\ny,2.5\nsome words\n{after}")
    (problem,) = findings.problems
    if is_section:
        assert sheet.n_rows == 2 and problem.endswith("Say `format: {max_rows: 2}`.")
    else:
        assert sheet.n_rows == 3 and "line 4: a row must have 2 cells" in problem
        assert problem.endswith("Complete or delete the line.")


def test_a_long_table_goes_on_where_its_dates_come_again_for_another_asset() -> None:
    sheet, _ = cut("d,s,a\nx,A,1.5\ny,A,2.5\nsome words\nx,B,3.5\n")
    assert sheet.n_rows == 3


def test_names_are_given_for_all_columns() -> None:
    with pytest.raises(DataError, match=r"must name each of the 3 columns of t\.csv; got 2 names"):
        cut("x,1.5,2.5\n", header=0, columns=("d", "a"))


@pytest.mark.parametrize("text", ["", "\n\n", "d,a\n"])
def test_a_file_without_a_table_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"must hold a table|must have rows below its header"):
        cut(text)


def test_names_of_thousands_of_columns_are_asked_for_and_not_listed() -> None:
    _, findings = cut("2020-01-01" + ",1.5" * 2000 + "\n2020-01-02" + ",1.5" * 2000 + "\n")
    (problem,) = findings.problems
    assert problem.endswith("Write a line of names above them.")
    assert len(problem) < 400
