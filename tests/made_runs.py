"""Run directories written by hand in milliseconds: everything that a report shows, no training."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from psann._yaml_text import to_yaml
from psann.metrics import portfolio_metrics
from psann.run.directory.columns import COLUMNS
from psann.run.directory.fields import FIELDS, SCHEMA_VERSION
from psann.run.directory.paths import RunPaths
from psann.run.reading.strategies import STRATEGIES as NAMES

STRATEGIES = tuple(n for n in NAMES if n != "ensemble" and not n.startswith("policy_cost"))
# What an attacker, or a clumsy finger, may put wherever a run holds text.
HOSTILE = (
    '</pre></script><script>alert("x")</script><img src=x onerror=alert(1)>'
    "'\"&<b>]]>--><!--\u2028\u202e\ufffe\x00\x1b[31m\U0001ffff{{ 7*7 }}{% raw %}$\\frac|`"
    "[a](javascript:b)\n=cmd|' /C calc'!A0"
)


def made_run(
    root: Path,
    *,
    seed: int = 42,
    lr: float = 0.005,
    n_rows: int = 300,
    n_assets: int = 12,
    n_epochs: int = 40,
    text: str = "",
    tracks: int = 1,
    **fields: Any,
) -> Path:
    """Write a finished run.

    Parameters
    ----------
    root : Path
        Its directory, new.
    seed, lr, n_rows, n_assets, n_epochs
        What it claims to be.
    text : str
        Put wherever a run holds text of a user's.
    tracks : int
        Seeds trained side by side.
    **fields : Any
        Fields of `metrics.json` to set otherwise.
    """
    paths = RunPaths(root)
    root.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    figures = _write_evaluation(paths, rng, n_rows, n_assets, text)
    rows = [row for k in range(tracks) for row in _epoch_rows(rng, seed + k, n_epochs)]
    warning = {"level": "WARNING", "event": "log", "message": f"column 3 is constant {text}"}
    _write_events(paths, [*rows, warning])
    legal = text.replace("\x00", "")  # YAML has no NUL
    paths.config_resolved.write_text(to_yaml(_config(seed, lr, n_epochs, legal)), encoding="utf-8")
    start = {
        "started_utc": "2026-01-02T03:04:05.000Z",
        "argv": ["hisso-log-run", "--config", f"a.yaml{text}"],
        "versions": {"python": "3.11.7", "psann": "0.1.0"},
        "machine": {"host": f"node{text}"},
    }
    provenance = {"schema_version": SCHEMA_VERSION, "starts": [start]}
    paths.provenance.write_text(json.dumps(provenance))
    best = max(rows[:n_epochs], key=lambda row: row["val_reward_mean"])
    record = {
        **dict.fromkeys(FIELDS),
        **{"schema_version": SCHEMA_VERSION, "status": "completed", "mode": "train"},
        **{"run_name": root.name, "run_id": "0" * 32, "seed": seed, "device": f"cpu{text}"},
        **{"monitor": "val_reward", "monitor_value": best["val_reward_mean"]},
        **{"epoch": n_epochs, "epochs_total": n_epochs, "best_epoch": best["epoch"]},
        **{"reward_mean": 0.013, "val_reward_mean": best["val_reward_mean"], "val_loss": -0.006},
        **{"test_reward_mean": 0.0023, "episodes": 15360, "trans_cost": 0.001},
        **{"duration_seconds": 18.5, "started_utc": start["started_utc"], "nonfinite": []},
        **{"timing": {"data_s": 0.03, "step_s": 7.7, "val_s": 0.4, "checkpoint_s": 0.1}},
        **{"config_sha256": "c" * 64, "data_sha256": "d" * 64, "resumes": 0},
        **figures,
        **fields,
    }
    paths.metrics.write_text(json.dumps(record))
    return root


def _write_evaluation(
    paths: RunPaths, rng: np.random.Generator, n_rows: int, n_assets: int, text: str
) -> dict[str, Any]:
    """Write wealth paths and allocations that look like some; return figures of such."""
    drift = rng.normal(0.0006, 0.0008, len(STRATEGIES))
    moves = rng.normal(0.0, 0.012, (len(STRATEGIES), n_rows)) + drift[:, None]
    net = np.exp(np.cumsum(moves, axis=1))
    weights = rng.dirichlet(np.full(n_assets, 0.2), n_rows)
    assets = np.array([f"ASSET {i}{text}" for i in range(n_assets)])
    np.savez(
        paths.root / "evaluation.npz",
        names=np.array([*STRATEGIES[:-1], STRATEGIES[-1] + text]),
        net=net,
        gross=net * 1.1,
        allocations=weights.astype(np.float32),
        time=np.arange(n_rows) + 5000.0,
        assets=assets,
    )
    prices = np.exp(np.cumsum(rng.normal(0.0003, 0.01, (n_rows, n_assets)), axis=0))
    figures = portfolio_metrics(weights, prices, trans_cost=0.001)
    return {
        "portfolio_metrics": figures,
        "portfolio_metrics_delay_1": figures,
        "baselines": {
            # Each a little better than the one before: no two are the same.
            name + text: {**figures, "annual_sharpe": figures["annual_sharpe"] + rank / 100}
            for rank, name in enumerate(STRATEGIES[2:])
        },
    }


def _epoch_rows(rng: np.random.Generator, seed: int, n_epochs: int) -> list[dict[str, Any]]:
    rows = []
    for epoch in range(1, n_epochs + 1):
        reward = 0.02 * (1 - np.exp(-epoch / 8)) + rng.normal(0, 0.0005)
        val = 0.006 * (1 - np.exp(-epoch / 4)) * np.exp(-epoch / 200) + rng.normal(0, 0.0002)
        rows.append(
            {
                **{"level": "DEBUG", "event": "epoch", "phase": "hisso", "seed": seed},
                **{"epoch": epoch, "train_loss": -reward, "val_loss": -val},
                **{"reward_mean": reward, "val_reward_mean": val, "turnover": 0.9},
                **{"grad_norm": 0.005 + abs(rng.normal(0, 0.001)), "lr": 0.005 / epoch},
            }
        )
    return rows


def _write_events(paths: RunPaths, rows: list[dict[str, Any]]) -> None:
    with paths.events.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        log = csv.DictWriter(file, COLUMNS, restval="")
        log.writeheader()
        for seq, row in enumerate(rows, start=1):
            line = {"schema": 1, "seq": seq, "time_utc": "2026-01-02T03:04:06.000Z", **row}
            log.writerow({key: str(value).replace("\n", "\\n") for key, value in line.items()})


def _config(seed: int, lr: float, n_epochs: int, text: str) -> dict[str, Any]:
    return {
        "mode": "train",
        "estimator": {"target": "psann.PSANNRegressor", "params": {"hidden_units": 32}},
        "hisso": {"enabled": True, "window": 64, "reward": "portfolio", "input_noise": 0.0},
        "data": {"npz": None, "loader": "psann.datasets.load_olps", "kwargs": {"name": text}},
        "training": {"epochs": n_epochs, "lr": lr, "monitor": "auto"},
        "evaluation": {"portfolio_prices_key": "prices_test", "periods_per_year": 252.0},
        "seed": seed,
        "device": "cpu",
        "recorded": {"seed_from": "config", "notes": [f"a note {text}"]},
    }
