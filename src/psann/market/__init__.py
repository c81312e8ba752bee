"""A user's own table of prices: read, aligned, split."""

from psann.market.panel import PriceTable
from psann.market.tables import read_prices

__all__ = ["PriceTable", "read_prices"]
