"""`evaluation.npz` and `walk_forward.npz`, read: the series behind the portfolio figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from psann._plain_files import open_plain
from psann.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from psann._typing import Array, Floats

_RANKS = {"names": 1, "net": 2, "gross": 2, "allocations": 2, "active": 2} | dict.fromkeys(
    ("time", "assets", "fold"), 1
)
_ALWAYS = ("names", "net", "gross", "allocations")
# Kinds of dtype; times may be of any that a data set may have.
_TYPES = {"names": "U", "assets": "U", "fold": "i", "active": "i", "time": "fiuM"}


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Series of `S` strategies on `T` rows and `M` assets.

    Equity begins at 1.0 before the first row; `net` is after costs.
    """

    names: tuple[str, ...]
    """The strategies: `policy`, the same executed one row later and earlier, then baselines."""
    net: Floats
    """(S, T)"""
    gross: Floats
    """(S, T)"""
    allocations: NDArray[np.float32]
    """(T, M) weights of the policy."""
    time: Array | None
    """(T,) of the data, None where they have none."""
    assets: tuple[str, ...] | None
    """Names of the M assets, None where the data have none."""
    fold: NDArray[np.int64] | None = None
    """(T,) number of the fold that acted; None where there are none."""
    active: NDArray[np.int8] | None = None
    """(T, M) codes of `psann.holdings`; None where everybody could be held on every row."""


def read_evaluation(path: Path) -> Evaluation:
    """Read the series of a run; they may come from a stranger.

    Raises
    ------
    OSError
        If the file is not there, or cannot be read.
    ValueError
        If it is damaged, or its arrays do not fit each other, with every problem.
    """
    open_plain(path).close()  # whoever is no plain file is not handed on
    # Only here: few readers need NumPy.
    from psann._npz import read_npz

    try:
        content = read_npz(path)
    except DataError as error:
        raise ValueError(str(error).rstrip(".").replace("data.npz", "it", 1)) from None
    arrays = content.arrays
    if problems := list(content.broken.values()) or list(_problems(arrays)):
        raise ValueError("; ".join(problems))
    assets, fold, active = (arrays.get(key) for key in ("assets", "fold", "active"))
    return Evaluation(
        names=tuple(arrays["names"].tolist()),
        net=arrays["net"].astype("float64", copy=False),
        gross=arrays["gross"].astype("float64", copy=False),
        allocations=arrays["allocations"].astype("float32", copy=False),
        time=arrays.get("time"),
        assets=None if assets is None else tuple(assets.tolist()),
        fold=None if fold is None else fold.astype("int64", copy=False),
        active=None if active is None else active.astype("int8", copy=False),
    )


def _problems(arrays: Mapping[str, Array]) -> Iterator[str]:
    if lacking := [key for key in _ALWAYS if key not in arrays]:
        yield f"lacks {', '.join(lacking)}"
        return
    for key, array in arrays.items():
        if key not in _RANKS:
            yield f"has the unknown array {key!r}"
        elif array.ndim != _RANKS[key] or array.dtype.kind not in _TYPES.get(key, "f"):
            yield f"{key} has another shape or type than it must: {array.shape}, {array.dtype}"
            return
    n_rows, n_assets = arrays["allocations"].shape
    wanted = {"net": (len(arrays["names"]), n_rows), "time": (n_rows,), "assets": (n_assets,)}
    wanted |= {"gross": wanted["net"], "fold": wanted["time"], "active": (n_rows, n_assets)}
    for key, shape in wanted.items():
        if key in arrays and arrays[key].shape != shape:
            yield f"{key} must have shape {shape}; it has {arrays[key].shape}"
    names = arrays["names"].tolist()
    if names[:1] != ["policy"] or len(set(names)) != len(names):
        yield "names must begin with 'policy' and differ from each other"
