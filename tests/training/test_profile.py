"""Where the time goes: shares of a trace, seconds of a run, the table."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import psann
from psann.run.directory.paths import RunPaths
from psann.scripts.hisso_log_run import main
from psann.training import profile
from psann.training.profile import profile_table, update_shares
from trials import finished, metrics_of, rows_of, trial, write_config

PARTS = ("data", "forward", "reward", "backward", "optimizer")
LONGER = "training.epochs=8"  # of 2 updates: the window is full before the end
WINDOW = 8


@pytest.fixture(scope="module", autouse=True)
def _a_short_window() -> Iterator[None]:
    """To read what a profiler says of one update takes a twentieth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(profile, "TRACED_UPDATES", WINDOW)
        yield


def call(name: str, start: float, duration: float, thread: int = 1) -> dict[str, Any]:
    return {"cat": "python_function", "name": name, "ts": start, "dur": duration, "tid": thread}


LAUNCH = "/x/psann/training/engine.py(214): launch"
OBJECTIVE = "/x/psann/hisso/objective.py(59): __call__"
FORWARD = "/x/psann/training/engine.py(197): call"
STEP = "/x/psann/training/optimizer.py(60): step"


def test_a_call_counts_for_its_part_less_what_it_calls_of_others() -> None:
    events = [
        call(LAUNCH, 0, 100),
        call(OBJECTIVE, 10, 50),
        call(FORWARD, 20, 30),
        call("/x/torch/nn/functional.py(1): linear", 25, 5),
        call(STEP, 70, 20),
    ]
    shares = update_shares(events)
    assert shares["forward"] == pytest.approx(0.3)
    assert shares["reward"] == pytest.approx(0.2)
    assert shares["optimizer"] == pytest.approx(0.2)
    assert shares["update"] == pytest.approx(0.3)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_a_forward_pass_outside_of_a_launch_is_no_part_of_an_update() -> None:
    events = [call(LAUNCH, 0, 10), call(FORWARD, 10, 90), call(FORWARD, 2, 5, thread=2)]
    assert update_shares(events)["forward"] == 0.0
    assert update_shares(events)["update"] == 1.0


def test_a_trace_without_a_launch_leaves_the_update_whole() -> None:
    shares = update_shares([{"cat": "cpu_op", "name": "aten::add"}])
    assert shares["update"] == sum(shares.values()) == 1.0


@pytest.fixture(scope="module")
def profiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunPaths, str]:
    """A profiled run of the command, and what it showed."""
    folder = tmp_path_factory.mktemp("profiled")
    command = ["--config", str(write_config(folder)), "--output-dir", str(folder), "--profile"]
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        assert main([*command, "--set", LONGER, "--run-name", "run"]) == 0
    return RunPaths(folder / "run"), shown.getvalue()


def assert_traced(paths: RunPaths, parts: tuple[str, ...]) -> None:
    events = json.loads(gzip.decompress(paths.profile.read_bytes()))["traceEvents"]
    assert any(event["name"] == "aten::addmm" for event in events)
    metrics = metrics_of(paths)
    assert "profile.json.gz" in metrics["artefacts"]
    timing = metrics["timing"]
    found = timing["profile"]
    assert WINDOW <= found["traced_updates"] < 16
    assert all(found[f"{name}_s"] > 0 for name in parts), found
    in_updates = sum(found[f"{name}_s"] for name in (*PARTS, "update"))
    assert in_updates == pytest.approx(timing["step_s"] + timing["data_s"])


def test_a_profiled_run_leaves_a_trace_and_says_where_its_time_went(
    profiled: tuple[RunPaths, str],
) -> None:
    assert_traced(profiled[0], PARTS)


@pytest.mark.slow  # half a second, and only the data are another part
def test_a_profiled_supervised_run_does_too(tmp_path: Path) -> None:
    supervised = ("hisso.enabled=false", "training.batch_size=20")
    paths = finished(tmp_path, LONGER, *supervised, profile=True)
    assert_traced(paths, tuple(name for name in PARTS if name != "data"))


def test_profiling_changes_no_result(tmp_path: Path, profiled: tuple[RunPaths, str]) -> None:
    traced = metrics_of(profiled[0])
    plain = metrics_of(finished(tmp_path, LONGER))
    assert "profile" not in plain["timing"]
    assert traced["best"]["epoch"] == plain["best"]["epoch"]
    assert traced["val_reward_mean"] == plain["val_reward_mean"]
    assert traced["portfolio_metrics"] == plain["portfolio_metrics"]


def test_the_command_shows_the_table(profiled: tuple[RunPaths, str]) -> None:
    _, shown = profiled
    assert "Where the time went" in shown and "backward" in shown and "profile.json.gz" in shown


def test_a_run_of_too_few_updates_says_that_nothing_was_traced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--config", str(write_config(tmp_path)), "--output-dir", str(tmp_path), "--profile"]
    assert main([*command, "--set", "training.epochs=1", "--run-name", "run"]) == 0
    assert "Where the time went" not in capsys.readouterr().out
    paths = RunPaths(tmp_path / "run")
    assert not paths.profile.exists()
    assert metrics_of(paths)["timing"]["profile"] == {}
    assert any("recorded nothing" in row["message"] for row in rows_of(paths))


@pytest.mark.parametrize("ends", ["by a launch", "with its phase"])
def test_to_write_the_trace_is_no_time_of_training(
    ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 100.0
    monkeypatch.setattr(profile.time, "perf_counter", lambda: now_s)
    observer = profile.ProfileObserver(tmp_path / "profile.json.gz", lambda *_: None)

    def begin(state: Any) -> None:
        observer._recording, observer._profile = contextlib.ExitStack(), state

    def end(_: Any) -> None:
        nonlocal now_s
        now_s += 7.0
        observer.shares = dict.fromkeys((*PARTS, "update"), 1 / 6)

    monkeypatch.setattr(observer, "_begin", begin)
    monkeypatch.setattr(observer, "_end", end)
    observer.on_launch(SimpleNamespace(phase="hisso", update=0))
    now_s += 2.0
    state: Any = SimpleNamespace(phase="hisso", update=WINDOW if ends == "by a launch" else 1)
    observer.on_launch(state) if ends == "by a launch" else observer.on_phase_end("hisso", state)
    clocks = {"step_s": 1.5, "data_s": 0.0, "val_s": 0.0, "checkpoint_s": 0.0}
    assert observer.timing(clocks)["other_s"] == pytest.approx(0.5)


def test_a_run_that_diverges_while_it_is_traced_ends_as_without(tmp_path: Path) -> None:
    overrides = ["hisso.reward=trials.troubled", LONGER]
    outcome = trial(tmp_path, *overrides, "training.lr=1e30", profile=True)
    assert outcome.exit_code == 3
    assert outcome.record is not None and outcome.record["status"] == "diverged"


def test_an_evaluation_says_that_there_is_nothing_to_profile(tmp_path: Path) -> None:
    parent = finished(tmp_path, name="parent")
    paths = finished(
        tmp_path, name="judged", mode="evaluate", init_from=str(parent.root), profile=True
    )
    assert any("does not train" in row["message"] for row in rows_of(paths))


def test_the_table_fits_on_a_screen_and_its_shares_are_of_the_whole() -> None:
    names = ("setup", *PARTS, "update", "val", "checkpoint", "other")
    timing: dict[str, Any] = {f"{name}_s": 1.0 for name in names}
    table = profile_table(timing | {"traced_updates": 20}).splitlines()
    assert len(table) == 11
    assert max(map(len, table)) <= 100
    assert all("10.0%" in line for line in table[1:])


def test_each_part_is_a_function_that_is_there() -> None:
    source = Path(psann.__file__).parent
    for file, function in profile._PARTS:
        assert f"def {function}(" in (source / file).read_text(), (file, function)
