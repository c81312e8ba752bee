from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import PowerTransformer, RobustScaler
from sklearn.utils.validation import check_is_fitted

from psann._mapped import is_mapped
from psann.estimators._fit_utils import (
    action_width,
    flatten_rows,
    maybe_run_hisso,
    network_outputs,
    prepare_inputs_and_scaler,
    supervised_rows,
)
from psann.hisso.options import EvaluationOptions, HISSOOptions

RNG = np.random.default_rng(0)
X, Y = RNG.normal(3.0, 2.0, size=(20, 4)), RNG.normal(size=(20, 2))
PRICES = np.exp(RNG.normal(size=(20, 2)))
TRAIN = {"X": X, "y": Y, "prices": PRICES, "context": X[:, :1]}


def refusal(train: dict[str, Any], validation: dict[str, Any] | None = None) -> str:
    with pytest.raises(ValueError, match=r"\w") as caught:
        prepare_inputs_and_scaler(train, validation)
    return str(caught.value)


# ---------------------------------------------------------------- rows of any rank


def test_rows_of_images_are_flattened_channels_outermost() -> None:
    images = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    flat = flatten_rows(images, "channels_first")
    assert_array_equal(flat, images.reshape(2, 60))
    assert_array_equal(flatten_rows(np.moveaxis(images, 1, -1), "channels_last"), flat)
    assert_array_equal(flatten_rows(X, "channels_last"), X)


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


def test_any_transformer_will_do_and_the_one_given_is_not_fitted() -> None:
    given = PowerTransformer()
    prepared = prepare_inputs_and_scaler({"X": X}, None, scaler=given)
    assert_allclose(prepared.train.X, PowerTransformer().fit_transform(X), rtol=1e-5, atol=1e-6)
    with pytest.raises(NotFittedError):
        check_is_fitted(given)


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


# ---------------------------------------------------------------- refusing


def test_all_problems_are_told_at_once() -> None:
    holed = X.copy()
    holed[7, 1], holed[9] = np.nan, np.inf
    text = refusal(
        {"X": holed, "y": Y[:19], "prices": -PRICES, "context": np.full((20, 1), "a")},
        {"X": X[:, :3], "y": Y[:, :1] * 1e39, "prices": PRICES[:, :1], "context": 5.0},
    )
    for line in (
        "X must be finite; 5 values are NaN or infinite, the first in row 7.",
        "y must have the 20 rows of X; got 19.",
        "prices must be greater than 0; the smallest is",
        "context must be numeric; got dtype <U1.",
        "validation X must have the 4 columns of the training rows; got 3.",
        "validation y must have the 2 columns of the training rows; got 1.",
        "validation y must fit into float32; some values are too large.",
        "validation prices must have the 2 columns of the training rows; got 1.",
        "validation context must have rows and columns; got shape ().",
    ):
        assert any(found.startswith(line) for found in text.splitlines()), (line, text)


@pytest.mark.parametrize("bad", [0.0, -1.0, 1e-40])
def test_prices_that_float32_takes_for_nothing_are_refused(bad: float) -> None:
    prices = PRICES.copy()
    prices[3, 0] = bad
    assert "prices must be greater than 0" in refusal({"X": X, "prices": prices})


@pytest.mark.parametrize("n_prices", [1, 3])
def test_prices_are_as_wide_as_y(n_prices: int) -> None:
    assert refusal({"X": X, "y": Y, "prices": np.ones((20, n_prices))}) == (
        f"prices must have one column per column of y, 2; got {n_prices}. Both are the assets "
        "that are acted on."
    )


@pytest.mark.parametrize("in_train", [True, False])
def test_a_context_is_given_for_all_rows_or_none(in_train: bool) -> None:
    with_context, without = {"X": X, "context": X[:, :1]}, {"X": X}
    pair = (with_context, without) if in_train else (without, with_context)
    assert "context must be given for all rows or none" in refusal(*pair)


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
    assert network_outputs(3, None) == network_outputs(3, HISSOOptions()) == 3
    cash = {"primary_transform": "softmax_cash"}
    assert network_outputs(3, HISSOOptions(**cash)) == 4
    assert network_outputs(3, HISSOOptions(enabled=False, **cash)) == 3


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


def test_a_scaler_that_learns_in_blocks_agrees_with_one_that_sees_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = prepare_inputs_and_scaler(TRAIN, None, scaler="standard").scaler
    monkeypatch.setattr("psann._mapped._BLOCK_BYTES", 64)
    blocks = prepare_inputs_and_scaler(TRAIN, None, scaler="standard").scaler
    assert_allclose(blocks.mean_, whole.mean_, rtol=1e-12)
    assert_allclose(blocks.scale_, whole.scale_, rtol=1e-12)


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
