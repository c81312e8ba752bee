"""Arrays in files: recognised through views, walked in blocks, written to files without names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from psann import _mapped
from psann._mapped import count_where, is_mapped, memory_bytes, row_blocks, scratch_array


def test_a_map_is_recognised_through_views_and_slices(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    assert is_mapped(mapped) and is_mapped(np.asarray(mapped)) and is_mapped(mapped[1:].T.view())
    assert not is_mapped(np.zeros(3)) and not is_mapped(np.array(mapped))


@pytest.mark.parametrize("n_rows", [1, 7, 1000, 1001])
def test_blocks_cover_every_row_once_and_are_even(
    monkeypatch: pytest.MonkeyPatch, n_rows: int
) -> None:
    monkeypatch.setattr(_mapped, "_BLOCK_BYTES", 800)
    array = np.arange(2 * n_rows).reshape(n_rows, 2)
    blocks = row_blocks(array)
    assert np.array_equal(np.concatenate([array[block] for block in blocks]), array)
    sizes = [len(array[block]) for block in blocks]
    assert max(sizes) - min(sizes) <= 1 and max(sizes) * 16 <= 800


def test_an_empty_array_has_one_empty_block() -> None:
    assert row_blocks(np.zeros((0, 3))) == [slice(0, 0)]


def test_count_and_first_place_are_those_of_the_whole_array(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_mapped, "_BLOCK_BYTES", 64)
    array = np.zeros((50, 3))
    array[17, 2] = array[17, 1] = array[40, 0] = 5.0
    assert count_where(array, lambda rows: rows > 1) == (3, (17, 1))
    assert count_where(array, lambda rows: rows > 9) == (0, ())
    assert count_where(array[:, 0], lambda rows: rows > 1) == (1, (40,))


def test_a_scratch_array_has_no_name_and_keeps_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    scratch = scratch_array((5, 2), np.float32)
    scratch[3] = 7
    assert is_mapped(scratch) and scratch.flags.writeable
    assert scratch.tolist()[2:4] == [[0, 0], [7, 7]]
    assert os.listdir(tmp_path) == []


def test_memory_is_that_of_a_machine() -> None:
    assert 2**27 < memory_bytes() < 2**50
