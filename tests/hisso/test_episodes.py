from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from psann.hisso.episodes import episode_table
from psann.hisso.options import HISSOOptions


def starts(*spans: int, window: int = 8, seed: int = 0, epoch: int = 1, u: int = 3) -> np.ndarray:
    table = episode_table(spans or (50,), window=window, batch_episodes=4, updates_per_epoch=u)
    return np.stack(list(table(seed, epoch)))


@given(
    n_rows=st.integers(2, 10_000),
    window=st.integers(2, 10_000),
    batch_episodes=st.integers(1, 500),
)
def test_default_updates_cover_the_rows_once_and_no_more(
    n_rows: int, window: int, batch_episodes: int
) -> None:
    told = {"window": window, "batch_episodes": batch_episodes}
    updates = HISSOOptions(**told).updates_on(n_rows)
    assert HISSOOptions(**told, updates_per_epoch=7).updates_on(n_rows) == 7
    rows = window * batch_episodes
    assert updates >= 1
    assert updates * rows >= n_rows
    assert updates == 1 or (updates - 1) * rows < n_rows


@given(window=st.integers(2, 60), extra=st.integers(0, 60), seed=st.integers(0, 2**32 - 1))
def test_windows_never_leave_the_split(window: int, extra: int, seed: int) -> None:
    table = starts(window + extra, window=window, seed=seed)
    assert table.shape == (3, 4) and table.dtype == np.int64
    assert table.min() >= 0
    assert table.max() + window <= window + extra


@given(spans=st.lists(st.integers(8, 40), min_size=2, max_size=4), seed=st.integers(0, 2**32 - 1))
def test_windows_never_cross_from_one_span_to_the_next(spans: list[int], seed: int) -> None:
    first = starts(*spans, seed=seed)
    borders = np.cumsum(spans)
    last = first + 7
    assert first.min() >= 0 and last.max() < borders[-1]
    np.testing.assert_array_equal(
        np.searchsorted(borders, first, side="right"), np.searchsorted(borders, last, side="right")
    )


def test_every_start_inside_a_span_is_drawn_and_no_other() -> None:
    drawn = np.unique(starts(9, 8, 10, u=200))
    np.testing.assert_array_equal(drawn, [0, 1, 9, 17, 18, 19])


def test_starts_are_uniform_over_all_places() -> None:
    n_places = 10
    counts = np.bincount(starts(17, window=8, u=5000).ravel(), minlength=n_places)
    assert len(counts) == n_places
    expected = 4 * 5000 / n_places
    # Chi-square with 9 degrees of freedom: 33.7 has a probability of 1e-4.
    assert ((counts - expected) ** 2 / expected).sum() < 33.7


def test_starts_depend_on_seed_and_epoch_and_on_nothing_else() -> None:
    first = starts()
    torch.manual_seed(1)
    torch.rand(3)
    np.testing.assert_array_equal(starts(), first)
    assert not np.array_equal(starts(epoch=2), first)
    assert not np.array_equal(starts(seed=1), first)
