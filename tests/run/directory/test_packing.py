"""What `packed.json` promises, file by file."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from psann.run.directory.packing import check_packing, parse_list

FILES = {"a": b"aa", "b/c": b"c"}


def listed(left_out: tuple[str, ...] = (), **changes: Any) -> bytes:
    entries = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in FILES.items()
    }
    content = {"schema_version": 1, "files": entries | changes, "left_out": left_out}
    return json.dumps(content).encode()


def found(files: dict[str, bytes], data: bytes) -> tuple[frozenset[str], list[str]]:
    errors: list[str] = []
    left_out = check_packing(
        data,
        sizes={name: len(content) for name, content in files.items()},
        read=files.get,
        error=lambda file, message: errors.append(f"{file}: {message}"),
    )
    return left_out, errors


def test_files_as_they_were_packed_are_no_error() -> None:
    assert found(FILES, listed()) == (frozenset(), [])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": b"aa"}, "b/c: is missing; packed.json lists it"),
        ({**FILES, "a": b"aaa"}, "a: must have 2 bytes by packed.json; it has 3"),
        ({**FILES, "a": b"ab"}, "a: is not the file that was packed: another sha256"),
    ],
)
def test_each_broken_promise_is_told(files: dict[str, bytes], message: str) -> None:
    assert found(files, listed()) == (frozenset(), [message])


def test_what_was_left_out_may_be_missing_but_not_what_is_there() -> None:
    assert found(FILES, listed(left_out=("d", "a"))) == (frozenset({"d"}), [])


def test_list_that_is_none_lets_nothing_be_missing() -> None:
    left_out, (error,) = found(FILES, b"{}")
    assert left_out == frozenset()
    assert error.startswith("packed.json: cannot be read: ")


@pytest.mark.parametrize(
    "content",
    [
        {"schema_version": 2, "files": {}, "left_out": []},
        {"schema_version": 1, "files": [], "left_out": []},
        {"schema_version": 1, "files": {"x": {"bytes": 1}}, "left_out": []},
        {"schema_version": 1, "files": {"x": {"bytes": "1", "sha256": ""}}, "left_out": []},
        {"schema_version": 1, "files": {"x": {"bytes": 1, "sha256": 2}}, "left_out": []},
        {"schema_version": 1, "files": {}, "left_out": [1]},
    ],
)
def test_list_that_is_none_is_refused(content: Any) -> None:
    with pytest.raises(ValueError, match="is not a list of files of version 1"):
        parse_list(json.dumps(content).encode())
