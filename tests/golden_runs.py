"""Small runs of every kind, and what of them must be the same whenever they are repeated.

`tests/golden/before.tar.gz` holds these runs as they were before `psann.run` had rooms, and one
that was stopped on its way: they must stay of use. `now.tar.gz` holds them as they are made now,
bit by bit. Where results change on purpose, write these again, and say why in the commit:

    OMP_NUM_THREADS=1 PYTHONPATH=tests python -m golden_runs
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import tarfile
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
import yaml

from configs import merged
from psann.scripts.hisso_log_run import main

BEFORE, NOW = (Path(__file__).parent / "golden" / f"{name}.tar.gz" for name in ("before", "now"))
STOPPED = "stopped"
ARITHMETIC = "arithmetic.txt"
# Of a log row: when it was written and how long things took.
_TIMES = {"time_utc", "elapsed_s", "data_s", "step_s", "val_s", "checkpoint_s", "episodes_per_s"}
# Of the record: identity, times, machine; `artefacts` has the digests of files that hold such.
_OF_THE_START = {
    *("run_id", "started_utc", "updated_utc", "finished_utc", "heartbeat", "duration_seconds"),
    *("throughput_eps_per_sec", "timing", "hardware", "artefacts", "parent"),
}
_BASE: dict[str, Any] = {
    "estimator": {
        "target": "psann.PSANNRegressor",
        "params": {"hidden_layers": 1, "hidden_units": 6},
    },
    "hisso": {
        "window": 6,
        "batch_episodes": 4,
        "updates_per_epoch": 2,
        "transition_penalty": 0.001,
    },
    "data": {
        "loader": "psann.datasets.make_smoke_market",
        "kwargs": {"rows": 160, "assets": 2, "seed": 5, "strength": 0.6},
    },
    "training": {"epochs": 4, "lr": 0.05},
    "evaluation": {"trans_cost": 0.001},
    "seed": 3,
    "device": "cpu",
}
_WAVE = {
    "target": "psann.WaveResNetRegressor",
    "params": {"hidden_layers": 2, "hidden_units": 6, "w0_warmup_epochs": 2},
}
_STATEFUL = {"hidden_layers": 1, "hidden_units": 6, "stateful": True, "state_reset": "epoch"}
_KINDS: dict[str, dict[str, Any]] = {
    "dense": {},
    "wave": {
        "estimator": _WAVE,
        "hisso": {"supervised": {"epochs": 2}},
        "training": {"lr_schedule": "cosine"},
    },
    "stateful": {"estimator": {"params": _STATEFUL}, "hisso": {"enabled": False}},
    "seeds": {"training": {"seeds": 2}, "hisso": {"temperature_scaling": True}},
    "walk_forward": {"evaluation": {"walk_forward": {"folds": 2}, "placebo": 1}},
    "fine_tuned": {"mode": "fine_tune", "init_from": "{runs}/dense", "training": {"epochs": 2}},
    "evaluated": {"mode": "evaluate", "init_from": "{runs}/dense"},
}
NAMES = tuple(_KINDS)
# Long enough not to end before it is stopped.
_LONG = {"training": {"epochs": 400, "checkpoint_every_s": 0.05}}


def make(runs: Path, *names: str) -> None:
    """Run some kinds, or all, into `runs/<name>`, as the command does."""
    for name in names or NAMES:
        _execute(runs, name, merged(_BASE, _KINDS[name]))


def go_on(run: Path) -> None:
    """Resume the stopped run, or a copy of it, to its end."""
    _execute(run.parent, run.name, merged(_BASE, _LONG), "--resume")


def arithmetic() -> str:
    """Digest of what torch and NumPy make of some numbers: other machines may round otherwise."""
    generator = np.random.default_rng(0)
    x, weights = (torch.from_numpy(generator.standard_normal((24, 24))).float() for _ in range(2))
    weights.requires_grad_()
    found = torch.softmax(torch.sin(x @ weights) @ weights, dim=1).exp().log().std()
    found.backward()
    doubles = np.exp(np.sin(generator.standard_normal(100))) @ generator.standard_normal((100, 3))
    return hashlib.sha256(weights.grad.numpy().tobytes() + doubles.tobytes()).hexdigest()


def unpack(runs: Path, store: Path) -> None:
    """Lay out the runs of a store."""
    with tarfile.open(store) as archive:
        archive.extractall(runs, filter="data")


def facts(run: Path) -> dict[str, Any]:
    """What a repetition must find again, by place: bytes of weights and series, rows, values."""
    found: dict[str, Any] = {}
    for path in sorted(run.rglob("*")):
        name = path.relative_to(run).as_posix()
        if path.suffix in (".safetensors", ".npz") or path.name == "manifest.json":
            found[name] = path.read_bytes()
    text = (run / "events.csv").read_bytes().decode()
    # By kind: a release that tells more between two epochs changes no epoch.
    seen: Counter[str] = Counter()
    for row in csv.DictReader(io.StringIO(text)):
        place = f"events.csv {row['event']} {seen[row['event']]}"
        seen[row["event"]] += 1
        kept = {name: cell for name, cell in row.items() if name not in _TIMES}
        found |= {f"{place} {name}": _anywhere(cell) for name, cell in kept.items()}
    metrics = json.loads((run / "metrics.json").read_bytes())
    kept = {name: value for name, value in metrics.items() if name not in _OF_THE_START}
    found |= {f"metrics.json {key}": value for key, value in _flat(kept).items()}
    resolved = yaml.safe_load((run / "config_resolved.yaml").read_text(encoding="utf-8"))
    for key, value in _flat(resolved).items():
        found[f"config_resolved.yaml {key}"] = _anywhere(value)
    return found


def _anywhere(value: Any) -> Any:
    """A text without the folder that the runs lay in."""
    return re.sub(r"/\S*/", "/", value) if isinstance(value, str) else value


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values by dotted key: a release that tells more changes none that was told before."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inner = dict(enumerate(value)) if isinstance(value, list) and value else value
        nested = isinstance(inner, Mapping) and inner
        found |= _flat(inner, f"{prefix}{key}.") if nested else {f"{prefix}{key}": value}
    return found


def _execute(
    runs: Path, name: str, config: Mapping[str, Any], *options: str, exit_code: int = 0
) -> None:
    runs.mkdir(parents=True, exist_ok=True)
    file = runs / f"{name}.json"
    file.write_text(json.dumps(config).replace("{runs}", str(runs.resolve())))
    command = ["--config", str(file), "--output-dir", str(runs), "--run-name", name, "--quiet"]
    found = main([*command, *options])
    assert found == exit_code, f"{name} ended with exit code {found}"
    file.unlink()


def _write() -> None:
    """Make the store anew; it tells nothing of the machine that made it."""
    with (
        tempfile.TemporaryDirectory(prefix="golden-") as folder,
        mock.patch("platform.node", lambda: "node"),
        mock.patch("platform.release", lambda: "6.1"),
    ):
        runs = Path(folder)
        make(runs)
        (runs / ARITHMETIC).write_text(arithmetic())
        with tarfile.open(NOW, "w:gz", compresslevel=9) as archive:
            for path in sorted(runs.rglob("*")):
                if path.name != ".lock":
                    member = archive.gettarinfo(path, path.relative_to(runs).as_posix())
                    member.uid = member.gid = 0
                    member.uname = member.gname = ""
                    with path.open("rb") if path.is_file() else nullcontext() as file:
                        archive.addfile(member, file)


if __name__ == "__main__":
    _write()
