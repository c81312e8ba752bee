"""Which windows of the series an epoch trains on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from psann._seed import stream_generator
from psann.training.loop import IndexTable


def episode_table(
    span_rows: Sequence[int], *, window: int, batch_episodes: int, updates_per_epoch: int
) -> IndexTable:
    """Start rows of the episodes of an epoch, ``s ~ U{0, ..., N - T}`` in a single span.

    With several spans, one after the other in the series, every start whose window stays inside
    its span is as likely as any other.

    Parameters
    ----------
    span_rows : sequence of int
        Rows of each span, at least `window`.
    window, batch_episodes, updates_per_epoch : int
        T, B and U.

    Returns
    -------
    callable
        Seed and epoch to an int64 array ``(U, B)``: the same for any number of processes and any
        engine.
    """
    n_starts = np.cumsum([n_rows - window + 1 for n_rows in span_rows])

    def table(seed: int, epoch: int) -> NDArray[np.int64]:
        generator = stream_generator(seed, "hisso.starts", epoch=epoch)
        shape = (updates_per_epoch, batch_episodes)
        drawn = generator.integers(0, n_starts[-1], size=shape)
        # Each border passed skips the window - 1 rows before it, where none may start.
        if len(n_starts) == 1:
            return drawn
        return drawn + (window - 1) * np.searchsorted(n_starts, drawn, side="right")

    return table
