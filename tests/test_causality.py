"""Nothing that comes after a row may change what is decided at it, from the file to the action."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.preprocessing import RobustScaler

from event_simulator import simulate
from planted import HISSO, planted, quick
from psann import (
    AssetwiseRegressor,
    PSANNRegressor,
    ResPSANNRegressor,
    WaveResNetRegressor,
    datasets,
)
from psann.errors import DataError
from psann.metrics import portfolio_metrics
from thinning import slow, thinned

ESTIMATORS: dict[str, tuple[Any, dict[str, Any]]] = {
    "dense": (PSANNRegressor, {}),
    "dense, tanh": (PSANNRegressor, {"activation": "tanh"}),
    "residual": (ResPSANNRegressor, {}),
    "wave": (WaveResNetRegressor, {"dropout": 0.2}),
    "assetwise": (AssetwiseRegressor, {"layout": "asset_major", "pooling": "mean"}),
    "dense, stateful": (PSANNRegressor, {"stateful": True, "state_reset": "epoch"}),
    "residual, stateful": (ResPSANNRegressor, {"stateful": True, "state_reset": "none"}),
}
SCALERS = {"none": None, "standard": "standard", "minmax": "minmax", "robust": RobustScaler()}
CUTS = (1, 20, 49)


def corrupted(rows: NDArray[Any], cut: int) -> NDArray[Any]:
    """The same rows up to a cut, and nonsense from there on."""
    changed = rows.copy()
    changed[cut:] = np.random.default_rng(cut).uniform(1.0, 1e3, changed[cut:].shape)
    return changed


# ---------------------------------------------------------------- from rows to actions


@pytest.mark.parametrize(("name", "scaler"), thinned(product(ESTIMATORS, SCALERS), every=3))
def test_actions_do_not_depend_on_rows_that_come_later(name: str, scaler: str) -> None:
    cls, params = ESTIMATORS[name]
    model = quick(cls, scaler=SCALERS[scaler], monitor="train_loss", **params)
    model.fit(**planted(), hisso=HISSO)
    X = planted(50, seed=3)["X"]
    usual = model.predict_actions(X)
    assert not np.allclose(usual, usual[0])
    for cut in CUTS:
        other = model.predict_actions(corrupted(X, cut))
        np.testing.assert_array_equal(other[:cut], usual[:cut])
        assert not np.array_equal(other[cut:], usual[cut:])
        # Products of other shapes add up in another order.
        np.testing.assert_allclose(model.predict_actions(X[:cut]), usual[:cut], rtol=1e-12)


def test_actions_do_not_depend_on_contexts_that_come_later() -> None:
    rows = {**planted(), "context": planted(seed=5)["X"]}
    model = quick(WaveResNetRegressor, hidden_layers=2).fit(**rows, hisso=HISSO)
    X, context = planted(50, seed=3)["X"], planted(50, seed=6)["X"]
    usual = model.predict_actions(X, context=context)
    for cut in CUTS:
        other = model.predict_actions(X, context=corrupted(context, cut))
        np.testing.assert_array_equal(other[:cut], usual[:cut])
        assert not np.array_equal(other[cut:], usual[cut:])


@pytest.mark.parametrize("name", thinned(ESTIMATORS, every=2))
def test_the_validation_pass_decides_each_row_without_those_that_come_later(name: str) -> None:
    cls, params = ESTIMATORS[name]
    validation = planted(50, seed=1)

    def passes(X: NDArray[Any]) -> list[NDArray[Any]]:
        """Actions of every validation pass, as the reward sees them."""
        seen = []

        def reward(actions: Any, context: Any, *, transition_penalty: float) -> Any:
            if actions.shape[1] == len(X):
                seen.append(actions[0].numpy().copy())
            return (actions * context).mean((1, 2))

        quick(cls, scaler="standard", **params).fit(
            **planted(),
            validation_data={**validation, "X": X},
            hisso={**HISSO, "reward": reward, "transition_penalty": 0.0},
        )
        return seen

    usual = passes(validation["X"])
    assert len(usual) == 5  # epoch 0, asked twice whether it is a function, and three more
    for cut in CUTS:
        other = passes(corrupted(validation["X"], cut))
        for ours, theirs in zip(other, usual, strict=True):
            np.testing.assert_array_equal(ours[:cut], theirs[:cut])
        assert not np.array_equal(other[-1][cut:], usual[-1][cut:])


# ---------------------------------------------------------------- from the file to actions


def with_later_lines_changed(content: bytes, n_lines: int) -> bytes:
    """The file with other numbers in its last lines."""
    pack: Callable[[bytes], bytes] = bytes
    unpack: Callable[[bytes], bytes] = bytes
    if content[:2] == b"\x1f\x8b":
        pack, unpack = gzip.compress, gzip.decompress
    elif content[:3] == b"BZh":
        pack, unpack = bz2.compress, bz2.decompress
    lines = unpack(content).splitlines()
    for number in range(len(lines) - n_lines, len(lines)):
        first, *cells = lines[number].split(b",")
        changed = [b"%.6f" % (1.3 * float(cell) + 0.01) for cell in cells]
        lines[number] = b",".join([first, *changed])
    return pack(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize("n_lines", [1, 30])
@pytest.mark.parametrize(
    "load",
    [
        slow(pytest.param(datasets.load_sp500_20, id="sp500_20")),
        pytest.param(datasets.load_french_12, id="french_12"),
        pytest.param(lambda: datasets.load_olps("djia"), id="olps"),
    ],
)
def test_later_lines_of_a_file_change_no_earlier_row(
    load: Callable[[], dict[str, Any]], n_lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    try:
        usual = load()
    except DataError as problem:
        pytest.skip(str(problem))
    read = datasets._Source.read
    monkeypatch.setattr(
        datasets._Source, "read", lambda self: with_later_lines_changed(read(self), n_lines)
    )
    other = load()
    for key in ("X_test", "prices_test", "y_test"):
        n_changed = n_lines + (key == "y_test")  # the return of a row is that of the next
        np.testing.assert_array_equal(other[key][:-n_changed], usual[key][:-n_changed])
        assert not np.array_equal(other[key], usual[key])
    for name in (f"{key}_{split}" for key in ("X", "y", "prices") for split in ("train", "val")):
        np.testing.assert_array_equal(other[name], usual[name])


@pytest.mark.parametrize("name", thinned(ESTIMATORS, every=3))
def test_later_prices_change_no_earlier_action_of_a_policy_trained_on_the_series(name: str) -> None:
    cls, params = ESTIMATORS[name]
    moves = 0.02 * np.random.default_rng(0).standard_normal((300, 3))
    prices = np.exp(np.cumsum(moves, axis=0))

    def actions(series: NDArray[Any]) -> NDArray[Any]:
        data: Any = datasets._market(series, np.arange(300.0), 0.6, 0.2, "default")
        model = quick(cls, scaler="standard", lr=0.1, **params)
        model.fit(
            data["X_train"],
            prices=data["prices_train"],
            validation_data={key: data[f"{key}_val"] for key in ("X", "prices")},
            hisso={**HISSO, "refit": True, "temperature_scaling": True},
        )
        decided: NDArray[Any] = model.predict_actions(data["X_test"])
        return decided

    usual = actions(prices)
    # Where validation keeps epoch 0, the test would show nothing.
    assert np.ptp(usual, axis=0).max() > 1e-4
    for n_later in (1, 59):
        changed = prices.copy()
        changed[-n_later:] *= np.random.default_rng(1).uniform(0.5, 2.0, (n_later, 3))
        other = actions(changed)
        np.testing.assert_array_equal(other[:-n_later], usual[:-n_later])
        assert not np.array_equal(other[-n_later:], usual[-n_later:])


# ---------------------------------------------------------------- from actions to wealth


# How an account begins is of its first step only; `test_accounting.py` has every cost so long.
@pytest.mark.parametrize(
    ("cost", "initial", "n_steps"),
    [("drift", "cash", 6000)]
    + [(cost, begin, 600) for cost in ("exact", "target_l1") for begin in ("cash", "invested")]
    + [("drift", "invested", 600)],
)
@pytest.mark.parametrize(
    "transform", ["softmax_cash", pytest.param("softmax", marks=pytest.mark.slow)]
)
def test_a_trained_policy_is_judged_as_the_event_simulator_does_over_6000_steps(
    cost: Any, initial: Any, n_steps: int, transform: str
) -> None:
    cash = transform == "softmax_cash"
    model = quick(lr=0.1, epochs=5).fit(
        **planted(rho=0.5), hisso={**HISSO, "primary_transform": transform}
    )
    rows = planted(n_steps + 1, rho=0.5, seed=4)
    actions = model.predict_actions(rows["X"])
    metrics = portfolio_metrics(
        actions, rows["prices"], trans_cost=0.0012, initial=initial, cost=cost, cash=cash
    )
    wealth = simulate(actions, rows["prices"], trans_cost=0.0012, initial=initial, cost=cost)
    assert metrics["n_steps"] == n_steps and metrics["turnover_traded"] > 0.01
    assert 1 + metrics["cum_return"] == pytest.approx(wealth[-1], rel=1e-10)
    fallen = (wealth / np.maximum.accumulate(wealth) - 1).min()
    assert metrics["max_drawdown"] == pytest.approx(fallen, rel=1e-10)
