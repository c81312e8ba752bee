"""JSON is read as a stranger may have written it."""

from __future__ import annotations

import pytest

from psann._strict_json import parse_strict


def test_text_and_bytes_are_read_alike() -> None:
    assert parse_strict('{"a": [1, 2.5, null, "\u00e4"]}') == {"a": [1, 2.5, None, "\u00e4"]}
    assert parse_strict(b'{"a": {"b": true}}') == {"a": {"b": True}}


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"3", b"\xff", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e999}'),
        *(b'{"a": 1, "a": 2}', b'{"a": {"b": 1, "b": 1}}', b"[" * 100_000, b'{"a": ' * 100_000),
        b'{"a": ' + b"9" * 5000 + b"}",
    ],
)
def test_json_that_is_not_strict_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_strict(data)
