"""Whether allocations obey the limits that their policy was given."""

from __future__ import annotations

import numpy as np

from psann._typing import AnyFloats
from psann.hisso.options import HISSOOptions

# Of a sum of weights that are kept in float32.
_ROUNDING = 1e-6


def limit_problems(allocations: AnyFloats, hisso: HISSOOptions) -> list[str]:
    """Say by which row each limit is exceeded first.

    Parameters
    ----------
    allocations : ndarray of shape (T, M)
        Target weights, as `evaluation.npz` keeps them.
    hisso : HISSOOptions
        On what terms they were chosen.

    Returns
    -------
    list of str
        One phrase for each limit; empty if all are obeyed.
    """
    weights = np.asarray(allocations, dtype=np.float64)
    sizes = np.abs(weights)
    of_rows = {
        "max_weight": sizes.max(-1),
        "gross_limit": sizes.sum(-1),
        "net_limit": np.abs(weights.sum(-1)),
    }
    problems = []
    for name, found in of_rows.items():
        limit = getattr(hisso, name)
        if limit is None or not (beyond := found > limit + _ROUNDING).any():
            continue
        row = int(beyond.argmax())
        problems.append(f"has {found[row]:.6g} in row {row} where hisso.{name} is {limit:g}")
    return problems
