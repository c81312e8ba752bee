"""Whatever is wrong with a run directory is found, and nothing in it can do harm."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from psann.errors import TrainingInterrupted, UsageError
from psann.run.directory import liveness
from psann.run.directory.digests import describe_artefacts
from psann.run.directory.findings import Verdict
from psann.run.directory.metrics import read_metrics
from psann.run.directory.paths import RunPaths
from psann.run.directory.storage import Storage
from psann.run.execution.observer import RunObserver
from psann.run.execution.resume import read_resume_point
from psann.run.reading.reading import read_run
from psann.run.verification.verify import verify_run
from thinning import thinned
from trials import TROUBLE, TROUBLED, finished, metrics_of, tree_of, trial

SETTINGS = ("hisso.supervised={epochs: 2}", "training.epochs=4")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A finished run, one that was stopped, and the stopped one as a kill would have left it."""
    folder = tmp_path_factory.mktemp("runs")
    finished(folder, *SETTINGS, name="finished")
    with pytest.MonkeyPatch.context() as patch:
        on_epoch = RunObserver.on_epoch

        def stopping(observer: RunObserver, record: Any, state: Any) -> None:
            on_epoch(observer, record, state)
            if (record.phase, record.epoch) == ("hisso", 3):
                raise TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)

        patch.setattr(RunObserver, "on_epoch", stopping)
        settings = (*SETTINGS, "training.checkpoint_every_s=0.000001")
        assert trial(folder, *settings, name="stopped").exit_code == 143
    out = folder / "out"
    shutil.copytree(out / "stopped", out / "killed")
    change_record(
        RunPaths(out / "killed"), status="running", finished_utc=None, artefacts=None, epoch=3
    )
    yield out


@pytest.fixture
def copy_of(originals: Path, tmp_path: Path) -> Callable[[str], RunPaths]:
    def copy(name: str) -> RunPaths:
        return RunPaths(Path(shutil.copytree(originals / name, tmp_path / name)))

    return copy


def change_record(paths: RunPaths, **fields: Any) -> None:
    paths.metrics.write_text(json.dumps({**metrics_of(paths), **fields}))


def change(path: Path, old: bytes, new: bytes) -> None:
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new, 1))


def grow(path: Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def reseal(paths: RunPaths) -> None:
    """List the artefacts as they are now, so that only deeper checks can object."""
    change_record(paths, artefacts=describe_artefacts(paths))


def only_error(verdict: Verdict) -> str:
    (finding,) = verdict.errors
    return str(finding)


@pytest.mark.parametrize(("name", "status"), [("finished", "completed"), ("stopped", "preempted")])
def test_whole_run_has_nothing_to_find(
    copy_of: Callable[[str], RunPaths], name: str, status: str
) -> None:
    paths = copy_of(name)
    before = tree_of(paths.root)
    verdict = verify_run(paths.root)
    assert verdict.findings == ()
    assert verdict.status == status
    assert verdict.n_files == sum(path.is_file() for path in paths.root.rglob("*"))
    assert tree_of(paths.root) == before


def test_supervised_and_kept_runs_are_whole_too(tmp_path: Path) -> None:
    for name, overrides, kept in (
        ("supervised", "hisso.enabled=false", False),
        ("kept", "training.epochs=3", True),
    ):
        paths = finished(tmp_path, overrides, name=name, keep_checkpoints=kept)
        assert verify_run(paths.root).findings == ()
    judged = finished(tmp_path, "mode=evaluate", name="judged", init_from=str(paths.root))
    assert verify_run(judged.root).findings == ()


def test_killed_run_is_said_to_be_dead_and_is_no_error(copy_of: Callable[[str], RunPaths]) -> None:
    paths = copy_of("killed")
    (paths.checkpoints / ".last.safetensors.0123abcd.tmp").write_bytes(b"half")
    grow(paths.events, b"1,99,2025")
    verdict = verify_run(paths.root)
    assert verdict.errors == ()
    notes = "\n".join(map(str, verdict.findings))
    for words in ("nobody works here. ", "temporary file", "the last row is torn after 9 bytes"):
        assert words in notes


@pytest.mark.parametrize(
    ("is_here", "told"),
    [
        (
            True,
            r"it was killed, or code that it called ended it \(os\._exit\), or this is a copy that "
            r"was made while it ran\. --resume goes on with",
        ),
        (False, r"nobody works here\. It (ran|was running) on [^-]*$"),
    ],
)
def test_a_copy_of_a_run_that_lives_elsewhere_is_not_said_to_be_killed(
    is_here: bool, told: str, copy_of: Callable[[str], RunPaths], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "is_alive", lambda *_: False)
    if not is_here:
        monkeypatch.setattr(liveness.platform, "node", lambda: "home")
    (note,) = (
        each for each in verify_run(copy_of("killed").root).findings if "nobody" in str(each)
    )
    assert re.search(told, str(note))


def test_copies_that_lack_what_was_written_meanwhile_are_no_error(
    copy_of: Callable[[str], RunPaths], originals: Path
) -> None:
    paths = copy_of("killed")
    lines = paths.events.read_bytes().splitlines(keepends=True)
    paths.events.write_bytes(b"".join(lines[:8]))
    verdict = verify_run(paths.root)
    assert verdict.errors == ()
    assert "--resume writes the rest again" in "\n".join(map(str, verdict.findings))
    shutil.copy(originals / "finished" / "metrics.json", paths.metrics)
    verdict = verify_run(paths.root)
    assert verdict.errors == ()
    assert "tells of an end that other files lack" in str(verdict.findings[0])
    for state in paths.resume_states:
        state.unlink(missing_ok=True)
    assert verify_run(paths.root).errors


def test_temporary_file_in_a_finished_run_is_no_error_and_resume_removes_it(tmp_path: Path) -> None:
    """A copy made just before the end has one, and the record of the end."""
    paths = finished(tmp_path, "training.epochs=1")
    before = tree_of(paths.root)
    for folder in (paths.root, paths.checkpoints):
        (folder / ".metrics.json.0123abcd.tmp").write_bytes(b"half")
    verdict = verify_run(paths.root)
    assert verdict.errors == ()
    assert [finding.file for finding in verdict.findings] == [
        ".metrics.json.0123abcd.tmp",
        "checkpoints/.metrics.json.0123abcd.tmp",
    ]
    outcome = trial(tmp_path, "training.epochs=1", resume=True)
    assert (outcome.exit_code, "already complete" in str(outcome.message)) == (0, True)
    after = tree_of(paths.root)
    del before[".lock"], after[".lock"]  # who held it last
    assert after == before


def test_live_run_is_said_to_be_alive(copy_of: Callable[[str], RunPaths]) -> None:
    paths = copy_of("killed")
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        verdict = verify_run(paths.root)
    assert [str(f) for f in verdict.findings] == [
        "note: metrics.json: status running, and a live process works here."
    ]


def test_manifest_of_an_unfinished_run_may_be_a_step_old(
    copy_of: Callable[[str], RunPaths],
) -> None:
    paths = copy_of("killed")
    paths.best.write_bytes(paths.warm_start.read_bytes())
    paths.last.rename(paths.previous)
    assert verify_run(paths.root).errors == ()
    done = copy_of("finished")
    done.best.write_bytes(done.warm_start.read_bytes())
    reseal(done)
    assert "best.safetensors: is not the file that the manifest lists" in only_error(
        verify_run(done.root)
    )


def test_resume_states_of_a_finished_run_are_left_over(
    copy_of: Callable[[str], RunPaths], originals: Path
) -> None:
    paths = copy_of("finished")
    shutil.copy(RunPaths(originals / "stopped").last, paths.last)
    verdict = verify_run(paths.root)
    assert any("is left over" in str(finding) for finding in verdict.findings)
    assert not [f for f in verdict.errors if f.file.endswith("last.safetensors")]


def test_log_of_a_stopped_run_may_be_as_a_killed_resume_left_it(
    copy_of: Callable[[str], RunPaths],
) -> None:
    paths = copy_of("stopped")
    lines = paths.events.read_bytes().splitlines(keepends=True)
    grown = lines[-1].split(b",")
    grown[1] = str(len(lines)).encode()
    grow(paths.events, b",".join(grown))
    verdict = verify_run(paths.root)
    assert verdict.errors == ()
    assert "a resume had begun" in str(verdict.findings[0])
    change(paths.events, b"INFO", b"info")
    assert "events.csv: is not the file that metrics.json lists" in only_error(
        verify_run(paths.root)
    )


def test_log_of_a_stopped_run_may_be_cut_back_by_a_resume_that_was_killed(
    copy_of: Callable[[str], RunPaths],
) -> None:
    paths = copy_of("stopped")
    os.truncate(paths.events, read_resume_point(paths)[0].log_bytes)
    verdict = verify_run(paths.root)
    assert verdict.errors == ()
    assert "a resume had begun" in "".join(map(str, verdict.findings))


# --- damage --------------------------------------------------------------------------------------


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _relist(paths: RunPaths, **changes: Any) -> None:
    content = json.loads(paths.manifest.read_bytes())
    content["files"]["best.safetensors"] |= changes
    paths.manifest.write_text(json.dumps(content))


Damage = Callable[[RunPaths], object]
SEALED: dict[str, tuple[Damage, str]] = {
    "a flipped bit": (lambda p: _flip(p.best), "best.safetensors: is not the file that metrics"),
    "a longer file": (
        lambda p: grow(p.provenance, b" "),
        "provenance.json: is not the file that metrics.json lists: it has",
    ),
    "a missing file": (lambda p: p.warm_start.unlink(), "metrics.json lists it"),
    "an unlisted epoch": (
        lambda p: shutil.copy(p.best, p.epoch(1)),
        "epoch_000001.safetensors: is not in the manifest",
    ),
    "no list of artefacts": (
        lambda p: change_record(p, artefacts=None),
        "must list its artefacts",
    ),
    "an artefact without a size": (
        lambda p: change_record(p, artefacts={"events.csv": 3}),
        "'events.csv' must have bytes and sha256",
    ),
    "a path out of the run": (
        lambda p: change_record(
            p,
            artefacts={
                **metrics_of(p)["artefacts"],
                "../../etc/passwd": {"bytes": 1, "sha256": ""},
            },
        ),
        "../../etc/passwd: is missing",
    ),
    "another best": (lambda p: change_record(p, best={"path": "x"}), "best must be what the"),
    "another best epoch": (lambda p: change_record(p, best_epoch=1), "by the log it must be"),
    "another monitor value": (lambda p: change_record(p, monitor_value=0.5), "by the log it must"),
    "another figure": (lambda p: change_record(p, train_loss=0.5), "train_loss is 0.5; the log"),
    "an epoch too many": (lambda p: change_record(p, epoch=5), "tells of 5 epochs, the log of 4"),
    "a best that never was": (lambda p: change_record(p, best_epoch=9), "or 0; got 9"),
    "no best": (lambda p: change_record(p, best_epoch=None), "must be known at the end"),
}


@pytest.mark.parametrize("case", SEALED)
def test_damage_to_a_finished_run_is_found(copy_of: Callable[[str], RunPaths], case: str) -> None:
    paths = copy_of("finished")
    damage, message = SEALED[case]
    damage(paths)
    assert message in "\n".join(map(str, verify_run(paths.root).errors))


RESEALED: dict[str, tuple[Damage, str]] = {
    "a flipped bit": (lambda p: _flip(p.warm_start), "warm_start.safetensors: it "),
    "a digest of the manifest": (
        lambda p: _relist(p, sha256="0" * 64),
        "best.safetensors: is not the file that the manifest lists",
    ),
    "a manifest entry of another kind": (
        lambda p: change(p.manifest, b'"sha256"', b'"sha255"'),
        "must have a sha256",
    ),
    "a manifest of another version": (
        lambda p: change(p.manifest, b'"schema_version": 1', b'"schema_version": 7'),
        "manifest.json: must be of schema version 1",
    ),
    "a missing manifest": (lambda p: p.manifest.unlink(), "manifest.json: is missing"),
    "a missing row": (
        lambda p: p.events.write_bytes(
            b"".join(x for x in p.events.read_bytes().splitlines(True) if b"epoch 2 of 4" not in x)
        ),
        "must go on with epoch 2 of phase ",
    ),
    "a torn row": (lambda p: grow(p.events, b"1,99"), "the last row is torn"),
    "a missing log": (lambda p: p.events.unlink(), "events.csv: is missing"),
    "a config that lacks a key": (
        lambda p: change(p.config_resolved, b"seed: 42\n", b""),
        "must resolve to itself",
    ),
    "a config with an unknown key": (
        lambda p: change(p.config_resolved, b"seed: 42\n", b"sed: 42\n"),
        "cannot be fed back: config_resolved.yaml line",
    ),
    "provenance of another kind": (
        lambda p: p.provenance.write_text('{"schema_version": 1, "starts": [3]}'),
        "provenance.json: cannot be read: it must be of schema version 1",
    ),
}


@pytest.mark.parametrize("case", RESEALED)
def test_damage_that_the_digests_were_made_to_fit_is_found(
    copy_of: Callable[[str], RunPaths], case: str
) -> None:
    paths = copy_of("finished")
    damage, message = RESEALED[case]
    damage(paths)
    reseal(paths)
    assert message in "\n".join(map(str, verify_run(paths.root).errors))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: _flip(p.last), "last.safetensors: it "),
        (lambda p: shutil.copy(p.best, p.last), "last.safetensors: it is no resume state"),
        (lambda p: change(p.events, b"decision,", b"decision\n"), "2 rows that cannot be read"),
    ],
)
def test_damage_to_a_killed_run_is_found(
    copy_of: Callable[[str], RunPaths], damage: Damage, message: str
) -> None:
    paths = copy_of("killed")
    damage(paths)
    assert message in "\n".join(map(str, verify_run(paths.root).errors))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b",epoch,hisso,", b",ep", "1 row that cannot be read: line "),
        (b",true,epoch 1", b",tr,epoch 1", "must have true or false as is_best; it has 'tr'"),
        (b",epoch,hisso,", b",\xff,hisso,", "it is not in UTF-8"),
        (b",config,", b",config,,", "cells; it has "),
        (b"epoch 2 of 4\r\n", b"epoch 2 of 4\r", "1 row that cannot be read: line "),
        (b",epoch,hisso,", b",log,hisso,", "must go on with epoch 1 of phase hisso; row "),
    ],
)
def test_show_and_verify_say_the_same_of_a_log_torn_in_its_middle(
    copy_of: Callable[[str], RunPaths], old: bytes, new: bytes, told: str
) -> None:
    paths = copy_of("killed")
    change(paths.events, old, new)
    (shown,) = read_run(paths.root).problems
    assert told in shown
    judged = [str(error) for error in verify_run(paths.root).errors]
    assert f"error: events.csv: {shown.removeprefix('events.csv ')}" in judged


def test_masked_secrets_are_no_error(tmp_path: Path) -> None:
    paths = finished(tmp_path)
    change(paths.config_resolved, b"kwargs: {}", b"kwargs: {api_key: '***'}")
    reseal(paths)
    verdict = verify_run(paths.root)
    assert verdict.errors == ()
    assert "masked secrets" in str(verdict.findings[0])


# --- hostile directories -------------------------------------------------------------------------


def test_missing_directory_is_the_command_s_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="must be a run directory"):
        verify_run(tmp_path / "none")


def test_what_may_not_be_looked_into_is_not_said_to_be_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("psann.run.directory.files.os.listdir", refuse)
    (finding,) = verify_run(tmp_path).errors
    assert str(finding) == "error: .: cannot be listed: Permission denied."


def test_directory_of_something_else_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    assert "this is no run directory" in only_error(verify_run(tmp_path))


NOT_STRICT = {
    **{"empty": b"", "deep": b"[" * 100_000, "a list": b"[]", "not UTF-8": b"\xff"},
    **{"NaN": b'{"a": NaN}', "a key twice": b'{"a": 1, "a": 1}', "infinite": b'{"a": 1e999}'},
}


@pytest.mark.parametrize(
    ("file", "what"),
    thinned(itertools.product(("metrics", "provenance", "manifest"), NOT_STRICT), 3),
)
def test_json_that_is_not_strict_is_a_finding(
    copy_of: Callable[[str], RunPaths], file: str, what: str
) -> None:
    paths = copy_of("killed")
    getattr(paths, file).write_bytes(NOT_STRICT[what])
    assert "is not strict JSON" in only_error(verify_run(paths.root))


def test_links_and_pipes_are_found_and_never_opened(
    copy_of: Callable[[str], RunPaths], tmp_path: Path
) -> None:
    paths = copy_of("finished")
    for path in (paths.provenance, paths.best, paths.lock):
        path.unlink(missing_ok=True)
    os.mkfifo(paths.provenance)
    os.mkfifo(paths.lock)
    paths.best.symlink_to("/dev/zero")
    (paths.root / "attempts").symlink_to("/")
    found = "\n".join(map(str, verify_run(paths.root).errors))
    for name in ("provenance.json: is no file", ".lock: is no file", "best.safetensors: is a symb"):
        assert name in found
    assert "attempts: is a symbolic link" in found


def test_giant_files_are_refused_by_their_size(copy_of: Callable[[str], RunPaths]) -> None:
    paths = copy_of("killed")
    for path in (paths.manifest, paths.best, paths.events, paths.config_resolved):
        os.truncate(path, 2**42)
    found = "\n".join(map(str, verify_run(paths.root).errors))
    assert found.count("it has 4,398,046,511,104 bytes, more than") >= 4
    os.truncate(paths.metrics, 2**42)
    assert "more than" in only_error(verify_run(paths.root))


def test_directories_nested_beyond_reason_are_a_finding(
    copy_of: Callable[[str], RunPaths],
) -> None:
    paths = copy_of("killed")
    here, name = os.getcwd(), "d" * 250
    os.chdir(paths.root)
    try:
        for _ in range(20):  # 5 000 characters: more than a path may have
            os.mkdir(name)
            os.chdir(name)
        found = only_error(verify_run(paths.root))
        for _ in range(20):
            os.chdir("..")
            os.rmdir(name)
    finally:
        os.chdir(here)
    assert "cannot be looked at: File name too long" in found


def test_a_gate_by_significance_may_pass_over_a_better_epoch(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso.min_significance=50")
    record = read_metrics(paths.metrics)[0]
    assert (record["best_epoch"], record["min_significance"]) == (0, 50.0)
    assert verify_run(paths.root).errors == ()


FOREIGN = (
    *(".DS_Store", "._metrics.json", "x.sh", "nohup.out", ".~lock.events.csv#", "metrics.json~"),
    *("checkpoints/evil.so", ".ipynb_checkpoints/events-checkpoint.csv", "attempts.txt"),
)


@pytest.mark.parametrize("kind", ["finished", "killed"])
def test_files_of_others_are_listed_as_not_ours_and_are_no_damage(
    kind: str, copy_of: Callable[[str], RunPaths]
) -> None:
    paths = copy_of(kind)
    before = verify_run(paths.root)
    for name in FOREIGN:
        (paths.root / name).parent.mkdir(exist_ok=True)
        (paths.root / name).write_text("x")
    (paths.root / ".#events.csv").symlink_to("me@here.1234")
    verdict = verify_run(paths.root)
    assert verdict.errors == before.errors
    told = {finding.file for finding in verdict.findings if "not ours" in finding.message}
    assert told == {*FOREIGN, ".#events.csv"}


def test_a_run_never_vouches_for_a_file_that_another_writes_meanwhile(tmp_path: Path) -> None:
    console = tmp_path / "out" / "run" / "console.log"

    def print_to_it(rewards: Any) -> Any:
        console.write_text("still growing")
        return rewards

    TROUBLE.plan(1, print_to_it)
    paths = finished(tmp_path, TROUBLED)
    assert "console.log" not in metrics_of(paths)["artefacts"]
    console.write_text("grown")
    assert verify_run(paths.root).errors == ()
