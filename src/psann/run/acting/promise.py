"""What came of what a policy said, beside what it promised before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from psann._typing import Floats
from psann.baselines import uniform
from psann.errors import DataError, UsageError, counted
from psann.evaluation.comparison import SAME_GROWTH, growth_difference
from psann.evaluation.judgement import Judgement, Terms, judge
from psann.holdings import HALTED, MEMBER
from psann.market.membership import what_became
from psann.metrics.sequential import FEWEST_STEPS, confidence_sequence
from psann.run.acting.doubts import judged_doubts
from psann.run.acting.journal import Journal
from psann.run.acting.weights import Weights

_CONFIDENCE = 0.95  # of an interval, over all times of looking together
# UTC; no large exchange closes a day earlier, New Zealand first, so no row of days is known before.
_FIRST_CLOSE_H = 3
_HowKept = Literal["too early", "holds so far", "broken", "surpassed", "its own rows"]


@dataclass(frozen=True, kw_only=True)
class Promise:
    """Growth over 1/N that the run found before anybody acted by it."""

    of: str
    """Rows that it is of: validation, test, walk_forward."""
    growth: float
    """Annual log growth over 1/N, net."""
    low: float
    high: float
    last: str | None = None
    """Last date of those rows, where they have any."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came since, with an interval that may be looked at every day."""

    first: str
    """First row said."""
    last: str
    """Newest row."""
    n_steps: int
    """Moves since."""
    n_late: int
    """Rows that were written down only when the next one could have been there."""
    growth: float
    """Annual log growth over 1/N, net, of what was said."""
    low: float | None
    """None while there are too few steps."""
    high: float | None
    confidence: float
    versus_uniform: Literal["too early", "better", "worse", "not told apart"]
    promises: tuple[tuple[Promise, _HowKept], ...]
    doubts: tuple[str, ...] = ()
    """What is hard to believe of the prices that it is judged by."""

    @property
    def sentences(self) -> list[str]:
        """What there is to say, line by line."""
        came = f"{counted(self.n_steps, 'move')} from {self.first} to {self.last}"
        if self.low is None:
            lines = [
                f"{came}: {self.growth:+.3f} a year over 1/N; too early to say anything (fewer "
                f"than {FEWEST_STEPS} moves)."
            ]
        else:
            lines = [
                f"{came}: {self.growth:+.3f} a year over 1/N, {100 * self.confidence:g} % from "
                f"{self.low:+.3f} to {self.high:+.3f} however often one looks; "
                f"{_THAN_UNIFORM[self.versus_uniform]}."
            ]
        lines += [
            f"promised by {promise.of}: {promise.growth:+.3f} ({promise.low:+.3f} to "
            f"{promise.high:+.3f}); {_HOW_KEPT.get(how, how)}."
            for promise, how in self.promises
        ]
        if self.n_late:
            lines.append(
                f"{counted(self.n_late, 'row')} of them {'were' if self.n_late > 1 else 'was'} "
                "written down afterwards, when what came next could be known."
            )
        return [*lines, *self.doubts]

    @property
    def line(self) -> dict[str, Any]:
        """What a journal keeps of it."""
        values = asdict(self)
        del values["doubts"]  # of the prices, which may be corrected
        values["promises"] = [{**asdict(promise), "verdict": how} for promise, how in self.promises]
        return {"kind": "judged", **values}


_HOW_KEPT = {"its own rows": "neither kept nor broken: rows judged are the very rows that promised"}
_THAN_UNIFORM = {
    "better": "better than 1/N",
    "worse": "worse than 1/N",
    "not told apart": "not told apart from 1/N",
}


def promises_of(metrics: Mapping[str, Any], *, policy: str) -> list[Promise]:
    """What the record of a run promises: of several seeds, that of their mean.

    Parameters
    ----------
    metrics : mapping
        `metrics.json`.
    policy : {"best", "last_fold"}
    """
    if policy == "last_fold":
        versus, of = (metrics["walk_forward"] or {}).get("versus_uniform"), "walking forward"
    else:
        whole = metrics["ensemble"] or metrics
        versus, of = whole.get("versus_uniform"), f"{(metrics['judged'] or {}).get('split')} rows"
    if not versus or any(versus.get(name) is None for name in ("growth", "low", "high")):
        return []
    found = {name: float(versus[name]) for name in ("growth", "low", "high")}
    return [Promise(of=of, last=(metrics["judged"] or {}).get("last"), **found)]


def promise_of_rows(
    actions: Floats, quotes: Floats, *, terms: Terms, cash: bool, of: str
) -> Promise:
    """Promise of a policy on rows whose prices are known."""
    ours, theirs = _judged(actions, quotes, terms=terms, cash=cash)
    found = growth_difference(
        ours.net[terms.delay :], theirs.net[terms.delay :], periods_per_year=terms.periods_per_year
    )
    return Promise(of=of, growth=found.growth, low=found.low, high=found.high)


def judge_journal(
    journal: Journal, weights: Weights, *, terms: Terms, promises: list[Promise]
) -> Verdict:
    """Judge what a journal has on the prices that came since.

    Parameters
    ----------
    journal : Journal
        Its weights are judged, whatever the policy would say by now.
    weights : Weights
        Rows and prices from the first row of the journal on.
    terms : Terms
        Cost, first holdings, delay; what differs from row to row, of all rows of `weights`.
    promises : list of Promise

    Returns
    -------
    Verdict

    Raises
    ------
    UsageError
        If there are no prices.
    DataError
        If rows of the journal are no longer in the data, or no move has come since.

    Notes
    -----
    The interval is `psann.metrics.confidence_sequence` of the paired difference
    ``d_t = ln g_t(policy) - ln g_t(1/N)``: what the market did cancels in it, and it may be looked
    at every day.
    """
    if weights.quotes is None:
        raise UsageError("--judge needs prices, and the data of this run have none. Add prices.")
    first = journal.said[0].label
    begin = sum(label < first for label in weights.labels)
    labels, quotes = weights.labels[begin:], weights.quotes[begin:]
    known = {each.label: each for each in journal.said}
    gone = [label for label in known if label not in labels]
    if gone:
        raise DataError(
            f"data must have every row of the journal, from {first} on; {gone[0]} is not there. "
            "Give the table from then on, with all its rows."
        )
    # A row that has come in between was not acted on: who held something went on holding it.
    places = [place for place, label in enumerate(labels) if label in known]
    labels, quotes = [labels[place] for place in places], quotes[places]
    rows = weights.rows[begin:][places]
    terms = terms.on_rows([begin + place for place in places])
    if len(labels) < 2 + terms.delay:
        raise DataError(
            f"--judge needs a move since {first}, the first row said; the newest is {labels[-1]}. "
            "Judge again when a row has come."
        )
    ours, theirs = _judged(journal.values, quotes, terms=terms, cash=bool(journal.head["cash"]))
    with np.errstate(divide="ignore", invalid="ignore"):
        steps = (np.diff(np.log(ours.net)) - np.diff(np.log(theirs.net)))[terms.delay :]
    annual = terms.periods_per_year
    low = high = None
    mean = float(np.mean(steps)) if np.isfinite(steps).all() else -np.inf
    if np.isfinite(steps).all() and len(steps) >= FEWEST_STEPS:
        found = confidence_sequence(steps, confidence=_CONFIDENCE)
        low, high = float(found.low[-1]) * annual, float(found.high[-1]) * annual
    return Verdict(
        first=first,
        last=labels[-1],
        n_steps=len(steps),
        n_late=_count_late(journal, labels),
        growth=mean * annual,
        low=low,
        high=high,
        confidence=_CONFIDENCE,
        versus_uniform=_versus(low, high),
        promises=tuple((each, _kept(each, low, high, first)) for each in promises),
        doubts=tuple(judged_doubts(quotes, rows, weights.assets)),
    )


def _versus(
    low: float | None, high: float | None
) -> Literal["too early", "better", "worse", "not told apart"]:
    if low is None or high is None:
        return "too early"
    return "better" if low > SAME_GROWTH else "worse" if high < -SAME_GROWTH else "not told apart"


def _kept(promise: Promise, low: float | None, high: float | None, first: str) -> _HowKept:
    if promise.last is not None and np.datetime64(first) <= np.datetime64(promise.last):
        return "its own rows"
    if low is None or high is None:
        return "too early"
    if high < promise.growth - SAME_GROWTH:
        return "broken"
    return "surpassed" if low > promise.growth + SAME_GROWTH else "holds so far"


def _judged(
    actions: Floats, quotes: Floats, *, terms: Terms, cash: bool
) -> tuple[Judgement, Judgement]:
    """The policy and 1/N on the same rows; who has no price can be neither bought nor sold."""
    active = None
    if not np.isfinite(quotes).all():
        active = np.where(np.isfinite(quotes), MEMBER, HALTED).astype(np.int8)
        quotes, *_ = what_became(quotes)
    given: dict[str, Any] = {"terms": terms, "active": active}
    ours = judge(actions, quotes, cash=cash, **given)
    return ours, judge(uniform(quotes, active=active), quotes, **given)


def _count_late(journal: Journal, labels: list[str]) -> int:
    """Rows of which the next one could have been known when they were written down."""
    following = dict(pairwise(labels))
    are_days = all(len(label) == len("2001-12-31") for label in labels)
    close = np.timedelta64(_FIRST_CLOSE_H if are_days else 0, "h")
    return sum(
        bool(_moment(each.said_utc) >= np.datetime64(following[each.label], "us") + close)
        for each in journal.said
        if each.label in following
    )


def _moment(utc: str) -> np.datetime64:
    return np.datetime64(datetime.strptime(utc, "%Y-%m-%dT%H:%M:%SZ"), "us")
