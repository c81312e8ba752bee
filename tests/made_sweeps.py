"""Small sweeps for tests: a market in memory, four trials of four epochs, seconds of a core."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from configs import merged
from forked import Forked
from made_runs import made_run
from psann._yaml_text import to_yaml
from psann.run.execution.context import RunRequest
from psann.run.execution.runner import execute
from psann.run.sweep.config import Sweep, load_sweep, overrides_of
from psann.run.sweep.reading import SweepView, read_sweep
from psann.run.sweep.record import SweepPaths, read_record, run_name
from trials import CONFIG, write_config

SPACE: dict[str, Any] = {
    "training.lr": {"log": [0.01, 0.1]},
    "estimator.params.hidden_units": [4, 8],
}
SWEEP: dict[str, Any] = {"config": "trial.yaml", "search": "random", "trials": 4, "space": SPACE}
COMMAND = (sys.executable, "-m", "psann.scripts.hisso_runs")
TESTS = Path(__file__).parent


def write_sweep(folder: Path, *, config: Mapping[str, Any] | None = None, **changes: Any) -> Path:
    """Write a sweep and the configuration of its runs; None leaves a key out."""
    write_config(folder, merged(CONFIG, config or {}))
    file = folder / "sweep.yaml"
    values = {key: value for key, value in {**SWEEP, **changes}.items() if value is not None}
    file.write_text(to_yaml(values))
    return file


def made_sweep(folder: Path, **changes: Any) -> tuple[Sweep, SweepPaths]:
    """A sweep, and where it goes."""
    return load_sweep(write_sweep(folder, **changes)), SweepPaths(folder / "out")


def looped(sweep: Sweep, paths: SweepPaths) -> None:
    """The reference: every trial by itself, one after the other, in this process."""
    for number in range(sweep.n_trials):
        request = RunRequest(
            config=sweep.config_path,
            output_dir=paths.runs,
            run_name=run_name(number),
            overrides=overrides_of(sweep.point(number), sweep.base),
            quiet=True,
        )
        assert execute(request).exit_code in (0, 1, 3)


def digest(paths: SweepPaths) -> str:
    """One digest over the weights, values and best epochs of all trials."""
    record = read_record(paths)
    assert record is not None
    parts: list[Any] = []
    for row in record["trials"]:
        best = (paths.runs / row["run"] / "checkpoints" / "best.safetensors").read_bytes()
        kept = (row["run"], row["overrides"], row["status"], row["value"], row["best_epoch"])
        parts.append([*kept, row["candidates"], hashlib.sha256(best).hexdigest()])
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def wait_for(path: Path, process: subprocess.Popen[str] | Forked) -> None:
    """Wait until a file is there, while a process lives."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)


def kill(pid: int) -> None:
    """End a process that the test has started, at once."""
    os.kill(pid, signal.SIGKILL)


SHUT: dict[str, Any] = {"judged": {"split": "test", "test_withheld": True}}
KEYS = ["training.lr", "hisso.primary_transform"]


def made_sweep_folder(
    root: Path, values: list[float | None], *, monitor: str = "val_reward", finished: bool = False
) -> SweepView:
    """A sweep written by hand: a value per trial, None for one that failed."""
    rows = []
    for number, value in enumerate(values):
        name, lr = f"t{number:04d}", 0.001 * 2**number
        fields: dict[str, Any] = {**SHUT, "monitor": monitor, "monitor_value": value, "n_trials": 5}
        if value is None:
            fields |= {"status": "failed", "error": "Trouble"}
        made_run(root / "runs" / name, lr=lr, **fields)
        overrides = {"training.lr": lr, "hisso.primary_transform": ["softmax", "tanh"][number % 2]}
        rows.append(
            {
                **{"run": name, "overrides": overrides, "status": "failed", "value": value},
                **{"best_epoch": 3, "candidates": 5, "data_sha256": "d" * 64},
            }
        )
    chosen = None
    if finished:
        chosen = {"run": "t0001", "value": values[1], "n_trials": 5 * len(values)}
        made_run(root / "chosen", mode="evaluate", n_trials=5 * len(values), deflated_sharpe=0.04)
    content = {
        **{"schema_version": 1, "sweep_sha256": "a" * 64, "data_sha256": "d" * 64},
        **{"search": "random", "order_dependent": False, "monitor": monitor, "keys": KEYS},
        **{"planned": len(values) + 1, "trials": rows, "chosen": chosen},
        **{"n_trials": 5 * len(values), "n_looks": int(finished)},
    }
    (root / "sweep.json").write_text(json.dumps(content))
    found = read_sweep(root)
    assert found is not None
    return found
