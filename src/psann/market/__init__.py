"""A user's own table of prices: read, aligned, split."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psann.market.cutting import splits
    from psann.market.loading import load_prices
    from psann.market.membership import align
    from psann.market.panel import Panel, PriceTable
    from psann.market.tables import read_prices

# Names resolve on first use (PEP 562): the keys of a config are checked without NumPy.
_HOMES = {
    "Panel": "psann.market.panel",
    "PriceTable": "psann.market.panel",
    "align": "psann.market.membership",
    "load_prices": "psann.market.loading",
    "read_prices": "psann.market.tables",
    "splits": "psann.market.cutting",
}

__all__ = ["Panel", "PriceTable", "align", "load_prices", "read_prices", "splits"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
