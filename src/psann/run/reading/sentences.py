"""What must not be missed of a run's results, in sentences.

A sentence is said only where all that it tells of is known: records of killed runs, half copies and
other releases lack some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from psann.errors import counted
from psann.presentation.content import conjoined
from psann.run.directory.fields import Record, trials_before
from psann.run.directory.groups import Judged, SeedFigures, Versus
from psann.run.reading.strategies import distinct, strategy_name

BEYOND_CHANCE = " beyond chance"
FEWEST_STEPS = 12
"""Of `psann.metrics.means`, which needs NumPy: fewer say nothing. A test holds them equal."""
# One-sided, what an interval of 95 % that leaves out 0 says.
_SURE = 0.975
MOST_DOUBTS = 5
"""Beside a verdict; the others are counted there."""


def result_sentences(record: Record) -> list[str]:
    """Say what a reader must not miss, above all what did not work.

    Returns
    -------
    list of str
        No sentence when the run is complete and nothing has to be held against it.
    """
    return [
        *_ruin(record),
        *_ending(record),
        *_withheld(record),
        *kept_untrained(record),
        *_seen(record),
        *_worse(record),
        *_evidence(record),
        *_edge(record),
        *_universe(record),
        *_doubts(record),
        *_cautions(record),
    ]


def rows_judged(record: Record) -> str:
    """What the rows of the portfolio figures are called: `Test rows 1998-06-01 ... 2004-05-28`."""
    judged: Judged = record["judged"] or {}
    split = judged.get("split", "test")
    name = {"train": "Training rows", "val": "Validation rows"}.get(split, "Test rows")
    first, last = judged.get("first"), judged.get("last")
    return f"{name} {first} ... {last}" if first and last else name


def _ruin(record: Record) -> Iterator[str]:
    if (row := record["ruined_at"]) is not None:
        yield f"Ruin: nothing is left of the wealth at row {row} of the {_rows(record)}."
    seeds = record["per_seed"] or []
    n = sum(entry.get("ruined_at") is not None for entry in seeds)
    if row is None and n:
        yield f"Ruin: {n} of {len(seeds)} seeds lost everything on the {_rows(record)}."


def _ending(record: Record) -> Iterator[str]:
    status, epoch = record["status"], record["epoch"]
    where = f"after epoch {epoch} of {record['epochs_total']}"
    if status == "early_stopped":
        yield f"Stopped early {where}: the monitor did not get better."
    elif status == "pruned":
        yield f"Pruned {where}: it lagged behind the other trials. Its best weights are kept."
    elif status not in ("completed", None) and (status != "ruined" or record["error"]):
        reason = (record["error"] or "").strip().rpartition("\n")[2]
        place = "before training" if epoch is None else where
        yield f"Not complete: {status} {place}. {reason}".strip()


def _withheld(record: Record) -> Iterator[str]:
    if is_withheld(record):
        yield "The test rows are withheld: compare runs like this on validation rows."


def is_withheld(record: Record) -> bool:
    """Whether a run left the test rows shut, as the trials of a sweep do."""
    return (record["judged"] or {}).get("test_withheld") is True


def kept_untrained(record: Record) -> Iterator[str]:
    """Where epoch 0 was the best: in the run, in so many of its seeds, or in the run judged."""
    if record["mode"] == "evaluate" and (record["parent"] or {}).get("best_epoch") == 0:
        yield (
            "The weights judged are those of best epoch 0: no epoch of their training beat what it "
            "began with."
        )
    seeds = record["per_seed"]
    n = sum(entry.get("best_epoch") == 0 for entry in seeds or ())
    if n == 0 and (seeds is not None or record["best_epoch"] != 0):
        return
    who = "Best epoch 0" if seeds is None else f"Best epoch 0 in {n} of {len(seeds)} seeds"
    asked, bound = record["min_improvement"], record["min_significance"]
    margin = f" by more than {asked:g}" if asked else ""
    margin += f"{' and' if asked else ''} by {bound:.2f} standard errors" if bound else ""
    if record["mode"] == "fine_tune":
        yield (
            f"{who}: no epoch of fine-tuning beat the parent on validation{margin}, so the "
            "parent's weights were kept."
        )
    else:
        beaten = "doing nothing" if record["portfolio_metrics"] else "an untrained network"
        yield (
            f"{who}: no epoch of training beat {beaten} on validation{margin}, so the "
            "untrained policy was kept."
        )


def _rows(record: Record) -> str:
    name = rows_judged(record)
    return name[0].lower() + name[1:]


def _evidence(record: Record) -> Iterator[str]:
    """How much of the policy's advantage chance alone could explain."""
    if record["ruined_at"] is not None:
        return
    yield from _advantage(record)
    # A mean of probabilities over seeds is that of no policy; one that acts is their ensemble.
    told: Mapping[str, Any] = record if record["per_seed"] is None else record["ensemble"] or {}
    whose = "" if record["per_seed"] is None else " of the seeds' ensemble"
    figures: Mapping[str, float | None] = told.get("portfolio_metrics") or {}
    if are_few(figures.get("n_steps")):
        return
    versus: Mapping[str, Any] = told.get("versus_uniform") or {}
    trials = _trials(record)
    yield from _ratio(f"Sharpe ratio{whose}", figures, told.get("deflated_sharpe"), trials)
    dependent = figures.get("psr_hac")
    if dependent is not None and (figures.get("psr") or 0.0) >= _SURE > dependent:
        yield f"Where returns depend on each other, it is above 0 with probability {dependent:.3f}."
    yield from _ratio(f"Of the return{whose} over 1/N", versus, told.get("deflated_skill"), trials)
    if not versus.get("is_distinguishable", True) and (versus.get("psr") or 0.0) >= _SURE:
        yield "The interval, which holds 0, is the safer word: volatility takes from growth."
    if walk := record["walk_forward"]:
        folds = counted(len(walk.get("folds", ())), "fold")
        beyond = _doubted(record)
        yield from _difference(f"Walk-forward, {folds}: ", walk.get("versus_uniform"), beyond)
        if (reward := walk.get("reward_mean")) is not None:
            yield f"Walk-forward, {folds}: a reward of {reward:.4g}."
    placebo = record["placebo"] or {}
    share, n_placebos = placebo.get("share_as_good"), placebo.get("n")
    if share is not None and n_placebos is not None:
        yield (
            f"Placebo: {round(share * n_placebos)} of {counted(n_placebos, 'training')} on "
            "shuffled moves grew as much over 1/N."
        )


def _trials(record: Record) -> str:
    """How many candidates were counted, and whose."""
    told = f"{counted(record['n_trials'] or 0, 'candidate')} without skill"
    if record["parent"] is None:
        return told
    if (before := trials_before(record)) is not None:
        return f"{told} ({before} of them the parent's)"
    return f"{told} (not counting those of the parent, which are not known)"


def _ratio(
    what: str,
    figures: Mapping[str, float | None],
    deflated: float | None,
    trials: str,
) -> Iterator[str]:
    ratio, error, psr = map(figures.get, ("annual_sharpe", "annual_sharpe_se", "psr"))
    if ratio is None or error is None or psr is None:
        return
    chance = f"above 0 with probability {psr:.3f}"
    if deflated is not None:
        chance += f", above the luckiest of {trials} with {deflated:.3f}"
    yield f"{what} {ratio:.2f} +- {error:.2f} per year: {chance}."


def _advantage(record: Record) -> Iterator[str]:
    """What the policy earned over 1/N; of several seeds, a mean of intervals would be none."""
    versus, seeds, beyond = record["versus_uniform"], record["per_seed"], _beyond(record)
    growth = (versus or {}).get("growth")
    if seeds is None or growth is None:
        yield from _difference("", versus, beyond)
        return
    # Where there is no skill, one of five seeds is better by its own interval in one run of eight.
    n_better, n_worse = (sum(_is_apart(entry, sign) for entry in seeds) for sign in (1, -1))
    yield (
        f"{growth:+.3f} per year over 1/N on the mean of {len(seeds)} seeds, of which, each by "
        f"itself, {n_better} {'is' if n_better == 1 else 'are'} better and {n_worse} worse than "
        f"1/N{beyond}."
    )
    ensemble = record["ensemble"] or {}
    yield from _difference("The seeds' ensemble: ", ensemble.get("versus_uniform"), beyond)


def _beyond(record: Record) -> str:
    """What may be said of a difference that noise does not explain."""
    if (record["judged"] or {}).get("split") == "train":
        return " on the very rows that it was trained on, which proves nothing"
    if (record["judged"] or {}).get("split") == "val":
        return " on the very rows that chose it, which proves little"
    if [*_seen(record)]:
        return " on rows that its parent has seen, which proves nothing"
    return _doubted(record)


def _seen(record: Record) -> Iterator[str]:
    """Whether the rows judged trained or chose the run that this one began from."""
    until, first = (record["parent"] or {}).get("seen_until"), (record["judged"] or {}).get("first")
    if isinstance(until, str) and isinstance(first, str) and first <= until:
        yield (
            f"The rows judged begin on {first}, and rows to {until} trained or chose the parent: "
            "what is found on those proves nothing."
        )


def _worse(record: Record) -> Iterator[str]:
    """Whether fine-tuning on targets, where the parent is no candidate, has done harm."""
    before, after = (record["parent"] or {}).get("val_loss"), record["val_loss"]
    if isinstance(before, float) and after is not None and after > before:
        yield (
            f"Fine-tuning made it worse: a validation loss of {after:.4g}, where the parent has "
            f"{before:.4g}."
        )


def _doubted(record: Record) -> str:
    return f"{BEYOND_CHANCE}, if the data are right" if record["doubts"] else BEYOND_CHANCE


def are_few(n_steps: float | None) -> bool:
    """Whether so many moves say nothing; a record of before does not tell how many there were."""
    return n_steps is not None and n_steps < FEWEST_STEPS


def _is_apart(entry: SeedFigures, sign: int) -> bool:
    """Whether a seed is better than 1/N, or worse, by more than chance explains."""
    versus: Versus = entry.get("versus_uniform") or {}
    return bool(versus.get("is_distinguishable")) and sign * (versus.get("growth") or 0.0) > 0


def _difference(what: str, versus: Versus | None, beyond: str) -> Iterator[str]:
    told = versus or {}
    growth, low, high = told.get("growth"), told.get("low"), told.get("high")
    if growth is None or "is_distinguishable" not in told:
        return
    if low is None or high is None or are_few(told.get("n_steps")):
        yield f"{what}{growth:+.3f} per year over 1/N: too few rows to claim anything."
        return
    verdict = "not distinguishable from 1/N"
    if told["is_distinguishable"]:
        verdict = f"{'better' if growth > 0 else 'worse'} than 1/N{beyond}"
    yield (
        f"{what}{growth:+.3f} per year over 1/N, 95 % interval {low:+.3f} ... {high:+.3f}: "
        f"{verdict}."
    )


def _edge(record: Record) -> Iterator[str]:
    """Whether there is anything to earn, and whether that lives on the very price it has seen."""
    policy = _annual_growth(record["portfolio_metrics"])
    delayed = _annual_growth(record["portfolio_metrics_delay_1"])
    uniform = _annual_growth((record["baselines"] or {}).get("uniform"))
    late = (record["versus_uniform_delay_1"] or {}).get("growth")
    few = are_few((record["portfolio_metrics"] or {}).get("n_steps"))
    if policy is None or uniform is None or few:
        return
    if not _beats(policy, uniform):
        yield f"No edge: log growth of {policy:+.3f} per year does not beat 1/N at {uniform:+.3f}."
    elif delayed is not None and late is not None and not _beats(delayed, delayed - late):
        is_shown = (record["versus_uniform"] or {}).get("is_distinguishable", True)
        edge = "The edge" if is_shown else "What there is of an edge"
        how = (
            "is short-lived: executed one row later still, "
            if record["delay"]
            else "needs trading at the very price that the features have seen: one row later, "
        )
        yield (
            f"{edge} {how}log growth of {delayed:+.3f} per year does not beat 1/N on the same rows "
            f"at {delayed - late:+.3f}."
        )
    if _beats(policy, uniform) and _beats(0.0, policy):
        yield f"1/N lost more, but cash lost nothing: log growth is {policy:+.3f} per year."
    baselines = record["baselines"] or {}
    better = [
        f"{strategy_name(name)} ({growth:+.3f})"
        for name in distinct(baselines)
        if name not in ("uniform", "bcrp_hindsight")
        and (growth := _annual_growth(baselines[name])) is not None
        and _beats(growth, policy)
    ]
    if better:
        yield f"Better on the same rows, by log growth per year: {conjoined(better)}."


def _universe(record: Record) -> Iterator[str]:
    """Say what ends of assets could have cost."""
    ends: Any = record["ends"]
    if ends and all(value is not None for growth in ends.values() for value in growth.values()):
        best, worst = (
            f"{ends[m]['policy']:+.3f} (1/N {ends[m]['uniform']:+.3f})" for m in ("0", "-1")
        )
        yield f"Assets end on these rows: growth is {best} if ends cost nothing, {worst} if all."


def _doubts(record: Record) -> Iterator[str]:
    """Name every doubt of the data, of many the first."""
    doubts = record["doubts"] or []
    if doubts:
        yield "The data are in doubt, and the result with them:"
        yield from doubts[:MOST_DOUBTS]
    if len(doubts) > MOST_DOUBTS:
        n_more = counted(len(doubts) - MOST_DOUBTS, "more doubt")
        yield f"{n_more}: see doubts in metrics.json, or the warnings in events.csv."


_CAUTIONS = {
    "best_is_the_last": (
        "The best epoch is the last one: raise training.epochs, which may do better."
    ),
    "never_moved": (
        "No update changed the network: every gradient was exactly 0. A single action under "
        "softmax is always 1; give it primary_transform tanh or softmax_cash. Prices that never "
        "move teach nothing. A reward of your own must depend on its actions, without detaching or "
        "rounding them."
    ),
    "every_epoch_ruined": (
        "Every epoch lost everything on the validation rows. Use the primary_transform softmax or "
        "softmax_cash, which neither borrow nor sell short."
    ),
    "ruined_in_training": (
        "The kept weights lose everything on the training rows. Train longer, or use softmax or "
        "softmax_cash, which neither borrow nor sell short."
    ),
    "single_updates": (
        "An epoch is a single update: raise hisso.updates_per_epoch, or read epochs as updates."
    ),
    "edge_temperature": (
        "The chosen temperature is the last of its grid (1/4 to 4): the best may lie beyond it. At "
        "1/4 the outputs are too small: raise training.lr; at 4 they are too large: lower it."
    ),
}


_LAST_IN_TRAINING = (
    "The best epoch is the last one, as training rows chose it: without validation rows nothing "
    "tells whether more epochs do better or worse."
)


def _cautions(record: Record) -> Iterator[str]:
    """What of the training deserves a look; of several seeds, of how many of them."""
    seeds = record["per_seed"] or [{"cautions": record["cautions"] or []}]
    names = [name for entry in seeds for name in entry.get("cautions") or []]
    for name in dict.fromkeys(names):
        n = names.count(name)
        of = f"{n} of {len(seeds)} seeds: " if n < len(seeds) else ""
        text = _CAUTIONS.get(name)
        if name == "best_is_the_last" and record["monitor"] in ("reward", "train_loss"):
            text = _LAST_IN_TRAINING
        if text is not None:
            yield f"{of}{text}"


def _beats(growth: float, other: float) -> bool:
    """Whether the difference shows in what is printed."""
    return round(growth, 3) > round(other, 3)


def _annual_growth(figures: Mapping[str, float | None] | None) -> float | None:
    return None if figures is None else figures.get("annual_log_growth")
