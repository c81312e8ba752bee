"""What `evaluation.npz` must look like, by itself and beside `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from psann.run.directory.evaluation import Evaluation, read_evaluation


def problems_of_evaluation(path: Path, figures: Mapping[str, Any], *, is_over: bool) -> list[str]:
    """What is wrong with the series of a run.

    Parameters
    ----------
    path : Path
        `evaluation.npz` or `walk_forward.npz`; it may come from a stranger.
    figures : mapping
        `metrics.json` or its `walk_forward`, already checked by itself.
    is_over : bool
        Whether the record tells of the end, so that its figures are those of the series.

    Returns
    -------
    list of str
        One phrase per problem; empty if the arrays fit each other and the figures.
    """
    try:
        series = read_evaluation(path)
    except (OSError, ValueError) as error:
        return [str(error)]
    return list(_problems_of_figures(series, figures)) if is_over else []


def _problems_of_figures(series: Evaluation, told: Mapping[str, Any]) -> Iterator[str]:
    figures = {
        "policy": told.get("portfolio_metrics"),
        "policy_delay_1": told.get("portfolio_metrics_delay_1"),
        **(told.get("baselines") or {}),
    }
    several = {f"seed_{entry['seed']}": entry for entry in told.get("per_seed") or ()}
    if (ensemble := told.get("ensemble")) is not None:
        several["ensemble"] = ensemble
    for name, entry in several.items():
        figures[name] = entry.get("portfolio_metrics")
        figures[f"{name}_delay_1"] = entry.get("portfolio_metrics_delay_1")
    for name, net in zip(series.names, series.net, strict=True):
        growth = (figures.get(name) or {}).get("cum_return")
        if growth is None:
            continue
        if not math.isclose(net[-1], 1 + growth, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{name} ends at {net[-1]:.6g}, but metrics.json says {1 + growth:.6g}"
    known = {name for name, values in figures.items() if values is not None}
    if missing := sorted(known - set(series.names)):
        yield f"has no series of {', '.join(missing)}"
