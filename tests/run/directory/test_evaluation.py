"""Series of a run are read when they fit each other, and refused in words when they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from psann._npz import npz_bytes
from psann._typing import Array
from psann.run.directory.evaluation import read_evaluation


def series(**changes: Array | None) -> dict[str, Array]:
    arrays: dict[str, Array | None] = {
        "names": np.array(["policy", "uniform"]),
        "net": np.ones((2, 3)),
        "gross": np.ones((2, 3)),
        "allocations": np.full((3, 2), 0.5, dtype=np.float32),
        "time": np.arange(3.0),
        "assets": np.array(["A", "B"]),
        **changes,
    }
    return {name: array for name, array in arrays.items() if array is not None}


def written(folder: Path, arrays: dict[str, Array]) -> Path:
    file = folder / "evaluation.npz"
    file.write_bytes(npz_bytes(arrays))
    return file


def test_series_are_read_with_their_names(tmp_path: Path) -> None:
    found = read_evaluation(written(tmp_path, series()))
    assert found.names == ("policy", "uniform")
    assert found.assets == ("A", "B")
    assert found.net.shape == (2, 3)
    assert found.allocations.dtype == np.float32


def test_data_without_times_or_names_have_none(tmp_path: Path) -> None:
    found = read_evaluation(written(tmp_path, series(time=None, assets=None)))
    assert (found.time, found.assets) == (None, None)


def test_who_could_be_held_is_read_where_it_is_told(tmp_path: Path) -> None:
    codes = np.array([[1, 0], [1, -1], [1, -2]], dtype=np.int8)
    found = read_evaluation(written(tmp_path, series(active=codes)))
    assert found.active is not None and found.active.tolist() == codes.tolist()
    assert read_evaluation(written(tmp_path, series())).active is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"active": np.ones((2, 2), dtype=np.int8)}, r"active must have shape \(3, 2\)"),
        ({"net": None}, "lacks net"),
        ({"net": np.ones((2, 4))}, r"net must have shape \(2, 3\); it has \(2, 4\)"),
        ({"gross": np.ones(3)}, "gross has another shape or type"),
        ({"names": np.array(["uniform", "policy"])}, "names must begin with 'policy'"),
        ({"names": np.array(["policy", "policy"])}, "differ from each other"),
        ({"assets": np.array(["A"])}, r"assets must have shape \(2,\)"),
        ({"colour": np.ones(3)}, "has the unknown array 'colour'"),
    ],
)
def test_series_that_do_not_fit_are_refused_in_words(
    changes: dict[str, Array | None], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        read_evaluation(written(tmp_path, series(**changes)))


def test_what_is_no_archive_of_arrays_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evaluation.npz"
    file.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ValueError, match="it must be"):
        read_evaluation(file)
    (tmp_path / "link.npz").symlink_to(file)
    with pytest.raises(ValueError, match="no plain file"):
        read_evaluation(tmp_path / "link.npz")
