"""The digest of a content is the same however it is given."""

from __future__ import annotations

import hashlib
import io

import pytest

from psann._digest import departure, new_digest, sha256_of, sha256_of_file


def test_a_content_has_one_digest_whole_in_pieces_and_as_a_file() -> None:
    data = bytes(range(256)) * 999
    wanted = hashlib.sha256(data).hexdigest()
    pieces = new_digest(data[:7])
    pieces.update(data[7:5000])
    pieces.update(memoryview(data)[5000:])
    assert sha256_of(data) == pieces.hexdigest() == sha256_of_file(io.BytesIO(data)) == wanted
    assert sha256_of(data[1:]) != wanted


@pytest.mark.parametrize("said", [[], "", "12", {"a": 1}, 1e308, True])
def test_a_size_that_is_none_departs_and_is_quoted(said: object) -> None:
    how = departure({"bytes": said}, 2520, lambda: b"")
    assert how.startswith("it has 2,520 bytes, not ")
