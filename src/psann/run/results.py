"""The figures of a fitted estimator on the rows of a run: losses, rewards, portfolio, baselines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann.baselines import buy_and_hold, uniform
from psann.estimators._base import BasePSANNRegressor
from psann.hisso.rewards import resolve_reward
from psann.hisso.transforms import TRANSFORMS
from psann.metrics import portfolio_metrics
from psann.run.config import RunConfig
from psann.run.data import DataSplits
from psann.run.data_checks import split_of

BASELINES: dict[str, Callable[..., NDArray[Any]]] = {
    "buy_and_hold": buy_and_hold,
    "uniform": uniform,
}
PORTFOLIO_FIELDS = ("portfolio_metrics", "portfolio_metrics_delay_1", "baselines")


def split_figures(
    estimator: BasePSANNRegressor, splits: DataSplits, config: RunConfig
) -> dict[str, Any]:
    """Losses and rewards of validation and test rows, of the estimator's own weights.

    Parameters
    ----------
    estimator : BasePSANNRegressor
        Fitted.
    splits : DataSplits
        The arrays.
    config : RunConfig
        How to judge.

    Returns
    -------
    dict
        ``val_loss``, ``test_loss`` and with HISSO ``val_reward_mean``, ``test_reward_mean``; None
        where a split lacks what is needed.
    """
    figures: dict[str, Any] = {}
    for name in ("val", "test"):
        arrays = splits.split(name)
        loss = reward = None
        if config.hisso.enabled and _can_be_rewarded(arrays, splits, config):
            reward = estimator.evaluate_reward(
                arrays["X"],
                arrays.get("prices"),
                y=arrays.get("y"),
                context=arrays.get("context"),
                evaluation=config.evaluation,
            )
            loss = -reward
        elif not config.hisso.enabled and "y" in arrays:
            loss = estimator.evaluate_loss(arrays["X"], arrays["y"], context=arrays.get("context"))
        figures[f"{name}_loss"] = loss
        figures[f"{name}_reward_mean"] = reward
    return figures


def _can_be_rewarded(
    arrays: dict[str, NDArray[Any]], splits: DataSplits, config: RunConfig
) -> bool:
    """Whether a split has the reward context that training had."""
    if len(arrays.get("X", ())) < 2:
        return False
    if resolve_reward(config.hisso.reward).needs_targets:
        return "y" in arrays
    if config.hisso.context_extractor is not None:
        return True
    return "prices" in arrays or "prices" not in splits.split("train")


def judging_cost(config: RunConfig) -> float:
    """Cost per unit traded in validation and test figures."""
    cost = config.evaluation.trans_cost
    return config.hisso.transition_penalty if cost is None else cost


def portfolio_figures(
    estimator: BasePSANNRegressor, splits: DataSplits, config: RunConfig
) -> tuple[dict[str, Any], str | None]:
    """Metrics of the policy's actions on the evaluation prices, and of what stands beside it.

    Row t of X may hold the price of row t, so that the policy trades at a price it has just seen.
    `portfolio_metrics_delay_1` has the same actions executed one row later.

    Parameters
    ----------
    estimator, splits, config
        As for `split_figures`.

    Returns
    -------
    figures : dict
        ``portfolio_metrics`` and ``portfolio_metrics_delay_1`` (`psann.metrics.portfolio_metrics`
        of the transformed actions), ``baselines`` (the same by name: same prices, same cost, same
        first holdings); each None if there are none.
    why_not : str or None
        Why there are none though there are prices.
    """
    figures: dict[str, Any] = dict.fromkeys(PORTFOLIO_FIELDS)
    key = config.evaluation.portfolio_prices_key
    if not config.hisso.enabled or key is None or key not in splits.arrays:
        return figures, None  # nobody asked, or the data checks have warned
    if config.hisso.primary_transform == "identity":
        return figures, "primary_transform identity gives no weights"
    _, split = split_of(key) or ("prices", "test")
    arrays = splits.split(split)  # type: ignore[arg-type]
    actions = estimator.predict_actions(arrays["X"], context=arrays.get("context"))
    prices = splits.arrays[key]
    if prices.shape[1] not in (1, actions.shape[1]):
        widths = f"{key} has {prices.shape[1]} columns, the policy {actions.shape[1]} actions"
        return figures, widths
    settings: dict[str, Any] = {
        "trans_cost": judging_cost(config),
        "periods_per_year": config.evaluation.periods_per_year,
        "initial": config.evaluation.initial,
    }
    cash = TRANSFORMS[config.hisso.primary_transform].holds_cash
    matrix = np.broadcast_to(prices, actions.shape)
    figures["portfolio_metrics"] = portfolio_metrics(actions, matrix, cash=cash, **settings)
    if len(matrix) > 2:  # one step at least must be left
        figures["portfolio_metrics_delay_1"] = portfolio_metrics(
            actions[:-1], matrix[1:], cash=cash, **settings
        )
    figures["baselines"] = {
        name: portfolio_metrics(rule(matrix), matrix, **settings)
        for name, rule in BASELINES.items()
    }
    return figures, None
