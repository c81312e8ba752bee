from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from psann.errors import DataError
from psann.estimators._arrays import (
    checked_matrices,
    converted_split,
    flatten_rows,
    validation_mapping,
)

RNG = np.random.default_rng(0)
X, Y = RNG.normal(3.0, 2.0, size=(20, 4)), RNG.normal(size=(20, 2))
PRICES = np.exp(RNG.normal(size=(20, 2)))


def refusal(train: dict[str, Any], validation: dict[str, Any] | None = None) -> str:
    with pytest.raises(ValueError, match=r"\w") as caught:
        checked_matrices(train, validation)
    return str(caught.value)


def test_rows_of_images_are_flattened_channels_outermost() -> None:
    images = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    flat = flatten_rows(images, "channels_first")
    assert_array_equal(flat, images.reshape(2, 60))
    assert_array_equal(flatten_rows(np.moveaxis(images, 1, -1), "channels_last"), flat)
    assert_array_equal(flatten_rows(X, "channels_last"), X)


FRAME = pd.DataFrame(X, columns=list("abcd"))


@pytest.mark.parametrize("who", ["X", "y"])
@pytest.mark.parametrize(
    ("column", "told"),
    [
        (pd.date_range("2020-01-01", periods=20), "must hold numbers; got dtype datetime64"),
        (pd.Categorical(["u", "v"] * 10), "must hold numbers; got dtype <U1"),
        (["x", *[1.0] * 19], "must hold numbers; got dtype object .*'x' is str"),
        (["1.5"] * 20, r"must hold numbers; .* Convert it with \.astype\(float\)"),
    ],
)
def test_columns_of_a_frame_that_hold_no_numbers_are_named(
    who: str, column: Any, told: str
) -> None:
    split = {"X": FRAME, who: FRAME.assign(c=column)}
    with pytest.raises(DataError, match=f"^{who}, column 'c', {told}"):
        converted_split(split, prefix="", assets=None)


def test_the_first_missing_number_of_a_frame_is_told_with_the_name_of_its_column() -> None:
    for frame, place in (
        (FRAME, r"row 3, column 2 \('c'\)\."),
        (FRAME.set_axis(range(4), axis=1), "column 2\\."),
    ):
        frame = frame.copy()
        frame.iloc[3, 2] = np.nan
        with pytest.raises(DataError, match=f"X must be finite; .*{place}"):
            converted_split({"X": frame}, prefix="", assets=None)


def test_a_pair_to_validate_on_is_short_for_a_mapping() -> None:
    assert validation_mapping(None) is None
    whole = {"X": X, "prices": PRICES}
    assert validation_mapping(whole) is whole
    pair = validation_mapping((X, Y))
    assert pair is not None and list(pair) == ["X", "y"]
    assert pair["X"] is X and pair["y"] is Y


@pytest.mark.parametrize(
    ("given", "got"),
    [({"y": Y}, "y"), ({"X": X, "price": Y}, "X, price"), ({}, "nothing"), ((X,), "tuple"),
     (3, "int")],
)  # fmt: skip
def test_what_else_is_given_to_validate_on_is_refused(given: Any, got: str) -> None:
    with pytest.raises(ValueError, match=rf"or the pair \(X, y\); got {got}\.$"):
        validation_mapping(given)


def test_vectors_are_columns_whole_numbers_become_floats_and_none_is_left_out() -> None:
    given = {"X": [[1, 2], [3, 4]], "y": pd.Series([True, False]), "prices": None}
    train, validation = checked_matrices(given, {"X": np.float32([[5, 6]])})
    assert train.keys() == {"X", "y"} and train["X"].dtype == train["y"].dtype == np.float64
    assert_array_equal(train["y"], [[1.0], [0.0]])
    assert validation is not None and validation["X"].dtype == np.float32


def test_all_problems_are_told_at_once() -> None:
    holed = X.copy()
    holed[7, 1], holed[9] = np.nan, np.inf
    text = refusal(
        {"X": holed, "y": Y[:19], "prices": -PRICES, "context": np.full((20, 1), "a")},
        {"X": X[:, :3], "y": Y[:, :1] * 1e39, "prices": PRICES[:, :1], "context": 5.0},
    )
    for line in (
        "X must be finite; got 1 missing (NaN) and 4 infinite of 80 values, first at row 7",
        "y must have the 20 rows of X; got 19.",
        "prices must be greater than 0; the smallest is",
        "context must hold numbers; got dtype <U1 (ndarray). Leave it out, or say it in numbers.",
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
