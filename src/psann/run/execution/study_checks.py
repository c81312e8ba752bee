"""Whether the studies that a configuration asks for can be made of its data."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise

import numpy as np

from psann._frames import SPLITS
from psann._typing import Array
from psann.errors import DataError
from psann.evaluation.walk_forward import Fold, plan_folds
from psann.run.config.model import RunConfig
from psann.run.data.requirements import KINDS
from psann.run.data.splits import DataSplits

Arrays = dict[str, Array]


def problems_of_studies(config: RunConfig, splits: DataSplits) -> list[str]:
    """What stands in the way of the studies that a configuration asks for, before any training."""
    walk_forward, n_placebos = config.evaluation.walk_forward, config.evaluation.placebo
    if (walk_forward is None and not n_placebos) or config.mode == "evaluate":
        return []
    who = config.who("evaluation", "placebo" if walk_forward is None else "walk_forward")
    if config.mode == "fine_tune":
        return [
            f"{who} must not be given in mode fine_tune: the parent may have seen the rows that "
            "are judged. Write mode: train."
        ]
    hisso = config.hisso
    is_rewarded = not hisso.is_portfolio and not n_placebos
    if not hisso.is_portfolio:
        who = config.who("evaluation", "placebo")  # folds are judged by any reward
    has_weights = hisso.is_portfolio and hisso.primary_transform != "identity"
    if not hisso.enabled:
        return [f"{who} judges actions, of which there are none: hisso.enabled is false."]
    if not (has_weights or is_rewarded):
        return [f"{who} judges portfolios; it needs a transform with weights, such as softmax."]
    needed = [f"prices_{split}" for split in SPLITS if f"X_{split}" in splits.arrays]
    if has_weights and (lacking := [name for name in needed if name not in splits.arrays]):
        return [f"{who} needs the prices of every split; got no {', '.join(lacking)}."]
    problems = [] if walk_forward is None else _problems_of_folds(config, splits)
    return [*problems, *(_problems_of_placebos(config, splits) if n_placebos else [])]


def _problems_of_folds(config: RunConfig, splits: DataSplits) -> list[str]:
    warm_start, who = config.hisso.warm_start, config.who("evaluation", "walk_forward")
    if warm_start is not None and warm_start.y_key != "y_train":
        return [
            f"{who} cuts folds out of all rows, for which there is no "
            f"{warm_start.y_key!r}; hisso.supervised.y_key must be 'y_train'."
        ]
    try:
        folds = folds_of(config, splits)
    except DataError as error:
        return list(error.problems)
    return list(_problems_of_delay(config, folds))


def _problems_of_delay(config: RunConfig, folds: Sequence[Fold]) -> Iterator[str]:
    """Where nothing can be executed late enough to earn anything."""
    least, who = config.hisso.delay + 2, config.who("evaluation", "walk_forward")
    spans = {"validation": folds[0].validation}
    spans["refit_every"] = slice(folds[0].judged.start, folds[-1].judged.stop)
    for key, span in spans.items():
        if span is not None and span.stop - span.start < least:
            yield (
                f"{who}.{key} must give at least {least} rows, "
                f"hisso.delay and a move; got {span.stop - span.start}."
            )


def _problems_of_placebos(config: RunConfig, splits: DataSplits) -> list[str]:
    problems, who = [], config.who("evaluation", "placebo")
    if config.hisso.context_extractor is not None:
        problems.append(
            f"{who} shuffles prices, but the reward is of what "
            "hisso.context_extractor makes of X. Write placebo: 0."
        )
    if named := config.reward_inputs:
        sources = " and ".join(dict.fromkeys(named.values()))
        problems.append(
            f"{who} shuffles moves, with which the arrays of {sources} would "
            "not go any more. Write placebo: 0."
        )
    if any(f"active_{split}" in splits.arrays for split in SPLITS):
        problems.append(
            f"{who} shuffles moves, which halts and ends do not survive. Write placebo: 0."
        )
    if (key := config.evaluation.portfolio_prices_key) not in splits.arrays:
        problems.append(f"{who} must have prices to judge by; there is no {key}.")
    return problems


def folds_of(config: RunConfig, splits: DataSplits) -> list[Fold]:
    """The folds that a configuration divides its rows into."""
    options = config.evaluation.walk_forward
    assert options is not None
    n_rows = {split: len(splits.arrays.get(f"X_{split}", ())) for split in SPLITS}
    if not n_rows["test"] and (options.folds is None or not (options.refit_every or options.every)):
        missing = "folds" if options.every else "refit_every"
        raise DataError(
            f"evaluation.walk_forward.{missing} must be given where there is no X_test: it is "
            "those rows that the folds divide."
        )
    dates = joined_rows(splits).get("time") if options.every else None
    return plan_folds(
        options,
        sum(n_rows.values()),
        n_judged=n_rows["test"],
        n_validation=n_rows["val"],
        least_train=config.hisso.window + config.hisso.delay + 1,
        dates=dates,
    )


def find_jumps(config: RunConfig, splits: DataSplits) -> list[str]:
    """Where prices do not seem to go on from split to split: folds would take that for a move.

    Returns
    -------
    list of str
        One sentence for each border at which a price moves further than it ever does elsewhere.
    """
    is_joined = config.evaluation.walk_forward is not None and config.hisso.is_portfolio
    if not is_joined or config.mode == "evaluate":
        return []
    keys = [key for split in SPLITS if (key := f"prices_{split}") in splits.arrays]
    logs = {key: np.log(splits.arrays[key].astype(np.float64)) for key in keys}
    usual = max(float(np.abs(np.diff(log, axis=0)).max(initial=0.0)) for log in logs.values())
    found = []
    for earlier, later in pairwise(keys):
        jump = float(np.abs(logs[later][0] - logs[earlier][-1]).max())
        if jump > usual:
            found.append(
                f"Walk-forward joins the splits into one series, but prices move by up to a factor "
                f"of {np.exp(jump):.3g} from the last row of {earlier} to the first of {later}, "
                "further than anywhere else. Do they go on without a break, on one scale?"
            )
    return found


def joined_rows(splits: DataSplits, inputs: Collection[str] = ()) -> Arrays:
    """All rows as one series, by kind; a kind that some split lacks is left out.

    Parameters
    ----------
    inputs : collection of str
        What the reward is given by name, which is joined too.
    """
    parts = [splits.split(name, inputs) for name in SPLITS if f"X_{name}" in splits.arrays]
    kinds = [
        kind for kind in dict.fromkeys((*KINDS, *inputs)) if all(kind in part for part in parts)
    ]
    return {kind: np.concatenate([part[kind] for part in parts]) for kind in kinds}
