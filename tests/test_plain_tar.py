"""Archives of plain files; those of whole runs, and hostile ones, are tested with `pack`."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from psann._plain_tar import add_bytes, add_file, extract, new_archive


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "own.txt").write_bytes(b"abc" * 999)
    with new_archive(tmp_path / "new" / "a.tar.gz") as made:
        assert add_file(made, tmp_path / "own.txt", "top/own.txt") == {
            "bytes": 2997,
            "sha256": hashlib.sha256(b"abc" * 999).hexdigest(),
        }
        assert add_file(made, tmp_path / "gone", "top/gone") is None
        add_bytes(made, "top/list", b"")
        assert not (tmp_path / "new" / "a.tar.gz").exists()  # until it is whole
    return tmp_path / "new" / "a.tar.gz"


def below(folder: Path) -> Callable[[str, int], Path]:
    return lambda name, n_bytes: folder / name


def test_what_was_packed_comes_back_with_size_and_digest(archive: Path, tmp_path: Path) -> None:
    found = extract(archive, below(tmp_path / "back"))
    assert {name: entry["bytes"] for name, entry in found.items()} == {
        "top/own.txt": 2997,
        "top/list": 0,
    }
    assert (tmp_path / "back/top/own.txt").read_bytes() == b"abc" * 999


def test_who_says_where_a_member_goes_may_refuse_it(archive: Path, tmp_path: Path) -> None:
    def refuse(name: str, n_bytes: int) -> Path:
        raise ValueError(f"{name} of {n_bytes}")

    with pytest.raises(ValueError, match=r"own\.txt of 2997"):
        extract(archive, refuse)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"_FREE_BYTES": 0, "_MAX_EXPANSION": 1}, "it expands to more than [0-9]+ bytes"),
        ({"_FREE_FILES": 1, "_MIN_BYTES": 10**9}, "it holds more than 1 files"),
    ],
)
def test_an_archive_that_holds_more_than_its_size_allows_is_refused(
    archive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limits: dict[str, int],
    message: str,
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(f"psann._plain_tar.{name}", value)
    with pytest.raises(ValueError, match=message):
        extract(archive, below(tmp_path / "back"))


def test_a_member_that_comes_twice_and_an_empty_archive_are_refused(tmp_path: Path) -> None:
    with new_archive(tmp_path / "twice") as made:
        add_bytes(made, "top/a", b"x")
        add_bytes(made, "top/a", b"y")
    with pytest.raises(ValueError, match="'a' is in it twice"):
        extract(tmp_path / "twice", below(tmp_path / "back"))
    with new_archive(tmp_path / "empty"):
        pass
    with pytest.raises(ValueError, match="it is empty"):
        extract(tmp_path / "empty", below(tmp_path / "back"))


def test_an_archive_that_could_not_be_made_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), new_archive(tmp_path / "a.tar.gz"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
