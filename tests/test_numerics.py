"""Settings of torch, NumPy and scikit-learn: results do not depend on a caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import sklearn
import torch

from psann import PSANNRegressor
from psann._numerics import FOREIGN, guarded, pinned_numbers


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    before = [setting.get() for setting in FOREIGN]
    yield
    for setting, value in zip(FOREIGN, before, strict=True):
        if setting.get() != value:
            setting.set(value)


def _double() -> None:
    torch.set_default_dtype(torch.float64)


def _no_grad() -> None:
    torch.set_grad_enabled(False)


def _coarse() -> None:
    torch.set_float32_matmul_precision("medium")


def _autocast() -> None:
    torch.set_autocast_enabled("cpu", True)


def _flush() -> None:
    torch.set_flush_denormal(True)


def _pandas_out() -> None:
    sklearn.set_config(transform_output="pandas")


def _raise_at_nan() -> None:
    np.seterr(all="raise")


SETTINGS = [_double, _no_grad, _coarse, _autocast, _flush, _pandas_out, _raise_at_nan]


def _fitted() -> np.ndarray:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3))
    model = PSANNRegressor(hidden_layers=1, hidden_units=4, epochs=2, random_state=1)
    return np.asarray(model.fit(X, X[:, 0]).predict(X))


@pytest.fixture(scope="module")
def expected() -> np.ndarray:
    return _fitted()


@pytest.mark.parametrize("change", SETTINGS)
def test_fit_and_predict_give_the_same_bits_whatever_is_set_and_leave_it_set(
    change: Callable[[], None], expected: np.ndarray
) -> None:
    change()
    there = [setting.get() for setting in FOREIGN]
    assert np.array_equal(_fitted(), expected)
    assert [setting.get() for setting in FOREIGN] == there


def test_inference_mode_does_not_reach_into_training(expected: np.ndarray) -> None:
    with torch.inference_mode():
        assert np.array_equal(_fitted(), expected)


@pytest.mark.parametrize("change", SETTINGS)
def test_what_is_pinned_comes_back_after_an_error(change: Callable[[], None]) -> None:
    change()
    there = [setting.get() for setting in FOREIGN]
    with pytest.raises(ValueError, match="inside"), pinned_numbers():
        raise ValueError("inside")
    assert [setting.get() for setting in FOREIGN] == there


def test_a_guarded_function_gives_its_result_and_changes_nothing() -> None:
    def double(x: float) -> float:
        _no_grad()
        return 2 * x

    with pytest.warns(UserWarning, match="the loss changed torch's grad mode: put back"):
        assert guarded(double, who="the loss")(1.5) == 3.0
    assert torch.is_grad_enabled()
