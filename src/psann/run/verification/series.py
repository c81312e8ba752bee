"""What `evaluation.npz` must look like, by itself and beside `metrics.json`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from psann.errors import DataError
from psann.run.directory.npz import read_npz

_ALWAYS = {"names": 1, "net": 2, "gross": 2, "allocations": 2}
_SOMETIMES = {"time": 1, "assets": 1, "fold": 1}
_TYPES = {"names": "U", "assets": "U", "fold": "i"}


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
        content = read_npz(path)
    except DataError as error:
        return [str(error).rstrip(".").replace("data.npz", "it", 1)]
    problems = list(content.broken.values()) or list(_problems_of_shape(content.arrays))
    if problems or not is_over:
        return problems
    return list(_problems_of_figures(content.arrays, figures))


def _problems_of_shape(arrays: Mapping[str, NDArray[Any]]) -> Iterator[str]:
    known = {**_ALWAYS, **_SOMETIMES}
    if lacking := [key for key in _ALWAYS if key not in arrays]:
        yield f"lacks {', '.join(lacking)}"
        return
    for key, array in arrays.items():
        if key not in known:
            yield f"has the unknown array {key!r}"
        elif array.ndim != known[key] or array.dtype.kind != _TYPES.get(key, "f"):
            yield f"{key} has another shape or type than it must: {array.shape}, {array.dtype}"
            return
    n_rows, n_assets = arrays["allocations"].shape
    wanted = {"net": (len(arrays["names"]), n_rows), "time": (n_rows,), "assets": (n_assets,)}
    wanted |= {"gross": wanted["net"], "fold": wanted["time"]}
    for key, shape in wanted.items():
        if key in arrays and arrays[key].shape != shape:
            yield f"{key} must have shape {shape}; it has {arrays[key].shape}"
    names = arrays["names"].tolist()
    if names[:1] != ["policy"] or len(set(names)) != len(names):
        yield "names must begin with 'policy' and differ from each other"


def _problems_of_figures(
    arrays: Mapping[str, NDArray[Any]], told: Mapping[str, Any]
) -> Iterator[str]:
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
    for name, net in zip(arrays["names"].tolist(), arrays["net"], strict=True):
        growth = (figures.get(name) or {}).get("cum_return")
        if growth is None:
            continue
        if not math.isclose(net[-1], 1 + growth, rel_tol=1e-9, abs_tol=1e-12):
            yield f"{name} ends at {net[-1]:.6g}, but metrics.json says {1 + growth:.6g}"
    known = {name for name, values in figures.items() if values is not None}
    if missing := sorted(known - set(arrays["names"].tolist())):
        yield f"has no series of {', '.join(missing)}"
