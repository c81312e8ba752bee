"""Files, their kinds, and the lines in them."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from psann.errors import DataError
from psann.market.lines import digest_of, files_of, is_arrow, lines_of, stem_of


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be"]
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_are_the_same_in_every_coding_and_with_every_end(
    encoding: str, end: str, tmp_path: Path
) -> None:
    path = tmp_path / "t.csv"
    # A line ends at none of the other characters at which str.splitlines would end it.
    path.write_bytes(f"a,\x0bä{end}b\u2028c{end}".encode(encoding))
    assert list(lines_of(path, None)) == ["a,\x0bä", "b\u2028c"]


def test_a_coding_that_is_named_is_used(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes("ä".encode("cp1252"))
    assert list(lines_of(path, "cp1252")) == ["ä"]
    with pytest.raises(DataError, match=r"must be text in utf-8; .*`format: \{encoding: cp1252\}`"):
        list(lines_of(path, None))


def test_a_torn_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"a,b\n" * 1000)[:-9])
    with pytest.raises(DataError, match="must be a whole gzip archive"):
        list(lines_of(path, None))
    path.write_bytes(b"a,b\n")
    with pytest.raises(DataError, match="must be a whole gzip archive"):
        list(lines_of(path, None))


def test_a_folder_gives_its_tables_by_name(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv.gz", "readme.md", ".hidden.csv", "c.parquet"):
        (tmp_path / name).touch()
    assert [path.name for path in files_of([tmp_path])] == ["a.csv.gz", "b.csv", "c.parquet"]


@pytest.mark.parametrize(
    ("name", "cure"),
    [
        ("t.xlsx", "read the sheet with pandas.read_excel"),
        ("t.zip", "Unpack it"),
        ("t.json", "Save the table as CSV"),
    ],
)
def test_another_kind_of_file_is_refused_with_a_way_on(
    name: str, cure: str, tmp_path: Path
) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match=f"got '{Path(name).suffix}'.*{cure}"):
        files_of([tmp_path / name])


def test_absent_files_and_empty_folders_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "prices.csv").touch()
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    given = ("price.csv", "no/t.csv", "empty", "pipe", f"{'x' * 300}.csv")
    with pytest.raises(DataError) as caught:
        files_of([tmp_path / name for name in given])
    first, second, third, fourth, fifth = caught.value.problems
    assert "it does not exist. Beside it are prices.csv." in first
    assert "There is no folder" in second
    assert "it has none" in third
    assert fourth.endswith("must be a file or a folder; it is neither.")
    # As of a path through a folder that this user may not enter.
    assert fifth.endswith("it cannot be read: File name too long.")


def test_files_and_folders_that_may_not_be_read_are_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.csv").touch()
    (tmp_path / "closed").mkdir()

    def refuse(path: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(DataError) as caught:
        files_of([tmp_path / "theirs.csv", tmp_path / "closed", tmp_path / "absent.csv"])
    file, folder, absent = caught.value.problems
    assert file == f"{tmp_path / 'theirs.csv'} must be a file that this user may read."
    assert folder.endswith("closed must be a folder that can be read; Permission denied.")
    assert absent.endswith("it does not exist.")


def test_of_many_files_beside_an_absent_one_those_of_its_name_come_first(tmp_path: Path) -> None:
    for name in ("prices.csv.gz", "prices_old.csv", "prices.txt", *(f"{k}.csv" for k in range(9))):
        (tmp_path / name).touch()
    with pytest.raises(DataError) as caught:
        files_of([tmp_path / "prices.csv"])
    told = "Beside it are prices.csv.gz, prices_old.csv, 0.csv, 1.csv, 2.csv and 6 more."
    assert told in str(caught.value)


def test_names_and_digests(tmp_path: Path) -> None:
    assert [stem_of(Path(name)) for name in ("a/AAPL.csv", "BRK.B.csv.gz", "x.parquet")] == [
        "AAPL",
        "BRK.B",
        "x",
    ]
    assert [is_arrow(Path(name)) for name in ("a.csv", "a.parquet", "a.feather")] == [
        False,
        True,
        True,
    ]
    (tmp_path / "t.csv").write_bytes(b"abc")
    assert digest_of(tmp_path / "t.csv").startswith("ba7816bf8f01cfea")
