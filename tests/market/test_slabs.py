"""Rows that come in parts are the columns of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from psann.market import slabs
from psann.market.slabs import Slabs


@pytest.mark.parametrize("parts", [[], [3], [10], [4, 4, 4], [1, 9, 2, 25], [10, 10]])
def test_rows_become_columns_whatever_parts_they_come_in(
    parts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slabs, "_SLAB_CELLS", 30)  # ten rows of three
    rows = np.random.default_rng(0).standard_normal((sum(parts), 3))
    held = Slabs(3)
    for end, size in zip(np.cumsum(parts), parts, strict=True):
        held.add(rows[end - size : end])
    assert np.array_equal(held.columns(), rows.T)
