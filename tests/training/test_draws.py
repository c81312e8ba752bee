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


def rows_of(made: Draws, s: int) -> list[list[int]]:
    """Rows of each update of a seed."""
    return [rows.tolist() for stack in made.of_seed(s)[0] for rows in stack]


def test_every_seed_has_its_own_rows_and_keys() -> None:
    made = draws()
    assert made.n_updates == 3
    for s, (table, keys) in enumerate(zip(TABLES, KEYS, strict=True)):
        assert rows_of(made, s) == [index.tolist() for index in table]
        assert torch.equal(made.of_seed(s)[1], keys)
        for k, index in enumerate(table):
            rows, key = made.of_update(k, s)
            assert rows.tolist() == index.tolist() and torch.equal(key, keys[k])
    assert draws(keys=False).of_update(0, 0)[1] is None
    assert draws(keys=False).of_seed(0)[1] is None


def test_one_table_of_all_updates_draws_as_their_rows_do() -> None:
    table = np.arange(6).reshape(3, 2)
    of_all, of_rows = [
        Draws.of([each, each], None, device=torch.device("cpu")) for each in (table, list(table))
    ]
    assert [stack.tolist() for stack in of_all.stacks] == [
        stack.tolist() for stack in of_rows.stacks
    ]
    assert rows_of(of_all, 1) == table.tolist()


def test_slots_without_a_seed_draw_as_the_first() -> None:
    filled = draws().filled(4)
    assert [rows_of(filled, s) for s in range(4)] == [rows_of(draws(), s) for s in (0, 1, 0, 0)]
    assert torch.equal(filled.keys, torch.stack([KEYS[s] for s in (0, 1, 0, 0)], dim=1))
    assert draws(keys=False).filled(3).keys is None


def test_a_part_has_the_updates_from_its_first_on_and_ends_with_the_epoch() -> None:
    part = draws().part(1, 5)
    assert [rows_of(part, s) for s in range(2)] == [[[0, 2], [4]], [[1, 3], [2]]]
    assert [part.of_seed(s)[1].tolist() for s in range(2)] == [
        [[2, 3], [4, 5]], [[8, 9], [10, 11]]
    ]  # fmt: skip
    assert rows_of(draws().part(2, 1), 0) == [[4]]
    assert draws(keys=False).part(0, 1).keys is None
