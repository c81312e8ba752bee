from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest

from psann.errors import UsageError
from psann.run.directory.paths import (
    RunPaths,
    check_directory,
    check_output,
    default_run_name,
    hint_of_run,
    is_run_name,
)

GOOD_NAMES = [
    *("a", "A", "0", "first", "wave_small_2025_10_28", "a.b", "a..b", "a-b", "1.0", "v1.2-rc_3"),
    *("x" * 100, "run.", "a-", "CON", "9_"),
]
BAD_NAMES = [
    *("", ".", "..", "...", ".hidden", "_a", "-a", "--help", "a/b", "a/../b", "../a", "/a", "/"),
    *("a\\b", "..\\a", "a b", " a", "a ", "a\n", "\na", "a\r", "a\t", "a\0b", "\0", "~", "~root"),
    *("a:b", "C:a", "a*", "a?", "$HOME", "`id`", "a;b", "a|b", "a&b", "'a'", '"a"', "a%00"),
    *("é", "ａ", "a\u2028", "\u202ea", "x" * 101, "a" + "/" * 50, "a,b", "a=b", "@a", "#a"),
]


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_run_names_are_accepted(name: str, tmp_path: Path) -> None:
    assert RunPaths.in_output(tmp_path, name).root == tmp_path / name


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_bad_run_names_are_refused_by_name_and_nothing_is_made(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--run-name must be .* got "):
        RunPaths.in_output(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_there_are_as_many_names_as_promised() -> None:
    assert len(set(GOOD_NAMES)) >= 15
    assert len(set(BAD_NAMES)) >= 40


def test_message_of_a_huge_name_stays_readable() -> None:
    with pytest.raises(UsageError) as caught:
        RunPaths.in_output("runs", "/" * 10_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("target", ["inside", "outside", "missing"])
def test_link_in_place_of_the_run_directory_is_refused(target: str, tmp_path: Path) -> None:
    output = tmp_path / "output"
    (output / "inside").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    place = {"inside": output / "inside", "outside": tmp_path / "outside", "missing": "nowhere"}
    (output / "first").symlink_to(place[target])
    with pytest.raises(UsageError, match="symbolic link"):
        RunPaths.in_output(output, "first")


def test_file_in_place_of_the_run_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "first").write_text("mine")
    with pytest.raises(UsageError, match="is a file"):
        RunPaths.in_output(tmp_path, "first")


def test_output_directory_itself_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs").symlink_to(tmp_path / "disk")
    assert RunPaths.in_output(tmp_path / "runs", "first").root == tmp_path / "runs" / "first"


def test_paths_stay_when_the_working_directory_moves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert RunPaths.in_output("runs", "first").root == tmp_path / "runs" / "first"


def test_files_have_the_names_of_the_contract() -> None:
    paths = RunPaths(Path("r"))
    named = {
        *(paths.metrics, paths.events, paths.config_resolved, paths.provenance, paths.best),
        *(paths.warm_start, paths.manifest, paths.epoch(10), paths.attempts, paths.lock),
    }
    assert {path.as_posix() for path in named} == {
        "r/metrics.json",
        "r/events.csv",
        "r/config_resolved.yaml",
        "r/provenance.json",
        "r/checkpoints/best.safetensors",
        "r/checkpoints/warm_start.safetensors",
        "r/checkpoints/manifest.json",
        "r/checkpoints/epoch_000010.safetensors",
        "r/attempts",
        "r/.lock",
    }
    assert [field.name for field in fields(paths)] == ["root"]


def test_contents_begin_with_metrics_and_leave_lock_and_archive(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path)
    for name in ("events.csv", "metrics.json", ".lock", "a_note.txt"):
        (tmp_path / name).touch()
    paths.attempts.mkdir()
    names = [path.name for path in paths.contents()]
    assert names == ["metrics.json", "a_note.txt", "events.csv"]


@pytest.mark.parametrize(
    ("config", "stem"),
    [
        ("configs/hisso/nyse_o.yaml", "nyse_o"),
        ("my config (1).yaml", "my-config-1"),
        ("../../etc/.yaml", "yaml"),
        ("größe.json", "gr-e"),
        ("---.yaml", "run"),
        ("_.yaml", "run"),
        ("", "run"),
        ("x" * 300 + ".yaml", "x" * 60),
    ],
)
def test_default_name_is_safe_and_begins_with_the_config(config: str, stem: str) -> None:
    name = default_run_name(config, now=datetime(2025, 10, 28, 9, 5, 7, tzinfo=UTC))
    assert re.fullmatch(re.escape(stem) + r"-20251028T090507Z-[0-9a-f]{6}", name)
    assert is_run_name(name)


def test_two_default_names_of_the_same_second_differ() -> None:
    now = datetime(2025, 10, 28, tzinfo=UTC)
    assert default_run_name("a.yaml", now=now) != default_run_name("a.yaml", now=now)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("nowhere", "RUN must be a run directory; nowhere does not exist."),
        ("file.csv", "RUN must be a run directory; file.csv is a file."),
        ("run/metrics.json", "run/metrics.json is a file. Give the run that it is of, {}/run."),
        ("run/checkpoints/x.safetensors", "is a file. Give the run that it is of, {}/run."),
        ("run/gone.csv", "run/gone.csv does not exist. Give the run that it is of, {}/run."),
        ("mine.safetensors", "is a file. Read it by load of its estimator's class."),
    ],
)
def test_what_is_no_directory_is_told_with_the_run_that_was_meant(
    given: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = RunPaths(Path("run"))
    paths.checkpoints.mkdir(parents=True)
    check_directory(paths.root)
    names = (paths.metrics, paths.checkpoints / "x.safetensors", "file.csv", "mine.safetensors")
    for name in names:
        Path(name).touch()
    with pytest.raises(UsageError) as caught:
        check_directory(Path(given))
    assert str(caught.value).endswith(told.format(tmp_path))


def test_of_a_directory_that_is_no_run_its_own_run_is_named_or_one_in_it(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "out" / "b")
    paths.checkpoints.mkdir(parents=True)
    assert hint_of_run(tmp_path / "out") == ""
    paths.metrics.touch()
    assert hint_of_run(paths.checkpoints) == f" Give the run that it is of, {paths.root}."
    inner = f" Give one of the runs in it, such as {paths.root}."
    assert hint_of_run(tmp_path / "out") == inner
    assert hint_of_run(paths.root) == ""


def test_a_user_s_file_goes_neither_into_a_run_nor_in_place_of_a_directory(tmp_path: Path) -> None:
    run, other = tmp_path / "run", tmp_path / "other"
    run.mkdir()
    other.symlink_to(run)
    check_output(tmp_path / "page.html", run)
    for inside in (run / "page.html", other / "deep" / "page.html"):
        with pytest.raises(UsageError, match="--trades must lie outside of"):
            check_output(inside, tmp_path / "another", run, option="--trades")
    with pytest.raises(UsageError, match=r"-o must be a file; .* is a directory"):
        check_output(tmp_path, run)
