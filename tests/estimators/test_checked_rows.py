from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from planted import planted, quick

X = planted(120)["X"]
Y = X[:, :2]


def test_rows_that_are_plain_numbers_already_are_not_validated_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = quick().fit(X, Y)
    expected = model.predict(X.tolist())

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("validated")

    monkeypatch.setattr("psann.estimators._checked_rows.validate_data", refuse)
    np.testing.assert_array_equal(model.predict(X), expected)
    for same in (X.astype(np.float32), X.tolist(), X.astype(">f8"), X.astype(int)):
        model.predict(same)
    for other in (X[:, :2], X[:0], X[0]):
        with pytest.raises(AssertionError, match="validated"):
            model.predict(other)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e38, 3e200])
def test_one_row_of_what_is_no_number_is_refused_or_answered_as_in_a_list(
    dtype: type, value: float
) -> None:
    model = quick().fit(X, Y)
    with np.errstate(over="ignore"):
        row = X[:1].astype(dtype)
        row[0, 0] = value

    def told(given: Any) -> Any:
        try:
            return model.predict(given).tolist()
        except ValueError as error:
            return str(error)

    assert told(row) == told(row.tolist())


@pytest.mark.parametrize("given", [(X, Y[:-1]), (X[:, :0], Y), (X, Y * np.nan), (X, Y[:, :, None])])
def test_what_is_unsound_in_plain_arrays_is_told_as_of_lists(given: Any) -> None:
    def told(*data: Any) -> str:
        with pytest.raises(ValueError) as caught:
            quick().fit(*data)
        return str(caught.value)

    assert told(*given) == told(*(each.tolist() for each in given))


def test_names_of_an_earlier_fit_are_forgotten() -> None:
    pandas = pytest.importorskip("pandas")
    model = quick().fit(pandas.DataFrame(X, columns=[*"abc"]), Y)
    assert list(model.feature_names_in_) == [*"abc"]
    assert not hasattr(model.fit(X, Y), "feature_names_in_")
