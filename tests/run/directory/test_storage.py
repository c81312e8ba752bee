from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from psann.errors import RunLockedError
from psann.run.directory.lock import is_locked, read_holder
from psann.run.directory.storage import Storage, SystemCalls
from thinning import thinned
from without_locks.sitecustomize import FORCED

CALLS = ("open", "close", "write", "fsync", "ftruncate", "rename", "link", "unlink", "mkdir")


class Fault(SystemCalls):
    """Counts calls; at the chosen one does something else. Reports whether that happened."""

    def __init__(self, place: int, act: Callable[[Callable[[], Any]], Any]) -> None:
        self.n_calls = 0
        self.made: list[str] = []
        self.has_fired = False
        for name in CALLS:
            setattr(self, name, self._watch(name, getattr(os, name), place, act))

    def _watch(self, name: str, call: Any, place: int, act: Any) -> Any:
        def watched(*args: Any, **kwargs: Any) -> Any:
            self.n_calls += 1
            self.made.append(name)
            if self.n_calls == place:
                self.has_fired = True
                return act(lambda: call(*args, **kwargs))
            return call(*args, **kwargs)

        return watched


class ShortWrites(SystemCalls):
    """A disk that takes at most three bytes at once."""

    @staticmethod
    def write(fd: int, data: Any) -> int:
        return os.write(fd, data[:3])


def fail_with(number: int) -> Callable[[Callable[[], Any]], Any]:
    def act(call: Callable[[], Any]) -> Any:
        raise OSError(number, os.strerror(number))

    return act


def files_below(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def count_calls(root: Path, work: Callable[[Storage], Any]) -> tuple[int, int]:
    """System calls that opening a storage makes, and that the work makes after it."""
    watch = Fault(0, fail_with(errno.EIO))
    with Storage(root, watch) as storage:
        opening = watch.n_calls
        work(storage)
        return opening, watch.n_calls - opening


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "first"


@pytest.fixture
def storage(root: Path) -> Any:
    with Storage(root) as storage:
        yield storage


def test_put_writes_and_replaces_whole_files(storage: Storage, root: Path) -> None:
    storage.put(root / "a.json", b"old and longer")
    storage.put(root / "a.json", b"new")
    assert (root / "a.json").read_bytes() == b"new"
    assert files_below(root) == ["a.json"]


@pytest.mark.parametrize("size", [0, 1, 3, 10_000])
def test_put_goes_on_after_short_writes(size: int, root: Path) -> None:
    data = os.urandom(size)
    with Storage(root, ShortWrites()) as storage:
        storage.put(root / "a.bin", data)
    assert (root / "a.bin").read_bytes() == data


def test_disk_that_takes_nothing_is_an_error_and_no_endless_loop(root: Path) -> None:
    calls = SystemCalls()
    calls.write = lambda fd, data: 0
    with Storage(root, calls) as storage, pytest.raises(OSError, match=r"a\.bin"):
        storage.put(root / "a.bin", b"x")
    assert files_below(root) == []


def test_put_syncs_the_file_before_the_rename_and_the_directory_after(root: Path) -> None:
    watch = Fault(0, fail_with(errno.EIO))
    with Storage(root, watch) as storage:
        watch.made.clear()
        storage.put(root / "a.json", b"x")
        assert watch.made == ["open", "write", "fsync", "close", "rename", "fsync"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EROFS])
def test_every_error_in_put_propagates_with_the_path_and_leaves_a_whole_file(
    number: int, root: Path
) -> None:
    path = root / "metrics.json"
    with Storage(root) as storage:
        storage.put(path, b"old")
    opening, n_calls = count_calls(root, lambda storage: storage.put(path, b"old"))
    for place in range(1, n_calls + 1):
        fault = Fault(opening + place, fail_with(number))
        with Storage(root, fault) as storage, pytest.raises(OSError) as caught:
            storage.put(path, b"new")
        assert fault.has_fired
        assert caught.value.errno == number
        assert caught.value.filename == str(path)
        assert path.read_bytes() == (b"new" if place == n_calls else b"old"), place
        assert files_below(root) == ["metrics.json"]


@pytest.mark.parametrize("moment", thinned(["within", "before", "after"], 2))
def test_kill_at_every_call_of_put_leaves_the_old_file_or_the_new(moment: str, root: Path) -> None:
    path = root / "metrics.json"
    with Storage(root) as storage:
        storage.put(path, b"old content")
    opening, n_calls = count_calls(root, lambda storage: storage.put(path, b"old content"))

    def die(call: Callable[[], Any]) -> Any:
        if moment == "after":
            call()
        os._exit(9)

    class HalfWrite(Fault):
        def _watch(self, name: str, call: Any, place: int, act: Any) -> Any:
            if name == "write" and moment == "within":
                call = lambda fd, data: (os.write(fd, data[:2]), os._exit(9))  # noqa: E731
            return super()._watch(name, call, place, act)

    for place in range(1, n_calls + 1):
        child = os.fork()
        if child == 0:
            make = HalfWrite if moment == "within" else Fault
            with Storage(root, make(opening + place, die)) as storage:
                storage.put(path, b"new content")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 9, "the fault must fire"
        assert path.read_bytes() in (b"old content", b"new content")
        with Storage(root) as storage:
            storage.clean()
            assert files_below(root) == ["metrics.json"]
            storage.put(path, b"old content")


def test_readers_never_see_a_part_of_a_file(storage: Storage, root: Path) -> None:
    path = root / "a.bin"
    contents = {bytes([letter]) * (1 << 16) for letter in b"abc"}
    storage.put(path, min(contents))
    seen: set[bytes] = set()
    sizes: list[int] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            seen.add(content := path.read_bytes())
            sizes.append(len(content))

    reader = threading.Thread(target=read)
    reader.start()
    # However slow the reader is: until it has seen each content, and often.
    while len(sizes) < 100 or seen < contents:
        for content in sorted(contents):
            storage.put(path, content)
    stop.set()
    reader.join()
    assert seen == contents


def test_append_writes_each_row_in_one_call(root: Path) -> None:
    watch = Fault(0, fail_with(errno.EIO))
    with Storage(root, watch) as storage:
        log = storage.append(root / "events.csv")
        watch.made.clear()
        log.write(b"one,1\r\n")
        log.write(b"two,2\r\n")
        assert watch.made == ["write", "write"]
        assert log.size_bytes == 14
        log.close()
        log.close()
    assert (root / "events.csv").read_bytes() == b"one,1\r\ntwo,2\r\n"


def test_append_continues_an_existing_file(storage: Storage, root: Path) -> None:
    (root / "events.csv").write_bytes(b"one\r\n")
    log = storage.append(root / "events.csv")
    assert log.size_bytes == 5
    log.write(b"two\r\n")
    log.close()
    assert (root / "events.csv").read_bytes() == b"one\r\ntwo\r\n"


def test_row_that_does_not_fit_on_the_disk_leaves_no_part_of_it(root: Path) -> None:
    calls = ShortWrites()
    n_writes = 0

    def write(fd: int, data: Any) -> int:
        nonlocal n_writes
        n_writes += 1
        if n_writes == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.write(fd, data[:3])

    calls.write = write
    with Storage(root, calls) as storage:
        log = storage.append(root / "events.csv")
        log.write(b"12345\n")
        with pytest.raises(OSError, match=r"No space left on device.*events\.csv"):
            log.write(b"67890\n")
        assert log.size_bytes == 6
        log.close()
    assert (root / "events.csv").read_bytes() == b"12345\n"


def test_cut_keeps_the_first_bytes_and_appends_go_on_there(storage: Storage, root: Path) -> None:
    log = storage.append(root / "events.csv")
    log.write(b"one\ntwo\n")
    log.cut(4)
    log.write(b"three\n")
    log.close()
    assert (root / "events.csv").read_bytes() == b"one\nthree\n"


def test_errors_of_sync_and_close_propagate_with_the_path(root: Path) -> None:
    calls = SystemCalls()
    with Storage(root, calls) as storage:
        log = storage.append(root / "events.csv")
        calls.fsync = lambda fd: fail_with(errno.EIO)(lambda: None)
        for finish in (log.sync, log.close):
            with pytest.raises(OSError, match=r"Input/output error.*events\.csv"):
                finish()


@pytest.mark.parametrize("name", ["../a", "../../a", "b/../../a", "."])
def test_paths_outside_the_run_directory_are_refused(
    name: str, storage: Storage, root: Path
) -> None:
    before = files_below(root.parent.parent)
    with pytest.raises(ValueError, match=r"below|subpath"):
        storage.put(root / name, b"x")
    with pytest.raises(ValueError, match="subpath"):
        storage.put(root.parent / "a", b"x")
    assert files_below(root.parent.parent) == before


@pytest.mark.parametrize("work", ["put", "append", "remove", "make_directory", "rename", "lock"])
def test_planted_link_to_a_directory_is_never_followed(
    work: str, storage: Storage, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    (root / "checkpoints").symlink_to(outside)
    victim = root / "checkpoints" / "precious"
    with pytest.raises(NotADirectoryError, match="checkpoints"):
        if work == "put":
            storage.put(victim, b"x")
        elif work == "rename":
            storage.rename(victim, root / "taken")
        else:
            getattr(storage, work)(victim)
    assert files_below(outside) == ["precious"]
    assert (outside / "precious").read_text() == "mine"


def test_planted_link_to_a_file_is_replaced_or_refused_but_not_followed(
    storage: Storage, root: Path, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for name in ("metrics.json", "events.csv", ".lock", "old"):
        (root / name).symlink_to(precious)
    storage.put(root / "metrics.json", b"ours")
    assert not (root / "metrics.json").is_symlink()
    for work in (storage.append, storage.lock):
        path = root / ("events.csv" if work == storage.append else ".lock")
        with pytest.raises(OSError) as caught:
            work(path)
        assert caught.value.errno == errno.ELOOP
        assert caught.value.filename == str(path)
    storage.remove(root / "old")
    assert precious.read_text() == "mine"


def test_directory_that_another_starter_sets_aside_is_made_again(tmp_path: Path) -> None:
    root = tmp_path / "run"
    calls = SystemCalls()

    def open_(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if path == root and not aside:
            root.rename(tmp_path / "aside")
            aside.append(True)
        return os.open(path, flags, *args, **kwargs)

    aside: list[bool] = []
    calls.open = open_
    with Storage(root, calls) as storage:
        storage.put(root / "x", b"1")
    assert (root / "x").read_bytes() == b"1"
    assert list((tmp_path / "aside").iterdir()) == []


def test_link_planted_under_the_temporary_name_is_not_followed(
    storage: Storage, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "urandom", lambda n: b"\0" * n)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (root / ".metrics.json.00000000.tmp").symlink_to(precious)
    with pytest.raises(FileExistsError):
        storage.put(root / "metrics.json", b"ours")
    assert precious.read_text() == "mine"


def test_link_in_place_of_a_directory_is_refused_when_it_is_made(
    storage: Storage, root: Path, tmp_path: Path
) -> None:
    (root / "checkpoints").symlink_to(tmp_path)
    with pytest.raises(NotADirectoryError):
        storage.make_directory(root / "checkpoints")


def test_link_in_place_of_the_run_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "first").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError, match="first"):
        Storage(tmp_path / "first")


def test_make_directory_takes_an_existing_one(storage: Storage, root: Path) -> None:
    storage.make_directory(root / "checkpoints")
    storage.put(root / "checkpoints" / "a", b"x")
    storage.make_directory(root / "checkpoints")
    assert files_below(root) == ["checkpoints/a"]


def test_rename_moves_between_directories(storage: Storage, root: Path) -> None:
    storage.make_directory(root / "b")
    storage.put(root / "a", b"x")
    storage.rename(root / "a", root / "b" / "c")
    assert files_below(root) == ["b/c"]
    with pytest.raises(FileNotFoundError, match="first/a"):
        storage.rename(root / "a", root / "b" / "c")


def test_archive_moves_in_the_given_order_into_the_next_number(root: Path) -> None:
    order: list[str] = []
    calls = SystemCalls()

    def rename(source: str, target: str, **kwargs: Any) -> None:
        if not source.endswith(".tmp"):
            order.append(source)
        os.rename(source, target, **kwargs)

    calls.rename = rename
    with Storage(root, calls) as storage:
        for number in ("001", "002"):
            storage.put(root / "a", number.encode())
            storage.put(root / "metrics.json", b"{}")
            home = storage.archive([root / "metrics.json", root / "a"], root / "attempts")
            assert home == root / "attempts" / number
    assert order == ["metrics.json", "a"] * 2
    assert (root / "attempts" / "002" / "a").read_bytes() == b"002"
    assert len(files_below(root)) == 4


def test_clean_removes_what_a_killed_process_left_and_nothing_else(
    storage: Storage, root: Path
) -> None:
    storage.make_directory(root / "checkpoints")
    kept = [".lock", "a.tmp", ".a.tmp", ".a.0123456g.tmp", "metrics.json", ".a.01234567.tmp.gz"]
    for name in kept:
        (root / name).touch()
    left = [root / ".metrics.json.01234567.tmp", root / "checkpoints" / ".best.89abcdef.tmp"]
    for path in left:
        path.touch()
    assert sorted(storage.clean()) == sorted(left)
    assert files_below(root) == sorted(kept)


def test_files_get_the_permissions_of_the_umask(storage: Storage, root: Path) -> None:
    before = os.umask(0o027)
    try:
        storage.put(root / "a", b"x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o640


def test_run_goes_on_when_its_directory_is_moved(storage: Storage, root: Path) -> None:
    log = storage.append(root / "events.csv")
    moved = root.rename(root.parent / "moved")
    storage.put(root / "metrics.json", b"{}")
    log.write(b"row\n")
    log.close()
    assert files_below(moved) == ["events.csv", "metrics.json"]
    assert not root.exists()


def test_close_frees_the_lock_and_keeps_its_file(root: Path) -> None:
    for _ in range(2):
        with Storage(root) as storage:
            storage.lock(root / ".lock")
    assert (root / ".lock").exists()


@pytest.mark.parametrize("has_successor", [False, True])
def test_directory_that_was_set_aside_meanwhile_cannot_be_locked(
    storage: Storage, root: Path, has_successor: bool
) -> None:
    with Storage(root) as other:
        other.lock(root / ".lock")
        aside = other.set_aside()
    if has_successor:
        with Storage(root) as successor:
            successor.lock(root / ".lock")
    # What this one has open is the old directory, whose lock is free again.
    before = (aside / ".lock").read_bytes()
    with pytest.raises(RunLockedError):
        storage.lock(root / ".lock")
    assert (aside / ".lock").read_bytes() == before


def test_only_one_of_several_starters_makes_the_directory_and_wins(root: Path) -> None:
    (begin, let_begin), (end, let_end), (told, tell) = os.pipe(), os.pipe(), os.pipe()
    children = []
    for _ in range(6):
        child = os.fork()
        if child == 0:
            os.close(let_begin)
            os.close(let_end)
            os.read(begin, 1)
            storage = Storage(root)
            try:
                storage.lock(root / ".lock")
                os.write(tell, b"w")
            except RunLockedError:
                os.write(tell, b"l")
            os.read(end, 1)  # the winner holds it until all have tried
            os._exit(0)
        children.append(child)
    os.close(let_begin)
    said = b"".join(os.read(told, 1) for _ in children)
    os.close(let_end)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 6
    for fd in (begin, end, told, tell):
        os.close(fd)
    assert sorted(said.decode()) == ["l"] * 5 + ["w"]


def test_storage_leaves_no_open_files(root: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Storage(root) as storage:
        storage.lock(root / ".lock")
        storage.make_directory(root / "a")
        storage.put(root / "a" / "b", b"x")
        storage.append(root / "log").close()
        storage.archive([root / "a"], root / "attempts")
        with pytest.raises(FileNotFoundError):
            storage.remove(root / "a" / "b")
    assert len(os.listdir("/proc/self/fd")) == before


# Where there are none, another file stands for the lock: tests/run/directory/test_lock.py.
of_kernel_locks = pytest.mark.skipif(FORCED in os.environ, reason="the kernel is to have no locks")


@of_kernel_locks
@pytest.mark.parametrize("is_moved", [False, True])
def test_a_lock_that_was_removed_is_made_anew_by_the_next_write(
    root: Path, tmp_path: Path, is_moved: bool
) -> None:
    storage = Storage(root)
    storage.lock(root / ".lock")
    log = storage.append(root / "events.csv")
    (root / ".lock").unlink()
    if is_moved:
        root = root.rename(tmp_path / "moved")
    log.write(b"x\n")
    assert is_locked(root / ".lock") and read_holder(root / ".lock")["pid"] == os.getpid()
    log.close()
    storage.close()
    assert not is_locked(root / ".lock")


@of_kernel_locks
def test_two_runs_do_not_share_a_directory_whose_lock_was_removed(root: Path) -> None:
    first = Storage(root)
    first.lock(root / ".lock")
    first.put(root / "metrics.json", b"mine")
    (root / ".lock").unlink()
    with Storage(root) as second:
        second.lock(root / ".lock")
        second.put(root / "metrics.json", b"theirs")
        with pytest.raises(OSError, match="lock was removed, and another process has this run"):
            first.put(root / "metrics.json", b"mine again")
        first.close()
        assert (root / "metrics.json").read_bytes() == b"theirs"
        assert is_locked(root / ".lock")
