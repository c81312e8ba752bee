"""What a sweep would do, said beforehand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from psann.errors import counted
from psann.run.sweep.config import Sweep
from psann.run.sweep.ledger import own_record
from psann.run.sweep.record import SweepPaths
from psann.run.sweep.space import Choices

_MOST_SHOWN = 12


def plan_lines(sweep: Sweep, paths: SweepPaths) -> Iterator[str]:
    """Trials, keys, and what is already there.

    Raises
    ------
    UsageError
        If the folder holds another sweep.
    """
    record = own_record(sweep, paths)
    yield f"sweep       {paths.root}{', going on' if record else ''}"
    yield f"runs of     {sweep.config_path}, {sweep.base.seeds_in_words} in every trial"
    yield f"search      {sweep.file.search}, {counted(sweep.n_trials, 'trial')}"
    for key, each in sweep.space.items():
        if isinstance(each, Choices):
            told = ", ".join(json.dumps(value) for value in each.values)
        else:
            scale = " on a log scale" if each.is_log else ""
            kind = "whole number " if each.is_whole else ""
            told = f"{kind}{each.low:g} to {each.high:g}{scale}"
        yield f"  {key}: {told}"
    if (prune := sweep.file.prune) is not None:
        yield f"pruned      by {prune.by}, from epoch {prune.from_epoch} on"
    yield "test rows   withheld until --finish"
    if sweep.is_order_dependent:
        yield (
            "order       what is tried, or for how long, depends on which trial ends first: with "
            "several workers another time will differ; each trial is exact"
        )
    else:
        yield "order       every number is a function of this file, for any workers and any kills"
    if sweep.file.search != "tpe":
        yield "trials"
        shown = min(sweep.n_trials, _MOST_SHOWN)
        yield from (f"  t{number:04d}  {settings(sweep.point(number))}" for number in range(shown))
        if shown < sweep.n_trials:
            yield f"  and {counted(sweep.n_trials - shown, 'more trial')}"


def settings(values: Mapping[str, object]) -> str:
    """What a trial sets, in one line."""
    return ", ".join(f"{key}={json.dumps(value)}" for key, value in values.items())
