"""The made market: who is delisted, what it costs, and what survivors flatter."""

from __future__ import annotations

import numpy as np
import pytest

from psann.baselines import uniform
from psann.holdings import ENDED, MEMBER, codes_of
from psann.market import align
from psann.market.made import END, delisted_table, make_delisted
from psann.metrics import portfolio_metrics


def test_whoever_falls_to_the_limit_is_delisted_at_the_known_loss() -> None:
    table = delisted_table(rows=900, places=6, drift=0.0, seed=1)
    panel = align(table, ended={"default": END}, rows=0.01)
    rows, columns = np.nonzero(panel.ended)
    assert len(rows) > 2
    moves = panel.prices[rows, columns] / panel.prices[rows - 1, columns]
    np.testing.assert_allclose(moves, 1 + END)
    assert (panel.quotes[rows - 1, columns] < 30.0).all()


def test_the_arrays_say_who_can_be_held() -> None:
    data = make_delisted(rows=400, places=4)
    assert data["active_train"].shape == data["prices_train"].shape
    assert any((data[f"active_{name}"] == ENDED).any() for name in ("train", "val", "test"))


@pytest.mark.parametrize("seed", range(3))
def test_survivors_flatter_one_over_n(seed: int) -> None:
    table = delisted_table(rows=1000, places=10, drift=0.0003, seed=seed)
    panel = align(table, ended={"default": END}, rows=0.01)
    codes = codes_of(panel.active, panel.halted, panel.ended)
    survivors = (codes == MEMBER).all(0)

    def growth(of: np.ndarray) -> float:
        prices, active = panel.prices[:, of], codes[:, of]
        weights = uniform(prices, active=active)
        return portfolio_metrics(weights, prices, active=active)["annual_log_growth"]

    assert 0 < survivors.sum() < len(survivors)
    assert growth(survivors) > growth(np.ones_like(survivors))
