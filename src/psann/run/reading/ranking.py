"""Whether a figure of several runs may be ranked: only what was judged by the same may."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from psann.run.directory.fields import FIELDS, OF_PORTFOLIO, OF_TEST_ROWS, Trait
from psann.run.reading.quantities import DERIVED, Quantity
from psann.run.reading.reading import RunView, flat
from psann.run.reading.sentences import is_withheld

# What is seen, not what is judged by; and labels.
_SEEN = ("X", "context", "time")
_OF_REWARDS = ("hisso.enabled", "hisso.reward", "hisso.reward_inputs")
_OF_SPANS = ("evaluation.initial", "evaluation.cash_rate", "evaluation.borrow_rate")
_OF_PORTFOLIOS = ("evaluation.portfolio_prices_key", "evaluation.periods_per_year")
_ROWS = {"train": "training rows", "val": "validation rows", "test": "test rows"}


def may_rank(each: Quantity, runs: Sequence[RunView]) -> bool:
    """Whether one of the runs may be called the best by a figure.

    Beside runs that withhold their test rows nobody is the best by test figures, and nobody is the
    best among runs that were judged by other data, rewards, losses or costs.
    """
    name = each.key.partition(".")[0]
    is_of_test = each in DERIVED or name in (*OF_TEST_ROWS, *OF_PORTFOLIO)
    if is_of_test and any(is_withheld(run.metrics) for run in runs):
        return False
    return bool(each.better) and not any(judged_apart(each, runs))


def judged_apart(each: Quantity, runs: Sequence[RunView]) -> Iterator[str]:
    """What a figure was judged by that is not the same in all runs that have it.

    Yields
    ------
    str
        Rows of the data, or the dotted key of a configuration.
    """
    field = FIELDS.get(each.key)
    if field is not None and Trait.OF_THE_START in field.traits:
        return  # times are times
    having = [run for run in runs if each.of(run) is not None]
    if len({_data(run, each) for run in having} - {None}) > 1:
        yield _ROWS[_split(each)]
    settings = [_settings(run, each) for run in having if run.config]
    for key in dict.fromkeys(key for values in settings for key in values):
        if len({json.dumps(values.get(key), sort_keys=True) for values in settings}) > 1:
            yield key
            if key == "hisso.enabled":
                return  # a loss of targets and one of actions have no other key in common


def _split(each: Quantity) -> str:
    if each.key in ("train_loss", "reward_mean"):
        return "train"
    return "val" if each.key.startswith("val_") else "test"


def _data(run: RunView, each: Quantity) -> str | None:
    """Digests of the arrays that judge, which another choice of features leaves as they are."""
    told = run.starts[-1].get("data") if run.starts else None
    digests = told.get("keys") if isinstance(told, Mapping) else None
    if not isinstance(digests, Mapping):
        return run.metrics["data_sha256"]
    kinds = {kind: key for key in digests if (kind := key.removesuffix(f"_{_split(each)}")) != key}
    return json.dumps({key: digests[key] for kind, key in kinds.items() if kind not in _SEEN})


def _settings(run: RunView, each: Quantity) -> dict[str, object]:
    """What of a configuration decides what a figure means."""
    values, is_of_training = flat(run.config), _split(each) == "train"
    is_reward = each.key.endswith(("loss", "reward_mean"))
    if is_reward and values.get("hisso.enabled") is False:
        return _under(("hisso.enabled", "estimator.params.loss"), values)
    penalty, cost = "hisso.transition_penalty", "evaluation.trans_cost"
    if values.get(cost) is None:
        values[cost] = values.get(penalty)
    if values.get("hisso.reward") is None:
        values["hisso.reward"] = "portfolio"
    what = _OF_REWARDS if is_reward else _OF_PORTFOLIOS
    return _under((*what, penalty) if is_of_training else (*what, cost, *_OF_SPANS), values)


def _under(keys: Sequence[str], values: Mapping[str, object]) -> dict[str, object]:
    return {k: v for k, v in values.items() if any(f"{k}.".startswith(f"{key}.") for key in keys)}
