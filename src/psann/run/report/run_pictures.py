"""The pictures of one run, from its log and its evaluation series."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from psann._charts import (
    Curve,
    Look,
    Mark,
    Panel,
    allocation_figure,
    epochs_figure,
    timing_figure,
    wealth_figure,
)
from psann._drawing import COLOURS
from psann._npz import Array
from psann.hisso.options import OF_NO_PORTFOLIO
from psann.run.directory.evaluation import Evaluation
from psann.run.directory.rows import Row
from psann.run.reading.content import Picture, clock, printable
from psann.run.reading.reading import RunView
from psann.run.reading.sentences import rows_judged
from psann.run.reading.strategies import is_seed, strategy_name
from psann.run.report.strategies import strategy_look

_LONGEST_LABEL = 28
_MAIN = ("policy", "policy_delay_1", "policy_advance_1", "uniform")
_TRAINING = Look(COLOURS["blue"])
_VALIDATION = Look(COLOURS["vermillion"], "--")
_KINDS_OF_WORK = {
    "data_s": "drawing and transfer",
    "step_s": "updates",
    "val_s": "validation",
    "checkpoint_s": "checkpoints",
    "studies_s": "folds and placebos",
}
_REST = "start, judging, the rest"

Tracks = dict[tuple[object, object], list[Row]]


def short(label: str) -> str:
    """A name that fits a legend."""
    text = printable(label)
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def time_axis(series: Evaluation) -> tuple[Array, str]:
    """The x values of an evaluation and what they mean.

    Returns
    -------
    x : ndarray of shape (T,)
        Dates, else the data's own numbers, else row numbers.
    label : str
        For the axis.
    """
    time = series.time
    if time is not None and time.dtype.kind == "M":
        return time, "date"
    if time is not None and time.dtype.kind in "fiu" and bool(np.isfinite(time).all()):
        return time, "time in the data's own unit"
    return np.arange(series.net.shape[1]), "row of the evaluation span"


def wealth_picture(run: RunView, *, points: int) -> Picture | None:
    """Wealth and drawdown of the policy and its baselines.

    Parameters
    ----------
    points : int
        Most points per line.
    """
    series = run.evaluation
    if series is None or series.net.shape[1] < 2:
        return None
    x, x_label = time_axis(series)
    has_seeds = any(map(is_seed, series.names))
    own = {"policy": "policy, mean of seeds"} if has_seeds else {}
    curves = [
        Curve(
            label=own.get(name, "each seed" if is_seed(name) else short(strategy_name(name))),
            x=x,
            y=net,
            look=strategy_look(name),
            is_main=name in _MAIN,
        )
        for name, net in zip(series.names, series.net, strict=True)
        # Of the policy the later and earlier actions are enough.
        if name in _MAIN or not name.endswith(("_delay_1", "_advance_1"))
    ]
    return Picture(
        name="wealth",
        title="Wealth and drawdown",
        figure=wealth_figure(curves, x_label=x_label, points=points),
        caption=f"{rows_judged(run.metrics)}. What 1.00 becomes, net of costs, beside baselines "
        "on the same rows. Below, how far the policy and 1/N fall from their highest value. "
        "(*) chosen on these very rows: unattainable.",
    )


def allocation_picture(run: RunView, *, points: int) -> Picture | None:
    """Weights of the policy over time.

    Parameters
    ----------
    points : int
        Most points per line.
    """
    series = run.evaluation
    if series is None or series.allocations.shape[0] < 2 or not series.allocations.shape[1]:
        return None
    x, x_label = time_axis(series)
    n_assets = series.allocations.shape[1]
    names = series.assets or tuple(f"asset {place}" for place in range(1, n_assets + 1))
    assets = [short(name) for name in names]
    figure = allocation_figure(series.allocations, assets, x=x, x_label=x_label, points=points)
    whose = "the seeds as one policy" if any(map(is_seed, series.names)) else "the policy"
    return Picture(
        name="allocation",
        title="Allocation and turnover",
        figure=figure,
        caption=f"Target weights of {whose}. Below, with every extreme kept: the largest weight of "
        "each row, and the sum of the absolute changes of the weights from the row before.",
    )


def training_pictures(run: RunView, *, points: int) -> tuple[Picture, ...]:
    """Rewards, losses, and how training went, over the epochs.

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
    pictures: list[Picture] = []
    for place, (phase, tracks) in enumerate(by_phase.items()):
        is_last = place == len(by_phase) - 1
        pictures += _phase_pictures(run, phase, tracks, is_judged=is_last, points=points)
    return tuple(pictures)


def _phase_pictures(
    run: RunView, phase: str, tracks: Tracks, *, is_judged: bool, points: int
) -> Iterable[Picture]:
    """Draw one phase; the best epoch is one of the last."""
    name = printable(phase).replace("_", " ")
    kinds = {
        "reward": ("reward per step", {"reward_mean": "training", "val_reward_mean": "validation"}),
        "loss": ("loss", {"train_loss": "training", "val_loss": "validation"}),
    }
    for kind, (y_label, columns) in kinds.items():
        panel = _panel(tracks, y_label, columns)
        if panel is not None:
            mark = _best_mark(run, kind) if is_judged and len(tracks) == 1 else None
            yield Picture(
                name=f"{kind}-{name}".replace(" ", "-"),
                title=f"{kind.capitalize()}, {name}",
                figure=epochs_figure([panel], mark=mark, points=points),
            )
    change, whose = ("Turnover", "weights") if _has_weights(run) else ("Change", "actions")
    course = {
        "lr": "learning rate",
        "grad_norm": "gradient norm",
        "turnover": f"{change.lower()} per step",
    }
    panels = [_panel(tracks, label, {column: ""}) for column, label in course.items()]
    shown = [panel for panel in panels if panel is not None]
    if shown:
        yield Picture(
            name=f"course-{name}".replace(" ", "-"),
            title=f"Course of training, {name}",
            figure=epochs_figure(shown, mark=None, points=points),
            caption=f"{change}: mean change of the {whose} per step of the validation pass. "
            "Gradient norm: mean over the epoch's updates, before clipping."
            if is_judged
            else "",
        )


def _has_weights(run: RunView) -> bool:
    """Whether the actions of a run may be weights of a portfolio, as far as its files tell."""
    told = run.config.get("hisso")
    hisso = told if isinstance(told, dict) else {}
    return hisso.get("n_actions") is None and hisso.get("primary_transform") not in OF_NO_PORTFOLIO


def _panel(tracks: Tracks, y_label: str, columns: dict[str, str]) -> Panel | None:
    curves: list[Curve] = []
    looks = (_TRAINING, _VALIDATION)
    for (column, label), look in zip(columns.items(), looks, strict=False):
        lines = [(_column(rows, "epoch"), _column(rows, column)) for rows in tracks.values()]
        lines = [(x, y) for x, y in lines if not np.isnan(y).all()]
        if len(lines) > 1:
            faint = Look(look.colour, look.dashes, 0.5)
            lead = label and f"{label}, "
            curves += [Curve(label=f"{lead}each", x=x, y=y, look=faint) for x, y in lines]
            x, y = _mean_line(lines)
            bold = Look(look.colour, look.dashes, 2.0)
            curves.append(Curve(label=f"{lead}mean of {len(lines)}", x=x, y=y, look=bold))
        else:
            curves += [Curve(label=label, x=x, y=y, look=look) for x, y in lines]
    return Panel(y_label=y_label, curves=curves) if curves else None


def _mean_line(
    lines: Sequence[tuple[Array, Array]],
) -> tuple[Array, Array]:
    """Mean at each epoch that all lines have: one that stopped early would bend it."""
    values: defaultdict[float, list[float]] = defaultdict(list)
    for x, y in lines:
        for at, value in zip(x.tolist(), y.tolist(), strict=True):
            values[at].append(value)
    common = {at: np.mean(found) for at, found in values.items() if len(found) == len(lines)}
    return np.array(list(common)), np.array(list(common.values()))


def _column(rows: Sequence[Row], name: str) -> NDArray[np.float64]:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], dtype=float)


def _best_mark(run: RunView, kind: str) -> Mark | None:
    epoch = run.figure("best_epoch")
    if epoch is None:
        return None
    monitor = run.metrics["monitor"] or ""
    y = run.figure("monitor_value") if str(monitor).endswith(kind) else None
    untrained = ", untrained" if epoch == 0 else ""
    return Mark(label=f"best epoch {epoch:.0f}{untrained}", x=float(epoch), y=y)


def timing_picture(run: RunView) -> Picture | None:
    """Where the wall time went."""
    timing = run.metrics["timing"]
    if not isinstance(timing, dict):
        return None
    seconds = {
        _KINDS_OF_WORK.get(key, short(key)): value
        for key in timing
        if (value := run.figure(f"timing.{key}")) is not None and value >= 0
    }
    total = run.figure("duration_seconds")
    rest = 0.0 if total is None else total - sum(seconds.values())
    if rest > 0:
        seconds[_REST] = rest
    if not seconds:
        return None
    return Picture(
        name="timing",
        title="Where the time went",
        figure=timing_figure(seconds),
        caption=f"{clock(sum(seconds.values()))} of wall time in all starts together.",
    )
