"""What must not be missed of a run's results, in sentences.

A sentence is said only where all that it tells of is known: records of killed runs, half copies and
other releases lack some.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from psann.errors import counted
from psann.run.directory.fields import Record, SeedFigures, Versus


def result_sentences(record: Record) -> list[str]:
    """Say what a reader must not miss, above all what did not work.

    Returns
    -------
    list of str
        No sentence when the run is complete and nothing has to be held against it.
    """
    return [*_ending(record), *_kept_untrained(record), *_evidence(record), *_edge(record)]


def _ending(record: Record) -> Iterator[str]:
    status, epoch = record["status"], record["epoch"]
    where = f"after epoch {epoch} of {record['epochs_total']}"
    if status == "early_stopped":
        yield f"Stopped early {where}: the monitor did not get better."
    elif status not in ("completed", None):
        reason = (record["error"] or "").strip().rpartition("\n")[2]
        place = "before training" if epoch is None else where
        yield f"Not complete: {status} {place}. {reason}".strip()


def _kept_untrained(record: Record) -> Iterator[str]:
    """Where epoch 0 was the best: in the run, or in so many of its seeds."""
    seeds = record["per_seed"]
    n = sum(entry.get("best_epoch") == 0 for entry in seeds or ())
    if n == 0 and (seeds is not None or record["best_epoch"] != 0):
        return
    who = "Best epoch 0" if seeds is None else f"Best epoch 0 in {n} of {len(seeds)} seeds"
    asked = record["min_improvement"]
    margin = f" by more than {asked:g}" if asked else ""
    if record["mode"] == "fine_tune":
        yield (
            f"{who}: no epoch of fine-tuning beat the parent on validation{margin}, so the "
            "parent's weights were kept."
        )
    else:
        yield (
            f"{who}: no epoch of training beat doing nothing on validation{margin}, so the "
            "untrained policy was kept."
        )


def _evidence(record: Record) -> Iterator[str]:
    """How much of the policy's advantage chance alone could explain."""
    yield from _advantage(record)
    figures = record["portfolio_metrics"] or {}
    sharpe, error, psr = (
        figures.get(name) for name in ("annual_sharpe", "annual_sharpe_se", "psr")
    )
    if sharpe is not None and error is not None and psr is not None:
        chance = f"above 0 with probability {psr:.3f}"
        if record["deflated_sharpe"] is not None:
            chance += (
                f", above the luckiest of {record['n_trials']} candidates without skill with "
                f"{record['deflated_sharpe']:.3f}"
            )
        yield f"Sharpe ratio {sharpe:.2f} +- {error:.2f} per year: {chance}."
    if walk := record["walk_forward"]:
        folds = counted(len(walk.get("folds", ())), "fold")
        yield from _difference(f"Walk-forward, {folds}: ", walk.get("versus_uniform"))
    placebo = record["placebo"] or {}
    share, n_placebos = placebo.get("share_as_good"), placebo.get("n")
    if share is not None and n_placebos is not None:
        yield (
            f"Placebo: {round(share * n_placebos)} of {counted(n_placebos, 'training')} on "
            "shuffled moves grew as much over 1/N."
        )


def _advantage(record: Record) -> Iterator[str]:
    """What the policy earned over 1/N; of several seeds, a mean of intervals would be none."""
    versus, seeds = record["versus_uniform"], record["per_seed"]
    growth = (versus or {}).get("growth")
    if seeds is None or growth is None:
        yield from _difference("", versus)
        return
    n_apart = sum(_is_apart(entry) for entry in seeds)
    yield (
        f"{growth:+.3f} per year over 1/N on the mean of {len(seeds)} seeds, of which {n_apart} "
        "differ from 1/N beyond chance."
    )
    yield from _difference(
        "The seeds' ensemble: ", (record["ensemble"] or {}).get("versus_uniform")
    )


def _is_apart(entry: SeedFigures) -> bool:
    return bool((entry.get("versus_uniform") or {}).get("is_distinguishable"))


def _difference(what: str, versus: Versus | None) -> Iterator[str]:
    told = versus or {}
    growth, low, high = told.get("growth"), told.get("low"), told.get("high")
    if growth is None or low is None or high is None or "is_distinguishable" not in told:
        return
    verdict = "not distinguishable from 1/N"
    if told["is_distinguishable"]:
        verdict = f"{'better' if growth > 0 else 'worse'} than 1/N beyond chance"
    yield (
        f"{what}{growth:+.3f} per year over 1/N, 95 % interval {low:+.3f} ... {high:+.3f}: "
        f"{verdict}."
    )


def _edge(record: Record) -> Iterator[str]:
    """Whether there is anything to earn, and whether that lives on the very price it has seen."""
    policy = _annual_growth(record["portfolio_metrics"])
    delayed = _annual_growth(record["portfolio_metrics_delay_1"])
    uniform = _annual_growth((record["baselines"] or {}).get("uniform"))
    if policy is None or uniform is None:
        return
    if not _beats(policy, uniform):
        yield f"No edge: log growth of {policy:+.3f} per year does not beat 1/N at {uniform:+.3f}."
    elif delayed is not None and not _beats(delayed, uniform):
        yield (
            "The edge needs trading at the very price that the features have seen: one row later, "
            f"log growth of {delayed:+.3f} per year does not beat 1/N at {uniform:+.3f}."
        )


def _beats(growth: float, other: float) -> bool:
    """Whether the difference shows in what is printed."""
    return round(growth - other, 3) > 0


def _annual_growth(figures: Mapping[str, float | None] | None) -> float | None:
    return None if figures is None else figures.get("annual_log_growth")
