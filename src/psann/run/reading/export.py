"""`hisso-runs export`: runs in the forms that other tools read, written by their own libraries.

CSV needs nothing; Parquet, TensorBoard and MLflow need the extra `export`. TensorBoard keeps
scalars in single precision; the others keep every bit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from psann._text import clean, csv_text, mask_secrets, seconds_of
from psann._whole_file import naming, whole_file, write_whole
from psann.errors import UsageError, unavailable
from psann.run.directory.columns import COLUMNS, kind_of
from psann.run.directory.fields import OVER
from psann.run.reading.quantities import QUANTITIES
from psann.run.reading.reading import RunView, flat, flat_metrics

EXPERIMENT = "psann"
_PLACE = frozenset({"schema", "seq", "seed", "fold", "epoch"})
VALUE_COLUMNS = tuple(name for name in COLUMNS if kind_of(name) != "text" and name not in _PLACE)
"""What an epoch has values of."""
_FINISHED = {**dict.fromkeys(OVER, "FINISHED"), "ruined": "FAILED", "running": "RUNNING"}
_MOST_METRICS, _MOST_PARAMS, _LONGEST_PARAM, _LONGEST_KEY = 1000, 100, 6000, 250
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True)
class _Point:
    """One value of one epoch."""

    key: str
    """`phase/column`; with `seed_7` or `fold_1` between where a run has several."""
    value: float
    epoch: int
    time_s: float
    """Seconds since 1970."""


def export(runs: Sequence[tuple[str, RunView]], *, to: str, output: str) -> list[str]:
    """Write runs for another tool.

    Parameters
    ----------
    runs : sequence of (str, RunView)
        Each with a name that no other has.
    output : str
        A directory; for MLflow also the address of a tracking server or database.

    Returns
    -------
    list of str
        What was made, and how to look at it.

    Raises
    ------
    UsageError
        If a library is missing, or what would be written is there already.
    """
    try:
        return TARGETS[to](runs, output)
    except ImportError as error:
        why = unavailable(error, install="pip install 'psann[export]'")
        raise UsageError(f"--to {to} needs a library, and {why}") from None


# --- tables --------------------------------------------------------------------------------------


def _to_csv(runs: Sequence[tuple[str, RunView]], output: str) -> list[str]:
    files = _new_files(Path(output), ("runs.csv", "epochs.csv"))
    for file, (names, rows) in zip(files, _tables(runs), strict=True):
        write_whole(file, csv_text(names, rows).encode())
    return [str(file) for file in files]


def _to_parquet(runs: Sequence[tuple[str, RunView]], output: str) -> list[str]:
    import pyarrow
    from pyarrow import parquet

    files = _new_files(Path(output), ("runs.parquet", "epochs.parquet"))
    kinds = {
        "number": pyarrow.float64(),
        "whole": pyarrow.int64(),
        "text": pyarrow.string(),
        "flag": pyarrow.bool_(),
    }
    for file, (names, rows) in zip(files, _tables(runs), strict=True):
        is_epochs = file == files[1]
        arrays = [
            pyarrow.array(
                _column([row.get(name) for row in rows]),
                kinds[kind_of(name)] if is_epochs else None,
            )
            for name in names
        ]
        with whole_file(file) as whole:
            parquet.write_table(pyarrow.table(arrays, names=names), whole)
    return [str(file) for file in files]


def _tables(
    runs: Sequence[tuple[str, RunView]],
) -> Iterator[tuple[list[str], list[Mapping[str, Any]]]]:
    """Columns and rows of the runs, then of the epochs."""
    tables: tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]] = (
        [{"run": name, **flat_metrics(run), **flat({"config": run.config})} for name, run in runs],
        [{"run": name, **row} for name, run in runs for row in run.epochs],
    )
    for rows in tables:
        names = list(dict.fromkeys(name for row in rows for name in row))
        yield names or ["run"], [mask_secrets(row) for row in rows]


def _column(values: list[Any]) -> list[Any]:
    """Values of one kind: as they are, or all as text."""
    known = [value for value in values if value is not None]
    for kinds in (bool, int, float, str):
        if all(type(value) is kinds for value in known):
            is_huge = kinds is int and any(abs(value) >= 2**63 for value in known)
            return [str(v) if v is not None else None for v in values] if is_huge else values
    if all(type(value) in (int, float) for value in known):
        return [None if value is None else float(value) for value in values]
    return [
        value if value is None or isinstance(value, str) else json.dumps(value) for value in values
    ]


def _new_files(folder: Path, names: Sequence[str]) -> list[Path]:
    files = [folder / name for name in names]
    there = [str(file) for file in files if file.exists()]
    if there:
        raise UsageError(f"-o must not hold an export; {', '.join(there)} exists.")
    folder.mkdir(parents=True, exist_ok=True)
    return files


# --- TensorBoard ---------------------------------------------------------------------------------


def _to_tensorboard(runs: Sequence[tuple[str, RunView]], output: str) -> list[str]:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    folders = _new_files(Path(output), [_safe_name(name) for name, _ in runs])
    if len(set(folders)) < len(folders):
        raise UsageError("The runs must have names that differ in letters and digits.")
    for folder, (_, run) in zip(folders, runs, strict=True):
        with naming(folder):
            writer = EventFileWriter(str(folder))
            for point in [*_points(run), *_results(run)]:
                value = Summary.Value(tag=point.key, simple_value=_single(point.value))
                told = Summary(value=[value])
                writer.add_event(Event(wall_time=point.time_s, step=point.epoch, summary=told))
            writer.close()
    return [*map(str, folders), f"tensorboard --logdir {output}"]


def _single(value: float) -> float:
    """Clip to single precision, which would be infinite."""
    largest = 3.4028234663852886e38
    return max(-largest, min(largest, value))


def _results(run: RunView) -> Iterator[_Point]:
    """The numbers of the best epoch, as points of their own."""
    time_s, epoch = seconds_of(run.metrics["updated_utc"]), int(run.figure("best_epoch") or 0)
    for quantity in QUANTITIES:
        value = quantity.of(run)
        if value is not None:
            yield _Point(f"best/{quantity.key}", value, epoch, time_s or 0.0)


# --- MLflow --------------------------------------------------------------------------------------


def _to_mlflow(runs: Sequence[tuple[str, RunView]], output: str) -> list[str]:
    from mlflow.exceptions import MlflowException

    try:
        return _to_tracking_store(runs, output)
    except MlflowException as error:
        raise UsageError(f"MLflow refuses: {error.message}") from error


def _to_tracking_store(runs: Sequence[tuple[str, RunView]], output: str) -> list[str]:
    from mlflow import MlflowClient

    address, artifacts = output, None
    if "://" not in output:
        import alembic  # noqa: F401 - what a database of MLflow's needs, missed here and not halfway
        import sqlalchemy  # noqa: F401

        folder = Path(output).absolute()
        if "?" in str(folder):  # it would begin the options of a database's address
            raise UsageError(f"-o must have no question mark for MLflow; got {output!r}.")
        folder.mkdir(parents=True, exist_ok=True)
        address, artifacts = f"sqlite:///{folder}/mlflow.db", (folder / "artifacts").as_uri()
    client = MlflowClient(tracking_uri=address)
    known = client.get_experiment_by_name(EXPERIMENT)
    experiment = (
        client.create_experiment(EXPERIMENT, artifact_location=artifacts)
        if known is None
        else known.experiment_id
    )
    _refuse_known_runs(client, experiment, runs)
    for name, run in runs:
        _log_to_mlflow(client, experiment, name, run)
    return [address, f"mlflow ui --backend-store-uri {address}"]


def _refuse_known_runs(client: Any, experiment: str, runs: Sequence[tuple[str, RunView]]) -> None:
    there = []
    for name, run in runs:
        identity = _UNSAFE.sub("", str(run.metrics["run_id"]))
        asked = f"tags.`psann.run_id` = '{identity}'"
        if client.search_runs([experiment], filter_string=asked, max_results=1):
            there.append(name)
    if there:
        raise UsageError(f"-o must not hold a run yet; it holds {', '.join(there)}.")


def _log_to_mlflow(client: Any, experiment: str, name: str, run: RunView) -> None:
    from mlflow.entities import Metric, Param, RunTag

    metrics = run.metrics
    identity = _UNSAFE.sub("", str(metrics["run_id"]))
    made = client.create_run(
        experiment,
        start_time=_milliseconds(metrics["started_utc"]),
        run_name=clean(name),
        tags={"psann.run_id": identity, "psann.status": run.status},
    )
    identifier = made.info.run_id
    settings = {
        _safe_name(key)[:_LONGEST_KEY]: clean(_text(value))[:_LONGEST_PARAM]
        for key, value in flat(run.config).items()
        if value is not None
    }
    params = [Param(key, value) for key, value in settings.items()]
    points = [
        Metric(each.key, each.value, int(each.time_s * 1000), each.epoch)
        for each in [*_points(run), *_results(run)]
    ]
    for first in range(0, len(params), _MOST_PARAMS):
        client.log_batch(identifier, params=params[first : first + _MOST_PARAMS])
    for first in range(0, len(points), _MOST_METRICS):
        client.log_batch(identifier, metrics=points[first : first + _MOST_METRICS])
    facts = {"seed": metrics["seed"], "device": metrics["device"], "error": metrics["error"]}
    tags = [
        RunTag(f"psann.{key}", clean(str(value))[-_LONGEST_PARAM:])
        for key, value in facts.items()
        if value is not None
    ]
    client.log_batch(identifier, tags=tags)
    status = _FINISHED.get(run.status, "FAILED")
    if status != "RUNNING":
        client.set_terminated(identifier, status, end_time=_milliseconds(metrics["updated_utc"]))


def _milliseconds(time_utc: str | None) -> int:
    return int((seconds_of(time_utc) or 0.0) * 1000)


# --- epochs --------------------------------------------------------------------------------------


def _points(run: RunView) -> Iterator[_Point]:
    """Every value of every epoch."""
    seeds = {row["seed"] for row in run.epochs}
    folds = {row["fold"] for row in run.epochs}
    for row in run.epochs:
        if row["epoch"] is None:
            continue
        parts = [_safe_name(str(row["phase"]))]
        parts += [f"seed_{row['seed']}"] if len(seeds) > 1 else []
        parts += [f"fold_{row['fold']}"] if len(folds) > 1 else []
        time_s, epoch = seconds_of(cast(str | None, row["time_utc"])) or 0.0, int(row["epoch"])
        for name in VALUE_COLUMNS:
            if isinstance(value := row[name], int | float):
                yield _Point("/".join([*parts, name]), float(value), epoch, time_s)


def _safe_name(name: str) -> str:
    """A name that is one part of a path on every system."""
    return _UNSAFE.sub("-", name).strip(".-") or "run"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


TARGETS: dict[str, Callable[[Sequence[tuple[str, RunView]], str], list[str]]] = {
    "csv": _to_csv,
    "mlflow": _to_mlflow,
    "parquet": _to_parquet,
    "tensorboard": _to_tensorboard,
}
