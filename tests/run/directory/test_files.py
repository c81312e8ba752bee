"""Files of a run are opened as a stranger's: plain, within limits, without waiting for anything."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from limits import messages_within_limits
from odd_files import KINDS, make
from psann.errors import RunLockedError, UsageError
from psann.run.directory.files import entries_below, limit_of
from psann.run.directory.lock import check_lock
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage
from psann.run.reading.archive import pack
from psann.run.reading.reading import read_run
from psann.scripts.hisso_log_run import main as start
from psann.scripts.hisso_runs import main
from thinning import slow, thinned

NAMES = ("metrics.json", "events.csv", "config_resolved.yaml", "provenance.json", ".lock")


@pytest.mark.parametrize(("name", "kind"), thinned(itertools.product(NAMES, KINDS), 3))
def test_no_reader_waits_for_what_stands_in_place_of_a_file(
    tmp_path: Path, kind: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    make(kind, run / name)
    for other in NAMES:
        if other != name:
            (run / other).touch()
    assert read_run(run).problems
    for command in (["ls", str(tmp_path)], ["show", str(run)], ["compare", str(run), str(run)]):
        assert main(command) in (0, 2)
    for command in (["verify", str(run)], ["status", str(run)]):
        assert main(command) == 1
    main(["pack", str(run), "-o", str(tmp_path / "run.tar.gz")])
    capsys.readouterr()


@pytest.mark.parametrize("option", ["--check", "--resume", "--overwrite"])
@pytest.mark.parametrize("kind", KINDS[:2])
def test_no_start_waits_for_a_lock_that_is_no_file(
    tmp_path: Path, kind: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make(kind, tmp_path / "run" / ".lock")
    config = tmp_path / "c.yaml"
    config.write_text("data: {loader: psann.datasets.make_smoke_market}\n")
    command = ["--config", str(config), "--output-dir", str(tmp_path), "--run-name", "run", option]
    assert start(command) == 1
    assert "it is no plain file" in capsys.readouterr().err


def test_a_held_lock_is_seen_and_a_free_one_left(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "run")
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        with pytest.raises(RunLockedError):
            check_lock(paths.lock)
    check_lock(paths.lock)


def test_files_have_limits_by_their_names() -> None:
    assert (limit_of("a/metrics.json"), limit_of("config_resolved.yaml")) == (2**24, 2**20)
    assert limit_of("a.npz") > limit_of("events.csv") > limit_of("metrics.json")


def test_all_but_directories_is_listed_and_no_link_followed(tmp_path: Path) -> None:
    deep = tmp_path / "attempts" / "001"
    (deep / "empty").mkdir(parents=True)
    (deep / "best.safetensors").write_bytes(b"four")
    (tmp_path / "link").symlink_to(deep)
    found = {name: each.st_size for name, each in entries_below(tmp_path, tell=pytest.fail)}
    assert found == {"link": len(str(deep)), "attempts/001/best.safetensors": 4}


def test_what_cannot_be_listed_is_told_and_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a/1", "b/2"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    real, told = os.listdir, []

    def listed(folder: Path) -> list[str]:
        if folder.name == "a":
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "listdir", listed)
    found = entries_below(tmp_path, tell=lambda *what: told.append(what))
    assert [name for name, _ in found] == ["b/2"]
    assert told == [("a", "cannot be listed: Permission denied")]
    with pytest.raises(UsageError, match="a cannot be listed: Permission denied"):
        pack(tmp_path, tmp_path.with_name("run.tar.gz"))


def test_a_folder_of_more_files_than_any_run_has_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    monkeypatch.setattr("psann.run.directory.files._MAX_ENTRIES", 2)
    with pytest.raises(UsageError, match="holds more than 2 files; the rest is not looked at"):
        pack(tmp_path, tmp_path.with_name("run.tar.gz"))


HOSTILE: dict[str, dict[str, Callable[[], bytes]]] = {
    "metrics.json": {
        "lists": lambda: b'{"a": [' + b"[]," * 5_000_000 + b"[]]}",
        "mappings": lambda: b'{"a": [' + b"{}," * 5_000_000 + b"{}]}",
        "keys": lambda: b"{" + b",".join(b'"%d":0' % n for n in range(1_500_000)) + b"}",
        "depth": lambda: b'{"a":' * 1_000_000,
        "digits": lambda: b'{"seed": ' + b"9" * 10_000_000 + b"}",
        "wide text": lambda: '{"a": "\U0001f600'.encode() + b"x" * 16_000_000 + b'"}',
    },
    "events.csv": {
        "empty lines": lambda: b"event,epoch\n" + b"\n" * 60_000_000,
        "bad rows": lambda: b"event,epoch\n" + b"a,b,c,d,e,f,g\n" * 5_000_000,
        "columns": lambda: b"event,epoch" + b",x" * 30_000_000 + b"\n",
        "one line": lambda: b"event,epoch\n" + b"," * 60_000_000 + b"\n",
        "digits": lambda: b"event,epoch\n" + b"epoch," + b"9" * 100_000 + b"\n",
        "quotes": lambda: b'event,epoch\n"' * 4_000_000,
    },
    "config_resolved.yaml": {
        "depth": lambda: b"[" * 1_000_000,
        "aliases": lambda: (
            b"a: &a [1,1,1,1,1,1,1,1]\n"
            + b"".join(b"%c: &%c [%s]\n" % (c, c, b"*%c," % (c - 1) * 8) for c in range(98, 120))
        ),
        "keys": lambda: b"\n".join(b"k%d: 1" % n for n in range(100_000)),
        "digits": lambda: b"seed: " + b"9" * 1_000_000,
        "anchors": lambda: b"&a " * 300_000,
        "flow": lambda: b"{" * 200_000 + b"}" * 200_000,
    },
}


@pytest.mark.parametrize(
    ("name", "whats"),
    [
        case
        for name in HOSTILE
        for case in ((name, [*HOSTILE[name]][:1]), slow((name, [*HOSTILE[name]][1:])))
    ],
)
def test_hostile_files_are_refused_within_2_s_of_cpu_and_200_mb(
    tmp_path: Path, name: str, whats: list[str]
) -> None:
    for what in whats:
        (tmp_path / what).mkdir()
        (tmp_path / what / name).write_bytes(HOSTILE[name][what]())
    messages = messages_within_limits(
        "from psann.run.reading.reading import read_run; import psann._strict_yaml",
        f"run = read_run(argument); run.config; run.events; raise ValueError(\n"
        f"'; '.join(text for text in run.problems if text.startswith('{name}')))",
        *(str(tmp_path / what) for what in whats),
        errors="ValueError",
    )
    assert [m for m in messages if not m.startswith(f"ValueError {name}")] == []


def test_a_directory_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        read_run(tmp_path / "none")
