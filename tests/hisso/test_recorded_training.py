"""Training by recorded updates is training: the same story to the last bit, whatever is set."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import user_rewards
from planted import HISSO, planted, quick, story_of
from psann import (
    AssetwiseRegressor,
    PSANNRegressor,
    ResPSANNRegressor,
    WaveResNetRegressor,
    fit_seeds,
)
from psann.hisso.rewards import REWARDS
from psann.training.recorded import recorded
from thinning import thinned

# All but one take nothing beyond moves, and judge weights or, in the end, y.
_REWARDS = sorted(set(REWARDS) - {"excess", "finance", "negative_mse"})
_OPTIONS: list[dict[str, Any]] = [
    *({"reward": reward} for reward in _REWARDS),
    {"reward": {"target": "cvar", "kwargs": {"level": 0.5}}},
    *({"primary_transform": name} for name in ("long_short", "softmax", "softmax_cash", "tanh")),
    {"reward": "negative_mse", "primary_transform": "identity"},
    {"reward": "negative_mse", "primary_transform": "sigmoid"},
    {"reward": "negative_mse", "primary_transform": "bounded", "low": -1.0, "high": 1.0},
    {"reward": "excess", "reward_inputs": ["benchmark"]},
    {"transition_penalty": 0.01},
    {"transition_penalty": [0.01, 0.0, 0.001]},
    {"input_noise": 0.1},
    {"delay": 1},
    {"max_weight": 0.51},
    {"primary_transform": "long_short", "gross_limit": 0.1, "net_limit": 0.0},
    {"max_turnover": 0.01},
    {"batch_episodes": 20},  # windows share the rows of one pass
    {"supervised": {"epochs": 2, "lr": 0.003, "weight_decay": 0.1, "batch_size": 31}},
    {"refit": True},
    {"temperature_scaling": True},
]
_ESTIMATORS: list[tuple[type, dict[str, Any]]] = [
    (PSANNRegressor, {"lr_schedule": "cosine"}),
    (PSANNRegressor, {"optimizer": "sgd", "clip_norm": 1e-3}),
    (PSANNRegressor, {"optimizer": "adamw", "weight_decay": 0.1}),
    (PSANNRegressor, {"activation": "tanh", "hidden_layers": 2}),
    (PSANNRegressor, {"activation_params": {"bounds": {"damping": [0.01, 1.0]}}}),
    (PSANNRegressor, {"activation_params": {"learnable": ["frequency"], "damping_mode": "relu"}}),
    (ResPSANNRegressor, {}),
    (WaveResNetRegressor, {"w0_warmup_epochs": 2, "dropout": 0.2}),
    (WaveResNetRegressor, {"progressive_depth_initial": 1, "progressive_depth_interval": 1}),
    (WaveResNetRegressor, {"norm": "rms"}),
    (WaveResNetRegressor, {"norm": "weight"}),
    (PSANNRegressor, {"stateful": True}),
    (PSANNRegressor, {"stateful": True, "state_reset": "epoch"}),
]


def by_both(
    monkeypatch: pytest.MonkeyPatch, estimator: Any, **fit: Any
) -> tuple[str, str, list[bool]]:
    """Stories of a fit afresh and recorded, and whether each update was recorded."""
    told: list[bool] = []

    def spied(*given: Any, **named: Any) -> Any:
        found = recorded(*given, **named)
        told.append(found is not None)
        return found

    afresh = story_of(estimator, **fit)
    with monkeypatch.context() as patch:
        for place in ("at_host", "launch"):
            patch.setattr(f"psann.training.{place}.recorded", spied)
        patch.setattr("psann.training.engine._RECORD_FROM", 1)
        return afresh, story_of(estimator, **fit), told


def arguments(options: dict[str, Any]) -> dict[str, Any]:
    """What `fit` is given for some options of HISSO on the planted series."""
    train, later = planted(), planted(60, seed=1)
    for data in (train, later):
        if "supervised" in options or options.get("reward") == "negative_mse":
            data["y"] = data["X"]
        if options.get("reward") == "negative_mse":
            data.pop("prices")
        if "reward_inputs" in options:
            data["reward_inputs"] = {"benchmark": data["prices"][:, :1]}
    return {**train, "validation_data": later, "hisso": {**HISSO, **options}}


@pytest.mark.parametrize("options", thinned(_OPTIONS, every=3), ids=str)
def test_every_option_of_hisso_trains_as_it_does_afresh(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    afresh, again, told = by_both(monkeypatch, quick(), **arguments(options))
    assert "Error" not in afresh.partition("[")[0]
    assert again == afresh
    assert told and all(told)


@pytest.mark.parametrize(("cls", "params"), thinned(_ESTIMATORS, every=3), ids=str)
def test_every_network_and_optimiser_trains_as_it_does_afresh(
    cls: type, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    afresh, again, told = by_both(monkeypatch, quick(cls, **params), **arguments({}))
    assert again == afresh
    assert told and all(told)


def _with_more(fit: dict[str, Any]) -> dict[str, Any]:
    """The arguments with a context, arrays of costs and rates, and a universe."""
    for data in (fit, fit["validation_data"]):
        n, m = data["prices"].shape
        rng = np.random.default_rng(n)
        data["context"] = rng.normal(size=(n, 2))
        data["reward_inputs"] = {
            "cost": rng.uniform(0, 0.02, (n, m)),
            "rate": rng.uniform(0, 0.5, n),
        }
        data["active"] = np.ones((n, m), dtype=np.int8)
        data["active"][rng.random((n, m)) < 0.1] = -1
        data["active"][n // 2 :, 0] = -2
    return fit


_DIAL = {"damping_mode": "relu", "learnable": ["amplitude"], "bounds": {"amplitude": [0.9, 1.01]}}
_RISES = {"w0_warmup_epochs": 2, "hidden_w0_initial": 0.5, "norm": "weight", "dropout": 0.2}
_GROWS = {"progressive_depth_initial": 1, "progressive_depth_interval": 1, "hidden_layers": 2}
_RATES = {"cash_rate": "rate", "borrow_rate": "rate"}


@pytest.mark.parametrize(
    ("cls", "params", "options"),
    [
        (
            WaveResNetRegressor,
            {**_RISES, **_GROWS, "optimizer": "adamw", "weight_decay": 0.1},
            {"reward": "cvar", "primary_transform": "long_short", "delay": 1, "refit": True},
        ),
        (
            WaveResNetRegressor,
            {"activation_params": _DIAL, "lr_schedule": "one_cycle", "on_nonfinite": "skip"},
            {"reward": "max_drawdown", "max_turnover": 0.05},
        ),
    ],
    ids=["wave", "limited"],
)
def test_what_is_set_together_trains_as_it_does_afresh(
    cls: type, params: dict[str, Any], options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    more = {"transition_penalty": "cost", "input_noise": 0.1}
    fit = {**_with_more(arguments({**options, **more})), "evaluation": _RATES}
    afresh, again, told = by_both(monkeypatch, quick(cls, **params), **fit)
    assert "Error" not in afresh.partition("[")[0]
    assert again == afresh
    assert told and all(told)


def test_what_is_held_is_remembered_as_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = arguments({"held_weights": True, "transition_penalty": 0.001})
    for data in (fit, fit["validation_data"]):
        data["X"] = data["X"][:, :, None]
    afresh, again, told = by_both(monkeypatch, quick(AssetwiseRegressor), **fit)
    assert "Error" not in afresh.partition("[")[0]
    assert again == afresh
    assert told == [True]


def test_seeds_learn_together_as_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    fit, ended = arguments({"input_noise": 0.1}), []
    for record_from in (10**9, 1):
        monkeypatch.setattr("psann.training.engine._RECORD_FROM", record_from)
        ended.append([model.to_bytes() for model in fit_seeds(quick(), range(3), **fit)])
    assert ended[0] == ended[1]


def test_assets_that_come_halt_and_end_are_held_as_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    fit = arguments({"transition_penalty": 0.01})
    for data in (fit, fit["validation_data"]):
        active = np.ones(data["prices"].shape, dtype=np.int8)
        active[:20, 0] = 0
        active[40:44, 1] = -1
        active[50, 2], active[51:, 2] = -2, 0
        data["active"] = active
    afresh, again, told = by_both(monkeypatch, quick(), **fit)
    assert "Error" not in afresh.partition("[")[0]
    assert again == afresh
    assert told == [True]


def test_halts_that_are_held_row_by_row_are_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    # Which rows have halts is looked at; the first episode, and row 0, have those on even ones.
    monkeypatch.setattr("psann.halts._MOST_ROWS_AT_ONCE", 1)
    fit = arguments({"batch_episodes": 1})
    for data in (fit, fit["validation_data"]):
        data["active"] = np.ones(data["prices"].shape, dtype=np.int8)
        data["active"][2::2, 0] = -1
    afresh, again, told = by_both(monkeypatch, quick(random_state=4), **fit)
    assert "Error" not in afresh.partition("[")[0]
    assert again == afresh
    assert told == [False]


def test_recordings_end_with_their_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[weakref.ref[Any]] = []

    def spied(*given: Any, **named: Any) -> Any:
        found = recorded(*given, **named)
        made.append(weakref.ref(found))
        return found

    monkeypatch.setattr("psann.training.at_host.recorded", spied)
    monkeypatch.setattr("psann.training.engine._RECORD_FROM", 1)
    gc.disable()
    try:
        quick().fit(**arguments({"refit": True}))
        assert len(made) == 2 and not any(each() for each in made)
    finally:
        gc.enable()


def test_what_cash_and_shorts_cost_on_each_row_is_paid_as_afresh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates: dict[str, Any] = {"cash_rate": 0.5, "borrow_rate": 0.5}
    fit = {**arguments({"primary_transform": "long_short"}), "evaluation": rates}
    afresh, again, told = by_both(monkeypatch, quick(), **fit)
    assert again == afresh
    assert told == [True]


@pytest.mark.parametrize("rows", [64, 90])
def test_targets_are_learnt_as_afresh(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    X = planted(rows)["X"]
    fit = {"X": X, "y": np.sin(X), "sample_weight": np.linspace(0.5, 1.5, rows)}
    estimator = quick(batch_size=64, epochs=8)  # one update in an epoch, or a smaller second
    afresh, again, told = by_both(monkeypatch, estimator, **fit)
    assert again == afresh
    assert told == [True]


@pytest.mark.parametrize(
    ("params", "options", "is_ours"),
    [
        ({}, {}, True),
        ({"loss": user_rewards.quartic}, {}, True),  # it plays no part in episodes
        ({}, {"reward": "user_rewards:scaled"}, False),
        ({}, None, True),
        ({"loss": user_rewards.quartic}, None, False),
    ],
)
def test_compiling_pays_later_where_updates_are_recorded(
    params: dict[str, Any], options: dict[str, Any] | None, is_ours: bool
) -> None:
    fit = {"X": planted()["X"], "y": planted()["X"]} if options is None else arguments(options)
    model = quick(**params).fit(**fit)
    (told,) = [d.message for d in model.fit_result_.decisions if "compiled pays from" in d.message]
    least = int(told.partition("pays from ")[2].partition(" on")[0].replace(",", ""))
    assert (least > 50_000) == is_ours
