"""A user's own table of prices: read, aligned, split."""

from psann.market.loading import load_prices
from psann.market.membership import align
from psann.market.panel import Panel, PriceTable
from psann.market.splits import splits
from psann.market.tables import read_prices

__all__ = ["Panel", "PriceTable", "align", "load_prices", "read_prices", "splits"]
