"""Endings, directories and repeatability of whole runs, in process."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import Tensor

import trials
from faults import FaultyCalls, calls_in_use, let_time_pass
from psann.estimators.dense import PSANNRegressor
from psann.run.directory.fields import FIELDS
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import RunRecord
from psann.run.directory.storage import Storage, SystemCalls
from psann.run.execution.context import Outcome, RunRequest
from psann.run.execution.observer import RunObserver
from psann.run.execution.runner import check, execute
from psann.training.history import EpochRecord
from psann.training.state import TrainState
from trials import (
    TROUBLE,
    TROUBLED,
    finished,
    metrics_of,
    request_of,
    rows_of,
    tree_of,
    trial,
    write_config,
)

GOES_ON = "The same command with --resume goes on from here."
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
        "seal.json",
    }
    artefacts = metrics_of(paths)["artefacts"]
    assert set(artefacts) == files - {".lock", "metrics.json", "seal.json"}
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
    of_delay = {"portfolio_metrics_advance_1", "versus_uniform_advance_1"}
    of_prices = {"spans", "ends"}
    assert nulls == {
        *several,
        *resuming,
        *studies,
        *of_delay,
        *of_prices,
        "temperature",
        "parent",
        "ruined_at",
        "error",
    }


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

    class LookingCalls(FaultyCalls):
        """Reads the record before each call that changes the disk."""

        def _watch(self, name: str, call: Callable[..., Any]) -> Any:
            def watched(*args: Any, **kwargs: Any) -> Any:
                if paths.metrics.exists():
                    seen.append(metrics_of(paths))
                return call(*args, **kwargs)

            return watched

    with calls_in_use(LookingCalls()):
        finished(tmp_path, "training.checkpoint_every_s=0.000001")
    assert {content["status"] for content in seen} == {"running", "completed"}
    assert {content["epoch"] for content in seen} == {None, 0, 1, 2, 3, 4}
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
    paths = finished(tmp_path, "hisso.supervised={epochs: 5, batch_size: 2}")
    metrics = metrics_of(paths)
    step_s = sum(float(row["step_s"]) for row in rows_of(paths, "epoch") if row["reward_mean"])
    assert metrics["throughput_eps_per_sec"] == pytest.approx(metrics["episodes"] / step_s)


def test_another_seed_gives_other_weights(tmp_path: Path) -> None:
    first = finished(tmp_path, name="first", seed=1)
    second = finished(tmp_path, name="second", seed=2)
    assert first.best.read_bytes() != second.best.read_bytes()


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


# --- directories ---------------------------------------------------------------------------------


def test_an_output_directory_that_cannot_be_made_is_said_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = write_config(tmp_path)
    outcome = execute(RunRequest(config=config, output_dir=tmp_path / "file", run_name="run"))
    assert outcome.exit_code == 1
    lock = tmp_path / "file" / "run" / ".lock"
    assert outcome.message == f"The run directory cannot be made: Not a directory ({lock})."


@pytest.mark.parametrize(
    ("existing", "closed", "options"),
    [
        ("", "", {}),  # nothing is there yet: it would be made in here
        ("out/run", "out/run", {}),
        ("out/run", "out/run", {"resume": True}),
        ("out/run", "out", {"overwrite": True}),  # the old run would be renamed in there
    ],
)
def test_a_check_tells_of_a_directory_that_a_run_may_not_write(
    existing: str,
    closed: str,
    options: dict[str, bool],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / existing).mkdir(parents=True, exist_ok=True)
    config = write_config(tmp_path)
    request = RunRequest(config=config, output_dir=tmp_path / "out", run_name="run", **options)
    assert check(request).exit_code == 0
    monkeypatch.setattr(os, "access", lambda path, _: str(path) != str(tmp_path / closed))
    before = tree_of(tmp_path)
    refused = check(request)
    assert refused.exit_code == 1
    assert "this user may not write there" in str(refused.message)
    assert str(tmp_path / closed) in str(refused.message)
    assert tree_of(tmp_path) == before
    # Who names no place asks about the configuration.
    assert check(request, is_placed=False).exit_code == 0


def test_a_run_directory_of_another_user_is_said_to_be_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str, *_: Any, **__: Any) -> int:
        raise PermissionError(13, "Permission denied", name)

    paths = RunPaths(tmp_path / "out" / "run")
    paths.root.mkdir(parents=True)
    for call, owner in ((lambda self: "alice", "alice"), (lambda self: {}[0], "user ")):
        monkeypatch.setattr(Path, "owner", call)
        with monkeypatch.context() as denied:
            denied.setattr(SystemCalls, "open", staticmethod(refuse))
            denied.setattr(os, "access", lambda *_: False)
            told = str(trial(tmp_path).message)
        assert f"The run directory {paths.root} is {owner}" in told
        assert "Permission denied" in told
    # As it says: another name, or another directory.
    assert trial(tmp_path, name="other").exit_code == 0


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


def test_a_signal_during_the_warm_start_stops_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_epoch = RunObserver.on_epoch

    def send(observer: RunObserver, record: EpochRecord, state: TrainState) -> None:
        if (record.phase, record.epoch) == ("warm_start", 2):
            os.kill(os.getpid(), signal.SIGTERM)
        on_epoch(observer, record, state)

    monkeypatch.setattr(RunObserver, "on_epoch", send)
    outcome = trial(tmp_path, "hisso.supervised={epochs: 3}")
    assert outcome.exit_code == 143
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["phase"], metrics["epoch"]) == ("warm_start", 2)


def test_the_time_limit_stops_training_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_time_pass(monkeypatch, at_update=5, minutes=0.5)
    outcome = trial(tmp_path, TROUBLED, max_time_minutes=0.5)
    assert outcome.exit_code == 143
    assert outcome.message == f"The run was stopped by the time limit of 0.5 minutes. {GOES_ON}"
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["status"], metrics["phase"], metrics["epoch"]) == ("preempted", "hisso", 2)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_a_slow_loader_at_once_and_the_name_stays_free(
    tmp_path: Path, number: signal.Signals, exit_code: int
) -> None:
    settings = f"data.kwargs={{ready: {tmp_path / 'ready'}, number: {int(number)}}}"
    outcome = trial(tmp_path, "data.loader=trials.slow", settings)
    assert outcome.exit_code == exit_code
    assert outcome.paths is not None
    metrics = metrics_of(outcome.paths)
    assert (metrics["phase"], metrics["best"], metrics["error"]) == ("setup", None, None)
    finished(tmp_path, "training.epochs=1")


# --- checking only -------------------------------------------------------------------------------


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
    assert resumed.exit_code == 0
    # One epoch was asked of it, and the configuration file asks for more.
    told = "The run run is already complete: completed. It was made with other values than are"
    assert str(resumed.message).startswith(told)
    allowed = check(replace(request, overwrite=True))
    assert f"run         {paths.root}\n" in str(allowed.plan)
    assert tree_of(tmp_path) == before


def test_a_check_refuses_a_bad_run_name(tmp_path: Path) -> None:
    outcome = check(replace(request_of(tmp_path), run_name="../up"))
    assert outcome.exit_code == 2
    assert "--run-name must be" in str(outcome.message)
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_a_check_of_a_resume_compares_the_configurations(tmp_path: Path) -> None:
    TROUBLE.plan(5, interrupting)
    outcome = trial(tmp_path, TROUBLED)
    assert outcome.paths is not None
    assert outcome.exit_code == 130
    assert str(outcome.message).endswith(GOES_ON)
    before = tree_of(tmp_path)
    same = request_of(tmp_path, TROUBLED)
    same = replace(same, run_name="run", resume=True)
    assert f"run         {outcome.paths.root}, going on\n" in str(check(same).plan)
    other = check(replace(same, overrides=(*same.overrides, "hisso.window=7")))
    assert other.exit_code == 1
    assert "hisso.window was 6 when this run began and is now 7" in str(other.message)
    assert tree_of(tmp_path) == before


def interrupting(rewards: Tensor) -> Tensor:
    signal.raise_signal(signal.SIGINT)
    TROUBLE.plan(0)
    return rewards


@pytest.mark.parametrize("loader", ["raising", "exiting"])
def test_a_check_shows_where_a_loader_broke(tmp_path: Path, loader: str) -> None:
    outcome = check(request_of(tmp_path, f"data.loader=trials.{loader}"))
    assert outcome.exit_code == 1
    assert f"in {loader}" in str(outcome.message)


@pytest.mark.filterwarnings("default:warned of")
@pytest.mark.parametrize("does", [check, execute])
def test_what_a_loader_warns_of_is_told_without_its_secrets(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    does: Callable[[RunRequest], Outcome],
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert does(request_of(tmp_path, "data.loader=trials.telling")).exit_code == 0
    told = capsys.readouterr().err
    assert "WARNING warned of db://***@host" in told and "ERROR logged of db://***@host" in told
    assert "pa55w0rd" not in told


def test_a_configuration_that_comes_by_a_pipe_is_read_once(tmp_path: Path) -> None:
    finished(tmp_path)
    reading, writing = os.pipe()
    os.write(writing, (tmp_path / "trial.yaml").read_bytes())
    os.close(writing)
    # As a shell has it: --config <(...)
    outcome = trial(tmp_path, config=Path(f"/dev/fd/{reading}"), overwrite=True)
    os.close(reading)
    assert outcome.exit_code == 0, outcome.message


def test_an_interrupted_check_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: RunRequest) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(RunRequest, "run_config", property(interrupt))
    assert check(request_of(tmp_path)).exit_code == 130


def test_the_record_of_a_run_exists_before_its_configuration_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(self: RunRequest) -> None:
        seen.append(metrics_of(RunPaths(tmp_path / "out" / "run"))["status"])
        raise MemoryError

    monkeypatch.setattr(RunRequest, "run_config", property(look))
    assert trial(tmp_path).exit_code == 1
    assert seen == ["running"]
    assert RunRecord().as_dict()["status"] == "running"


# --- told early ----------------------------------------------------------------------------------


def test_resuming_a_completed_run_with_other_values_says_that_they_do_nothing_and_what_does(
    tmp_path: Path,
) -> None:
    paths = finished(tmp_path)
    before = tree_of(paths.root)
    same = trial(tmp_path, resume=True)
    assert same.message == "The run run is already complete: completed."
    other = trial(tmp_path, "training.lr=0.01", resume=True)
    assert other.exit_code == 0
    assert other.message is not None
    assert "other values than are given now, which have no effect: training.lr was" in other.message
    assert f"--mode fine_tune --init-from {paths.root}" in other.message
    assert tree_of(paths.root) == before
    # The cure, on the very run.
    cure = {"mode": "fine_tune", "init_from": str(paths.root), "name": "more"}
    assert trial(tmp_path, "training.lr=0.01", **cure).exit_code == 0


# What is wrong, and what must be told of it while torch is not loaded: settings, exit code, words.
TOLD_EARLY: dict[str, tuple[dict[str, Any], int, tuple[str, ...]]] = {
    "no module": (
        {"overrides": ("data.loader=not_there.load", "hisso.reward=nor_here:reward")},
        1,
        ("there is no module 'not_there'", "there is no module 'nor_here'"),
    ),
    "no class": (
        {
            "overrides": (
                "data.loader=mine.lod",
                "hisso.reward=mine:inner.reward",
                "estimator.target=psann.PSANNRegresor",
            )
        },
        1,
        (
            "mine has no 'lod'. Did you mean 'load'?",
            "mine has no 'inner'",
            "psann.PSANNRegresor' is no public part of psann. Did you mean 'PSANNRegressor'?",
        ),
    ),
    "a forbidden class": (
        {"overrides": ("data.loader=os.system",)},
        1,
        ("belongs to Python itself",),
    ),
    "a changed key": (
        {"overrides": ("training.lr=0.01", "hisso.window=7"), "run_name": "begun", "resume": True},
        1,
        (
            "training.lr was 0.05 when this run began and is now 0.01; --resume goes on with the",
            "hisso.window was 6 when this run began and is now 7",
        ),
    ),
    "an existing directory": ({"run_name": "done"}, 2, ("exists", "--resume", "--overwrite")),
    "a completed run": (
        {"overrides": ("training.lr=0.01",), "run_name": "done", "resume": True},
        0,
        ("training.lr was 0.05 when this run began and is now 0.01", "have no effect"),
    ),
}


@pytest.fixture(scope="module")
def told_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run that is done, one that was begun, and a module of the user's."""
    folder = tmp_path_factory.mktemp("told")
    finished(folder, name="done")
    TROUBLE.plan(5, interrupting)
    assert trial(folder, TROUBLED, name="begun").exit_code == 130
    (folder / "mine.py").write_text("def load():\n    return 1 / 0\n")
    return folder


def test_what_can_be_known_early_is_told_before_torch_is_loaded(told_in: Path) -> None:
    before = without_locks(told_in / "out")
    code = f"""
import json, sys
from pathlib import Path
sys.path[:0] = [{str(told_in)!r}, {str(Path(__file__).parents[2])!r}]
from psann.run.execution.context import RunRequest
from psann.run.execution.runner import check, execute
for command in (check, execute):
    for what, how in json.loads(sys.argv[1]).items():
        how["overrides"] = tuple(how.get("overrides", ()))
        if how.get("run_name") == "begun":
            how["overrides"] += ("hisso.reward={TROUBLED.partition("=")[2]}",)
        name = how.pop("run_name", "new-" + command.__name__ + what.replace(" ", "-"))
        outcome = command(RunRequest(config=Path({str(told_in / "trial.yaml")!r}), run_name=name,
            output_dir=Path({str(told_in / "out")!r}), quiet=True, **how))
        print(json.dumps([what, outcome.exit_code, "torch" in sys.modules, outcome.message]))
"""
    asked = json.dumps({what: how for what, (how, _, _) in TOLD_EARLY.items()})
    command = [sys.executable, "-c", code, asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 2 * len(TOLD_EARLY)
    for what, exit_code, has_torch, message in answers:
        _, expected, words = TOLD_EARLY[what]
        assert (what, exit_code, has_torch) == (what, expected, False), message
        for word in words:
            assert word in message
    after = without_locks(told_in / "out")
    assert {name: after[name] for name in before} == before


def without_locks(folder: Path) -> dict[str, str]:
    return {name: digest for name, digest in tree_of(folder).items() if ".lock" not in name}
