"""Figures of allocations and returns, and what chance has to do with them."""

from psann.metrics.bootstrap import optimal_block_length, stationary_bootstrap_ci
from psann.metrics.means import MeanTest, mean_test
from psann.metrics.portfolio import (
    equity_curve,
    max_drawdown,
    portfolio_metrics,
    turnover,
    wealth_figures,
)
from psann.metrics.sequential import ConfidenceSequence, confidence_sequence
from psann.metrics.sharpe import deflated_sharpe_ratio, sharpe_ratio, sharpe_test

__all__ = [
    "ConfidenceSequence",
    "MeanTest",
    "confidence_sequence",
    "deflated_sharpe_ratio",
    "equity_curve",
    "max_drawdown",
    "mean_test",
    "optimal_block_length",
    "portfolio_metrics",
    "sharpe_ratio",
    "sharpe_test",
    "stationary_bootstrap_ci",
    "turnover",
    "wealth_figures",
]
