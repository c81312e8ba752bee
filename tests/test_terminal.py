"""Tables and curves on terminals of all kinds, with text that nobody vouches for."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from foreign import DRAWING, HOSTILE
from psann._terminal import CarefulStream, Terminal, curve, rich_console
from psann._text import clean


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(stream: io.StringIO, *args: Any, **kwargs: Any) -> list[str]:
    Terminal(stream).table(*args, **kwargs)
    return stream.getvalue().splitlines()


def plain(line: str) -> list[str]:
    return re.sub("\x1b\\[[0-9;]*m", "", line).split()


def test_table_aligns_texts_left_and_numbers_right_also_wide_characters() -> None:
    lines = drawn(io.StringIO(), ["run", "x"], [["宽宽", "1.5"], ["b", "10.25"]])
    assert lines == ["run       x", "─" * 11, "宽宽    1.5", "b     10.25"]


def test_row_in_a_pipe_is_one_line_however_long() -> None:
    lines = drawn(io.StringIO(), ["run", "x"], [["n" * 300, "1"]], spare=["x"])
    assert len(lines) == 3
    assert lines[2].endswith("n  1")


def test_narrow_terminal_lacks_the_spare_columns_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    heads = ["run", "first", "second", "third"]
    lines = drawn(Tty(), heads, [["abc", "1", "2", "3"]], spare=["second", "first"])
    assert plain(lines[0]) == ["run", "first", "third"]
    monkeypatch.setenv("COLUMNS", "80")
    lines = drawn(Tty(), heads, [["abc", "1", "2", "3"]], spare=["second", "first"])
    assert plain(lines[0]) == heads


def test_sentences_break_between_words_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = "/a/path/that/is/longer/than/forty/columns"
    text = f"better by 0.123456 a year than 1/N at +0.170, see {path}"
    for stream, wanted in ((Tty(), 3), (io.StringIO(), 1)):
        Terminal(stream).sentences([text])
        lines = stream.getvalue().splitlines()
        assert len(lines) == wanted and " ".join(lines) == text


def test_status_is_coloured_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    table = (["status"], [["dead"]])
    assert "\x1b[31mdead" in "".join(drawn(Tty(), *table))
    assert "\x1b" not in "".join(drawn(io.StringIO(), *table))


@pytest.mark.parametrize("stream", [io.StringIO(), Tty()])
def test_hostile_text_is_shown_and_draws_nothing(stream: io.StringIO) -> None:
    terminal = Terminal(stream)
    terminal.line(HOSTILE)
    terminal.table([HOSTILE, "x"], [[HOSTILE, HOSTILE]])
    text = stream.getvalue()
    assert not [part for part in DRAWING if part in text]
    assert "[bold red]x[/]" in text
    assert "\\x1b[2J" in text
    assert len(text.splitlines()) == 4
    assert clean("password=abc") == "password=***"


def test_stream_that_knows_ascii_only_gets_ascii() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    terminal = Terminal(stream)
    terminal.table(["läufe"], [["x"]])
    terminal.line(terminal.curve([1.0, 2.0, 3.0]))
    assert raw.getvalue() == b"l\\xe4ufe\n-----\nx\n_=#\n"
    assert raw.getvalue().isascii()


class Gone(io.StringIO):
    """A pipe whose reader has gone, or a terminal that was hung up."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.n_tries = 0

    def write(self, text: str) -> int:
        self.n_tries += 1
        raise self.error


@pytest.mark.parametrize("error", [BrokenPipeError(), OSError(5, "EIO"), ValueError("closed")])
def test_stream_that_is_gone_is_no_error_and_is_not_tried_again(error: Exception) -> None:
    stream = Gone(error)
    terminal = Terminal(stream)
    terminal.line("x")
    terminal.raw("y")
    assert stream.n_tries == 1


def test_stream_that_is_missing_is_silence() -> None:
    stream = CarefulStream(None)
    assert (stream.write("läufe"), stream.encoding, stream.isatty()) == (5, "utf-8", False)
    stream.flush()


def test_rich_makes_nothing_of_foreign_text() -> None:
    text = "[bold]x[/] :smile: 1.5 [link=http://a]b"
    out = io.StringIO()
    rich_console(CarefulStream(out)).print(text)
    assert out.getvalue() == f"{text}\n"


def test_curve_shows_stretches_between_their_lowest_and_highest() -> None:
    assert curve([0.0, 1.0, 2.0, 3.0], blocks="abcd") == "abcd"
    assert curve([5.0, 5.0], blocks="abc") == "bb"
    assert curve([0.0, 2.0, 10.0, 12.0], width=2, blocks="ab") == "ab"
    assert curve([]) == ""
    assert curve([None, float("nan")]) == "  "
    assert curve([1e308, 1e308, -1e308, -1e308], width=2, blocks="ab") == "ba"
    assert len(curve(list(range(1000)), width=60)) == 60
