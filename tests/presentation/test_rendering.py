"""Content on a terminal: every row on a line, in characters that it has."""

from __future__ import annotations

import io

from psann._terminal import Terminal
from psann.presentation.content import NOTHING, Section, Table
from psann.presentation.rendering import draw, show

TABLE = Table(
    columns=("strategy", "wide column", "growth"),
    rows=(("policy", "1.5 ± 0.25", "+0.1"), ("1/N", NOTHING, "+0.2")),
    n_numbers=2,
    note="a note " * 20,
    spare=("wide column",),
)


def drawn(table: Table, width: int | None = None) -> list[str]:
    stream = io.StringIO()
    draw(table, Terminal(stream), width=width)
    return stream.getvalue().splitlines()


def test_numbers_stand_to_the_right_and_a_note_below_in_short_lines() -> None:
    head, _, policy, uniform, *note = drawn(TABLE)
    assert head.split() == ["strategy", "wide", "column", "growth"]
    assert policy.endswith("1.5 +- 0.25    +0.1")
    assert uniform.split() == ["1/N", "-", "+0.2"]
    assert len(note) > 1
    assert max(map(len, note)) <= 100


def test_spare_columns_go_where_there_is_no_room_also_in_a_pipe() -> None:
    head, *rest = drawn(TABLE, width=20)
    assert head.split() == ["strategy", "growth"]
    assert max(map(len, rest)) <= 20


def test_sentences_come_before_tables() -> None:
    stream = io.StringIO()
    show(Section(title="x", sentences=("one ± two.",), tables=(TABLE,)), Terminal(stream))
    first, blank, head = stream.getvalue().splitlines()[:3]
    assert (first, blank) == ("one +- two.", "")
    assert head.startswith("strategy")
