"""Files are opened as a stranger's: plain, within limits, without waiting for anything."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from odd_files import KINDS, make
from psann import PSANNRegressor, _plain_files
from psann._npz import read_npz
from psann._plain_files import open_plain, read_given, read_plain
from psann.errors import DataError, FileFormatError
from psann.market import read_prices
from psann.run.directory.lock import check_lock

NO_FILE = r"no plain file|No such device"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("follow", [False, True])
def test_what_is_no_plain_file_is_not_opened(tmp_path: Path, kind: str, follow: bool) -> None:
    make(kind, tmp_path / "x")
    with pytest.raises((OSError, ValueError), match=NO_FILE):
        open_plain(tmp_path / "x", follow=follow)
    with pytest.raises(OSError, match=NO_FILE):
        check_lock(tmp_path / "x")


@pytest.mark.parametrize("kind", KINDS)
def test_no_reader_of_a_file_that_a_user_names_waits_for_what_is_none(
    tmp_path: Path, kind: str
) -> None:
    make(kind, tmp_path / "x")
    with pytest.raises(DataError, match=NO_FILE):
        read_npz(tmp_path / "x")
    with pytest.raises((OSError, FileFormatError), match=NO_FILE):
        PSANNRegressor.load(tmp_path / "x")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_in_a_folder_of_tables_is_passed_over(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.csv").write_text("Date,A\n2021-03-01,1.5\n2021-03-02,1.6\n")
    make(kind, tmp_path / "b.csv")
    assert read_prices(tmp_path).assets == ("A",)
    if kind != "directory":
        with pytest.raises(DataError, match="must be a file or a folder"):
            read_prices(tmp_path / "b.csv")


def test_a_link_is_followed_only_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "link").symlink_to(tmp_path / "x")
    assert read_plain(tmp_path / "link", 3, follow=True) == b"abc"
    with pytest.raises(ValueError, match="it is no plain file"):
        read_plain(tmp_path / "link", 3)


def test_files_are_read_up_to_their_limit(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert read_plain(tmp_path / "x", 3) == b"abc"
    with pytest.raises(ValueError, match="it has 3 bytes, more than 2"):
        read_plain(tmp_path / "x", 2)


def test_a_pipe_that_a_user_named_is_read_and_not_waited_for_without_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        pool.submit(pipe.write_bytes, b"told")
        assert read_given(str(pipe), 3) == b"tol"
    monkeypatch.setattr(_plain_files, "PIPE_S", 0.05)
    with pytest.raises(ValueError, match=r"nothing has come by this pipe for 0\.05 s"):
        read_given(str(pipe), 3)
