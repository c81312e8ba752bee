"""Endings, directories and repeatability of whole runs, in process."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import Tensor

import trials
from psann.estimators.dense import PSANNRegressor
from psann.run.directory.fields import FIELDS
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import RunRecord
from psann.run.directory.storage import Storage, SystemCalls
from psann.run.execution.claim import claim_directory
from psann.run.execution.context import RunRequest
from psann.run.execution.endings import how_to_go_on
from psann.run.execution.runner import check, execute
from trials import TROUBLE, finished, metrics_of, rows_of, tree_of, trial, write_config

GOES_ON = "The same command with --resume goes on from here."
TROUBLED = "hisso.reward=trials.troubled"
TIMES = {"time_utc", "elapsed_s", "data_s", "step_s", "val_s", "checkpoint_s", "episodes_per_s"}


# --- artefacts -----------------------------------------------------------------------------------


def test_a_run_leaves_the_files_of_the_contract_and_vouches_for_each(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso.supervised={epochs: 1}")
    files = {name for name, digest in tree_of(paths.root).items() if digest != "directory"}
    assert files == {
        ".lock",
        "checkpoints/best.safetensors",
        "checkpoints/manifest.json",
        "checkpoints/warm_start.safetensors",
        "config_resolved.yaml",
        "evaluation.npz",
        "events.csv",
        "metrics.json",
        "provenance.json",
    }
    artefacts = metrics_of(paths)["artefacts"]
    assert set(artefacts) == files - {".lock", "metrics.json"}
    for name, entry in artefacts.items():
        assert entry["sha256"] == tree_of(paths.root)[name]
        assert entry["bytes"] == (paths.root / name).stat().st_size


def test_the_record_of_a_complete_run_holds_every_field_and_tells_the_truth(tmp_path: Path) -> None:
    paths = finished(tmp_path, "evaluation.trans_cost=0.002", seed=5)
    metrics = metrics_of(paths)
    assert set(metrics) == set(FIELDS)
    assert (metrics["status"], metrics["mode"], metrics["phase"]) == (
        "completed",
        "train",
        "evaluation",
    )
    assert (metrics["run_name"], metrics["seed"], metrics["device"]) == ("run", 5, "cpu")
    assert (metrics["epoch"], metrics["epochs_total"], metrics["resumes"]) == (4, 4, 0)
    assert metrics["episodes"] == 4 * 2 * 4
    assert metrics["monitor"] == "val_reward"
    assert metrics["monitor_value"] == metrics["best"]["metric"]
    assert (metrics["transition_penalty"], metrics["trans_cost"]) == (0.001, 0.002)
    assert metrics["val_loss"] == -metrics["val_reward_mean"]
    assert metrics["test_loss"] == -metrics["test_reward_mean"]
    assert metrics["train_loss"] == pytest.approx(-metrics["reward_mean"], abs=1e-7)
    assert metrics["throughput_eps_per_sec"] > 0
    assert 0 < metrics["timing"]["step_s"] < metrics["duration_seconds"]
    assert metrics["hardware"]["threads"] >= 1
    assert metrics["started_utc"] <= metrics["finished_utc"] <= metrics["updated_utc"]
    assert (metrics["error"], metrics["nonfinite"], metrics["parent"]) == (None, [], None)
    assert {"buy_and_hold", "uniform", "bcrp_hindsight"} <= set(metrics["baselines"])
    nulls = {name for name, value in metrics.items() if value is None}
    several = {"per_seed", "spread", "ensemble"}
    resuming = {"last", "resume_exact", "resume_differences"}
    studies = {"walk_forward", "placebo"}
    assert nulls == {*several, *resuming, *studies, "temperature", "parent", "error"}


def test_the_log_has_one_row_per_epoch_and_says_what_was_decided(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso.supervised={epochs: 3, shuffle: false}", seed=9)
    epochs = [(row["phase"], row["epoch"]) for row in rows_of(paths, "epoch")]
    assert epochs == [("warm_start", str(n)) for n in (1, 2, 3)] + [
        ("hisso", str(n)) for n in (1, 2, 3, 4)
    ]
    decisions = {(row["phase"], row["shuffle"]): row for row in rows_of(paths, "decision")}
    assert decisions["warm_start", "false"]["message"]
    assert "random rows" in decisions["hisso", "true"]["message"]
    for row in rows_of(paths, "epoch"):
        assert row["seed"] == "9"
        assert float(row["lr"]) == 0.05
        assert float(row["data_s"]) > 0
        assert float(row["step_s"]) > 0
    kinds = [row["event"] for row in rows_of(paths)]
    assert (kinds[0], kinds[-1]) == ("run_start", "run_end")
    assert {"data", "evaluation", "checkpoint"} <= set(kinds)


@pytest.mark.parametrize("reader", ["csv", "pandas"])
def test_the_log_has_one_width_for_every_reader(tmp_path: Path, reader: str) -> None:
    paths = finished(tmp_path, "data.loader=trials.market", "training.epochs=2")
    n_lines = len(paths.events.read_text().splitlines())
    if reader == "csv":
        rows = rows_of(paths)
        assert all(None not in row and None not in row.values() for row in rows)
        assert len(rows) == n_lines - 1
    else:
        import pandas

        table = pandas.read_csv(paths.events)
        assert len(table) == n_lines - 1
        assert table["seq"].tolist() == list(range(1, n_lines))


def test_the_record_is_strict_json_at_every_instant(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "out" / "run")
    seen: list[dict[str, Any]] = []
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            if paths.metrics.exists():
                seen.append(metrics_of(paths))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        finished(tmp_path, "training.epochs=12", "training.checkpoint_every_s=0.001")
    finally:
        is_over.set()
        watcher.join()
    assert {content["status"] for content in seen} >= {"running"}
    assert len({content["epoch"] for content in seen}) > 3
    assert all(set(content) == set(FIELDS) for content in seen)


def test_epoch_rows_appear_while_training_goes_on(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "out" / "run")
    seen: dict[int, int] = {}

    def look(rewards: Tensor) -> Tensor:
        seen.setdefault(TROUBLE.n_updates, len(rows_of(paths, "epoch")))
        return rewards

    TROUBLE.plan(1, look)
    finished(tmp_path, TROUBLED, "training.epochs=3")
    assert seen == {1: 0, 2: 0, 3: 1, 4: 1, 5: 2, 6: 2}


def test_nothing_inside_names_the_directory_and_nothing_is_written_outside(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training.patience=1", argv=("hisso-log-run", "--config", "c"))
    for path in paths.root.rglob("*"):
        if path.is_file():
            assert str(tmp_path).encode() not in path.read_bytes(), path
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "trial.yaml"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run"]


def test_a_moved_run_directory_still_serves(tmp_path: Path) -> None:
    paths = finished(tmp_path)
    moved = RunPaths(tmp_path / "elsewhere")
    paths.root.rename(moved.root)
    child = finished(tmp_path, name="child", mode="evaluate", init_from=str(moved.root))
    assert metrics_of(child)["portfolio_metrics"] == metrics_of(moved)["portfolio_metrics"]


def test_each_start_says_where_it_came_from(tmp_path: Path) -> None:
    paths = finished(tmp_path, argv=("hisso-log-run", "--set", "data.kwargs.password=hunter2"))
    content = paths.provenance.read_text()
    (start,) = json.loads(content)["starts"]
    assert start["argv"][0] == "hisso-log-run"
    assert "hunter2" not in content
    assert start["versions"]["torch"]
    assert start["device"]["device"] == "cpu"
    assert start["data"]["sha256"] == metrics_of(paths)["data_sha256"]
    assert "X_train" in start["data"]["keys"]


# --- repeatability -------------------------------------------------------------------------------


def deterministic(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def test_the_same_configuration_and_seed_give_the_same_run(tmp_path: Path) -> None:
    extra = ("hisso.input_noise=0.05", "hisso.supervised=true")
    first = finished(tmp_path, *extra, name="first")
    second = finished(tmp_path, *extra, name="second")
    assert first.best.read_bytes() == second.best.read_bytes()
    assert first.warm_start.read_bytes() == second.warm_start.read_bytes()
    assert deterministic(rows_of(first)) == deterministic(rows_of(second))
    a, b = metrics_of(first), metrics_of(second)
    same = {"train_loss", "val_loss", "reward_mean", "reward_std", "best_epoch", "best"}
    same |= {"portfolio_metrics", "test_reward_mean", "data_sha256", "config_sha256"}
    assert {key: a[key] for key in same} == {key: b[key] for key in same}


def test_the_rate_is_that_of_the_episodes_alone(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso.supervised={epochs: 20, batch_size: 2}")
    metrics = metrics_of(paths)
    step_s = sum(float(row["step_s"]) for row in rows_of(paths, "epoch") if row["reward_mean"])
    assert metrics["throughput_eps_per_sec"] == pytest.approx(metrics["episodes"] / step_s)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first = finished(tmp_path, name="first", seed=1)
    second = finished(tmp_path, name="second", seed=2)
    assert first.best.read_bytes() != second.best.read_bytes()


@pytest.mark.parametrize(
    ("overrides", "option", "expected"),
    [((), None, (42, "default")), (("seed=3",), None, (3, "command line"))],
)
def test_the_seed_in_force_is_recorded_with_its_source(
    tmp_path: Path, overrides: tuple[str, ...], option: int | None, expected: tuple[int, str]
) -> None:
    paths = finished(tmp_path, "training.epochs=1", *overrides, seed=option)
    resolved = yaml.safe_load(paths.config_resolved.read_text())
    assert (resolved["seed"], resolved["recorded"]["seed_from"]) == expected
    assert metrics_of(paths)["seed"] == expected[0]


def test_the_seed_option_wins_over_the_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path, {**trials.CONFIG, "seed": 3})
    by_option = finished(tmp_path, config=config, name="a", seed=8)
    by_config = finished(tmp_path, config=config, name="b")
    assert (metrics_of(by_option)["seed"], metrics_of(by_config)["seed"]) == (8, 3)
    assert by_option.best.read_bytes() != by_config.best.read_bytes()


def test_the_resolved_configuration_fed_back_gives_the_same_weights_and_itself(
    tmp_path: Path,
) -> None:
    first = finished(tmp_path, "hisso.supervised=true", "training.lr_schedule=cosine", seed=4)
    again = finished(tmp_path, name="again", config=first.config_resolved)
    assert again.best.read_bytes() == first.best.read_bytes()
    assert again.config_resolved.read_bytes() == first.config_resolved.read_bytes()


def test_the_resolved_configuration_of_an_archive_names_and_guards_it(tmp_path: Path) -> None:
    import numpy

    (tmp_path / "data").mkdir()
    archive = tmp_path / "data" / "market.npz"
    numpy.savez(archive, **trials.market())
    (tmp_path / "data" / "trial.yaml").write_text(
        yaml.safe_dump({**trials.CONFIG, "data": {"npz": "market.npz"}})
    )
    first = finished(tmp_path, config=tmp_path / "data" / "trial.yaml")
    again = finished(tmp_path, name="again", config=first.config_resolved)
    assert again.best.read_bytes() == first.best.read_bytes()
    numpy.savez(archive, **trials.market(seed=1))
    outcome = trial(tmp_path, name="changed", config=first.config_resolved)
    assert outcome.exit_code == 1
    assert "market.npz has changed since this configuration was written" in str(outcome.message)


# --- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loader", "message", "cause"),
    [
        ("raising", "RuntimeError: the database is down", "RuntimeError: the database is down"),
        ("exiting", "ended Python: sys.exit(0)", "SystemExit: 0"),
        ("not_finite", "X_train (training) must be finite; got 1 NaN", "DataError"),
    ],
)
def test_a_loader_that_fails_ends_the_run_before_training(
    tmp_path: Path, loader: str, message: str, cause: str
) -> None:
    outcome = trial(tmp_path, f"data.loader=trials.{loader}")
    assert outcome.exit_code == 1
    assert message in str(outcome.message)
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["status"], metrics["phase"]) == ("failed", "setup")
    assert metrics["error"].startswith("Traceback (most recent call last):")
    assert cause in metrics["error"]
    assert not outcome.paths.checkpoints.exists()
    (row,) = rows_of(outcome.paths, "error")
    assert row["level"] == "ERROR"
    assert message in row["message"]


def leave(rewards: Tensor) -> Tensor:
    raise SystemExit(0)


def stumble(rewards: Tensor) -> Tensor:
    raise ZeroDivisionError("no luck")


def break_off(rewards: Tensor) -> Tensor:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("action", "exit_code", "status", "message"),
    [
        (leave, 1, "failed", "ended Python: sys.exit(0)"),
        (stumble, 1, "failed", "ZeroDivisionError: no luck"),
        (None, 3, "diverged", "phase hisso, epoch 3, update 1: the reward trials.troubled is not"),
        (break_off, 130, "interrupted", "Left at once"),
    ],
)
def test_training_that_breaks_off_keeps_the_last_finite_best(
    tmp_path: Path, action: Any, exit_code: int, status: str, message: str
) -> None:
    TROUBLE.plan(0)
    whole = finished(tmp_path, TROUBLED, "training.epochs=2", name="whole")
    TROUBLE.plan(5, action)
    outcome = trial(tmp_path, TROUBLED)
    assert outcome.exit_code == exit_code
    assert message in str(outcome.message)
    assert outcome.paths is not None
    metrics, expected = metrics_of(outcome.paths), metrics_of(whole)
    assert (metrics["status"], metrics["phase"], metrics["epoch"]) == (status, "hisso", 2)
    assert (metrics["error"] is None) == (status == "interrupted")
    assert metrics["best_epoch"] == expected["best_epoch"] == 2
    for name in ("train_loss", "reward_mean", "monitor_value"):
        assert metrics[name] == expected[name]
    assert metrics["best"]["sha256"] == tree_of(outcome.paths.root)["checkpoints/best.safetensors"]
    kept, reference = PSANNRegressor.load(outcome.paths.best), PSANNRegressor.load(whole.best)
    for name, tensor in kept.network_.state_dict().items():
        assert tensor.equal(reference.network_.state_dict()[name])


def test_the_untrained_candidate_is_kept_when_the_first_update_diverges(tmp_path: Path) -> None:
    TROUBLE.plan(1)
    outcome = trial(tmp_path, TROUBLED)
    assert outcome.exit_code == 3
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["best_epoch"], metrics["best"]["epoch"]) == (0, 0)
    actions = PSANNRegressor.load(outcome.paths.best).predict_actions(trials.market()["X_test"])
    assert actions == pytest.approx(0.5)


def test_a_learning_rate_out_of_range_diverges_before_any_weight_moves(tmp_path: Path) -> None:
    outcome = trial(tmp_path, "training.lr=1.0e+300")
    assert outcome.exit_code == 3
    place = "phase hisso, epoch 1, update 1: a step at learning rate 1e+300 leads to weights that"
    assert place in str(outcome.message)
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["status"] == "diverged"
    kept = PSANNRegressor.load(outcome.paths.best)
    assert all(tensor.isfinite().all() for tensor in kept.network_.state_dict().values())


def test_training_is_the_same_with_nobody_watching(tmp_path: Path) -> None:
    """Log, console, metrics and commits may read the state, and change no bit of it."""
    paths = finished(tmp_path, "training.checkpoint_every_s=0.000001")
    data = trials.market()
    alone = PSANNRegressor(
        **trials.CONFIG["estimator"]["params"],
        **trials.CONFIG["training"],
        random_state=42,
        device="cpu",
    ).fit(
        data["X_train"],
        prices=data["prices_train"],
        validation_data={"X": data["X_val"], "prices": data["prices_val"]},
        hisso=trials.CONFIG["hisso"],
    )
    watched = PSANNRegressor.load(paths.best).network_.state_dict()
    assert alone.network_.state_dict().keys() == watched.keys()
    for name, tensor in alone.network_.state_dict().items():
        assert tensor.equal(watched[name]), name


def test_a_user_mistake_has_a_short_message_and_the_record_a_traceback(tmp_path: Path) -> None:
    outcome = trial(tmp_path, "hisso.windw=3", "training.epochs=none")
    assert outcome.exit_code == 1
    assert str(outcome.message).splitlines() == [
        "--set hisso.windw=3: hisso.windw is no known key. Did you mean 'window'?",
        "--set training.epochs=none: training.epochs must be a whole number of at least 1 "
        'and of at most 10000000; got "none".',
    ]
    assert outcome.paths is not None
    error = metrics_of(outcome.paths)["error"]
    assert error.startswith("Traceback")
    assert "ConfigError" in error


def test_a_missing_configuration_is_a_failure_with_a_record(tmp_path: Path) -> None:
    outcome = trial(tmp_path, config=tmp_path / "nowhere.yaml")
    assert outcome.exit_code == 1
    assert "nowhere.yaml" in str(outcome.message)
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["status"] == "failed"


def test_a_device_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    outcome = trial(tmp_path, device="cuda:99")
    assert outcome.exit_code == 1
    assert "'cuda:99'" in str(outcome.message)


def test_python_warnings_become_rows_without_our_file_names(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        paths = finished(tmp_path, "hisso.mixed_precision=true", "training.epochs=1")
    (row,) = (row for row in rows_of(paths, "log") if row["level"] == "WARNING")
    assert row["message"].startswith("mixed_precision has no effect on a CPU")


def test_logging_is_as_before_when_a_run_has_ended(tmp_path: Path) -> None:
    logger = logging.getLogger("psann")
    before = (logger.level, logger.propagate, list(logger.handlers), warnings.showwarning)
    trial(tmp_path, "data.loader=trials.raising")
    after = (logger.level, logger.propagate, list(logger.handlers), warnings.showwarning)
    assert after == before


@pytest.mark.parametrize("event", [b",run_start,", b",epoch,hisso,", b",run_end,"])
def test_a_log_that_cannot_be_written_ends_the_run_and_the_record_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: bytes
) -> None:
    written = SystemCalls.write

    def write(fd: int, data: Any) -> int:
        if event in bytes(data):
            raise OSError(28, "No space left on device")
        return written(fd, data)

    monkeypatch.setattr(SystemCalls, "write", staticmethod(write))
    outcome = trial(tmp_path)
    assert outcome.exit_code == 1
    assert "No space left on device" in str(outcome.message)
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["status"] == "failed"


def test_a_disk_that_takes_nothing_more_is_said_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = SystemCalls.write

    def write(fd: int, data: Any) -> int:
        if monkeypatch_is_on:
            raise OSError(28, "No space left on device")
        return written(fd, data)

    monkeypatch_is_on = True
    monkeypatch.setattr(SystemCalls, "write", staticmethod(write))
    outcome = trial(tmp_path)
    assert outcome.exit_code == 1
    assert "No space left on device" in str(outcome.message)
    monkeypatch_is_on = False
    finished(tmp_path, "training.epochs=1")


# --- directories ---------------------------------------------------------------------------------


def test_an_output_directory_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path)
    outcome = execute(RunRequest(config=config, output_dir=tmp_path / "file", run_name="run"))
    assert outcome.exit_code == 1
    assert str(outcome.message).startswith("The run directory cannot be made: ")


@pytest.mark.parametrize("name", ["../x", "a/b", ".hidden", "-x", "a b", "", "x" * 101, "a\n"])
def test_a_bad_run_name_creates_nothing(tmp_path: Path, name: str) -> None:
    config = write_config(tmp_path)
    before = tree_of(tmp_path)
    outcome = execute(RunRequest(config=config, output_dir=tmp_path / "out", run_name=name))
    assert outcome.exit_code == 2
    assert "--run-name must be" in str(outcome.message)
    assert tree_of(tmp_path) == before


def test_a_run_without_a_name_is_named_after_its_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    outcome = execute(
        RunRequest(config=config, output_dir=tmp_path / "out", overrides=("x=1",), quiet=True)
    )
    assert outcome.paths is not None
    assert outcome.paths.root.name.startswith("trial-2")


def test_an_existing_run_is_refused_and_left_untouched(tmp_path: Path) -> None:
    paths = finished(tmp_path)
    before = tree_of(paths.root)
    outcome = trial(tmp_path)
    assert outcome.exit_code == 2
    assert "exists. Choose another name, or give --resume" in str(outcome.message)
    assert tree_of(paths.root) == before


def test_a_directory_of_somebody_else_is_refused_and_left_untouched(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "run"
    folder.mkdir(parents=True)
    (folder / "thesis.tex").write_text("precious")
    before = tree_of(folder)
    assert trial(tmp_path).exit_code == 2
    assert tree_of(folder) == before


@pytest.mark.parametrize("status", ["completed", "running", "diverged", "preempted", "failed"])
def test_a_run_that_trained_is_never_taken_over(tmp_path: Path, status: str) -> None:
    paths = finished(tmp_path, "training.epochs=1")
    content = metrics_of(paths) | {"status": status, "phase": "hisso"}
    paths.metrics.write_text(json.dumps(content))
    before = tree_of(paths.root)
    assert trial(tmp_path).exit_code == 2
    assert tree_of(paths.root) == before


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"phase": "hisso"}'])
def test_a_record_that_says_nothing_is_not_taken_for_a_failed_start(
    tmp_path: Path, content: str
) -> None:
    folder = tmp_path / "out" / "run"
    folder.mkdir(parents=True)
    (folder / "metrics.json").write_text(content)
    assert trial(tmp_path).exit_code == 2


def test_an_empty_directory_is_free(tmp_path: Path) -> None:
    (tmp_path / "out" / "run").mkdir(parents=True)
    finished(tmp_path, "training.epochs=1")


def test_a_start_killed_at_its_first_step_leaves_its_name_free(tmp_path: Path) -> None:
    folder = tmp_path / "out" / "run"
    folder.mkdir(parents=True)
    (folder / ".metrics.json.0123abcd.tmp").write_text("{")
    paths = finished(tmp_path, "training.epochs=1")
    assert not list(paths.root.glob(".*.tmp"))
    assert not paths.attempts.exists()


def test_a_run_that_failed_before_training_gives_its_name_away(tmp_path: Path) -> None:
    for n in (1, 2):
        outcome = trial(tmp_path, "data.loader=trials.raising")
        assert outcome.exit_code == 1, n
    paths = finished(tmp_path, "training.epochs=1")
    assert sorted(path.name for path in paths.attempts.iterdir()) == ["001", "002"]
    old = RunPaths(paths.attempts / "001")
    assert "the database is down" in metrics_of(old)["error"]
    assert rows_of(paths)[0]["message"].endswith("is now in attempts/002")
    assert rows_of(paths)[0]["seq"] == "1"
    assert not any(name.startswith("attempts") for name in metrics_of(paths)["artefacts"])


def test_overwrite_sets_the_old_run_aside_whole(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training.epochs=1")
    before = tree_of(paths.root)
    again = finished(tmp_path, "training.epochs=2", overwrite=True)
    aside = [path for path in (tmp_path / "out").iterdir() if path.name != "run"]
    assert len(aside) == 1
    changed = {".lock"}  # names the process that set it aside
    after = tree_of(aside[0])
    assert {k: v for k, v in after.items() if k not in changed} == {
        k: v for k, v in before.items() if k not in changed
    }
    assert metrics_of(again)["epochs_total"] == 2
    assert rows_of(again)[0]["message"] == f"the old run is now in {aside[0].name}"


def test_overwrite_of_nothing_is_a_new_run(tmp_path: Path) -> None:
    finished(tmp_path, "training.epochs=1", overwrite=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["run"]


def holding_child(paths: RunPaths) -> int:
    """Fork a process that holds the run directory's lock until it is killed."""
    ready, tell = os.pipe()
    child = os.fork()
    if child == 0:
        storage = Storage(paths.root)
        storage.lock(paths.lock)
        storage.put(paths.metrics, b'{"status": "running", "phase": "hisso"}')
        os.write(tell, b"!")
        signal.pause()
        os._exit(1)
    os.read(ready, 1)
    os.close(ready)
    os.close(tell)
    return child


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_directory_of_a_live_process_is_refused_at_once_and_not_touched(
    tmp_path: Path, overwrite: bool
) -> None:
    paths = RunPaths(tmp_path / "out" / "run")
    child = holding_child(paths)
    try:
        before = tree_of(tmp_path / "out")
        config = write_config(tmp_path)
        start_s = time.monotonic()
        outcome = trial(tmp_path, config=config, overwrite=overwrite)
        assert time.monotonic() - start_s < 1
        assert outcome.exit_code == 75
        assert f"belongs to a live process (process {child}" in str(outcome.message)
        assert tree_of(tmp_path / "out") == before
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert trial(tmp_path).exit_code == 2  # what the killed process trained is not thrown away


def test_a_run_that_ended_while_we_waited_for_its_lock_is_refused_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = RunPaths(tmp_path / "out" / "run")
    lock = Storage.lock

    def lock_late(self: Storage, path: Path) -> None:
        self.put(paths.metrics, b'{"status": "completed", "phase": "evaluation"}')
        lock(self, path)

    monkeypatch.setattr(Storage, "lock", lock_late)
    assert trial(tmp_path).exit_code == 2
    assert [path.name for path in paths.contents()] == ["metrics.json"]


def test_a_claimed_directory_is_locked_until_it_is_closed(tmp_path: Path) -> None:
    paths = RunPaths.in_output(tmp_path / "out", "run")
    storage, note = claim_directory(paths, overwrite=False)
    assert note is None
    assert trial(tmp_path).exit_code == 75
    storage.close()
    finished(tmp_path, "training.epochs=1")


def test_a_run_leaves_no_files_open_and_the_signals_as_they_were(tmp_path: Path) -> None:
    trial(tmp_path, name="first")  # imports open files of their own
    before = (len(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGTERM))
    finished(tmp_path, "training.epochs=1")
    trial(tmp_path, "data.loader=trials.raising", name="failed")
    trial(tmp_path)
    assert (len(os.listdir("/proc/self/fd")), signal.getsignal(signal.SIGTERM)) == before


# --- stopping ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "exit_code", "status"),
    [
        (signal.SIGINT, 130, "interrupted"),
        (signal.SIGTERM, 99, "preempted"),
        (signal.SIGHUP, 99, "preempted"),
        (signal.SIGUSR1, 99, "preempted"),
    ],
)
def test_a_signal_during_training_keeps_best_and_record(
    tmp_path: Path, number: signal.Signals, exit_code: int, status: str
) -> None:
    def send(rewards: Tensor) -> Tensor:
        TROUBLE.plan(0)  # once is enough
        os.kill(os.getpid(), number)
        return rewards

    TROUBLE.plan(5, send)
    outcome = trial(tmp_path, TROUBLED, preempt_exit_code=99)
    assert outcome.exit_code == exit_code
    assert outcome.message == f"The run was stopped by {number.name}. {GOES_ON}"
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["status"], metrics["error"]) == (status, None)
    assert metrics["finished_utc"] is not None
    assert metrics["best"]["epoch"] == metrics["best_epoch"]
    PSANNRegressor.load(outcome.paths.best)
    (row,) = rows_of(outcome.paths, "signal")
    assert (row["level"], row["phase"]) == ("WARNING", "hisso")
    assert "checkpoints/best.safetensors" in metrics["artefacts"]


def test_a_signal_during_the_warm_start_stops_there(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "out" / "run")

    def send_when_warm() -> None:
        while not (paths.events.exists() and rows_of(paths, "epoch")):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send_when_warm)
    sender.start()
    outcome = trial(tmp_path, "hisso.supervised={epochs: 100000}")
    sender.join()
    assert outcome.exit_code == 143
    assert metrics_of(paths)["phase"] == "warm_start"


def test_the_time_limit_stops_training_and_is_named(tmp_path: Path) -> None:
    outcome = trial(tmp_path, "training.epochs=1000000", max_time_minutes=0.005)
    assert outcome.exit_code == 143
    assert outcome.message == f"The run was stopped by the time limit of 0.005 minutes. {GOES_ON}"
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["status"] == "preempted"


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_slow_loader_at_once_and_the_name_stays_free(
    tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    ready = tmp_path / "ready"

    def send() -> None:
        while not ready.exists():
            time.sleep(0.001)
        os.kill(os.getpid(), number)

    sender = threading.Thread(target=send)
    sender.start()
    outcome = trial(tmp_path, "data.loader=trials.slow", f"data.kwargs={{ready: {ready}}}")
    sender.join()
    assert outcome.exit_code == exit_code
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["phase"], metrics["best"], metrics["error"]) == ("setup", None, None)
    finished(tmp_path, "training.epochs=1")


# --- checking only -------------------------------------------------------------------------------


def request_of(folder: Path, *overrides: str) -> RunRequest:
    return RunRequest(
        config=write_config(folder), output_dir=folder / "out", overrides=overrides, quiet=True
    )


def test_a_check_gives_a_plan_and_writes_nothing(tmp_path: Path) -> None:
    outcome = check(request_of(tmp_path))
    assert outcome.exit_code == 0
    assert "PSANNRegressor" in str(outcome.plan)
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("hisso.windw=3", "Did you mean 'window'?"),
        ("data.loader=trials.markt", "Did you mean 'market'?"),
        ("data.loader=trials.not_finite", "X_train (training) must be finite"),
        ("hisso.primary_transform=identity", "needs portfolio weights"),
        ("device=cuda:77", "'cuda:77'"),
    ],
)
def test_a_check_finds_what_a_run_would_stumble_over(
    tmp_path: Path, override: str, message: str
) -> None:
    outcome = check(request_of(tmp_path, override))
    assert (outcome.exit_code, outcome.plan) == (1, None)
    assert message in str(outcome.message)
    assert "Traceback" not in str(outcome.message)
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_a_check_refuses_a_directory_that_holds_a_run(tmp_path: Path) -> None:
    paths = finished(tmp_path, "training.epochs=1")
    before = tree_of(tmp_path)
    request = replace(request_of(tmp_path), run_name="run")
    outcome = check(request)
    assert (outcome.exit_code, outcome.plan) == (2, None)
    assert f"the run directory {paths.root} exists" in str(outcome.message)
    with Storage(paths.root) as storage:
        storage.lock(paths.lock)
        assert check(replace(request, overwrite=True)).exit_code == 75
    resumed = check(replace(request, resume=True))
    assert (resumed.exit_code, resumed.message) == (
        0,
        "The run run is already complete: completed.",
    )
    allowed = check(replace(request, overwrite=True))
    assert f"run         {paths.root}\n" in str(allowed.plan)
    assert tree_of(tmp_path) == before


def test_a_check_refuses_a_bad_run_name(tmp_path: Path) -> None:
    outcome = check(replace(request_of(tmp_path), run_name="../up"))
    assert outcome.exit_code == 2
    assert "--run-name must be" in str(outcome.message)
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_a_check_of_a_resume_compares_the_configurations(tmp_path: Path) -> None:
    trials.TROUBLE.plan(5, interrupting)
    outcome = trial(tmp_path, "hisso.reward=trials.troubled")
    assert outcome.paths is not None
    assert outcome.exit_code == 130
    assert str(outcome.message).endswith(GOES_ON)
    before = tree_of(tmp_path)
    same = request_of(tmp_path, "hisso.reward=trials.troubled")
    same = replace(same, run_name="run", resume=True)
    assert f"run         {outcome.paths.root}, going on\n" in str(check(same).plan)
    other = check(replace(same, overrides=(*same.overrides, "hisso.window=7")))
    assert other.exit_code == 1
    assert "hisso.window was 6 when this run began and is now 7" in str(other.message)
    assert tree_of(tmp_path) == before


def interrupting(rewards: Tensor) -> Tensor:
    signal.raise_signal(signal.SIGINT)
    trials.TROUBLE.plan(0)
    return rewards


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({"run_name": "a"}, "with --resume goes"),
        ({"run_name": "a", "overwrite": True}, "with --resume instead of --overwrite goes"),
        ({}, "with --run-name a --resume goes"),
    ],
)
def test_an_interrupted_run_says_how_to_go_on(
    tmp_path: Path, request_: dict[str, Any], expected: str
) -> None:
    request = replace(request_of(tmp_path), **request_)
    assert expected in how_to_go_on(request, RunPaths(tmp_path / "a"))


@pytest.mark.parametrize("loader", ["raising", "exiting"])
def test_the_console_names_the_line_of_the_user_s_code_that_broke(
    tmp_path: Path, loader: str
) -> None:
    outcome = trial(tmp_path, f"data.loader=trials.{loader}")
    line = getattr(trials, loader).__code__.co_firstlineno + 1
    assert f" (at trials.py:{line} in {loader})" in str(outcome.message)


def test_a_run_says_what_it_loads_and_how_much(tmp_path: Path) -> None:
    rows = rows_of(finished(tmp_path, "training.epochs=1"))
    said = [row["message"] for row in rows if row["level"] == "INFO"]
    assert "loading torch and scikit-learn" in said
    assert "rows: 40 train, 20 val, 15 test; 3 features; 2 assets" in said


@pytest.mark.parametrize("loader", ["raising", "exiting"])
def test_a_check_shows_where_a_loader_broke(tmp_path: Path, loader: str) -> None:
    outcome = check(request_of(tmp_path, f"data.loader=trials.{loader}"))
    assert outcome.exit_code == 1
    assert f"in {loader}" in str(outcome.message)


def test_an_interrupted_check_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: RunRequest) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunRequest, "load_config", interrupt)
    assert check(request_of(tmp_path)).exit_code == 130


def test_the_record_of_a_run_exists_before_its_configuration_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(self: RunRequest) -> None:
        seen.append(metrics_of(RunPaths(tmp_path / "out" / "run"))["status"])
        raise MemoryError

    monkeypatch.setattr(RunRequest, "load_config", look)
    assert trial(tmp_path).exit_code == 1
    assert seen == ["running"]
    assert RunRecord().as_dict()["status"] == "running"


def test_overwrite_sets_nothing_aside_for_a_run_that_cannot_begin(tmp_path: Path) -> None:
    paths = finished(tmp_path)
    before = tree_of(paths.root)
    assert trial(tmp_path, "training.lr=-1", overwrite=True).exit_code == 1
    outcome = trial(tmp_path, overwrite=True, mode="fine_tune", init_from=str(paths.checkpoints))
    assert outcome.exit_code == 2
    assert "--overwrite would set aside" in str(outcome.message)
    assert tree_of(paths.root) == before
    assert len(list(paths.root.parent.iterdir())) == 1


def test_a_run_from_a_mapped_archive_is_the_run_from_memory(tmp_path: Path) -> None:
    import numpy

    numpy.savez(tmp_path / "market.npz", **trials.market())
    source = f"data={{npz: {tmp_path / 'market.npz'}"
    params = "estimator.params.scaler=standard"
    mapped, read = (
        finished(tmp_path, f"{source}, mmap: {mmap}}}", params, name=mmap)
        for mmap in ("true", "false")
    )
    assert mapped.best.read_bytes() == read.best.read_bytes()
    assert any("read as needed from disk: X_" in row["message"] for row in rows_of(mapped, "data"))
    figures = [metrics_of(paths) for paths in (mapped, read)]
    for name in ("config_sha256", "data_sha256", "portfolio_metrics", "test_reward_mean"):
        assert figures[0][name] == figures[1][name]
