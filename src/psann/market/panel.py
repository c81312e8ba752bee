"""The two tables that flow: prices as read, and rows with who may be held on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]
Bools = NDArray[np.bool_]


def _frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, kw_only=True, eq=False)
class PriceTable:
    """Prices as a file or frame tells them, in order of time; read-only."""

    dates: Dates
    """Shape (n,), `datetime64[us]`, increasing; UTC where the source told a zone."""
    assets: tuple[str, ...]
    """The M names."""
    prices: Floats
    """Shape (n, M), positive; NaN where there is none."""
    fields: Mapping[str, Floats]
    """Further numbers of the source by name, such as Volume, each (n, M)."""
    notes: tuple[str, ...]
    """What was decided, and what looks suspicious, one sentence each."""
    sha256: str
    """Digest of the file's bytes, of several files' digests, or of a frame's content."""
    layout: str
    """How the source is arranged, in words."""
    options: Mapping[str, object]
    """Options of `read_prices` that say all that was found out: the block to paste."""

    def __post_init__(self) -> None:
        for name in ("dates", "prices"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        fields = {name: _frozen(values) for name, values in self.fields.items()}
        object.__setattr__(self, "fields", MappingProxyType(fields))
        object.__setattr__(self, "options", MappingProxyType(dict(self.options)))
