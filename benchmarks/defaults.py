"""What the defaults learn, beside scikit-learn's MLPRegressor of the same width and epochs.

    OMP_NUM_THREADS=1 nice -n 10 .venv/bin/python benchmarks/defaults.py [TASK ...]
    OMP_NUM_THREADS=1 nice -n 10 .venv/bin/python benchmarks/defaults.py --settle

Every task is made here or comes with an installed package. R2 is of rows that no model has seen; of
NYSE(O) those are the validation rows. Features are standardised by the training rows, but those
that are places in [-1, 1]. `told` is the default with ``frequency: 1``, where frequencies matter.

`--settle` looks at training rows alone: a quarter of them judges every setting of the three bounds
of `psann.nn.sine.first_frequencies`, beside those that are shipped.
"""

from __future__ import annotations

import itertools
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from psann import PSANNRegressor
from psann.datasets import load_olps, make_planted_signal
from psann.nn import sine

RESULT = Path(__file__).parent / "results" / "defaults.json"
SETTLED = RESULT.with_name("defaults_settled.json")
EPOCHS, WIDTH, DEPTH, BATCH = 200, 64, 2, 32
# Fastest frequency, fewest rows along an axis, frequency of tables.
BOUNDS = {
    "_FASTEST": (30.0, 60.0, 120.0),
    "_FEWEST_ALONG_AXIS": (3.0, 5.0, 20.0),
    "_OF_TABLES": (0.25, 0.5, 1.0),
}
Floats = NDArray[np.float64]
Rows = tuple[Floats, Floats]


def line(function: Callable[[Floats], Floats], *, noise: float = 0.0) -> tuple[Rows, Rows]:
    """A function of one place in [-1, 1], at 400 places drawn at random."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, 400)
    return split(x[:, None], function(x) + noise * rng.standard_normal(400))


def image(function: Callable[[Floats, Floats], Floats]) -> tuple[Rows, Rows]:
    """A picture of 20 by 20 points, a quarter of which is to be filled in."""
    points = np.stack(np.meshgrid(*[np.linspace(-1, 1, 20)] * 2), -1).reshape(-1, 2)
    return split(points, function(points[:, 0], points[:, 1]))


def table(X: Floats, y: Floats) -> tuple[Rows, Rows]:
    """Features of any size, and one target, scaled by what can be known in training."""
    (Xa, ya), (Xb, yb) = split(np.asarray(X, float), np.asarray(y, float))
    scale, mean, deviation = StandardScaler().fit(Xa), ya.mean(), ya.std()
    return (scale.transform(Xa), (ya - mean) / deviation), (
        scale.transform(Xb),
        (yb - mean) / deviation,
    )


def split(X: Floats, y: Floats) -> tuple[Rows, Rows]:
    """Three quarters to train on."""
    order = np.random.default_rng(1).permutation(len(X))
    train, test = np.split(order, [len(X) * 3 // 4])
    return (X[train], y[train]), (X[test], y[test])


def noise(n_features: int) -> tuple[Rows, Rows]:
    """One feature of many tells something, under as much noise."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((400, n_features))
    return table(X, X[:, 0] + rng.standard_normal(400))


def planted() -> tuple[Rows, Rows]:
    """Next returns of a market that its features foretell."""
    d = make_planted_signal()
    n = min(len(d["X_train"]) - 1, 400)
    moves = np.log(d["prices_train"][1 : n + 1] / d["prices_train"][:n]) * 100
    return table(d["X_train"][:n], moves[:, 0])


def nyse_o() -> tuple[Rows, Rows]:
    """Next returns of the first stock by its own features: 400 training rows, 400 of validation."""
    d = load_olps("nyse_o")
    made = []
    for name, rows in (("train", slice(-401, None)), ("val", slice(0, 401))):
        prices = d[f"prices_{name}"][rows]
        made.append(
            (d[f"X_{name}"][rows][:-1, :: prices.shape[1]], np.log(prices[1:, 0] / prices[:-1, 0]))
        )
    (Xa, ya), (Xb, yb) = made
    scale = StandardScaler().fit(Xa)
    return (scale.transform(Xa), ya / ya.std()), (scale.transform(Xb), yb / ya.std())


# Whether frequencies matter, and how to make it.
TASKS: dict[str, tuple[bool, Callable[[], tuple[Rows, Rows]]]] = {
    "two fast sines": (True, lambda: line(lambda x: np.sin(30 * x) + 0.5 * np.sin(75 * x))),
    "chirp": (True, lambda: line(lambda x: np.sin(20 * (x + 1.2) ** 2))),
    "image": (True, lambda: image(lambda u, v: np.sin(12 * u * v) + np.cos(15 * v))),
    "rings": (True, lambda: image(lambda u, v: np.cos(14 * np.hypot(u, v)))),
    "slow sine": (False, lambda: line(lambda x: np.sin(2 * x), noise=0.05)),
    "step": (False, lambda: line(lambda x: np.sign(x - 0.2), noise=0.05)),
    "Friedman 1": (False, lambda: table(*datasets.make_friedman1(400, random_state=0))),
    "Friedman 2": (False, lambda: table(*datasets.make_friedman2(400, random_state=0))),
    "Friedman 3": (False, lambda: table(*datasets.make_friedman3(400, random_state=0))),
    "diabetes": (False, lambda: table(*datasets.load_diabetes(return_X_y=True))),
    "linnerud": (
        False,
        lambda: table(datasets.load_linnerud().data, datasets.load_linnerud().target[:, 0]),
    ),
    "noise in 8": (False, lambda: noise(8)),
    "planted market": (False, planted),
    "NYSE(O), validation": (False, nyse_o),
}


def r2(y: Floats, predicted: Floats) -> float:
    """Share of the variance explained."""
    return float(1 - np.mean((y - predicted) ** 2) / np.mean((y - y.mean()) ** 2))


def models(matters: bool) -> dict[str, object]:
    """The estimators of one task."""
    ours = {"epochs": EPOCHS, "random_state": 0, "device": "cpu", "engine": "eager", "threads": 1}
    found: dict[str, object] = {"default": PSANNRegressor(**ours)}
    if matters:
        found["told"] = PSANNRegressor(**ours, activation_params={"frequency": 1.0})
    for activation in ("tanh", "relu"):
        found[activation] = MLPRegressor(
            hidden_layer_sizes=(WIDTH,) * DEPTH,
            activation=activation,
            batch_size=BATCH,
            max_iter=EPOCHS,
            n_iter_no_change=EPOCHS,
            random_state=0,
        )
    return found


def settle() -> dict[str, object]:
    """Mean R2 over the tasks on a quarter of the training rows, by bounds; none counts below -1."""
    found: dict[tuple[str, object], float] = {}
    means = {}
    for bounds in itertools.product(*BOUNDS.values()):
        vars(sine).update(zip(BOUNDS, bounds, strict=True))
        values = []
        for name, (_, make) in TASKS.items():
            (X, y), (X_val, y_val) = split(*make()[0])
            begins = sine.first_frequencies(WIDTH, n_rows=len(X), n_in=X.shape[1])
            if (name, begins) not in found:
                model = models(False)["default"].fit(X, y)
                found[name, begins] = max(-1.0, r2(y_val, model.predict(X_val)))
                print(name, bounds, f"{found[name, begins]:.4f}", flush=True)
            values.append(found[name, begins])
        means[", ".join(f"{bound:g}" for bound in bounds)] = round(float(np.mean(values)), 4)
    return {"bounds": list(BOUNDS), "mean R2 on validation rows": means}


def main() -> None:
    if sys.argv[1:] == ["--settle"]:
        torch.set_num_threads(1)
        SETTLED.write_text(json.dumps(settle(), indent=2) + "\n", encoding="utf-8")
        return
    warnings.simplefilter("ignore", ConvergenceWarning)
    warnings.filterwarnings("ignore", message="Got `batch_size`")
    torch.set_num_threads(1)
    rows = json.loads(RESULT.read_bytes())["tasks"] if sys.argv[1:] and RESULT.exists() else {}
    for name, (matters, make) in TASKS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        (X, y), (X_test, y_test) = make()
        began = time.perf_counter()
        row: dict[str, object] = {"frequencies matter": matters, "rows": len(X)}
        row["features"] = X.shape[1]
        for label, model in models(matters).items():
            row[label] = round(r2(y_test, make_pipeline(model).fit(X, y).predict(X_test)), 4)
        rows[name] = row
        print(name, row, f"{time.perf_counter() - began:.0f} s", flush=True)
    rows = {name: rows[name] for name in TASKS if name in rows}
    what = {"epochs": EPOCHS, "width": WIDTH, "depth": DEPTH, "batch": BATCH, "seeds": 1}
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    content = {"settings": what, "versions": versions | {"scikit-learn": sklearn.__version__}}
    RESULT.write_text(json.dumps({**content, "tasks": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
