from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import RobustScaler

from psann._mapped import is_mapped
from psann.estimators._fit_utils import (
    action_width,
    maybe_run_hisso,
    prepare_inputs_and_scaler,
    supervised_rows,
)
from psann.estimators._shapes import network_shape
from psann.hisso.options import EvaluationOptions, HISSOOptions

RNG = np.random.default_rng(0)
X, Y = RNG.normal(3.0, 2.0, size=(20, 4)), RNG.normal(size=(20, 2))
PRICES = np.exp(RNG.normal(size=(20, 2)))
TRAIN = {"X": X, "y": Y, "prices": PRICES, "context": X[:, :1]}


# ---------------------------------------------------------------- preparing


def test_scalers_are_fitted_on_the_training_rows_alone() -> None:
    prepared = prepare_inputs_and_scaler(
        TRAIN, {**TRAIN, "X": X + 100.0, "y": Y + 100.0}, scaler="standard", target_scaler="minmax"
    )
    assert_allclose(prepared.train.X, (X - X.mean(0)) / X.std(0), rtol=1e-5, atol=1e-6)
    assert prepared.validation is not None
    assert_allclose(prepared.validation.X, (X + 100 - X.mean(0)) / X.std(0), rtol=1e-5)
    assert prepared.train.y is not None and prepared.validation.y is not None
    assert prepared.train.y.min() == 0.0 and prepared.train.y.max() == pytest.approx(1.0)
    assert prepared.validation.y.min() > 10.0
    assert_array_equal(prepared.validation.X_raw, X + 100.0)


def test_fitted_scalers_are_used_as_they_are() -> None:
    scaler = RobustScaler().fit(X * 7)
    prepared = prepare_inputs_and_scaler({"X": X}, None, scaler=scaler, fitted=True)
    assert prepared.scaler is scaler
    assert_allclose(prepared.train.X, scaler.transform(X), rtol=1e-5, atol=1e-6)


def test_types_and_shapes_are_those_that_training_takes() -> None:
    prepared = prepare_inputs_and_scaler(
        {"X": X.astype(np.int32), "y": Y[:, 0], "prices": PRICES[:, 0], "context": X[:, 0] > 3},
        None,
    ).train
    assert [
        (array.dtype, array.shape)
        for array in (prepared.X, prepared.y, prepared.prices, prepared.context)
        if array is not None
    ] == [
        (np.float32, (20, 4)),
        (np.float32, (20, 1)),
        (np.float64, (20, 1)),
        (np.float32, (20, 1)),
    ]


def test_tables_are_arrays_too() -> None:
    table = {"X": pd.DataFrame(X), "y": pd.Series(Y[:, 0]), "prices": pd.DataFrame(PRICES[:, :1])}
    prepared = prepare_inputs_and_scaler(table, None).train
    assert prepared.prices is not None
    assert_array_equal(prepared.prices, PRICES[:, :1])


def test_arrays_that_must_not_be_written_are_left_alone() -> None:
    frozen = {k: np.asarray(v, dtype=np.float32) for k, v in TRAIN.items()}
    for array in frozen.values():
        array.flags.writeable = False
    prepared = prepare_inputs_and_scaler(frozen, frozen)
    rows, validation = supervised_rows(prepared, torch.device("cpu"))
    assert validation is not None
    assert_array_equal(rows.X.numpy(), frozen["X"])


# ---------------------------------------------------------------- widths and the way to training


def width(train: dict[str, Any], **hisso: Any) -> int:
    return action_width(prepare_inputs_and_scaler(train, None), HISSOOptions(**hisso))


def test_actions_are_as_many_as_columns_of_y_else_prices_else_context() -> None:
    assert width({"X": X, "y": Y, "prices": PRICES}) == 2
    assert width({"X": X, "y": Y, "context": X[:, :1]}, reward="negative_mse") == 2
    assert width({"X": X, "prices": PRICES}) == 2
    extractor = {"context_extractor": "user_rewards:first_column"}
    assert width({"X": X, "prices": PRICES}, **extractor) == 2
    assert width({"X": X}, **extractor) == 1
    assert width({"X": X}, reward="user_rewards:scaled") == 4
    assert action_width(prepare_inputs_and_scaler({"X": X, "y": Y}, None), None) == 2


def test_a_share_of_cash_is_one_more_output() -> None:
    assert network_shape(5, 3, None).n_out == network_shape(5, 3, HISSOOptions()).n_out == 3
    cash = {"primary_transform": "softmax_cash"}
    assert network_shape(5, 3, HISSOOptions(**cash)).n_out == 4
    assert network_shape(5, 3, HISSOOptions(enabled=False, **cash)).n_out == 3


@pytest.mark.parametrize("hisso", [None, HISSOOptions(enabled=False)])
def test_nothing_is_trained_when_hisso_is_not_wanted(hisso: Any) -> None:
    nothing: Any = None
    result = maybe_run_hisso(
        nothing,
        prepare_inputs_and_scaler({"X": X}, None),
        starts=[],
        hisso=hisso,
        evaluation=EvaluationOptions(),
        training=nothing,
    )
    assert result is None


# ---------------------------------------------------------------- rows in a file


@pytest.mark.parametrize("scaler", [None, "standard", "minmax", RobustScaler()])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_a_file_are_prepared_as_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scaler: Any, dtype: Any
) -> None:
    monkeypatch.setattr("psann._mapped._BLOCK_BYTES", 64)
    rows = X.astype(dtype)
    np.save(tmp_path / "X.npy", rows)
    in_file = np.load(tmp_path / "X.npy", mmap_mode="r")
    prepared = [
        prepare_inputs_and_scaler({**TRAIN, "X": given}, None, scaler=scaler)
        for given in (rows, in_file)
    ]
    assert not is_mapped(prepared[0].train.X) and is_mapped(prepared[1].train.X)
    assert_array_equal(prepared[0].train.X, prepared[1].train.X)


def test_rows_that_lie_in_the_file_as_they_are_used_are_not_copied(tmp_path: Path) -> None:
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    in_file = np.load(tmp_path / "X.npy", mmap_mode="r")
    prepared = prepare_inputs_and_scaler({**TRAIN, "X": in_file}, None)
    assert np.shares_memory(prepared.train.X, in_file)
    rows, _ = supervised_rows(prepared, torch.device("cpu"))
    assert rows.X.data_ptr() == in_file.ctypes.data


def test_preparing_rows_of_a_file_takes_little_memory(tmp_path: Path) -> None:
    rows = np.zeros((2**19, 16), np.float32)  # 32 MiB; as float64, or as a mask, 64 or 8
    rows[::2] = 1
    np.save(tmp_path / "X.npy", rows)
    del rows
    in_file = np.load(tmp_path / "X.npy", mmap_mode="r")
    tracemalloc.start()
    try:
        prepare_inputs_and_scaler({"X": in_file}, None)
        assert tracemalloc.get_traced_memory()[1] < 2**25
    finally:
        tracemalloc.stop()
