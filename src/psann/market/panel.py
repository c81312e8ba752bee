"""The two tables that flow: prices as read, and rows with who may be held on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from psann._inputs import show
from psann._typing import Bools, Dates, Floats
from psann.errors import counted, listed


def _in_short(table: PriceTable | Panel) -> str:
    """What a table is of and its notes, as a session shows it."""
    n_rows, kind = len(table.dates), type(table).__name__
    span = f", {show(table.dates[0])} to {show(table.dates[-1])}" if n_rows else ""
    of = f"{counted(n_rows, 'row')}{span}, {counted(len(table.assets), 'asset')}"
    return "\n".join(
        [f"<{kind} of {of}: {listed(table.assets)}>", *(f"- {note}" for note in table.notes)]
    )


def _frozen(array: NDArray[np.generic]) -> NDArray[np.generic]:
    view = array.view()
    view.flags.writeable = False
    return view


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        return _in_short(self)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Panel:
    """Rows on which a policy acts, and who may be held on each; read-only.

    What is known at row t: `dates`, `quotes`, `active` and `fields` up to t. `prices`, `halted` and
    `ended` tell what became of a holding, which is known later, and are for the accounting alone.
    """

    dates: Dates
    """Shape (n,), increasing."""
    assets: tuple[str, ...]
    """The M names."""
    quotes: Floats
    """Prices as read, shape (n, M); NaN where there is none."""
    active: Bools
    """May be held from row t to t + 1, shape (n, M): has a price on t and is of the universe."""
    prices: Floats
    """Value of one share that is held, shape (n, M), positive and finite: the last price while
    there is none; after the end what the end left, unchanging; before the first price that one."""
    halted: Bools
    """No price on t, but one before and one after, shape (n, M): a holding can only be kept."""
    ended: Bools
    """The row after the last price, shape (n, M): a holding has become cash, at no cost."""
    fields: Mapping[str, Floats]
    """Further numbers by name, each (n, M), NaN where missing."""
    notes: tuple[str, ...]
    """What was decided, one sentence each."""
    sha256: str
    """Digest of the source."""

    def __post_init__(self) -> None:
        for name in ("dates", "quotes", "active", "prices", "halted", "ended"):
            object.__setattr__(self, name, _frozen(getattr(self, name)))
        fields = {name: _frozen(values) for name, values in self.fields.items()}
        object.__setattr__(self, "fields", MappingProxyType(fields))

    def __repr__(self) -> str:
        return _in_short(self)

    @property
    def has_holes(self) -> bool:
        """Whether some asset cannot be held on some row."""
        return not bool(self.active.all())
