"""What a message says to do is done to the very thing that it is about, and then that works.

Here what Python says; `run/test_cures_of_runs.py` has what the command says.
Every text of the source that tells what to do has a row in one of the two, or in `ELSEWHERE` the
test that does it: a new one without any fails.
"""

from __future__ import annotations

import io
import secrets
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PolynomialFeatures,
    PowerTransformer,
    RobustScaler,
    StandardScaler,
)
from torch import Tensor

import cures_of_runs as runs
import user_rewards
from cures import messages, none_of_rooms, of_rooms, texts
from psann import (
    AssetwiseRegressor,
    PSANNRegressor,
    WaveResNetRegressor,
)
from psann._conditions import parse_condition
from psann._npz import read_npz
from psann.datasets import make_toy_hisso
from psann.errors import DataError
from psann.evaluation.comparison import growth_difference
from psann.evaluation.judgement import Terms, judge_baselines, judge_policy
from psann.evaluation.options import WalkForwardOptions
from psann.evaluation.placebo import shuffled_order, shuffled_prices
from psann.hisso.constraints import capped_softmax
from psann.metrics import (
    confidence_sequence,
    deflated_sharpe_ratio,
    equity_curve,
    max_drawdown,
    portfolio_metrics,
)
from psann.nn.network import Network, NetworkShape
from psann.plausibility.features import feature_findings
from psann.plausibility.prices import price_findings
from psann.run.reading.archive import pack, unpack
from psann.run.reading.reading import read_run
from psann.run.report.page import write_report
from psann.run.verification.seal import read_key, seal
from psann.training.observers import Observer
from thinning import thinned
from trials import finished

N = 60
draws = np.random.default_rng(0)
X = draws.standard_normal((N, 4))
Y = draws.standard_normal((N, 2))
PRICES = np.exp(0.02 * draws.standard_normal((N, 2)).cumsum(axis=0))
BY_ASSET, MEMBERS = X.reshape(N, 2, 2), np.ones((N, 2), dtype=np.int8)
WEIGHTS = np.full((N, 2), 0.5)
VALIDATION = {"X": X + 0.1, "prices": PRICES}
HISSO = {"window": 6, "batch_episodes": 4, "updates_per_epoch": 2}
C = draws.standard_normal((N, 1))
HELD = np.ones((N, 2))
HELD[:9, 1] = 0


def model(cls: type = PSANNRegressor, **params: Any) -> Any:
    given = {"hidden_layers": 1, "hidden_units": 4, "epochs": 2, "random_state": 0, **params}
    return cls(**given)


def taught(cls: type = PSANNRegressor, *, how: dict[str, Any] | None = None, **params: Any) -> Any:
    """Fitted on targets."""
    return model(cls, **params).fit(X, Y, **(how or {}))


def policy(options: dict[str, Any] | None = None, *, params: Any = None, **how: Any) -> Any:
    """Fitted by episodes, with validation rows."""
    given = {"prices": PRICES, "validation_data": VALIDATION, **how}
    return model(**(params or {})).fit(X, hisso={**HISSO, **(options or {})}, **given)


def beside(benchmark: Any) -> Any:
    """A policy that is rewarded for what it earns beyond a benchmark."""
    options = {"reward": "excess", "reward_inputs": ["benchmark"]}
    inputs = {"benchmark": benchmark}
    return policy(
        options, reward_inputs=inputs, validation_data={**VALIDATION, "reward_inputs": inputs}
    )


def streamed(**params: Any) -> Any:
    """Taught by two passes."""
    return model(**params).partial_fit(X, Y).partial_fit(X, Y)


def sees_held(options: dict[str, Any] | None = None, **how: Any) -> Any:
    """A policy of assets that sees what it holds of each."""
    estimator = AssetwiseRegressor(epochs=1, random_state=0)
    given = {**HISSO, "held_weights": True, **(options or {})}
    return estimator.fit(BY_ASSET, prices=PRICES, hisso=given, **how)


def grown(**params: Any) -> Any:
    """Fitted, then fitted again with other settings."""
    return taught(warm_start=True).set_params(hidden_units=5, **params).fit(X, Y)


class Watcher(Observer):
    """Watches, and says nothing."""


def mean_of_nothing(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    """A reward that is not finite where nothing learns, as on validation rows."""
    nothing = 0.0 if actions.requires_grad else torch.nan
    return actions[..., 0].mean(-1) + nothing


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs - targets) ** 2


class Exponential(Network):
    """A network of a user's own, whose outputs leave the range of numbers."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.head = torch.nn.Linear(n_in, n_out)

    def forward(self, x: Tensor, *_: Tensor | None) -> Tensor:
        return self.head(x).exp()


class ExponentialRegressor(PSANNRegressor):
    """An estimator of it."""

    def _build_network(self, shape: NetworkShape, rng: np.random.Generator | None) -> Network:
        return Exponential(shape.n_in, shape.n_out)


def exponential(**params: Any) -> Any:
    torch.manual_seed(0)
    return taught(ExponentialRegressor, **params)


def logarithm(X: Any) -> Any:
    with np.errstate(invalid="ignore"):
        return np.log(X)


def of_small_targets(outputs: Tensor, targets: Tensor) -> Tensor:
    """A loss that is not defined where a target is above 1."""
    return torch.log(1 - targets) * (outputs - targets) ** 2


def saved(estimator: Any, tmp_path: Path) -> None:
    estimator.save(tmp_path / "estimator.safetensors")


def assetwise(X: Any = X, *, how: dict[str, Any] | None = None, **params: Any) -> Any:
    options = {**HISSO, **params.pop("options", {})}
    return model(AssetwiseRegressor, **params).fit(X, prices=PRICES, hisso=options, **(how or {}))


def step(name: str, **more: Any) -> Any:
    return taught(lr_schedule={"name": name, **more})


SEEN = X.reshape(N, 2, 2)
LOG = FunctionTransformer(logarithm)

# Text of the message: what meets it, then everything that it says to do instead.
CURES: dict[str, tuple[Callable[..., object], ...]] = {
    "which partial_fit does not know. Write constant or step": (
        lambda: streamed(lr_schedule="cosine"),
        lambda: streamed(lr_schedule="constant"),
        lambda: streamed(lr_schedule="step"),
    ),
    "by which it would learn from new rows. Write standard, minmax or None": (
        lambda: streamed(scaler=RobustScaler()),
        lambda: streamed(scaler="standard"),
        lambda: streamed(scaler="minmax"),
        streamed,
    ),
    "which is one pass without validation rows. Remove it, or call fit": (
        lambda: model().partial_fit(X, prices=PRICES, hisso={"window": 6, "refit": True}),
        lambda: model().partial_fit(X, prices=PRICES, hisso={"window": 6}),
        lambda: policy({"refit": True}),
    ),
    "Set warm_start=False to begin anew, in a stream with a clone": (
        lambda: streamed().set_params(hidden_units=5).partial_fit(X, Y),
        lambda: grown(warm_start=False),
        lambda: clone(streamed()).set_params(hidden_units=5).partial_fit(X, Y),
    ),
    "Give {}.reindex(prices.columns).to_list()": (
        lambda: policy({"transition_penalty": pd.Series([0.0, 0.1], index=["B", "A"])}),
        lambda: policy(
            {"transition_penalty": pd.Series([0.0, 0.1], ["B", "A"]).reindex(["A", "B"]).to_list()}
        ),
    ),
    "Pass wealth paths, for example equity_curve(...), not returns": (
        lambda: growth_difference([0.1, -0.1], [0.0, 0.1], periods_per_year=252),
        lambda: growth_difference(
            equity_curve(WEIGHTS, PRICES), equity_curve(WEIGHTS, PRICES), periods_per_year=252
        ),
    ),
    "`earlier` must be a list of the prices of each span before; got {}. Give [": (
        lambda: judge_baselines(PRICES, terms=Terms(), earlier=PRICES),
        lambda: judge_baselines(PRICES, terms=Terms(), earlier=[PRICES]),
    ),
    "Put what changes their number before the estimator, in a Pipeline": (
        lambda: taught(scaler=PolynomialFeatures(2)),
        lambda: make_pipeline(PolynomialFeatures(2), model()).fit(X, Y),
    ),
    "Give shuffled_order({}, seed=..., number=...)": (
        lambda: shuffled_prices(PRICES, shuffled_order(N - 1, seed=0, number=1)),
        lambda: shuffled_prices(PRICES, shuffled_order(N, seed=0, number=1)),
    ),
    "must have rows and columns; got shape {}. Give {}.reshape(len({}), -1)": (
        lambda: feature_findings(BY_ASSET),
        lambda: feature_findings(BY_ASSET.reshape(len(BY_ASSET), -1)),
        lambda: price_findings(PRICES[:, 0].reshape(len(PRICES), -1)),
    ),
    "Give each every method of it, best as a subclass": (
        lambda: taught(how={"observers": [print]}),
        lambda: taught(how={"observers": [Watcher()]}),
    ),
    "to which the weights belong; got {}. Fit again, or set it back": (
        lambda tmp_path: saved(taught().set_params(w0=3.0), tmp_path),
        lambda tmp_path: saved(taught().set_params(w0=3.0).fit(X, Y), tmp_path),
        lambda tmp_path: saved(taught().set_params(w0=3.0).set_params(w0=1.0), tmp_path),
    ),
    "takes no context; leave it out, or use WaveResNetRegressor": (
        lambda: taught(how={"context": C}),
        taught,
        lambda: taught(WaveResNetRegressor, how={"context": C}),
    ),
    "a context has no effect without use_phase_shift or use_film": (
        lambda: taught(
            WaveResNetRegressor, use_film=False, use_phase_shift=False, how={"context": C}
        ),
        lambda: taught(
            WaveResNetRegressor, use_film=True, use_phase_shift=False, how={"context": C}
        ),
        lambda: taught(
            WaveResNetRegressor, use_film=False, use_phase_shift=True, how={"context": C}
        ),
        lambda: taught(WaveResNetRegressor, use_film=False, use_phase_shift=False),
    ),
    "has no effect without w0_warmup_epochs; remove it": (
        lambda: taught(WaveResNetRegressor, hidden_w0_initial=2.0),
        lambda: taught(WaveResNetRegressor),
    ),
    "Give them, or set hisso.{} to {}": (
        lambda: policy({"refit": True}, validation_data=None),
        lambda: policy({"refit": True}),
        lambda: policy({"refit": False}, validation_data=None),
    ),
    "Use a smaller window or more rows": (
        lambda: policy({"window": N}),
        lambda: policy({"window": N - 1}),
        lambda: model().fit(
            np.vstack([X, X]), prices=np.vstack([PRICES, PRICES]), hisso={**HISSO, "window": N}
        ),
    ),
    "is not a plain value. Use a number, text": (
        lambda tmp_path: saved(taught(loss=lambda o, t: (o - t) ** 2), tmp_path),
        lambda tmp_path: saved(taught(loss="mse"), tmp_path),
        lambda tmp_path: saved(taught(loss=user_rewards.quartic), tmp_path),
    ),
    "cannot be saved without running code on the way back": (
        lambda tmp_path: saved(_scaled_by_hand(PowerTransformer()), tmp_path),
        lambda tmp_path: saved(taught(scaler=StandardScaler()), tmp_path),
    ),
    "the network's outputs are not finite": (
        lambda: exponential().predict(1e5 * X),
        lambda: exponential().predict(X),
        lambda: exponential(scaler=MinMaxScaler(clip=True)).predict(1e5 * X),
    ),
    "give hisso= to fit": (
        lambda: taught().predict_actions(X),
        lambda: policy().predict_actions(X),
    ),
    "Its own steps must be defined there": (
        lambda: taught(scaler=LOG),
        lambda: model(scaler=LOG).fit(np.exp(X), Y),
        lambda: taught(scaler="standard"),
    ),
    "Leave it out, or train on targets, without hisso": (
        lambda: policy(sample_weight=np.ones(N)),
        policy,
        lambda: taught(how={"sample_weight": np.ones(N)}),
    ),
    "takes no sample_weight. Leave it out": (
        lambda: policy().score(X, prices=PRICES, sample_weight=np.ones(N)),
        lambda: policy().score(X, prices=PRICES),
    ),
    "needs y. Give score(X, y)": (
        lambda: _of_targets().score(X, prices=PRICES),
        lambda: _of_targets().score(X, Y),
    ),
    "state has no effect without stateful=True; remove it": (
        lambda: taught(state={"init": 0.5}),
        taught,
        lambda: taught(state={"init": 0.5}, stateful=True),
    ),
    "predict_sequence needs stateful=True; use predict": (
        lambda: taught().predict_sequence(X),
        lambda: taught().predict(X),
        lambda: taught(stateful=True).predict_sequence(X),
    ),
    "Write pooling='none' and a primary_transform without cash": (
        lambda: assetwise(SEEN, pooling="mean", how={"active": HELD}),
        lambda: assetwise(SEEN, pooling="none", how={"active": HELD}),
    ),
    "cannot be told. Give X of shape": (
        assetwise,
        lambda: assetwise(SEEN),
        lambda: assetwise(layout="asset_major"),
        lambda: assetwise(layout="feature_major"),
    ),
    "write pooling='none', or give hidden layers": (
        lambda: assetwise(SEEN, pooling="mean", hidden_layers=0),
        lambda: assetwise(SEEN, pooling="none", hidden_layers=0),
        lambda: assetwise(SEEN, pooling="mean", hidden_layers=1),
    ),
    "Give one price per asset for every row of the actions, or one for all": (
        lambda: judge_policy(WEIGHTS, PRICES[:-1], terms=Terms()),
        lambda: judge_policy(WEIGHTS, PRICES, terms=Terms()),
        lambda: judge_policy(WEIGHTS, PRICES[:, :1], terms=Terms()),
    ),
    "refit cannot be combined with supervised; remove one of the two": (
        lambda: policy({"refit": True, "supervised": True}, y=Y),
        lambda: policy({"refit": True}),
        lambda: policy({"supervised": True}, y=Y),
    ),
    "Give prices (reward portfolio), or set reward to negative_mse": (
        lambda: model().fit(X, Y, hisso=HISSO),
        lambda: model().fit(X, Y, prices=PRICES, hisso=HISSO),
        lambda: model().fit(X, Y, hisso={**HISSO, "reward": "negative_mse"}),
        lambda: model().fit(
            X,
            Y,
            hisso={
                **HISSO,
                "reward": "user_rewards:mean_first",
                "context_extractor": "trials:cumulative_features",
            },
        ),
    ),
    "Use softmax, softmax_cash, tanh or long_short": (
        lambda: policy({"primary_transform": "identity"}),
        lambda: policy({"primary_transform": "softmax"}),
        lambda: policy({"primary_transform": "softmax_cash"}),
        lambda: policy({"primary_transform": "tanh"}),
        lambda: policy({"primary_transform": "long_short"}),
    ),
    "Give prices, or another reward": (
        lambda: model().fit(X, hisso={**HISSO, "reward": "portfolio"}),
        lambda: model().fit(X, prices=PRICES, hisso={**HISSO, "reward": "portfolio"}),
        lambda: model().fit(X, hisso={**HISSO, "reward": "user_rewards:mean_first"}),
    ),
    "set hisso.transition_penalty or evaluation.initial instead": (
        lambda: policy({"reward": _told_by_kwargs(transition_penalty=0.1, initial="invested")}),
        lambda: policy({"transition_penalty": 0.1}, evaluation={"initial": "invested"}),
    ),
    "Average over time and actions inside it": (
        lambda: policy({"reward": user_rewards.per_step}),
        lambda: policy({"reward": user_rewards.mean_first}),
    ),
    "Write x = x - 1 instead of x -= 1": (
        lambda: policy({"reward": user_rewards.writing}),
        lambda: policy({"reward": user_rewards.scaled}),
    ),
    "Write x = x + 1 there instead of x += 1 or x[...] = 1": (
        lambda: policy({"reward": _squared_and_changed}),
        lambda: policy({"reward": _squared}),
    ),
    "Compute it from the outputs without another dtype": (
        lambda: taught(loss=user_rewards.whole),
        lambda: taught(loss=user_rewards.quartic),
    ),
    "Compute it from its actions without another dtype": (
        lambda: policy({"reward": user_rewards.counting}),
        lambda: policy({"reward": user_rewards.scaled}),
    ),
    "Use the monitor val_reward or val_loss, or set hisso.{} to 0": (
        lambda: policy({"min_improvement": 0.1}, params={"monitor": "reward"}),
        lambda: policy({"min_improvement": 0.1}, params={"monitor": "val_reward"}),
        lambda: policy({"min_improvement": 0.1}, params={"monitor": "val_loss"}),
        lambda: policy({"min_improvement": 0.0}, params={"monitor": "reward"}),
    ),
    "Ask for a gain with hisso.min_improvement, or set hisso.min_significance to 0": (
        lambda: policy({"min_significance": 2.0, "reward": user_rewards.mean_first}),
        lambda: policy({"min_improvement": 0.1, "reward": user_rewards.mean_first}),
        lambda: policy({"min_significance": 0.0, "reward": user_rewards.mean_first}),
    ),
    "make prices of them with numpy.cumprod(1 + returns, axis=0)": (
        lambda: portfolio_metrics(WEIGHTS, _returns()),
        lambda: portfolio_metrics(WEIGHTS, np.cumprod(1 + _returns(), axis=0)),
    ),
    "Drop assets without a price": (
        lambda: portfolio_metrics(WEIGHTS, PRICES * [100, 0]),
        lambda: portfolio_metrics(2 * WEIGHTS[:, :1], 100 * PRICES[:, :1]),
    ),
    "Pass a wealth path, for example equity_curve(...), not returns": (
        lambda: max_drawdown(_returns()[:, 0]),
        lambda: max_drawdown(equity_curve(WEIGHTS, np.cumprod(1 + _returns(), axis=0))),
    ),
    "Give one price per asset for every row of the allocations": (
        lambda: portfolio_metrics(WEIGHTS, PRICES[:-1]),
        lambda: portfolio_metrics(WEIGHTS, PRICES),
    ),
    "Pass cash=True if the rest is held in cash": (
        lambda: portfolio_metrics(0.9 * WEIGHTS, PRICES),
        lambda: portfolio_metrics(0.9 * WEIGHTS, PRICES, cash=True),
    ),
    "Count the chosen one": (
        lambda: deflated_sharpe_ratio(_returns()[:, 0], n_trials=0),
        lambda: deflated_sharpe_ratio(_returns()[:, 0], n_trials=1),
    ),
    "`steps` must be a vector of finite numbers; got shape {}. Leave out what": (
        lambda: confidence_sequence([0.1, np.nan, 0.2]),
        lambda: confidence_sequence([0.1, 0.2]),
    ),
    "every and refit_every exclude each other: a fold is judged on a calendar": (
        lambda: WalkForwardOptions(folds=1, every="year", refit_every=5),
        lambda: WalkForwardOptions(folds=1, every="year"),
        lambda: WalkForwardOptions(folds=1, refit_every=5),
    ),
    "Raise it, or write primary_transform: softmax_cash, which keeps the rest": (
        lambda: policy({"max_weight": 0.4}),
        lambda: policy({"max_weight": 0.5}),
        lambda: policy({"max_weight": 0.4, "primary_transform": "softmax_cash"}),
    ),
    "Give more assets, or say by active who can be held: the rest is cash then": (
        lambda: capped_softmax(torch.zeros(3, 2), max_weight=0.4),
        lambda: capped_softmax(torch.zeros(3, 3), max_weight=0.4),
        lambda: capped_softmax(torch.zeros(3, 2), torch.ones(3, 2), max_weight=0.4),
    ),
    "{} is a limit of long_short; primary_transform is {}. Write long_short, or": (
        lambda: policy({"gross_limit": 2.0}),
        lambda: policy({"gross_limit": 2.0, "primary_transform": "long_short"}),
        policy,
    ),
    "is a limit on portfolio weights, and {}, or remove {}": (
        lambda: _of_any_size(max_weight=0.6),
        lambda: _of_any_size(max_weight=0.6, primary_transform="softmax"),
        lambda: _of_any_size(),
    ),
    "numbers of any size. Write another transform": (
        lambda: _of_any_size(max_weight=0.6),
        lambda: _of_any_size(max_weight=0.6, primary_transform="softmax"),
    ),
    "Give its prices, not its returns": (
        lambda: beside(np.append(0.0, np.diff(np.log(PRICES[:, 0])))),
        lambda: beside(PRICES[:, 0]),
    ),
    "{} has no place for hisso.held_weights, a feature of each asset that follows from": (
        lambda: policy({"held_weights": True}),
        sees_held,
        policy,
    ),
    "always be held; here {}. Remove hisso.held_weights": (
        lambda: sees_held(active=MEMBERS),
        lambda: sees_held({"held_weights": False}, active=MEMBERS),
    ),
    "held_weights cannot be combined with {}; remove one of the two": (
        lambda: sees_held({"max_turnover": 0.1}),
        sees_held,
        lambda: sees_held({"held_weights": False, "max_turnover": 0.1}),
    ),
    "holds (hisso.held_weights). Use predict_actions with prices": (
        lambda: sees_held().predict(BY_ASSET),
        lambda: sees_held().predict_actions(BY_ASSET, prices=PRICES),
    ),
    "does not see what it holds. Leave it out, or fit with hisso.held_weights": (
        lambda: policy().predict_actions(X, held=[0.5, 0.5]),
        lambda: policy().predict_actions(X),
        lambda: sees_held().predict_actions(BY_ASSET, prices=PRICES, held=[0.5, 0.5]),
    ),
    "change what is traded. Use drift": (
        lambda: portfolio_metrics(WEIGHTS, PRICES, max_turnover=0.1, cost="exact"),
        lambda: portfolio_metrics(WEIGHTS, PRICES, max_turnover=0.1, cost="drift"),
    ),
    "is held, such as portfolio; got {}. Use another reward, or remove": (
        lambda: policy({"max_turnover": 0.1, "reward": "negative_mse"}, y=Y),
        lambda: policy({"max_turnover": 0.1, "reward": "portfolio"}, y=Y),
        lambda: policy({"reward": "negative_mse"}, y=Y),
    ),
    "damping has no effect with damping_mode none; remove it": (
        lambda: taught(activation_params={"damping_mode": "none", "damping": 0.2}),
        lambda: taught(activation_params={"damping_mode": "none"}),
    ),
    "cannot learn with damping_mode none; remove it": (
        lambda: taught(activation_params={"damping_mode": "none", "learnable": ["damping"]}),
        lambda: taught(activation_params={"damping_mode": "none", "learnable": []}),
    ),
    "it is not learnable; remove them": (
        lambda: taught(activation_params={"learnable": [], "bounds": {"frequency": [0.1, 9.0]}}),
        lambda: taught(activation_params={"learnable": []}),
    ),
    "has no effect on the schedule {}; remove it": (
        lambda: step("constant", gamma=0.5),
        lambda: step("constant"),
    ),
    "Lower the learning rate, check the data, or set on_nonfinite to skip": (
        lambda: _of_defined(),
        lambda: _of_defined(on_nonfinite="skip"),
        lambda: _of_defined(targets=np.minimum(Y, 0.9)),
    ),
    "before any step: check the data, or in a reward or loss of your own": (
        lambda: policy({"reward": "user_rewards:left_out"}),
        lambda: policy({"reward": "user_rewards:kept_away"}),
    ),
    "Lower the learning rate": (lambda: _fast(1e30), lambda: _fast(1e-3)),
    "Lower the learning rate, check the data, or raise max_skipped_updates": (
        lambda: _of_defined(on_nonfinite="skip", max_skipped_updates=1),
        lambda: _of_defined(on_nonfinite="skip", max_skipped_updates=100),
        lambda: _of_defined(targets=np.minimum(Y, 0.9), on_nonfinite="skip", max_skipped_updates=1),
    ),
    "Use auto, eager or compiled": (
        lambda: taught(engine="captured", device="cpu"),
        lambda: taught(engine="auto", device="cpu"),
        lambda: taught(engine="eager", device="cpu"),
    ),
    "Check the reward or loss on the rows that it is taken of": (
        lambda: policy({"reward": mean_of_nothing}),
        lambda: policy({"reward": user_rewards.mean_first}),
    ),
    "Do not average inside it": (
        lambda: taught(loss=user_rewards.averaged),
        lambda: taught(loss=squared),
    ),
    "Use auto or cpu, or check the driver": (
        lambda: taught(device="cuda:7"),
        lambda: taught(device="auto"),
        lambda: taught(device="cpu"),
    ),
    "is nested too deeply; write a simpler condition": (
        lambda: parse_condition("-" * 1990 + "1 == seed"),
        lambda: parse_condition("-1 == seed"),
    ),
    "Start the command with python -m from the folder that holds it, or put": (
        lambda: policy({"reward": "rewards_of_mine:growth"}),
        lambda tmp_path: _with_module(tmp_path),
    ),
    "does not exist. Correct the path": (
        lambda tmp_path: read_npz(tmp_path / "markt.npz"),
        lambda tmp_path: read_npz(_archive(tmp_path)),
    ),
    "Copy or write the file again (numpy.savez)": (
        lambda tmp_path: read_npz(_archive(tmp_path, cut=20)),
        lambda tmp_path: read_npz(_archive(tmp_path)),
    ),
    "Write it with numpy.savez(path, X_train=..., ...)": (
        lambda tmp_path: read_npz(_saved_alone(tmp_path)),
        lambda tmp_path: read_npz(_archive(tmp_path)),
    ),
    "must be a readable array; {}. Write the file again": (
        lambda tmp_path: _whole(_archive(tmp_path, spoil=b"\x93NUMPY")),
        lambda tmp_path: _whole(_archive(tmp_path)),
    ),
    "never unpickled; convert it to numbers with .astype(float)": (
        lambda tmp_path: _whole(_archive(tmp_path, X.astype(object))),
        lambda tmp_path: _whole(_archive(tmp_path, X.astype(object).astype(float))),
    ),
    "must be in the archive once; got {} members of that name. Write the file": (
        lambda tmp_path: _whole(_archive(tmp_path, more=("X_train.npy", "X_train.npy"))),
        lambda tmp_path: _whole(_archive(tmp_path)),
    ),
    "must be an array (.npy) to be in the archive. Take it out": (
        lambda tmp_path: _whole(_archive(tmp_path, more=("readme.txt",))),
        lambda tmp_path: _whole(_archive(tmp_path)),
    ),
    "Write it with numpy.savez or numpy.savez_compressed": (
        lambda tmp_path: _whole(_archive(tmp_path, method=zipfile.ZIP_BZIP2)),
        lambda tmp_path: _whole(_archive(tmp_path)),
        lambda tmp_path: _whole(_archive(tmp_path, method=zipfile.ZIP_DEFLATED)),
    ),
    "Rename the directory": (
        lambda tmp_path: pack(_run(tmp_path, "a run"), tmp_path / "run.tar"),
        lambda tmp_path: pack(_run(tmp_path, "a_run"), tmp_path / "run.tar"),
    ),
    "unpack must make a new directory; {} exists. Move it away, or give": (
        lambda tmp_path: unpack(_packed(tmp_path), tmp_path / "out"),
        lambda tmp_path: unpack(_packed(tmp_path), tmp_path / "elsewhere"),
    ),
    "Nothing was kept; copy or pack it again": (
        lambda tmp_path: unpack(_packed(tmp_path, cut=600), tmp_path / "elsewhere"),
        lambda tmp_path: unpack(_packed(tmp_path), tmp_path / "again"),
    ),
    "Make one with openssl rand -hex 32": (
        lambda tmp_path: _sealed(tmp_path, "short"),
        lambda tmp_path: _sealed(tmp_path, secrets.token_hex(32)),
    ),
    "whose pictures lie beside it; got {}. Name a file, or give --format html": (
        lambda tmp_path: _page(tmp_path, "device", format="markdown"),
        lambda tmp_path: _page(tmp_path, "page.md", format="markdown"),
        lambda tmp_path: _page(tmp_path, "device", format="html"),
    ),
    "at least 8 and 4; got {}. Raise steps": (
        lambda: make_toy_hisso(steps=12),
        lambda: make_toy_hisso(steps=13),
    ),
}

# Text of the message: the test that does what it says.
_DOUBTS = "plausibility/test_doubts.py::test_what_a_doubt_says_to_do_ends_it"
_DATA = "run/data/test_checks.py::test_what_a_message_says_to_do_makes_data_of_what_it_told_of"
_NUMBERS = "test_inputs.py::test_what_is_no_number_is_refused_with_a_cure_that_works"
_SPANS = (
    "test_inputs.py::"
    "test_spans_of_time_sparse_tables_and_numbers_without_end_are_refused_with_a_cure"
)
_MISSING = "test_inputs.py::test_missing_values_are_called_missing_at_every_door"
_DATES = "test_inputs.py::test_texts_that_are_no_iso_dates_are_refused_with_a_cure_that_works"
_PLANS = "test_table_columns.py::test_a_plan_without_values_is_refused_with_a_cure_that_works"
_NAMES = "test_labels.py::test_other_columns_are_refused_with_both_sides_and_a_cure_that_works"
_TIMES = (
    "test_labels.py::test_time_that_runs_backwards_is_refused_at_every_door_with_a_cure_that_works"
)
_FIGURES = "run/execution/test_figures.py::"
ELSEWHERE: dict[str, str] = {
    "this user has no right to it: {}. Choose another --run-name or --output-dir": (
        "run/execution/test_runner.py::test_a_run_directory_of_another_user_is_said_to_be_theirs"
    ),
    "Drop those rows or fill them with what was known at the time": _MISSING,
    "Convert it with .astype(float)": _NUMBERS,
    "Use days: t / numpy.timedelta64(1,": _SPANS,
    "Make it dense with .toarray()": _SPANS,
    "take the real part, .real, and the imaginary one": _NUMBERS,
    'Use days: numpy.asarray(t, dtype="datetime64[D]").astype(float)': _NUMBERS,
    "Leave it out, or say it in numbers": _NUMBERS,
    "Make all its rows equally long": _NUMBERS,
    "Give one, or leave it out": _DATA,
    "Compute it first, with .collect()": _PLANS,
    "Give all of them one, or take it away": _DATES,
    "Write ISO dates such as 2020-04-03": _DATES,
    "Give both the same names, or plain arrays that are in one order": _NAMES,
    "Sort it, {}, and drop what is there twice": _TIMES,
    "{} cannot be changed. Make another: ": (
        "test_models.py::test_what_was_made_cannot_be_changed_but_copied"
    ),
    "Sort it, {}.sort_index(); where all belong together as they stand, give plain arrays": (
        "test_labels.py::test_rows_whose_numbers_fall_are_refused_with_cures_that_work"
    ),
    "Pass periods_per_year={}": (
        "test_rates.py::"
        "test_figures_per_year_that_dates_deny_are_warned_of_with_the_cure_that_works"
    ),
    "Make dates of both indexes, by pandas.to_datetime": (
        "test_labels.py::test_texts_that_are_no_dates_and_missing_dates_are_refused_beside_dates"
    ),
    "Cut them so that they follow each other in time": _DATA,
    "it will drown them. Give a scaler, or its logarithm": _DOUBTS,
    "Feature {} never changes. Leave it out": _DOUBTS,
    "never moves. Leave it out, or declare cash": _DOUBTS,
    "Adjust the prices before it": _DOUBTS,
    "Features {} never change. Leave them out": _DOUBTS,
    "never move. Leave them out, or declare cash": _DOUBTS,
    "exchanged? Give each asset its own prices on all rows": _DOUBTS,
    "that has only begun? Give it from the row on which that is over": _DOUBTS,
    "a wrong print? Correct it, or repeat the one before": _DOUBTS,
    "Put them in the order of time": _DOUBTS,
    "The prices of asset {}. Leave one of them out": _DOUBTS,
    "filled or stale? Leave those rows out": _DOUBTS,
    "as if without delay. Leave out the rows on which nobody trades": _DOUBTS,
    "Make prices of them with numpy.cumprod(relatives, axis=0)": _DOUBTS,
    "Cut the splits so that no row is in two": _DOUBTS,
    "Fill in the missing rows, or begin after them": _DOUBTS,
    "take them for alike. Keep rows of one frequency": _DOUBTS,
    "Give more rows.": _DATA,
    "Reshape it with X.reshape(-1, 1)": _DATA,
    "Rescale the column": _DATA,
    "Give prices, not returns, without gaps": _DATA,
    "Sort the rows by time and drop duplicates": _DATA,
    "Give the same in every split": _DATA,
    "Cut the splits so that they follow each other in time": _DATA,
    "Cut both at the same rows": _DATA,
    "asset_names are {}. Give the same assets in the same order": (
        "run/execution/test_setup.py::test_a_parent_of_other_assets_is_refused_with_both_sides"
    ),
    "Every epoch lost everything on the validation rows. Use the primary": (
        f"{_FIGURES}test_a_run_whose_every_epoch_loses_everything_on_validation_is_ruined"
    ),
    "The kept weights lose everything on the training rows. Train longer": (
        f"{_FIGURES}test_a_training_that_ends_short_of_a_squeeze_is_ruined_and_a_longer_one_is_not"
    ),
}

# Text of the message: why no test can do here what it says.
OUTSIDE: dict[str, str] = {
    "Install it with: pip install --no-deps": "installs a package",
    "is not installed. Install it with: {}": "installs packages",
    "what is installed cannot be imported: {}. Install what fits with: {}": "installs packages",
    "Wait until it ends or choose another --run-name": "waits for another process",
    "Use amp_dtype bfloat16, or a lower learning rate": "needs a card",
    "compiled cannot run here: {}. Use auto or eager": "needs a machine without a compiler",
    "each of its {} epochs lost everything": "needs a refit of which no epoch survives",
    "must not be encrypted. Write it with numpy.savez": "NumPy cannot make one",
}

# What only looks like a message that tells what to do.
NONE = ("change of weights", "put back, so that no result", "name must be one of {}; got {}.")
NONE += ("start {}", "start, judging, the rest", "write hisso.{}")

CURES |= of_rooms("CURES")
ELSEWHERE |= of_rooms("ELSEWHERE")
OUTSIDE |= of_rooms("OUTSIDE")
NONE += none_of_rooms()


def _squared_and_changed(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    value = actions.exp()
    square = value * value
    value += 1.0
    return (square * context).mean((-2, -1))


def _squared(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
    value = actions.exp()
    value = value * value
    return ((value + 1.0) * context).mean((-2, -1))


def _scaled_by_hand(scaler: Any) -> Any:
    return taught(scaler=scaler)


def _of_targets() -> Any:
    return model().fit(X, Y, hisso={**HISSO, "reward": "negative_mse"})


def _of_any_size(**options: Any) -> Any:
    """A policy whose actions are no weights, unless a transform is given."""
    given = {"primary_transform": "identity", "reward": user_rewards.mean_first, **options}
    return policy(given)


def _told_by_kwargs(**kwargs: Any) -> dict[str, Any]:
    return {"target": "user_rewards:told", "kwargs": kwargs}


def _returns() -> np.ndarray:
    return 0.01 * Y


def _of_defined(*, targets: Any = None, **params: Any) -> Any:
    """A loss that is not defined for one row, which does not come first."""
    if targets is None:
        targets = np.minimum(Y, 0.9)
        targets[7, 0] = 2.0
    return model(loss=of_small_targets, batch_size=4, **params).fit(X, targets)


def _fast(lr: float) -> Any:
    return model(activation="relu", optimizer="sgd", loss="mse", lr=lr).fit(X, Y)


def _with_module(folder: Path) -> Any:
    """The cure of a module that is not found: its folder on the path."""
    source = (
        "def growth(actions, context, *, transition_penalty):\n    return actions.sum((-2, -1))\n"
    )
    (folder / "rewards_of_mine.py").write_text(source)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        return policy({"reward": "rewards_of_mine:growth"})


def _archive(
    folder: Path,
    array: Any = X,
    *,
    cut: int = 0,
    more: tuple[str, ...] = (),
    method: int = zipfile.ZIP_STORED,
    spoil: bytes = b"",
) -> Path:
    """An archive as NumPy makes it, or with something wrong."""
    path, content = folder / "market.npz", io.BytesIO()
    np.save(content, array, allow_pickle=True)
    whole = content.getvalue().replace(spoil, bytes(len(spoil)), 1) if spoil else content.getvalue()
    with zipfile.ZipFile(path, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name in ("X_train.npy", *more):
            archive.writestr(name, whole)
    path.write_bytes(path.read_bytes()[: -cut or None])
    return path


def _saved_alone(folder: Path) -> Path:
    np.save(folder / "market.npy", X)
    return (folder / "market.npy").rename(folder / "market.npz")


def _whole(path: Path) -> None:
    """Read an archive of which every member must be good."""
    problems = list(read_npz(path).broken.values())
    if problems:
        raise DataError(problems)


def _run(folder: Path, name: str) -> Path:
    if not (folder / "out" / "run").exists():
        finished(folder, "training.epochs=1")
    root = folder / "out" / name
    if not root.exists():
        shutil.copytree(folder / "out" / "run", root)
    return root


def _packed(folder: Path, *, cut: int = 0) -> Path:
    archive = folder / "run.tar"
    archive.unlink(missing_ok=True)
    pack(_run(folder, "run"), archive)
    archive.write_bytes(archive.read_bytes()[: -cut or None])
    return archive


def _page(folder: Path, name: str, *, format: str) -> None:
    if not (device := folder / "device").exists():
        device.symlink_to("/dev/null")
    write_report([read_run(_run(folder, "run"))], folder / name, format=format)


def _sealed(folder: Path, key: str) -> None:
    (folder / "key").write_text(key)
    seal(_run(folder, "run"), key=read_key(folder / "key"))


def said(call: Callable[..., object], tmp_path: Path) -> str:
    """What a call that must not go through says; warnings are errors here."""
    with pytest.raises(Exception) as caught:
        done(call, tmp_path)
    return str(caught.value)


def done(call: Callable[..., object], tmp_path: Path) -> object:
    names = getattr(call, "__code__", None)
    takes_path = names is not None and "tmp_path" in names.co_varnames[: names.co_argcount]
    return call(tmp_path) if takes_path else call()


@pytest.mark.parametrize("text", thinned(CURES, every=4))
def test_what_python_says_to_do_is_done_and_works(text: str, tmp_path: Path) -> None:
    wrong, *cures = CURES[text]
    told = said(wrong, tmp_path)
    assert all(part in told for part in text.split("{}")), told
    for cure in cures:
        done(cure, tmp_path)


TOLD_OF = [*CURES, *runs.CURES, *runs.FILES, *runs.WRITTEN, *ELSEWHERE, *OUTSIDE, *NONE]


def test_every_message_that_tells_what_to_do_has_a_row() -> None:
    without = [
        f"{each.file}:{each.line}: {each.text!r} tells what to do: add a row to CURES that does it"
        for each in messages()
        if not any(text in each.text for text in TOLD_OF)
    ]
    assert not without, "\n".join(without)


def test_no_row_is_of_a_message_that_is_gone() -> None:
    known = [each.text for each in texts()]
    hints = set(runs.WRITTEN)  # of which some are put together
    gone = [t for t in TOLD_OF if t not in hints and not any(t in each for each in known)]
    assert gone == []


@pytest.mark.parametrize("test", sorted(set(ELSEWHERE.values())))
def test_what_is_done_elsewhere_is_done_there(test: str) -> None:
    file, name = test.split("::")
    assert f"def {name}(" in (Path(__file__).parent / file).read_text()
