"""What a run achieved, as a person reads it: a table, sentences, and where the files lie."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from psann._text import clock_text, escape_controls, labelled
from psann.errors import counted
from psann.run.directory.paths import RunPaths
from psann.run.terminal import CarefulStream, rich_console

if TYPE_CHECKING:
    from rich.table import Table

# Heading, key of the figures, how it is written. All rows and headings fit into 80 columns.
_TABLE_COLUMNS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("gross\ngrowth", "gross_log_growth", "{:+.3f}".format),
    ("net\ngrowth", "annual_log_growth", "{:+.3f}".format),
    ("Sharpe\nratio", "annual_sharpe", "{:.2f}".format),
    ("max\ndrawdown", "max_drawdown", "{:.1%}".format),
    ("traded\nper row", "turnover_traded", "{:.4f}".format),
    ("final\nwealth", "cum_return", lambda value: _wealth(1 + value)),
)
BASELINE_LABELS = {
    "1/N": "uniform",
    "buy and hold": "buy_and_hold",
    "best training asset": "best_asset",
    "BCRP of the past": "bcrp",
    "EG 0.05": "eg",
    "PAMR 0.5": "pamr",
    "OLMAR-1": "olmar",
    "BCRP in hindsight (*)": "bcrp_hindsight",
}
_LEGEND = (
    "Growth (log) and Sharpe ratio per year; all but gross growth net of costs.",
    "(*) fitted on these very rows: unattainable.",
)


def show_result(
    record: Mapping[str, Any],
    paths: RunPaths,
    *,
    stream: TextIO | None = None,
    quiet: bool = False,
) -> None:
    """Print what a run achieved: table, verdict, figures, and where its files lie.

    Parameters
    ----------
    record : mapping
        The content of `metrics.json`.
    paths : RunPaths
        Its run directory.
    stream : text file, optional
        Where to print; standard output by default.
    quiet : bool
        Print one line.
    """
    careful = CarefulStream(sys.stdout if stream is None else stream)
    result = ", ".join([f"{record['run_name']}: {record['status']}", *_result(record)])
    effort = ", ".join(_effort(record))
    if quiet:
        careful.write(", ".join(filter(None, [result, effort, f"{paths.root}\n"])))
        careful.flush()
        return
    table = result_table(record)
    if table is not None:
        careful.write(f"\nTest rows, net of {1e4 * record['trans_cost']:g} bp\n\n")
        rich_console(careful).print(table)
        careful.write("\n".join(("", *_LEGEND, "")))
    artefacts = [paths.metrics, paths.events, paths.best]
    details = filter(None, [effort, *(str(path) for path in artefacts if path.exists())])
    lines = [*result_sentences(record), "", result, *(f"  {detail}" for detail in details)]
    careful.write("\n".join(escape_controls(line) for line in ("", *lines)) + "\n")
    careful.flush()


def result_table(record: Mapping[str, Any]) -> Table | None:
    """Lay out the policy's figures beside those of the baselines.

    Parameters
    ----------
    record : mapping
        The content of `metrics.json`.

    Returns
    -------
    Table or None
        One row per strategy; None when the run has no portfolio figures.
    """
    from rich import box
    from rich.table import Table

    policy = record["portfolio_metrics"]
    if policy is None:
        return None
    baselines = record["baselines"] or {}
    delayed = record["portfolio_metrics_delay_1"]
    n_seeds = len(record["per_seed"] or ())
    rows = {f"policy, mean of {n_seeds} seeds" if n_seeds else "policy": policy}
    rows |= {} if delayed is None else {"policy, one row later": delayed}
    ensemble = record["ensemble"]
    if ensemble is not None:
        rows["the seeds as one policy"] = ensemble["portfolio_metrics"]
    rows |= {label: baselines[key] for label, key in BASELINE_LABELS.items() if key in baselines}
    table = Table(box=box.ASCII2, show_edge=False, pad_edge=False)
    table.add_column("", no_wrap=True)
    for label, _, _ in _TABLE_COLUMNS:
        table.add_column(label, justify="right")
    for label, figures in rows.items():
        values = [(figures.get(key), write) for _, key, write in _TABLE_COLUMNS]
        table.add_row(label, *("-" if value is None else write(value) for value, write in values))
        if n_seeds and figures is policy:
            table.add_row("  spread over seeds", *_spread(record["spread"]["portfolio_metrics"]))
    return table


def _spread(figures: Mapping[str, Any]) -> list[str]:
    """Standard deviations over the seeds, written as what they are of, but without a sign."""
    cells = []
    for _, key, write in _TABLE_COLUMNS:
        value = figures.get(key)
        # The wealth is 1 + cum_return, and spreads as that does.
        written = "{:,.2f}".format if key == "cum_return" else write
        cells.append("-" if value is None else written(value).lstrip("+"))
    return cells


def result_sentences(record: Mapping[str, Any]) -> list[str]:
    """Say what a reader must not miss, above all what did not work.

    Parameters
    ----------
    record : mapping
        The content of `metrics.json`.

    Returns
    -------
    list of str
        No sentence when the run is complete and nothing has to be held against it.
    """
    sentences = []
    status = record["status"]
    where = f"after epoch {record['epoch']} of {record['epochs_total']}"
    if status == "early_stopped":
        sentences.append(f"Stopped early {where}: the monitor did not get better.")
    elif status != "completed":
        reason = (record["error"] or "").strip().rpartition("\n")[2]
        place = where if record["epoch"] is not None else "before training"
        sentences.append(f"Not complete: {status} {place}. {reason}".strip())
    if untrained := _kept_untrained(record):
        asked = record["min_improvement"]
        margin = f" by more than {asked:g}" if asked else ""
        sentences.append(
            f"{untrained}: no epoch of fine-tuning beat the parent on validation{margin}, so the "
            "parent's weights were kept."
            if record["mode"] == "fine_tune"
            else f"{untrained}: no epoch of training beat doing nothing on validation{margin}, so "
            "the untrained policy was kept."
        )
    sentences += _evidence(record)
    policy = _annual_growth(record["portfolio_metrics"])
    delayed = _annual_growth(record["portfolio_metrics_delay_1"])
    uniform = _annual_growth((record["baselines"] or {}).get("uniform"))
    if policy is None or uniform is None:
        return sentences
    if not _beats(policy, uniform):
        sentences.append(
            f"No edge: log growth of {policy:+.3f} per year does not beat 1/N at {uniform:+.3f}."
        )
    elif delayed is not None and not _beats(delayed, uniform):
        sentences.append(
            "The edge needs trading at the very price that the features have seen: one row later, "
            f"log growth of {delayed:+.3f} per year does not beat 1/N at {uniform:+.3f}."
        )
    return sentences


def _evidence(record: Mapping[str, Any]) -> list[str]:
    """How much of the policy's advantage chance alone could explain."""
    sentences = _advantage(record)
    figures = record["portfolio_metrics"] or {}
    sharpe, error = figures.get("annual_sharpe"), figures.get("annual_sharpe_se")
    if sharpe is not None and error is not None:
        chance = f"above 0 with probability {figures['psr']:.3f}"
        if record["deflated_sharpe"] is not None:
            chance += (
                f", above the luckiest of {record['n_trials']} candidates without skill with "
                f"{record['deflated_sharpe']:.3f}"
            )
        sentences.append(f"Sharpe ratio {sharpe:.2f} +- {error:.2f} per year: {chance}.")
    if (walk := record["walk_forward"]) is not None:
        folds = counted(len(walk["folds"]), "fold")
        sentences += _difference(f"Walk-forward, {folds}: ", walk["versus_uniform"])
    if (placebo := record["placebo"]) is not None and placebo["share_as_good"] is not None:
        n_good = round(placebo["share_as_good"] * placebo["n"])
        sentences.append(
            f"Placebo: {n_good} of {counted(placebo['n'], 'training')} on shuffled moves grew as "
            "much over 1/N."
        )
    return sentences


def _advantage(record: Mapping[str, Any]) -> list[str]:
    """What the policy earned over 1/N; of several seeds, a mean of intervals would be none."""
    versus, seeds, ensemble = record["versus_uniform"], record["per_seed"], record["ensemble"]
    if seeds is None or versus is None or versus["growth"] is None:
        return _difference("", versus)
    each = [entry.get("versus_uniform") or {} for entry in seeds]
    n_apart = sum(bool(one.get("is_distinguishable")) for one in each)
    return [
        f"{versus['growth']:+.3f} per year over 1/N on the mean of {len(seeds)} seeds, of which "
        f"{n_apart} differ from 1/N beyond chance.",
        *_difference("The seeds' ensemble: ", (ensemble or {}).get("versus_uniform")),
    ]


def _kept_untrained(record: Mapping[str, Any]) -> str:
    """Where epoch 0 was the best: in the run, or in so many of its seeds; nowhere is empty."""
    seeds = record["per_seed"]
    if seeds is None:
        return "Best epoch 0" if record["best_epoch"] == 0 else ""
    n = sum(entry.get("best_epoch") == 0 for entry in seeds)
    return f"Best epoch 0 in {n} of {len(seeds)} seeds" if n else ""


def _difference(what: str, versus: Mapping[str, Any] | None) -> list[str]:
    if versus is None or versus["growth"] is None:
        return []
    verdict = "not distinguishable from 1/N"
    if versus["is_distinguishable"]:
        verdict = f"{'better' if versus['growth'] > 0 else 'worse'} than 1/N beyond chance"
    return [
        f"{what}{versus['growth']:+.3f} per year over 1/N, 95 % interval {versus['low']:+.3f} ... "
        f"{versus['high']:+.3f}: {verdict}."
    ]


def _beats(growth: float, other: float) -> bool:
    """Whether the difference shows in what is printed."""
    return round(growth - other, 3) > 0


def _annual_growth(figures: Mapping[str, Any] | None) -> float | None:
    return None if figures is None else figures.get("annual_log_growth")


def _result(record: Mapping[str, Any]) -> list[str]:
    parts = [
        labelled("training reward", record["reward_mean"]),
        labelled("validation reward", record["val_reward_mean"]),
        "" if record["best_epoch"] is None else f"best epoch {record['best_epoch']}",
        "" if record["per_seed"] is None else f"{len(record['per_seed'])} seeds",
    ]
    return [part for part in parts if part]


def _effort(record: Mapping[str, Any]) -> list[str]:
    rate = record["throughput_eps_per_sec"]
    duration_s = record["duration_seconds"]
    parts = [
        "" if record["episodes"] is None else f"{record['episodes']:,} episodes",
        "" if rate is None else f"{rate:,.0f} episodes/s",
        "" if duration_s is None else clock_text(duration_s),
    ]
    return [part for part in parts if part]


def _wealth(value: float) -> str:
    return f"{value:,.2f}" if value < 1e6 else f"{value:.2e}"
