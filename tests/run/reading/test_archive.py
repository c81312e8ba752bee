"""Runs as one file: the same bytes for the same run, and nothing taken on trust."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from limits import messages_within_limits
from psann import _plain_tar
from psann.errors import FileFormatError, UsageError
from psann.run.directory.paths import RunPaths
from psann.run.reading.archive import pack, unpack
from psann.run.reading.reading import read_run
from psann.run.verification.verify import verify_run
from thinning import slow, thinned
from trials import finished, metrics_of, tree_of, trial


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    folder = tmp_path_factory.mktemp("whole")
    return finished(folder, "training.epochs=3", keep_checkpoints=True)


@pytest.fixture(scope="module")
def archive(whole: RunPaths, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(whole.root, tmp_path_factory.mktemp("packed") / "run.tar.gz").path


@pytest.fixture
def packed(archive: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(archive, tmp_path))


def content_of(root: Path) -> dict[str, str]:
    """The files that matter, with digests."""
    other = (".lock", "packed.json")
    return {name: digest for name, digest in tree_of(root).items() if name not in other}


# --- there and back ------------------------------------------------------------------------------


def test_unpacked_run_is_the_run_and_verifies(
    whole: RunPaths, packed: Path, tmp_path: Path
) -> None:
    moved = shutil.move(packed, tmp_path / "elsewhere.tar.gz")
    done = unpack(Path(moved), tmp_path / "new" / "home")
    assert done.path == tmp_path / "new" / "home" / "run"
    assert content_of(done.path) == content_of(whole.root)
    verdict = verify_run(done.path)
    assert (verdict.status, verdict.findings) == ("completed", ())
    assert [path.name for path in (tmp_path / "new" / "home").iterdir()] == ["run"]


def test_same_run_gives_the_same_bytes(whole: RunPaths, packed: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "run"
    shutil.copytree(whole.root, copy)
    for path in copy.rglob("*"):
        os.utime(path, (0, 0))
        path.chmod(0o700)
    again = pack(copy, tmp_path / "again.tar.gz")
    assert again.path.read_bytes() == packed.read_bytes()
    home = unpack(packed, tmp_path / "unpacked").path
    assert pack(home, tmp_path / "third.tar.gz").path.read_bytes() == packed.read_bytes()
    assert again.n_files == len([d for d in content_of(whole.root).values() if d != "directory"])


def test_best_only_leaves_out_the_other_checkpoints_and_verifies(
    whole: RunPaths, packed: Path, tmp_path: Path
) -> None:
    done = pack(whole.root, tmp_path / "best.tar.gz", best_only=True)
    assert "checkpoints/epoch_000001.safetensors" in done.left_out
    assert done.path.stat().st_size < packed.stat().st_size
    home = unpack(done.path, tmp_path / "unpacked")
    assert home.left_out == done.left_out
    assert sorted(path.name for path in RunPaths(home.path).checkpoints.iterdir()) == [
        "best.safetensors",
        "manifest.json",
    ]
    verdict = verify_run(home.path)
    (note,) = verdict.findings
    assert not verdict.errors
    assert f"{len(done.left_out)} files of the run were not packed" in str(note)
    assert read_run(home.path).problems == ()
    # What was left out stays left out, however often the run is packed.
    again = pack(home.path, tmp_path / "again.tar.gz")
    assert again.path.read_bytes() == done.path.read_bytes()


@pytest.mark.parametrize(
    ("name", "damage"),
    thinned(
        itertools.product(
            ("metrics.json", "events.csv", "checkpoints/best.safetensors"),
            ("flipped", "cut", "gone"),
        ),
        4,
    ),
)
def test_verify_finds_damage_after_unpacking(
    packed: Path, tmp_path: Path, name: str, damage: str
) -> None:
    home = unpack(packed, tmp_path / "unpacked").path
    file = home / name
    data = file.read_bytes()
    if damage == "flipped":
        # Still a record that nothing else would object to.
        place = data.index(b"e", len(data) // 2)
        file.write_bytes(data[:place] + b"E" + data[place + 1 :])
    elif damage == "cut":
        file.write_bytes(data[:-1])
    else:
        file.unlink()
    assert [each for each in verify_run(home).errors if each.file == name]


def test_damaged_list_is_an_error(packed: Path, tmp_path: Path) -> None:
    home = RunPaths(unpack(packed, tmp_path).path)
    home.packing_list.write_text("{}")
    (error,) = verify_run(home.root).errors
    assert "packed.json: cannot be read" in str(error)


def test_runs_of_the_longest_names_come_back(whole: RunPaths, tmp_path: Path) -> None:
    long = tmp_path / ("n" * 100)
    shutil.copytree(whole.root, long)
    for name in ("checkpoints/placebo_001_seed1234567890.safetensors", "attempts/001/events.csv"):
        (long / name).parent.mkdir(parents=True, exist_ok=True)
        (long / name).write_bytes(b"x")
    done = pack(long, tmp_path / "long.tar.gz")
    assert done.skipped == ()
    assert content_of(unpack(done.path, tmp_path / "new").path) == content_of(long)


def made_of(root: Path, n_bytes: int) -> RunPaths:
    """What packing takes for a run, with a log of so many bytes."""
    paths = RunPaths(root)
    root.mkdir(parents=True, exist_ok=True)
    paths.events.write_bytes(random.Random(n_bytes).randbytes(n_bytes))
    return paths


def check_there_and_back(folder: Path, lengths: Iterable[int]) -> None:
    for n_bytes in lengths:
        paths = made_of(folder / "run", n_bytes)
        home = unpack(pack(paths.root, folder / "run.tar.gz").path, folder / "home").path
        assert RunPaths(home).events.read_bytes() == paths.events.read_bytes(), n_bytes
        shutil.rmtree(home)
        (folder / "run.tar.gz").unlink()


def test_every_archive_that_pack_writes_is_unpacked_wherever_its_end_falls(tmp_path: Path) -> None:
    blocks = range(0, 2 * tarfile.RECORDSIZE + 1, tarfile.BLOCKSIZE)
    check_there_and_back(tmp_path, blocks)


@pytest.mark.slow
def test_runs_of_2000_lengths_are_unpacked_as_they_were_packed(tmp_path: Path) -> None:
    check_there_and_back(tmp_path, (n * tarfile.RECORDSIZE // 2000 for n in range(2001)))


def test_interrupted_run_goes_on_where_it_was_unpacked(tmp_path: Path) -> None:
    from faults import stopped_after

    with stopped_after(6):
        assert trial(tmp_path, "training.checkpoint_every_s=0.000001").exit_code == 143
    shutil.copy(tmp_path / "trial.yaml", tmp_path / "kept.yaml")
    done = pack(tmp_path / "out" / "run", tmp_path / "run.tar.gz")
    home = unpack(done.path, tmp_path / "node" / "out").path
    assert not verify_run(home).errors
    settings = "training.checkpoint_every_s=0.000001"
    outcome = trial(tmp_path / "node", settings, resume=True)
    assert outcome.exit_code == 0
    assert not verify_run(home).errors
    assert metrics_of(RunPaths(home))["resumes"] == 1
    assert not RunPaths(home).packing_list.exists()


# --- packing -------------------------------------------------------------------------------------


def test_lock_temporary_files_and_links_are_not_packed(whole: RunPaths, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(whole.root, root)
    (root / ".metrics.json.0123abcd.tmp").touch()
    (root / "link").symlink_to("/etc/hostname")
    (root / "setup.py").touch()
    deep = "a/" * 900
    (root / deep).mkdir(parents=True)
    (root / deep / "b").touch()
    (root / "attempts").symlink_to("/etc")
    os.mkfifo(root / "pipe")
    done = pack(root, tmp_path / "run.tar.gz")
    assert done.skipped == (f"{deep}b", "attempts", "link", "pipe", "setup.py")
    with tarfile.open(done.path) as archive:
        names = [member.name for member in archive]
    assert names[-1] == "run/packed.json"
    assert not [name for name in names if "lock" in name or "tmp" in name or "link" in name]


def test_log_that_grows_meanwhile_is_packed_as_long_as_it_was(
    whole: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "run"
    shutil.copytree(whole.root, root)
    events = RunPaths(root).events
    before = events.read_bytes()

    def growing(name: str, n_bytes: int) -> tarfile.TarInfo:
        if name.endswith("/events.csv"):
            with events.open("ab") as file:
                file.write(b"more\r\n")
        return member(name, n_bytes)

    member = _plain_tar._member
    monkeypatch.setattr(_plain_tar, "_member", growing)
    done = pack(root, tmp_path / "run.tar.gz")
    monkeypatch.undo()
    home = unpack(done.path, tmp_path / "new").path
    assert RunPaths(home).events.read_bytes() == before
    assert events.read_bytes() != before


@pytest.mark.parametrize(
    ("root", "output", "message"),
    [
        ("none", "x.tar.gz", "RUN must be a run directory; .* does not exist"),
        ("run", "there.tar.gz", "-o must be a new file"),
        ("run", "run/x.tar.gz", "-o must lie outside the run directory"),
        ("empty", "x.tar.gz", "holds no file"),
        ("-rf", "x.tar.gz", r"RUN must have a name that a run may have, .* got '-rf'\. Rename"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    whole: RunPaths, tmp_path: Path, root: str, output: str, message: str
) -> None:
    shutil.copytree(whole.root, tmp_path / "run")
    (tmp_path / "there.tar.gz").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "-rf").mkdir()
    before = tree_of(tmp_path)
    with pytest.raises(UsageError, match=message):
        pack(tmp_path / root, tmp_path / output)
    assert tree_of(tmp_path) == before


# --- unpacking what a stranger sent --------------------------------------------------------------


def written(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member, data in members:
            archive.addfile(member, io.BytesIO(data))
    return path


def file(name: str, data: bytes = b"x", **changes: Any) -> tuple[tarfile.TarInfo, bytes]:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    for key, value in changes.items():
        setattr(member, key, value)
    return member, data


def listing(**files: bytes) -> tuple[tarfile.TarInfo, bytes]:
    entries = {
        name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, data in files.items()
    }
    content = {"schema_version": 1, "files": entries, "left_out": []}
    return file("run/packed.json", json.dumps(content).encode())


E = "run/events.csv"
NO_NAMES = (
    """
/etc/passwd run/../events.csv ../events.csv run/./events.csv run//events.csv /run/events.csv
events.csv run/ run/x run/x.py run/__init__.py run/setup.py run/.git/config .git/config
.git/events.csv -rf/events.csv run\x1b[2J/events.csv run/events.csv\n run/EVENTS.CSV run/.lock
run/checkpoints/evil.so run/checkpoints/best.safetensors/x run/events.csv/checkpoints/x
run/attempts/001/setup.py run/attempts/x/events.csv run/attempts/001/attempts/001/events.csv
run/checkpoints/../events.csv ~/events.csv
""".replace("\\n", "\n")
    .strip()
    .split(" ")
)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        *(([file(name)], "is no file of a run") for name in NO_NAMES),
        ([file(E, b"", type=tarfile.SYMTYPE, linkname="/etc")], "is no plain file"),
        ([file(E, b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "no plain file"),
        ([file(E, b"", type=tarfile.FIFOTYPE)], "is no plain file"),
        ([file(E, b"", type=tarfile.CHRTYPE)], "is no plain file"),
        ([file(E, b"", type=tarfile.GNUTYPE_SPARSE)], "is no plain file"),
        ([file(E, b"", type=tarfile.GNUTYPE_LONGNAME)], "is no plain file"),
        ([file("läufe/events.csv")], "is no plain file"),  # its name is in a header of its own
        ([file("run/" + "a/" * 2500 + "x")], "is no plain file"),
        ([file("run", b"", type=tarfile.DIRTYPE)], "is no plain file"),
        ([file(E), file(E), listing(**{"events.csv": b"x"})], "is in it twice"),
        ([file(E), file("other/metrics.json")], "more than one run"),
        ([file(E)], "list of files is missing"),
        ([file(E), listing()], "not both in it and in its list"),
        ([listing(**{"events.csv": b"x"})], "not both in it and in its list"),
        ([file(E, b"y"), listing(**{"events.csv": b"x"})], "is not what its list says"),
        ([file("run/config_resolved.yaml", bytes(2**20 + 1))], "has 1,048,577 bytes, more than"),
        ([file("run/packed.json", b"[]")], "must hold one object"),
        ([file("run/packed.json", b"{}")], "is not a list of files of version 1"),
        ([], "it is empty"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_hostile_archive_is_refused_and_nothing_is_left(
    tmp_path: Path, members: list[tuple[tarfile.TarInfo, bytes]], message: str
) -> None:
    archive = written(tmp_path / "bad.tar.gz", members)
    home = tmp_path / "home"
    with pytest.raises(FileFormatError, match=message):
        unpack(archive, home)
    assert list(home.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tar.gz", "home"]


def block(name: str, n_bytes: int = 0, **changes: Any) -> bytes:
    member, _ = file(name, b"", **changes)
    member.size = n_bytes
    return member.tobuf(tarfile.GNU_FORMAT)


HUGE = 2**40
BOMBS: dict[str, Callable[[], bytes]] = {
    "a size beyond all disks": lambda: block(E, HUGE) + bytes(2**20),
    "a size below zero": lambda: block(E, -512) + bytes(2**20),
    "an extension of a terabyte": lambda: block("x", HUGE, type=tarfile.XHDTYPE) + bytes(2**26),
    "chains of extensions": lambda: block("x", type=tarfile.XHDTYPE) * 200_000,
    "chains of long names": lambda: block("x", type=tarfile.GNUTYPE_LONGNAME) * 200_000,
    "maps of holes": lambda: block(E, HUGE, type=tarfile.GNUTYPE_SPARSE) + b"\xff" * 2**20,
    "many files": lambda: b"".join(
        block(f"run/checkpoints/epoch_{n:06d}.safetensors") for n in range(100_000)
    ),
    "zeros": lambda: bytes(2**28),
    "a long last file": lambda: block(E, 2**27) + bytes(2**27),
}

LIMITS = {"many files": "it holds more than", "a long last file": "it expands to more than"}


SLOW_BOMBS = ("zeros", "many files", "chains of long names", "a long last file")


@pytest.mark.parametrize(
    "names",
    [[name for name in BOMBS if name not in SLOW_BOMBS], *(slow([name]) for name in SLOW_BOMBS)],
)
def test_bombs_are_refused_within_2_s_of_cpu_and_200_mb(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_bytes(gzip.compress(BOMBS[name](), compresslevel=1))
    messages = messages_within_limits(
        "from pathlib import Path; from psann.run.reading.archive import unpack",
        "unpack(Path(argument), Path(argument + '.home'))",
        *(str(tmp_path / name) for name in names),
        errors="ValueError",
    )
    for name, message in zip(names, messages, strict=True):
        assert "Nothing was kept" in message
        # By the limit that is meant, not by what is wrong behind it.
        assert LIMITS.get(name, "") in message


@pytest.mark.parametrize("place", [-2, -1, 0, 511, 512, 10_239, 10_240, 20_480])
def test_nothing_may_hide_between_files_or_behind_the_last(
    packed: Path, tmp_path: Path, place: int
) -> None:
    tar = bytearray(gzip.decompress(packed.read_bytes()))
    if place == -2:
        tar[-1] = 1
    elif place == -1:
        first = tarfile.TarInfo.frombuf(bytes(tar[:512]), "utf-8", "strict")
        assert first.size % 512
        tar[512 + first.size] = 1  # in the filling after its content
    else:
        tar += bytes(place) + b"x"
    archive = tmp_path / "hiding.tar.gz"
    archive.write_bytes(gzip.compress(bytes(tar)))
    with pytest.raises(FileFormatError, match=r"between its files|goes on after its last file"):
        unpack(archive, tmp_path / "home")


@pytest.mark.parametrize("place", range(1, 9))
def test_an_archive_is_checked_to_its_last_byte(packed: Path, tmp_path: Path, place: int) -> None:
    whole = packed.read_bytes()
    flipped = bytearray(whole)
    flipped[-place] ^= 1
    damaged = tmp_path / "damaged.tar.gz"
    for data in (bytes(flipped), whole[:-place], whole + b"x" * place):
        damaged.write_bytes(data)
        with pytest.raises(FileFormatError, match="must be an archive that pack wrote"):
            unpack(damaged, tmp_path / "home")


def test_nothing_may_follow_the_stream_not_even_what_gzip_passes_over(
    packed: Path, tmp_path: Path
) -> None:
    whole, longer = packed.read_bytes(), tmp_path / "longer.tar.gz"
    tar = gzip.decompress(whole)
    zeros = [bytes(n) for n in (*range(1, 40), 511, 512, 513, 8192, 2**17)]
    split = [gzip.compress(tar[n:]) for n in (len(tar) - 1, len(tar) - 512, 10_240)]
    for rest in (*zeros, gzip.compress(b""), gzip.compress(b"x"), whole):
        longer.write_bytes(whole + rest)
        with pytest.raises(FileFormatError, match=r"it goes on after its (end|last file)"):
            unpack(longer, tmp_path / "home")
    for second in split:
        n_bytes = len(tar) - len(gzip.decompress(second))
        longer.write_bytes(gzip.compress(tar[:n_bytes]) + second)
        with pytest.raises(FileFormatError, match="it goes on after its end"):
            unpack(longer, tmp_path / "home")


def inflated(archive: bytes | bytearray) -> bytes | None:
    with suppress(OSError, EOFError, zlib.error):
        return gzip.decompress(archive)
    return None


def test_damaged_archives_are_refused_wherever_they_are_damaged(
    packed: Path, tmp_path: Path
) -> None:
    whole = packed.read_bytes()
    draw = random.Random(1)
    damaged = tmp_path / "damaged.tar.gz"
    home = tmp_path / "home"
    for k in range(15):
        data = bytearray(whole)
        if k % 3 == 0:
            del data[draw.randrange(len(whole)) :]
        else:
            data[draw.randrange(10, len(whole))] ^= 1 << draw.randrange(8)
        if inflated(data) == inflated(whole):
            continue  # a bit that only fills the last byte of the deflated data
        damaged.write_bytes(data)
        with pytest.raises(FileFormatError, match="must be an archive that pack wrote"):
            unpack(damaged, home)
        assert list(home.iterdir()) == []
    damaged.write_bytes(b"not an archive")
    with pytest.raises(FileFormatError):
        unpack(damaged, home)


def test_existing_directory_is_not_touched(packed: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").touch()
    with pytest.raises(UsageError, match="must make a new directory"):
        unpack(packed, tmp_path)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine"]
    with pytest.raises(UsageError, match="ARCHIVE must be a file"):
        unpack(tmp_path / "none", tmp_path)
