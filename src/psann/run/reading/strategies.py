"""What the strategies of an evaluation are called."""

from __future__ import annotations

from collections.abc import Mapping

# Key in `evaluation.npz` and `metrics.json` -> a reader's name, in the order of a table. The
# figures in the names are the defaults of `psann.baselines`; a test holds them equal.
STRATEGIES = {
    "policy": "policy",
    "policy_advance_1": "policy, one row earlier",
    "policy_delay_1": "policy, one row later",
    "policy_cost_2": "policy, at twice the cost",
    "policy_cost_3": "policy, at 3 times the cost",
    "ensemble": "the seeds as one policy",
    "uniform": "1/N",
    "buy_and_hold": "buy and hold",
    "best_asset": "best training asset",
    "bcrp": "BCRP of the past",
    "inverse_volatility": "inverse volatility",
    "minimum_variance": "minimum variance",
    "risk_parity": "risk parity",
    "eg": "EG 0.05",
    "pamr": "PAMR 0.5",
    "olmar": "OLMAR-1",
    "bcrp_hindsight": "BCRP in hindsight (*)",
    "benchmark": "benchmark",
}


def strategy_name(key: str) -> str:
    """Name of a strategy for a reader.

    Examples
    --------
    >>> strategy_name("uniform"), strategy_name("my_rule")
    ('1/N', 'my rule')
    """
    return STRATEGIES.get(key, key.replace("_", " "))


def distinct(baselines: Mapping[str, object] | None) -> list[str]:
    """Keys of 1/N and of the baselines that do something else: of one asset none does.

    Examples
    --------
    >>> distinct({"uniform": {"sharpe": 1.0}, "eg": {"sharpe": 1.0}, "pamr": {"sharpe": 0.5}})
    ['uniform', 'pamr']
    """
    known = baselines or {}
    uniform = known.get("uniform")
    return [name for name, figures in known.items() if name == "uniform" or figures != uniform]


def is_seed(key: str) -> bool:
    """Whether a strategy of `evaluation.npz` is one of several seeds.

    Examples
    --------
    >>> is_seed("seed_42"), is_seed("seed_42_delay_1"), is_seed("policy")
    (True, True, False)
    """
    return key.startswith("seed_")
