"""Runs in other tools' forms, read back by those tools."""

from __future__ import annotations

import builtins
import csv
import json
import math
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from foreign import DRAWING, LOOKALIKES, change, hostile, of_another_version
from psann.errors import UsageError
from psann.run.directory.paths import RunPaths
from psann.run.reading.export import VALUE_COLUMNS, export
from psann.run.reading.reading import RunView, read_run
from trials import finished, metrics_of, rows_of

Named = list[tuple[str, RunView]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    settings = ("hisso.supervised={epochs: 2}", "training.epochs=3")
    return finished(tmp_path_factory.mktemp("whole"), *settings)


@pytest.fixture
def runs(whole: RunPaths, tmp_path: Path) -> Named:
    """A run, one of another version, and a hostile one."""
    folder = tmp_path / "runs"
    folder.mkdir()
    other, odd = of_another_version(whole, folder), hostile(whole, folder)
    change(other, run_id="another")
    change(odd, run_id="odd")
    return [
        ("first", read_run(whole.root)),
        ("other", read_run(other.root)),
        (odd.root.name, read_run(odd.root)),
    ]


def logged(paths: RunPaths) -> dict[str, list[tuple[int, float]]]:
    """Epoch and value by phase and column, straight from the log."""
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows_of(paths, "epoch"):
        for name in VALUE_COLUMNS:
            cell = {"true": "1", "false": "0"}.get(row[name], row[name])
            if cell:
                key = f"{row['phase']}/{name}"
                found.setdefault(key, []).append((int(row["epoch"]), float(cell)))
    return found


def test_csv_holds_every_epoch_value_to_the_bit(
    whole: RunPaths, runs: Named, tmp_path: Path
) -> None:
    made = export(runs, to="csv", output=str(tmp_path / "out"))
    assert [Path(name).name for name in made] == ["runs.csv", "epochs.csv"]
    with open(made[1], newline="") as file:
        mine = [row for row in csv.DictReader(file) if row["run"] == "first"]
    for name in ("train_loss", "val_reward_mean", "grad_norm", "episodes_per_s", "is_best"):
        expected = [row[name] for row in rows_of(whole, "epoch")]
        assert [row[name] for row in mine] == expected, name
    with open(made[0], newline="") as file:
        rows = list(csv.DictReader(file))
    assert float(rows[0]["val_loss"]) == metrics_of(whole)["val_loss"]
    assert rows[0]["config.training.epochs"] == "3"
    text = Path(made[0]).read_bytes().decode().replace("\r\n", "")
    assert not [part for part in DRAWING if part in text]
    assert not [cell for row in rows for cell in row.values() if cell.startswith("=")]


def test_every_text_comes_back_from_csv_and_parquet_as_it_was(
    whole: RunPaths, tmp_path: Path
) -> None:
    view = read_run(whole.root)
    named = [(text, view) for text in LOOKALIKES]
    export(named, to="csv", output=str(tmp_path))
    export(named, to="parquet", output=str(tmp_path))
    with (tmp_path / "runs.csv").open(newline="", encoding="utf-8") as file:
        assert [row["run"] for row in csv.DictReader(file)] == LOOKALIKES
    as_text = pd.read_csv(tmp_path / "runs.csv", dtype=str, keep_default_na=False)
    assert list(as_text["run"]) == LOOKALIKES
    assert list(pd.read_parquet(tmp_path / "runs.parquet")["run"]) == LOOKALIKES


def test_parquet_holds_every_epoch_value_with_its_type(
    whole: RunPaths, runs: Named, tmp_path: Path
) -> None:
    from pyarrow import parquet

    made = export(runs, to="parquet", output=str(tmp_path / "out"))
    table = parquet.read_table(made[1])
    assert str(table.schema.field("epoch").type) == "int64"
    assert str(table.schema.field("train_loss").type) == "double"
    assert str(table.schema.field("is_best").type) == "bool"
    assert str(table.schema.field("amp_scale").type) == "double"  # also where all is empty
    mine = [row for row in table.to_pylist() if row["run"] == "first"]
    assert [row["train_loss"] for row in mine] == [
        float(row["train_loss"]) for row in rows_of(whole, "epoch")
    ]
    of_runs = parquet.read_table(made[0]).to_pylist()
    assert of_runs[0]["val_loss"] == metrics_of(whole)["val_loss"]
    assert [row["seed"] for row in of_runs] == [42, None, 42]


def test_tensorboard_reads_every_epoch_value(whole: RunPaths, runs: Named, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = export(runs, to="tensorboard", output=str(tmp_path / "out"))
    assert made[-1] == f"tensorboard --logdir {tmp_path / 'out'}"
    for folder in made[:-1]:
        assert Path(folder).parent == tmp_path / "out"
    events = EventAccumulator(made[0], size_guidance={"scalars": 0})
    events.Reload()
    found = {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }
    expected = {
        key: [(epoch, struct.unpack("f", struct.pack("f", value))[0]) for epoch, value in points]
        for key, points in logged(whole).items()
    }
    assert {key: found[key] for key in expected} == expected
    assert {"warm_start/train_loss", "hisso/val_reward_mean"} <= expected.keys()
    val_loss = metrics_of(whole)["val_loss"]
    assert found["best/val_loss"][0][1] == pytest.approx(val_loss, rel=1e-6)
    first = rows_of(whole, "epoch")[0]["time_utc"]
    times = [event.wall_time for event in events.Scalars("warm_start/lr")]
    assert times[0] == pytest.approx(pd.Timestamp(first).timestamp(), abs=1e-3)


# Its database library warns of what MLflow does with it.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
def test_mlflow_reads_every_epoch_value(whole: RunPaths, runs: Named, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    made = export(runs, to="mlflow", output=str(tmp_path / "out"))
    client = MlflowClient(tracking_uri=made[0])
    experiment = client.get_experiment_by_name("psann")
    found = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert len(found) == 3
    run = found["first"]
    for key, points in logged(whole).items():
        history = client.get_metric_history(run.info.run_id, key)
        assert [(each.step, each.value) for each in history] == points, key
    assert run.data.metrics["best/val_loss"] == metrics_of(whole)["val_loss"]
    assert run.data.params["training.epochs"] == "3"
    assert run.data.tags["psann.status"] == "completed"
    assert {
        name: each.info.status for name, each in found.items() if name in ("first", "other")
    } == {
        "first": "FINISHED",
        "other": "FINISHED",
    }
    with pytest.raises(UsageError, match="must not hold a run yet; it holds first"):
        export(runs[:1], to="mlflow", output=str(tmp_path / "out"))
    with pytest.raises(UsageError, match="no question mark"):
        export(runs[:1], to="mlflow", output=str(tmp_path / "out?x"))
    with pytest.raises(UsageError, match="MLflow refuses"):
        export(runs[:1], to="mlflow", output="nonsense://x")


@pytest.mark.parametrize("to", ["csv", "parquet", "tensorboard"])
def test_what_is_there_is_not_written_over(runs: Named, tmp_path: Path, to: str) -> None:
    export(runs, to=to, output=str(tmp_path / "out"))
    with pytest.raises(UsageError, match="-o must not hold an export"):
        export(runs, to=to, output=str(tmp_path / "out"))


def test_names_that_would_be_one_folder_are_refused(runs: Named, tmp_path: Path) -> None:
    (_, run), *_ = runs
    with pytest.raises(UsageError, match="names that differ in letters and digits"):
        export([("a b", run), ("a?b", run)], to="tensorboard", output=str(tmp_path / "out"))


@pytest.mark.parametrize("to", ["parquet", "tensorboard", "mlflow"])
def test_missing_library_is_told_with_its_cure(
    runs: Named, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] in ("pyarrow", "tensorboard", "mlflow"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        UsageError, match=r"is not installed. Install it with: pip install 'psann\[export\]'"
    ):
        export(runs, to=to, output=str(tmp_path / "out"))


def many_seeds(paths: RunPaths, folder: Path) -> Iterator[tuple[str, RunView]]:
    """A run whose log tells of two seeds, and of values that single precision lacks."""
    copy = RunPaths(folder / "seeds")
    shutil.copytree(paths.root, copy.root)
    lines = copy.events.read_text().splitlines(keepends=True)
    epochs = [line for line in lines if ",epoch,hisso,42," in line]
    others = [line.replace(",epoch,hisso,42,", ",epoch,hisso,7,") for line in epochs]
    copy.events.write_text("".join(lines + others))
    yield "seeds", read_run(copy.root)


def test_seeds_of_one_run_are_kept_apart(whole: RunPaths, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = export([*many_seeds(whole, tmp_path)], to="tensorboard", output=str(tmp_path / "out"))
    events = EventAccumulator(made[0], size_guidance={"scalars": 0})
    events.Reload()
    for seed in (7, 42):
        assert len(events.Scalars(f"hisso/seed_{seed}/train_loss")) == 3


def test_columns_of_mixed_kinds_become_text_and_huge_numbers_stay_finite(
    whole: RunPaths, tmp_path: Path
) -> None:
    from pyarrow import parquet
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for number, value in enumerate((2**80, 1, 0.5)):
        copy = RunPaths(tmp_path / f"r{number}")
        shutil.copytree(whole.root, copy.root)
        change(copy, monitor_value=value, episodes=2**80, val_loss=1e300)
    runs = [(f"r{number}", read_run(tmp_path / f"r{number}")) for number in range(3)]
    made = export(runs, to="parquet", output=str(tmp_path / "parquet"))
    rows = parquet.read_table(made[0]).to_pylist()
    assert [row["monitor_value"] for row in rows] == [float(2**80), 1.0, 0.5]
    assert {row["episodes"] for row in rows} == {str(2**80)}
    made = export(runs[:1], to="tensorboard", output=str(tmp_path / "board"))
    events = EventAccumulator(made[0])
    events.Reload()
    assert math.isfinite(events.Scalars("best/val_loss")[0].value)


def test_runs_that_say_nothing_are_exported_too(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.json").write_text(json.dumps({"schema_version": 1}))
    runs = [("run", read_run(tmp_path / "run"))]
    for to in ("csv", "parquet", "tensorboard"):
        assert export(runs, to=to, output=str(tmp_path / to))
