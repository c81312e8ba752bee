"""Files are there as a whole or not at all."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from psann._whole_file import write_whole


def test_a_file_is_written_with_its_folder_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    assert write_whole(path, b"one") == path
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_has_the_rights_that_the_user_gives_new_files_and_any_name(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        path = write_whole(tmp_path / ("n" * 255), b"mine")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["pipe", "link"])
def test_a_pipe_is_written_to_and_stays_one_under_any_name(tmp_path: Path, name: str) -> None:
    pipe, path = tmp_path / "pipe", tmp_path / name
    os.mkfifo(pipe)
    if path != pipe:
        path.symlink_to(pipe)  # as /dev/stdout is
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        write_whole(path, b"told")
        assert read.result(timeout=60) == b"told"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert set(tmp_path.iterdir()) == {pipe, path}


def test_standard_output_goes_on_where_it_is_and_its_name_stays(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("/dev/stdout")  # never that itself: root could lose it
    code = (
        "import os, sys, pathlib; from psann._whole_file import write_whole;"
        "os.write(1, b'before ');"
        f"write_whole(pathlib.Path({str(link)!r}), b'told ');"
        "os.write(1, b'after')"
    )
    output = tmp_path / "output"
    with output.open("wb") as file:
        subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
    assert output.read_bytes() == b"before told after"
    assert link.is_symlink()
    piped = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert piped.stdout == b"before told after"


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_whole(tmp_path / "file.txt", b"old")

    def fails(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises(OSError, match=r"No space left on device: '.*file.txt'"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_made_is_called_by_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", bytes)
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError, match=r"Is a directory: '[^']*folder'$"):
        write_whole(tmp_path / "folder", b"new")
    (tmp_path / f".psann-{'00' * 8}.tmp").touch()
    with pytest.raises(OSError, match=r"File exists: '[^']*file.txt'"):
        write_whole(tmp_path / "file.txt", b"new")
