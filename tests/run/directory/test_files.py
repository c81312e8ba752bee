"""Files of a run are read as a stranger's: plain ones only, within limits, never waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from psann.run.directory.files import open_plain, read_json, read_plain


def test_a_plain_file_is_read_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc")
    assert read_plain(file, 3) == b"abc"
    with open_plain(file) as opened:
        assert opened.read(2) == b"ab"


def test_a_file_beyond_its_limit_is_refused_by_both_sizes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    with file.open("wb") as sparse:
        sparse.truncate(2**40)
    with pytest.raises(ValueError, match=r"it has 1,099,511,627,776 bytes, more than 1,024"):
        read_plain(file, 1024)


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "directory", "device"])
def test_what_is_no_plain_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    if kind == "link":
        (tmp_path / "file").write_bytes(b"x")
        place.symlink_to(tmp_path / "file")
    elif kind == "dangling link":
        place.symlink_to(tmp_path / "nowhere")
    elif kind == "pipe":
        os.mkfifo(place)  # nobody writes: opening it in the usual way would wait for ever
    elif kind == "directory":
        place.mkdir()
    else:
        place = Path("/dev/zero")
    with pytest.raises(ValueError, match="it is no plain file"):
        read_plain(place, 1024)


def test_a_missing_file_is_the_systems_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_plain(tmp_path / "none", 1024)


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": NaN}', '{"a": 1, "a": 2}', "\ufeff{}"])
def test_what_is_not_strict_json_is_called_so(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"it is not strict JSON \("):
        read_json(file)
