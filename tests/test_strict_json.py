"""JSON is read as a stranger may have written it."""

from __future__ import annotations

import math

import pytest

from deep_stacks import ends_at_the_end_of_the_stack
from psann._strict_json import parse_strict, to_json


def test_text_and_bytes_are_read_alike() -> None:
    assert parse_strict('{"a": [1, 2.5, null, "\u00e4"]}') == {"a": [1, 2.5, None, "\u00e4"]}
    assert parse_strict(b'{"a": {"b": true}}') == {"a": {"b": True}}


def test_as_much_is_read_as_is_promised() -> None:
    assert len(parse_strict('{"a": [' + "0," * 399_997 + "0]}")["a"]) == 399_998
    assert parse_strict('{"a": ' + "[" * 63 + "]" * 63 + "}")
    assert parse_strict(f'{{"a": {-(2**128)}}}') == {"a": -(2**128)}


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"3", b"\xff", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}'),
        *(b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b"[" * 100_000, b'{"a": ' * 100_000),
        *(b'{"a": ' + b"9" * n + b"}" for n in (41, 400, 5000)),
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b'{"a": ' + b"[" * 64 + b"]" * 64 + b"}",
        b'{"a": [' + b"[]," * 400_000 + b"[]]}",
        b'{"a": [' + b"{}," * 400_000 + b"{}]}",
        b'{"a": [' + b"0," * 400_000 + b"0]}",
    ],
)
def test_json_that_is_not_strict_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_strict(data)


@pytest.mark.parametrize("n_letters", [*range(18), 510, 511, 512, 4095, 4096, 8191, 65_535, 65_536])
def test_nothing_but_blanks_may_follow_an_object(n_letters: int) -> None:
    """At every alignment, and about the sizes in which files are read."""
    whole = b'{"a":"' + b"x" * n_letters + b'"}'
    assert parse_strict(whole + b" \r\n\t") == {"a": "x" * n_letters}
    for rest in (
        b"x",
        b"{}",
        b"}",
        b",",
        b"\0",
        b"\0" * 512,
        b"\n{}",
        b" 0",
        b"\x0b",
        b"\xc2\xa0",
        whole,
    ):
        for blanks in range(9):
            with pytest.raises(ValueError, match=r"Extra data|it must hold one object"):
                parse_strict(whole + b" " * blanks + rest)


def test_to_json_refuses_nan() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json({"a": math.nan})


def test_no_text_is_to_blame_for_a_stack_that_is_at_its_end() -> None:
    assert ends_at_the_end_of_the_stack(lambda: parse_strict('{"a": [{"b": 1}]}')) == {
        "",
        "RecursionError",
    }
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_strict('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
