"""Runs as one file: the same bytes for the same run, and nothing taken on trust."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import random
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest

from psann.errors import FileFormatError, UsageError
from psann.run.directory.paths import RunPaths
from psann.run.reading import archive as archiving
from psann.run.reading.archive import pack, unpack
from psann.run.reading.reading import read_run
from psann.run.verification.verify import verify_run
from trials import finished, metrics_of, tree_of, trial


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    folder = tmp_path_factory.mktemp("whole")
    return finished(folder, "training.epochs=3", keep_checkpoints=True)


@pytest.fixture
def packed(whole: RunPaths, tmp_path: Path) -> Path:
    return pack(whole.root, tmp_path / "run.tar.gz").path


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


@pytest.mark.parametrize("name", ["metrics.json", "events.csv", "checkpoints/best.safetensors"])
@pytest.mark.parametrize("damage", ["flipped", "cut", "gone"])
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


def test_run_of_hostile_and_of_long_names_comes_back(whole: RunPaths, tmp_path: Path) -> None:
    odd = tmp_path / "<b>läufe \u2028\x1b[2J"
    shutil.copytree(whole.root, odd)
    (odd / ("n" * 200)).write_bytes(b"x")
    (odd / "=1+1\n").touch()
    done = pack(odd, tmp_path / "odd.tar.gz")
    assert content_of(unpack(done.path, tmp_path / "new").path) == content_of(odd)


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
    (root / "attempts").symlink_to("/etc")
    os.mkfifo(root / "pipe")
    done = pack(root, tmp_path / "run.tar.gz")
    assert done.skipped == ("attempts", "link", "pipe")
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

    member = archiving._member
    monkeypatch.setattr(archiving, "_member", growing)
    done = pack(root, tmp_path / "run.tar.gz")
    monkeypatch.undo()
    home = unpack(done.path, tmp_path / "new").path
    assert RunPaths(home).events.read_bytes() == before
    assert events.read_bytes() != before


@pytest.mark.parametrize(
    ("root", "output", "message"),
    [
        ("none", "x.tar.gz", "RUN must be a run directory; .* is none"),
        ("run", "there.tar.gz", "-o must be a new file"),
        ("run", "run/x.tar.gz", "-o must lie outside the run directory"),
        ("empty", "x.tar.gz", "holds no file"),
    ],
)
def test_what_cannot_be_packed_is_refused(
    whole: RunPaths, tmp_path: Path, root: str, output: str, message: str
) -> None:
    shutil.copytree(whole.root, tmp_path / "run")
    (tmp_path / "there.tar.gz").touch()
    (tmp_path / "empty").mkdir()
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


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([file("/etc/x")], "leads elsewhere"),
        ([file("run/../../x")], "leads elsewhere"),
        ([file("../x")], "leads elsewhere"),
        ([file("run/./x")], "leads elsewhere"),
        ([file("run//x")], "leads elsewhere"),
        ([file("x")], "leads elsewhere"),
        ([file("run/" + "a/" * 2500 + "x")], "leads elsewhere"),
        ([file("run/x", b"", type=tarfile.SYMTYPE, linkname="/etc")], "is no plain file"),
        ([file("run/x", b"", type=tarfile.LNKTYPE, linkname="/etc/passwd")], "no plain file"),
        ([file("run/x", b"", type=tarfile.FIFOTYPE)], "is no plain file"),
        ([file("run/x", b"", type=tarfile.CHRTYPE)], "is no plain file"),
        ([file("run", b"", type=tarfile.DIRTYPE)], "is no plain file"),
        ([file("run/x"), file("run/x"), listing(x=b"x")], "is in it twice"),
        ([file("run/x"), file("run/x/y"), listing(x=b"x")], "is in it twice"),
        ([file("run/x"), file("other/y")], "more than one run"),
        ([file("run/x")], "list of files is missing"),
        ([file("run/x"), listing()], "not both in it and in its list"),
        ([listing(x=b"x")], "not both in it and in its list"),
        ([file("run/x", b"y"), listing(x=b"x")], "is not what its list says"),
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


def test_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    member = tarfile.TarInfo("run/x")
    member.size = 2**40
    bomb = tmp_path / "bomb.tar.gz"
    bomb.write_bytes(gzip.compress(member.tobuf() + bytes(2**20)))
    home = tmp_path / "home"
    with pytest.raises(FileFormatError, match="expands to more than"):
        unpack(bomb, home)
    assert list(home.iterdir()) == []


def test_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archiving, "_MAX_MEMBERS", 3)
    archive = written(tmp_path / "many.tar.gz", [file(f"run/{n}", b"") for n in range(4)])
    with pytest.raises(FileFormatError, match="more than 3 files"):
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


def test_damaged_archives_are_refused_wherever_they_are_damaged(
    packed: Path, tmp_path: Path
) -> None:
    whole = packed.read_bytes()
    draw = random.Random(1)
    damaged = tmp_path / "damaged.tar.gz"
    home = tmp_path / "home"
    for k in range(60):
        data = bytearray(whole)
        if k % 3 == 0:
            del data[draw.randrange(len(whole)) :]
        else:
            data[draw.randrange(10, len(whole))] ^= 1 << draw.randrange(8)
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
