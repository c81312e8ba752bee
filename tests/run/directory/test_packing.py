"""What `packed.json` promises, file by file."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from psann.run.directory.packing import parse_list

FILES = {"a": b"aa", "b/c": b"c"}


def listed(left_out: tuple[str, ...] = (), **changes: Any) -> bytes:
    entries = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in FILES.items()
    }
    content = {"schema_version": 1, "files": entries | changes, "left_out": left_out}
    return json.dumps(content).encode()


def test_the_list_says_what_was_packed_and_what_was_not() -> None:
    packed = parse_list(listed(left_out=("d",)))
    assert packed.files["a"]["bytes"] == 2
    assert packed.left_out == ("d",)


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
