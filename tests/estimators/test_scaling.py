from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import PowerTransformer
from sklearn.utils.validation import check_is_fitted

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


def test_rows_are_copied_only_where_torch_could_not_have_them() -> None:
    rows = X.astype(np.float32)
    assert writable_float32(rows) is rows
    frozen = rows.copy()
    frozen.flags.writeable = False
    for other in (X, np.asfortranarray(rows), frozen):
        made = writable_float32(other)
        assert made.flags.writeable and made.flags.c_contiguous and made.dtype == np.float32
        assert_array_equal(made, rows)
