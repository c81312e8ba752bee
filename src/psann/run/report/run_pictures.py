"""The pictures of one run, from its log and its evaluation series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from psann._inputs import are_dates, show
from psann._text import shortened
from psann._typing import Array, Floats
from psann.errors import counted
from psann.hisso.options import OF_NO_PORTFOLIO
from psann.holdings import HALTED, MEMBER
from psann.presentation.charts import (
    Curve,
    allocation_figure,
    availability_figure,
    epochs_figure,
    is_constant,
    strip_figure,
    wealth_figure,
)
from psann.presentation.content import Picture, printable
from psann.presentation.figure import Figure, Look
from psann.run.directory.evaluation import Evaluation
from psann.run.directory.rows import Row
from psann.run.reading.quantities import quantity
from psann.run.reading.reading import RunView
from psann.run.reading.sentences import rows_judged
from psann.run.reading.strategies import is_seed, strategy_name
from psann.run.report.strategies import best_rule, drawn_curves

_LONGEST_LABEL = 28
_TRAINING, _VALIDATION = Look("blue"), Look("vermillion", "6 3")
_COURSE = {
    "lr": "learning rate",
    "grad_norm": "gradient norm, mean over the updates, before clipping",
    "turnover": "moved weight per validation row",
}
_OF_ACTIONS = "movement of actions per validation row"

Tracks = dict[tuple[object, object], list[Row]]


def short(label: str) -> str:
    """A name that fits a legend."""
    return shortened(printable(label), _LONGEST_LABEL)


def judged_series(run: RunView) -> Evaluation | None:
    """The series of a run, if there is anything to draw."""
    return _drawable(run.evaluation)


def series_of_folds(run: RunView) -> Evaluation | None:
    """The same of a walk-forward."""
    series = _drawable(run.walk_forward)
    return None if series is None or series.fold is None else series


def _drawable(series: Evaluation | None) -> Evaluation | None:
    if series is None or len(series.allocations) < 2 or not series.allocations.size:
        return None
    return series


def time_of(series: Evaluation) -> tuple[Array, str]:
    """The x values of an evaluation and what they mean.

    Returns
    -------
    x : ndarray of shape (T,)
        Dates, else the data's own numbers, else row numbers.
    title : str
        For the axis.
    """
    time = series.time
    if are_dates(time) and not np.isnat(time).any():
        return time, "date"
    if time is not None and time.dtype.kind in "fiu" and bool(np.isfinite(time).all()):
        return time, "time in the data's own unit"
    return np.arange(series.net.shape[1]), "row of the judged span"


def wealth_picture(run: RunView, *, points: int) -> Picture | None:
    """Wealth and drawdown of the policy and of what stands beside it.

    Parameters
    ----------
    points : int
        Most points per line.
    """
    series = judged_series(run)
    if series is None:
        return None
    return Picture(
        name="wealth",
        title="Wealth and drawdown",
        figure=_wealth_figure(run, series, points=points),
        caption=f"{rows_judged(run.metrics)}. What 1.00 becomes, net of costs."
        f"{_best_told(series, '; all are in the table below')}",
    )


def folds_picture(run: RunView, series: Evaluation, *, points: int) -> Picture:
    """The same of the folds' policies, one after the other."""
    x, _ = time_of(series)
    assert series.fold is not None
    starts = x[np.flatnonzero(np.diff(series.fold)) + 1]
    return Picture(
        name="folds",
        title="Wealth of the folds' policies, one after the other",
        figure=_wealth_figure(run, series, points=points, starts=starts),
        caption=f"{show(x[0])} ... {show(x[-1])}, net of costs." + _best_told(series),
    )


def _wealth_figure(
    run: RunView, series: Evaluation, *, points: int, starts: Array | None = None
) -> Figure:
    x, x_title = time_of(series)
    has_seeds = any(map(is_seed, series.names))
    names = {"policy": "policy, mean of seeds"} if has_seeds else {}
    if benchmark := (run.metrics["judged"] or {}).get("benchmark"):
        names["benchmark"] = f"benchmark {short(benchmark)}"
    curves = drawn_curves(series, x, names)
    beside = next((curve for curve in curves if curve.label == "1/N"), None)
    return wealth_figure(curves, x_title=x_title, points=points, beside=beside, starts=starts)


def _best_told(series: Evaluation, more: str = "") -> str:
    best = best_rule(series)
    if best is None:
        return ""
    name = strategy_name(best)
    return f" Of the other rules, {short(name)} ended best{more}."


def placebo_picture(run: RunView) -> Picture | None:
    """How much trainings on shuffled moves earned over 1/N, beside the policy."""
    growth = run.figure("placebo.growth")
    told = (run.metrics["placebo"] or {}).get("growths")
    values = np.array(
        [value for value in told or () if isinstance(value, int | float)], dtype=float
    )
    if growth is None or not len(values):
        return None
    return Picture(
        name="placebo",
        title="Trainings on shuffled moves",
        figure=strip_figure(
            values,
            own=growth,
            names=("on shuffled moves", "on the moves as they were"),
            x_title="log growth per year over 1/N",
        ),
        caption="Where nothing can be learnt, so much is earned by luck.",
    )


def asset_names(series: Evaluation) -> list[str]:
    """Names of the assets as a legend has them; numbers count from 0, as in warnings."""
    n_assets = series.allocations.shape[1]
    return [short(name) for name in series.assets or (f"asset {i}" for i in range(n_assets))]


def allocation_picture(run: RunView, *, points: int) -> Picture | None:
    """Weights of the policy over time; None where they never change.

    Parameters
    ----------
    points : int
        Most points per line.
    """
    series = judged_series(run)
    if series is None or all(is_constant(weights) for weights in series.allocations.T):
        return None
    x, x_title = time_of(series)
    whose = "the seeds as one policy" if any(map(is_seed, series.names)) else "the policy"
    return Picture(
        name="allocation",
        title="Weights",
        figure=allocation_figure(
            series.allocations, asset_names(series), x=x, x_title=x_title, points=points
        ),
        caption=f"What {whose} wants to hold, of the wealth; what lacks to 100 % is cash. Above, "
        "averages over stretches of time; below, row by row.",
    )


def availability_picture(run: RunView) -> Picture | None:
    """Who could be held when; None where everybody could always be."""
    series = judged_series(run)
    if series is None or series.active is None:
        return None
    x, x_title = time_of(series)
    shown = np.flatnonzero(np.isin(series.active, (MEMBER, HALTED)).any(axis=0))
    every = asset_names(series)
    names = [every[place] for place in shown]
    if not names:
        return None
    n_others = len(every) - len(names)
    left_out = f" {counted(n_others, 'asset')} never to be had left out." if n_others else ""
    return Picture(
        name="availability",
        title="Who could be held",
        figure=availability_figure(series.active[:, shown], names, x=x, x_title=x_title),
        caption=f"Where there is no bar, an asset was not to be had.{left_out}",
    )


def training_pictures(run: RunView, *, points: int) -> tuple[Picture, ...]:
    """Reward or loss by epoch, and the course of training, one picture per phase.

    Parameters
    ----------
    points : int
        Most points per line.
    """
    by_phase: defaultdict[str, Tracks] = defaultdict(dict)
    for row in run.epochs:
        if row["epoch"] is not None:
            tracks = by_phase[str(row["phase"] or "training")]
            tracks.setdefault((row["seed"], row["fold"]), []).append(row)
    drawn = (
        _phase_picture(run, phase, tracks, is_judged=place == len(by_phase) - 1, points=points)
        for place, (phase, tracks) in enumerate(by_phase.items())
    )
    return tuple(picture for picture in drawn if picture is not None)


def _phase_picture(
    run: RunView, phase: str, tracks: Tracks, *, is_judged: bool, points: int
) -> Picture | None:
    """Draw what changes over the epochs of one phase; the best epoch is one of the last."""
    of_reward = {"reward_mean": "training", "val_reward_mean": "validation"}
    of_loss = {"train_loss": "training", "val_loss": "validation"}
    # With a reward the loss is its mirror image.
    unit = quantity("val_reward_mean").unit([run])
    panels = [(f"reward {unit}".rstrip(), _curves(tracks, of_reward))]
    if not panels[0][1]:
        panels = [("loss", _curves(tracks, of_loss))]
    course = _COURSE if _has_weights(run) else {**_COURSE, "turnover": _OF_ACTIONS}
    panels += [(title, _curves(tracks, {column: ""})) for column, title in course.items()]
    shown = [(title, curves) for title, curves in panels if curves]
    if not shown:
        return None
    name = printable(phase).replace("_", " ")
    best = run.figure("best_epoch") if is_judged and len(tracks) == 1 else None
    untrained = ", untrained" if best == 0 else ""
    mark = None if best is None else (float(best), f"best epoch {best:.0f}{untrained}")
    return Picture(
        name=f"training-{name}".replace(" ", "-"),
        title=f"Training, {name}",
        figure=epochs_figure(shown, best=mark, points=points),
    )


def _has_weights(run: RunView) -> bool:
    """Whether the actions of a run may be weights of a portfolio, as far as its files tell."""
    is_free = run.setting("hisso.primary_transform") in OF_NO_PORTFOLIO
    return run.setting("hisso.n_actions") is None and not is_free


def _curves(tracks: Tracks, columns: dict[str, str]) -> list[Curve]:
    """One curve per column that changes, of several tracks their mean and their range."""
    curves = []
    for (column, label), look in zip(columns.items(), (_TRAINING, _VALIDATION), strict=False):
        lines = [(_column(rows, "epoch"), _column(rows, column)) for rows in tracks.values()]
        lines = [(x, y) for x, y in lines if not np.isnan(y).all()]
        if all(is_constant(y) for _, y in lines):
            continue
        x, values = _at_common_epochs(lines)
        mean = f"{label}, mean of {len(lines)}".strip(", ") if len(lines) > 1 else label
        among = (values.min(0), values.max(0)) if len(lines) > 1 else None
        curves.append(Curve(label=mean, x=x, y=values.mean(0), look=look, among=among))
    return curves


def _at_common_epochs(lines: Sequence[tuple[Floats, Floats]]) -> tuple[Floats, Floats]:
    """Values at the epochs that all have: one that stopped early would bend their mean."""
    by_epoch = [dict(zip(x.tolist(), y.tolist(), strict=True)) for x, y in lines]
    common = [at for at in by_epoch[0] if all(at in other for other in by_epoch)]
    return np.array(common), np.array([[own[at] for at in common] for own in by_epoch])


def _column(rows: Sequence[Row], name: str) -> Floats:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)
