"""Small runs for tests: a market in memory, loaders and rewards that misbehave, one call to run.

Configurations name the functions here as `trials.<name>`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import yaml
from torch import Tensor

from psann.accounting import growth_and_traded_weight
from psann.run.directory.paths import RunPaths
from psann.run.execution.context import Outcome, RunRequest
from psann.run.execution.runner import execute
from psann.run.reading import sameness
from psann.run.reading.reading import read_run

if TYPE_CHECKING:
    pass

CONFIG: dict[str, Any] = {
    "estimator": {
        "target": "psann.PSANNRegressor",
        "params": {"hidden_layers": 1, "hidden_units": 8},
    },
    "hisso": {
        "window": 6,
        "batch_episodes": 4,
        "updates_per_epoch": 2,
        "transition_penalty": 0.001,
    },
    "data": {"loader": "trials.market"},
    "training": {"epochs": 4, "lr": 0.05},
    "device": "cpu",
}
ROWS = {"train": 40, "val": 20, "test": 15}


# --- loaders -------------------------------------------------------------------------------------


def market(
    *,
    seed: int = 0,
    assets: int = 2,
    without: Sequence[str] = (),
    context: bool = False,
    copies: Mapping[str, str] | None = None,
    names: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Prices that the features foretell in part; `copies` adds arrays under further names."""
    generator = np.random.default_rng(seed)
    data: dict[str, Any] = {}
    first = 0
    for split, rows in ROWS.items():
        signal_ = generator.standard_normal((rows, assets))
        moves = 0.02 * signal_ + 0.01 * generator.standard_normal((rows, assets))
        prices = 50.0 * np.exp(np.cumsum(np.vstack([np.zeros(assets), moves[:-1]]), axis=0))
        data[f"X_{split}"] = np.hstack([signal_, generator.standard_normal((rows, 1))])
        data[f"y_{split}"] = moves
        data[f"prices_{split}"] = prices
        data[f"time_{split}"] = np.arange(first, first + rows, dtype=float)
        if context:
            data[f"context_{split}"] = generator.standard_normal((rows, 2))
        first += rows
    for name, of in (copies or {}).items():
        data[name] = data[of].copy()
    if names is not None:
        data["asset_names"] = np.array(names)
    return {key: array for key, array in data.items() if key not in without}


def market_with_benchmark() -> dict[str, Any]:
    """The market beside its first asset held alone."""
    data = market()
    for split in ROWS:
        data[f"benchmark_{split}"] = data[f"prices_{split}"][:, 0]
    data["benchmark_name"] = np.array(["left alone"])
    return data


def market_with_spreads(*, spread: float | None = None, columns: int = 2) -> dict[str, Any]:
    """The market beside costs of each row, of each asset or of all, and what money costs; with a
    `spread` both are always the same."""
    data, generator = market(), np.random.default_rng(3)
    for split, rows in ROWS.items():
        drawn = generator.uniform(0.0005, 0.004, (rows, columns))
        data[f"spread_{split}"] = drawn if spread is None else np.full_like(drawn, spread)
        rates = generator.uniform(-0.2, 0.9, rows)
        data[f"rate_{split}"] = rates if spread is None else np.full_like(rates, 20 * spread)
    return data


def by_asset(*, assets: int = 3, features: int = 2, **kwargs: Any) -> dict[str, Any]:
    """`market` with features `(n, assets, features)`, the signal of each asset and noise."""
    data = market(assets=assets, **kwargs)
    generator = np.random.default_rng(1)
    for split in ROWS:
        signal_ = data[f"X_{split}"][:, :assets]
        noise = generator.standard_normal((len(signal_), assets, features - 1))
        data[f"X_{split}"] = np.concatenate([signal_[:, :, None], noise], axis=2)
    return data


def continuous(*, corrupt_test_from: int | None = None, **kwargs: Any) -> dict[str, Any]:
    """`market` with prices that go on from split to split; late test rows may hold nonsense."""
    data = market(**kwargs)
    last = None
    for split in ROWS:
        key = f"prices_{split}"
        if key in data and last is not None:
            data[key] = data[key] * (1.01 * last / data[key][0])
        last = data[key][-1] if key in data else last
    if corrupt_test_from is not None:
        data["X_test"][corrupt_test_from:] = 50.0
        data["prices_test"][corrupt_test_from:] *= 3.0
    return data


def raising() -> dict[str, Any]:
    raise RuntimeError("the database is down")


def telling() -> dict[str, Any]:
    warnings.warn("warned of db://me:pa55w0rd@host", stacklevel=1)
    logging.getLogger("own_loader").error("logged of db://me:pa55w0rd@host")
    return market()


def exiting() -> dict[str, Any]:
    sys.exit(0)


def interrupting() -> dict[str, Any]:
    raise KeyboardInterrupt


def killing() -> dict[str, Any]:
    os.kill(os.getpid(), signal.SIGKILL)
    return market()


def not_finite() -> dict[str, Any]:
    data = market()
    data["X_train"][3, 1] = math.nan
    return data


def planted(*, key: str, value: str, row: int = 3) -> dict[str, Any]:
    """`market` with one value changed, which a configuration could not write as a number."""
    data = market()
    data[key][row, 0] = float(value)
    return data


def dated(names: Sequence[str] = ("up", "down")) -> dict[str, Any]:
    """The market with ISO texts as times, and frames of prices whose columns have names."""
    import pandas as pd

    data, first = market(), 0
    for split, rows in ROWS.items():
        days = pd.date_range("2020-01-01", periods=first + rows)[first:]
        first += rows
        data[f"time_{split}"] = days.strftime("%Y-%m-%d")
        data[f"prices_{split}"] = pd.DataFrame(data[f"prices_{split}"], columns=list(names))
    return data


def rebound(where: str = "test") -> dict[str, Any]:
    """Prices that fall for so long that a policy goes short, and in one split a thousandfold."""
    data = market()
    fall = 50.0 * 0.97 ** np.arange(sum(ROWS.values()), dtype=float)
    first = 0
    for split, rows in ROWS.items():
        data[f"prices_{split}"] = np.repeat(fall[first : first + rows, None], 2, axis=1)
        first += rows
    data[f"prices_{where}"][8:] *= 1000.0
    return data


def squeezed(rows: int = 200) -> dict[str, Any]:
    """Training rows alone, in which whoever is short loses everything, as the features foretell.

    A price falls by 6 % a row and triples in every twentieth: -1 becomes 1 - 2.
    """
    cycle = np.arange(rows) % 20
    prices = np.exp(np.cumsum(np.where(cycle == 19, np.log(3.0), -0.06)))[:, None]
    X = np.stack([cycle == 18, np.ones(rows)], 1).astype(float)
    return {"X_train": X, "prices_train": prices}


def slow(*, ready: str, number: int | None = None) -> dict[str, Any]:
    """Say that loading has begun, or get a signal, then be slow: only a stop ends it in time."""
    Path(ready).touch()
    if number is not None:
        os.kill(os.getpid(), number)
    for _ in range(60_000):  # ten minutes, in steps as a loader of Python's own would take
        time.sleep(0.01)
    return market()


# --- rewards -------------------------------------------------------------------------------------


def log_growth(
    actions: Tensor, context: Tensor, *, transition_penalty: float, scale: float = 1.0
) -> Tensor:
    """Mean log growth without cost, times `scale`."""
    growth, _ = growth_and_traded_weight(actions, context, initial="invested", cash=False)
    return scale * growth.log().mean(dim=-1)


class Trouble:
    """What a reward does from one training update of the process on, counted from 1."""

    def __init__(self) -> None:
        self.at_update = 0
        self.n_updates = 0
        self.action: Callable[[Tensor], Tensor] = lambda rewards: rewards * math.nan

    def plan(self, at_update: int, action: Callable[[Tensor], Tensor] | None = None) -> None:
        self.__init__()  # type: ignore[misc]
        self.at_update = at_update
        if action is not None:
            self.action = action


TROUBLE = Trouble()
TROUBLED = "hisso.reward=trials.troubled"


def troubled(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    """`log_growth` until the update that `TROUBLE` was planned for."""
    rewards = log_growth(actions, context, transition_penalty=transition_penalty)
    if torch.is_grad_enabled() and actions.requires_grad:
        TROUBLE.n_updates += 1
    if 0 < TROUBLE.at_update <= TROUBLE.n_updates:
        return TROUBLE.action(rewards)
    return rewards


def cumulative_features(X: Tensor) -> Tensor:
    """A context extractor: positive prices made of the first two features."""
    return torch.exp(0.02 * torch.cumsum(X[..., :2], dim=1))


def narrow_context(X: Tensor) -> Tensor:
    """A context extractor whose result has a wrong width."""
    return torch.ones((*X.shape[:2], 3))


# --- runs ----------------------------------------------------------------------------------------


_CONFIG_TEXT = yaml.safe_dump(CONFIG)


def write_config(folder: Path, content: Mapping[str, Any] | None = None) -> Path:
    """Write a configuration; `CONFIG` by default."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "trial.yaml"
    file.write_text(_CONFIG_TEXT if content is None else yaml.safe_dump(dict(content)))
    return file


def request_of(folder: Path, *overrides: str) -> RunRequest:
    """What the command line asks for when it names no run."""
    return RunRequest(
        config=write_config(folder), output_dir=folder / "out", overrides=overrides, quiet=True
    )


def trial(folder: Path, *overrides: str, name: str = "run", **request: Any) -> Outcome:
    """Run `CONFIG` with overrides in `folder/out/<name>`, in this process."""
    config = request.pop("config", None) or write_config(folder)
    return execute(
        RunRequest(
            config=config,
            output_dir=folder / "out",
            run_name=name,
            overrides=overrides,
            quiet=True,
            **request,
        )
    )


def finished(folder: Path, *overrides: str, name: str = "run", **request: Any) -> RunPaths:
    """Run as `trial` does, and insist that it ends well."""
    outcome = trial(folder, *overrides, name=name, **request)
    assert outcome.exit_code == 0, outcome.message
    assert outcome.paths is not None
    return outcome.paths


def metrics_of(paths: RunPaths) -> dict[str, Any]:
    """Read `metrics.json` with NaN refused."""

    def refuse(name: str) -> float:
        raise ValueError(f"metrics.json holds {name}")

    content: dict[str, Any] = json.loads(paths.metrics.read_bytes(), parse_constant=refuse)
    return content


def rows_of(paths: RunPaths, event: str | None = None) -> list[dict[str, str]]:
    """Read the rows of `events.csv`, of one kind or all; a row still being written is left out."""
    whole, _, _ = paths.events.read_bytes().rpartition(b"\n")
    rows = list(csv.DictReader(io.StringIO(whole.decode(), newline="")))
    return [row for row in rows if event in (None, row["event"])]


def tree_of(folder: Path) -> dict[str, str]:
    """Digest of every file below a folder, directories included by name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else "directory"
        for path in sorted(folder.rglob("*"))
    }


def bit_differences(left: RunPaths, right: RunPaths) -> list[str]:
    """Where two run directories are not the same to the last bit."""
    return sameness.bit_differences(read_run(left.root), read_run(right.root))


def change_record(paths: RunPaths, **fields: Any) -> None:
    """Write other values into `metrics.json`."""
    paths.metrics.write_text(json.dumps({**metrics_of(paths), **fields}))


def change_log(paths: RunPaths, column: str, value: str) -> None:
    """Write another value into the last epoch row."""
    with paths.events.open(newline="") as file:
        rows = list(csv.DictReader(file))
    [row for row in rows if row["event"] == "epoch"][-1][column] = value
    with paths.events.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
