from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, QuantileTransformer
from sklearn.utils.validation import check_is_fitted

from psann import PSANNRegressor
from psann.estimators._scaling import fitted_scaler, scale_rows, writable_float32

X = np.random.default_rng(0).normal(3.0, 2.0, size=(20, 4))


def test_any_transformer_will_do_and_the_one_given_is_not_fitted() -> None:
    given = PowerTransformer()
    scaled = scale_rows(X, fitted_scaler(given, X))
    assert_allclose(scaled, PowerTransformer().fit_transform(X), rtol=1e-5, atol=1e-6)
    with pytest.raises(NotFittedError):
        check_is_fitted(given)


def test_without_a_kind_or_rows_there_is_no_scaler() -> None:
    assert fitted_scaler(None, X) is None and fitted_scaler("standard", None) is None
    assert_array_equal(scale_rows(X, None), X.astype(np.float32))


def test_a_scaler_that_learns_in_blocks_agrees_with_one_that_sees_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = fitted_scaler("standard", X)
    monkeypatch.setattr("psann._mapped._BLOCK_BYTES", 64)
    blocks = fitted_scaler("standard", X)
    assert_allclose(blocks.mean_, whole.mean_, rtol=1e-12)
    assert_allclose(blocks.scale_, whole.scale_, rtol=1e-12)


def test_a_scaler_learns_rows_by_their_weight_if_it_knows_weights(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    weight = np.arange(20.0) % 3
    repeated = fitted_scaler("standard", X.repeat(weight.astype(int), axis=0))
    monkeypatch.setattr("psann._mapped._BLOCK_BYTES", 64)
    weighed = fitted_scaler("standard", X, weight)
    assert_allclose(weighed.mean_, repeated.mean_, rtol=1e-12)
    assert_allclose(weighed.scale_, repeated.scale_, rtol=1e-12)
    assert_array_equal(fitted_scaler("minmax", X, weight).scale_, fitted_scaler("minmax", X).scale_)


def test_rows_are_copied_only_where_torch_could_not_have_them() -> None:
    rows = X.astype(np.float32)
    assert writable_float32(rows) is rows
    frozen = rows.copy()
    frozen.flags.writeable = False
    for other in (X, np.asfortranarray(rows), frozen):
        made = writable_float32(other)
        assert made.flags.writeable and made.flags.c_contiguous and made.dtype == np.float32
        assert_array_equal(made, rows)


def logarithm() -> FunctionTransformer:
    return FunctionTransformer(np.log, np.exp, check_inverse=False)


@pytest.mark.filterwarnings("ignore:invalid value encountered in log:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:divide by zero encountered in log:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:overflow encountered in exp:RuntimeWarning")
def test_what_a_scaler_makes_is_checked_where_it_is_made_and_the_scaler_is_named() -> None:
    X, y = np.linspace(1, 2, 40).reshape(20, 2), np.linspace(1, 2, 20)
    said = r"FunctionTransformer.transform must give finite numbers that float32 can hold; got 1 "
    bad = X.copy()
    bad[3, 1] = -1.0
    how = {"hidden_units": 2, "epochs": 1, "random_state": 0}
    for params in ({"scaler": logarithm()}, {"target_scaler": logarithm()}):
        (who,) = params
        model = PSANNRegressor(**how, **params)
        with pytest.raises(ValueError, match=f"^{who}: {said}.*row 3.*another scaler"):
            model.fit(bad if who == "scaler" else X, np.where(np.arange(20) == 3, 0, y))
        PSANNRegressor(**how, **{who: "standard"}).fit(bad, y)  # the cure
    model = PSANNRegressor(**how, scaler=logarithm()).fit(X, y)
    with pytest.raises(
        ValueError,
        match=f"^scaler: {said}of 40 that are none, first at row 3, col",
    ):
        model.predict(bad)
    model = PSANNRegressor(**how, target_scaler=logarithm()).fit(X, y)
    with torch.no_grad():
        model.network_.head.bias += 1000.0
    with pytest.raises(ValueError, match=r"^target_scaler: FunctionTransformer.inverse_transform"):
        model.predict(X)


def test_a_scaler_that_drops_rows_is_named() -> None:
    dropping = FunctionTransformer(lambda rows: rows[1:])
    with pytest.raises(
        ValueError, match=r"scaler: FunctionTransformer.* as it is given, \(20, 2\); got \(19"
    ):
        PSANNRegressor(epochs=1, scaler=dropping).fit(np.ones((20, 2)), np.arange(20.0))


def test_a_scaler_of_targets_that_takes_nothing_back_is_warned_of() -> None:
    model = PSANNRegressor(epochs=1, target_scaler=FunctionTransformer(np.exp))
    with pytest.warns(UserWarning, match=r"inverse_transform does not undo transform on y \(it is"):
        model.fit(X, np.linspace(0, 1, 20))
    given = FunctionTransformer(np.exp, inverse_func=np.log)
    model.set_params(target_scaler=given).fit(X, np.linspace(0, 1, 20))
    for given in (PowerTransformer(), QuantileTransformer(n_quantiles=5), "minmax"):
        model.set_params(target_scaler=given).fit(X, np.linspace(0, 1, 20))
