"""The only writer under a run directory: whole files by rename, log rows by append, a lock.

No step follows a symbolic link below the run directory: every path is walked one directory at a
time from the open root. Every `OSError` propagates and names the full path.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from psann._descriptor import Descriptor, open_high
from psann._file_lock import NO_LOCKS, take_lock
from psann._plain_files import NO_FOLLOW
from psann.errors import RunLockedError
from psann.run.directory.lock import held_file, holder, is_left_over, locked_error

_ANY_DIRECTORY = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)  # not on Windows, which only reads
_DIRECTORY = _ANY_DIRECTORY | NO_FOLLOW
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW
_LOG_FILE = os.O_WRONLY | os.O_CREAT | os.O_APPEND | NO_FOLLOW
_LOCK_FILE = os.O_RDWR | os.O_CREAT | NO_FOLLOW
# What some file systems (CIFS, FUSE) answer to the fsync of a directory.
_NO_SYNC = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF})
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})  # FAT, CIFS, FUSE
# What is set aside must still be an allowed run name: 100 characters with its suffix.
_NAME_LENGTH = 60
_TRIES = 10
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")


class SystemCalls:
    """The calls that change a disk, in one place, so that a test can make each of them fail."""

    open = staticmethod(open_high)
    close = staticmethod(os.close)
    write = staticmethod(os.write)
    fsync = staticmethod(os.fsync)
    ftruncate = staticmethod(os.ftruncate)
    rename = staticmethod(os.rename)
    link = staticmethod(os.link)
    unlink = staticmethod(os.unlink)
    mkdir = staticmethod(os.mkdir)


class Storage:
    """Write access to one run directory, made with its parents when missing.

    Parameters
    ----------
    root : Path
        The run directory. Every path given to a method lies below it.

    Notes
    -----
    The root stays open, so that a run goes on when its directory is moved on the same disk.
    Use it as a context manager, or call `close`; both release the lock. A process that is forked
    off has no part in it.

    Attributes
    ----------
    weaker : list of str
        What this file system cannot do, and what that costs.
    """

    def __init__(self, root: Path, calls: SystemCalls | None = None) -> None:
        self.root = root
        self._calls = calls or SystemCalls()
        self.weaker: list[str] = []
        self._lock, self._lock_name = Descriptor(), Path()
        self._held, self._held_name = Descriptor(), Path()
        with _naming(root):
            self._folder = Descriptor(self._open_root())

    def __enter__(self) -> Storage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the lock and the directory; a second call does nothing."""
        with _naming(self.root), ExitStack() as closing:
            folder, held = self._folder.let_go(), self._held.let_go()
            for fd in (self._lock.let_go(), held, folder):
                if fd >= 0:
                    closing.callback(self._calls.close, fd)
            if min(held, folder) >= 0 and _is_at(self._held_name, held, folder):
                closing.callback(self._calls.unlink, self._held_name, dir_fd=folder)

    def put(self, path: Path, data: bytes) -> None:
        """Write a file so that every instant shows the old content or the new, whole.

        Parameters
        ----------
        path : Path
            The file; a link in its place is replaced, not followed.

        Raises
        ------
        OSError
            If any step fails; the old content is still there and no temporary file is left.
        """
        self.show_life()
        with self._parent(path) as (directory, name):
            temporary = f".{name}.{os.urandom(4).hex()}.tmp"
            fd = self._calls.open(temporary, _NEW_FILE, 0o666, dir_fd=directory)
            is_in_place = False
            try:
                try:
                    _write_all(self._calls, fd, data)
                    self._calls.fsync(fd)
                finally:
                    self._calls.close(fd)
                self._calls.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
                is_in_place = True
            finally:
                if not is_in_place:
                    # The first error is the story; `clean` takes what this cannot remove.
                    with suppress(OSError):
                        self._calls.unlink(temporary, dir_fd=directory)
            self._sync(directory)

    def append(self, path: Path) -> AppendFile:
        """Open a file for appending, made when missing.

        Parameters
        ----------
        path : Path
            The file; a link in its place is refused.
        """
        with self._parent(path) as (directory, name):
            fd = self._calls.open(name, _LOG_FILE, 0o666, dir_fd=directory)
            self._sync(directory)
        return AppendFile(path, fd, self._calls, before=self.show_life)

    def make_directory(self, path: Path) -> None:
        """Make one directory; an existing one is left as it is."""
        with self._parent(path) as (directory, name):
            try:
                self._calls.mkdir(name, dir_fd=directory)
            except FileExistsError:
                # A link or a file under this name fails here, before anything is written.
                self._calls.close(self._calls.open(name, _DIRECTORY, dir_fd=directory))
                return
            self._sync(directory)

    def remove(self, path: Path) -> None:
        """Remove one file.

        Parameters
        ----------
        path : Path
            The file; a link is removed, not what it points to.
        """
        with self._parent(path) as (directory, name):
            self._calls.unlink(name, dir_fd=directory)
            self._sync(directory)

    def rename(self, source: Path, target: Path) -> None:
        """Move a file or directory inside the run directory.

        Parameters
        ----------
        source, target : Path
            Old and new place; a file at the new place is replaced.
        """
        with (
            self._parent(target) as (new_directory, new_name),
            self._parent(source) as (directory, name),
        ):
            self._calls.rename(name, new_name, src_dir_fd=directory, dst_dir_fd=new_directory)
            self._sync(new_directory)
            self._sync(directory)

    def archive(self, entries: Iterable[Path], attempts: Path) -> Path:
        """Move what an earlier start left into a new numbered directory.

        Returns
        -------
        Path
            The new directory, `attempts/001` the first time.
        """
        self.make_directory(attempts)
        numbers = [int(path.name) for path in attempts.iterdir() if path.name.isdecimal()]
        home = attempts / f"{max(numbers, default=0) + 1:03d}"
        self.make_directory(home)
        for entry in entries:
            self.rename(entry, home / entry.name)
        return home

    def set_aside(self) -> Path:
        """Rename the run directory itself, whole, so that its name is free for a new run.

        Returns
        -------
        Path
            Its new place beside the old one, `<name>.replaced-<UTC time>`.
        """
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        target = self.root.with_name(f"{self.root.name[:_NAME_LENGTH]}.replaced-{stamp}")
        with _naming(self.root):
            self._calls.rename(self.root, target)
            self._sync_names_in(target.parent)
        return target

    def clean(self) -> list[Path]:
        """Remove the temporary files that a killed process left; call it under the lock."""
        found = [
            Path(folder) / name
            for folder, _, names in os.walk(self.root, followlinks=False)
            for name in names
            if is_temporary(name)
        ]
        for path in found:
            self.remove(path)
        return found

    def lock(self, path: Path) -> None:
        """Claim the run directory for this process, at once or not at all.

        The kernel frees the lock when the process ends, however it ends; `close` frees it too.

        Parameters
        ----------
        path : Path
            The lock file. It stays when the lock is free: removing it would split contenders.

        Raises
        ------
        RunLockedError
            If a live process holds the lock; names its process id and host when known.
        """
        # By the descriptor, not through the library filelock: what is locked is then what is
        # written to, and its import would take a tenth of the time that a bad config may cost.
        with self._parent(path) as (directory, name), ExitStack() as until_held:
            fd = self._calls.open(name, _LOCK_FILE, 0o666, dir_fd=directory)
            until_held.callback(self._calls.close, fd)
            try:
                take_lock(fd)
            except BlockingIOError:
                raise locked_error(path) from None
            except OSError as error:
                if error.errno not in NO_LOCKS:
                    raise
                self._lock_by_file(directory, path)
            if not self._lock_name.name and not _is_at(path, fd):
                # Another starter has just set this directory aside and makes a new one.
                raise locked_error(path)
            self._calls.ftruncate(fd, 0)
            _write_all(self._calls, fd, holder())
            until_held.pop_all()
            self._lock, self._lock_name = Descriptor(fd), Path(name)

    def show_life(self) -> None:
        """Tell who waits for a lock that is a file; look whether it is there; writing does it too.

        A lock file that somebody has removed is made anew.

        Raises
        ------
        OSError
            If another process took this one for dead, or has the run since its lock file was
            removed: it must not go on.
        """
        if self._held_name.name:
            with _naming(self.root / self._held_name):
                if not _is_at(self._held_name, self._held.fd, self._folder.fd):
                    raise OSError(errno.EBUSY, "another process took this run for dead and has it")
                os.utime(self._held.fd)
        elif self._lock_name.name and not _is_at(self._lock_name, self._lock.fd, self._folder.fd):
            removed = self._lock
            with _naming(self.root / self._lock_name):
                try:
                    self.lock(self.root / self._lock_name)
                except RunLockedError:
                    told = "the lock was removed, and another process has this run by now"
                    raise OSError(errno.EBUSY, told) from None
                self._calls.close(removed.let_go())

    def _lock_by_file(self, directory: int, path: Path) -> None:
        """Claim the run directory by a file that only one process can make."""
        held = held_file(path)
        self._set_aside(held, directory, path)
        own = f".{held.name}.{os.urandom(4).hex()}.tmp"
        with ExitStack() as until_held:
            fd = self._calls.open(own, _NEW_FILE, 0o666, dir_fd=directory)
            until_held.callback(self._calls.close, fd)
            try:
                _write_all(self._calls, fd, holder())
                self._calls.fsync(fd)
                self._place(own, held.name, directory)
            except (FileExistsError, FileNotFoundError):  # who has it cleans up such as ours
                raise locked_error(path) from None
            finally:
                with suppress(OSError):
                    self._calls.unlink(own, dir_fd=directory)
            until_held.pop_all()
        self._held, self._held_name = Descriptor(fd), Path(held.name)
        self.weaker.append(
            f"the file system has no locks: {held.name} stands for one, and of a run on a machine "
            "that died it keeps the next start out for minutes"
        )

    def _place(self, own: str, name: str, directory: int) -> None:
        """Give a file a name that nothing has, so that it is whole from its first instant."""
        try:
            self._calls.link(own, name, src_dir_fd=directory, dst_dir_fd=directory)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            self._calls.close(self._calls.open(name, _NEW_FILE, 0o666, dir_fd=directory))
            self._calls.rename(own, name, src_dir_fd=directory, dst_dir_fd=directory)

    def _set_aside(self, held: Path, directory: int, path: Path) -> None:
        """Move the file of a dead process away, if there is one; none before that is known."""
        if not is_left_over(held):
            raise locked_error(path)
        aside = f".{held.name}.{os.urandom(4).hex()}.tmp"
        with suppress(FileNotFoundError):
            self._calls.rename(held.name, aside, src_dir_fd=directory, dst_dir_fd=directory)
            # Another may have made its own since we looked.
            if not is_left_over(held.with_name(aside)):
                self._calls.rename(aside, held.name, src_dir_fd=directory, dst_dir_fd=directory)
                raise locked_error(path)
            self._calls.unlink(aside, dir_fd=directory)

    def _sync(self, directory: int) -> None:
        """Make the names in a directory durable, where the file system can."""
        try:
            self._calls.fsync(directory)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
            told = "the file system cannot sync directories: a power loss may take the newest files"
            if told not in self.weaker:
                self.weaker.append(told)

    @contextmanager
    def _parent(self, path: Path) -> Iterator[tuple[int, str]]:
        """Open the directory that holds `path`, link by link refused, and name the last part."""
        parts = path.relative_to(self.root).parts
        if not parts or ".." in parts:
            raise ValueError(f"{path} is not below {self.root}")
        with _naming(path), ExitStack() as stack:
            directory = self._folder.fd
            for part in parts[:-1]:
                directory = self._calls.open(part, _DIRECTORY, dir_fd=directory)
                stack.callback(self._calls.close, directory)
            yield directory, parts[-1]

    def _open_root(self) -> int:
        """Open the run directory, made when missing."""
        for _ in range(_TRIES):
            self._make_with_parents(self.root)
            # Another starter may set the directory aside between the two calls.
            with suppress(FileNotFoundError):
                return self._calls.open(self.root, _DIRECTORY)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _make_with_parents(self, path: Path) -> None:
        """Make a directory with its parents, each one durable in its own parent."""
        if path.is_dir():
            return
        self._make_with_parents(path.parent)
        # Two starters may race to here; the lock settles which of them has the run.
        with suppress(FileExistsError):
            self._calls.mkdir(path)
        self._sync_names_in(path.parent)

    def _sync_names_in(self, path: Path) -> None:
        fd = self._calls.open(path, _ANY_DIRECTORY)
        try:
            self._sync(fd)
        finally:
            self._calls.close(fd)


class AppendFile:
    """A log open for appending; made by `Storage.append`.

    Attributes
    ----------
    size_bytes : int
        Length of the file.
    """

    def __init__(
        self, path: Path, fd: int, calls: SystemCalls, *, before: Callable[[], None]
    ) -> None:
        self.path, self._before = path, before
        self.size_bytes = os.fstat(fd).st_size
        self._file = Descriptor(fd)
        self._calls = calls

    def write(self, row: bytes) -> None:
        """Append one row in one call.

        Raises
        ------
        OSError
            If the row could not be written; the part of it that was is cut off again.
        """
        self._before()
        is_whole = False
        with _naming(self.path):
            try:
                _write_all(self._calls, self._file.fd, row)
                is_whole = True
            finally:
                if not is_whole:
                    # The first error is the story; a torn row that stays is cut at the next start.
                    with suppress(OSError):
                        self._calls.ftruncate(self._file.fd, self.size_bytes)
        self.size_bytes += len(row)

    def cut(self, size_bytes: int) -> None:
        """Shorten the file to its first bytes.

        Parameters
        ----------
        size_bytes : int
            Length to keep, at most the present one.
        """
        with _naming(self.path):
            self._calls.ftruncate(self._file.fd, size_bytes)
        self.size_bytes = size_bytes

    def sync(self) -> None:
        """Wait until the disk holds every row."""
        with _naming(self.path):
            self._calls.fsync(self._file.fd)

    def close(self) -> None:
        """Sync and close; a second call does nothing."""
        fd = self._file.let_go()
        if fd < 0:
            return
        with _naming(self.path):
            try:
                self._calls.fsync(fd)
            finally:
                self._calls.close(fd)


def is_temporary(name: str) -> bool:
    """Whether a file has the name of one that `Storage.put` had not finished."""
    return _TEMPORARY.fullmatch(name) is not None


def _is_at(path: Path, fd: int, folder: int | None = None) -> bool:
    """Whether an open file is still the one that its path names."""
    try:
        there = os.stat(path, dir_fd=folder, follow_symlinks=False)
        return os.path.samestat(os.fstat(fd), there)
    except FileNotFoundError:
        return False


def _write_all(calls: SystemCalls, fd: int, data: bytes) -> None:
    """Write every byte: one call may take fewer than it was given."""
    rest = memoryview(data)
    while rest:
        n_written = calls.write(fd, rest)
        if n_written == 0:
            raise OSError(errno.EIO, "the disk takes no bytes and gives no reason")
        rest = rest[n_written:]


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Give an error of the system the full path; calls on descriptors know none or half of it."""
    try:
        yield
    except OSError as error:
        if not os.path.isabs(error.filename or ""):
            error.filename = str(path)
            if error.filename2 is not None:
                del error.filename2
        raise
