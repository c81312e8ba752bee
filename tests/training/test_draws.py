from __future__ import annotations

import numpy as np
import torch

from psann.training.draws import Draws

# Two seeds, three updates; the last batch of an epoch is smaller.
TABLES = [[np.array(rows) for rows in table] for table in (
    ([3, 1], [0, 2], [4]), ([0, 4], [1, 3], [2]),
)]  # fmt: skip
KEYS = [torch.arange(6).view(3, 2), torch.arange(6, 12).view(3, 2)]


def draws(*, keys: bool = True) -> Draws:
    return Draws.of(TABLES, KEYS if keys else None, device=torch.device("cpu"))


def test_every_seed_has_its_own_rows_and_keys() -> None:
    for table, keys, rows, given in zip(TABLES, KEYS, draws().indices, draws().keys, strict=True):
        assert [index.tolist() for index in rows] == [index.tolist() for index in table]
        assert torch.equal(given, keys)
    assert draws(keys=False).keys is None


def test_a_part_has_the_updates_from_its_first_on_and_ends_with_the_epoch() -> None:
    part = draws().part(1, 5)
    assert [[i.tolist() for i in rows] for rows in part.indices] == [[[0, 2], [4]], [[1, 3], [2]]]
    assert part.keys is not None
    assert [keys.tolist() for keys in part.keys] == [[[2, 3], [4, 5]], [[8, 9], [10, 11]]]
    assert draws(keys=False).part(0, 1).keys is None
