"""Bad data: every kind is refused, or warned of, with key, count, place and cure."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bad_data import (
    BAD,
    KINDS,
    NEEDS,
    ROWS,
    changed,
    everywhere,
    good_data,
    inf,
    loaded,
    nan,
    put,
    replaced,
    shortened,
    without,
)
from psann.errors import DataError
from psann.run.data.checks import find_problems
from psann.run.data.oddities import find_oddities


def needs(**changes):
    return dataclasses.replace(NEEDS, **changes)


BAD_FOR_NEEDS = {
    "misspelt validation targets": (
        replaced(y_val=None, y_vall=np.ones(10)),
        needs(needs_targets=True),
        "y_val (validation) must be given with X_val: the targets are needed by the loss or "
        "reward. Add it, or leave the validation split out. Did you mean 'y_vall'?",
    ),
    "no validation targets": (
        replaced(y_val=None),
        needs(needs_targets=True),
        "y_val (validation) must be given with X_val: the targets are needed by the loss or reward",
    ),
    "no warm-start targets": (
        good_data,
        needs(y_key="y_trian"),
        "hisso.supervised.y_key must name one of the arrays; got 'y_trian', but there are"
        " X_test, X_train",
    ),
    "warm-start targets of other rows": (
        replaced(labels=np.ones((29, 2))),
        needs(y_key="labels"),
        "labels (training) must have as many rows as X_train, 30; got 29",
    ),
    "warm-start targets of another split": (
        good_data,
        needs(y_key="y_val"),
        "y_val (validation) must have as many rows as X_train, 30; got 10",
    ),
    "warm-start targets with NaN": (
        replaced(labels=np.full((30, 2), nan)),
        needs(y_key="labels"),
        "labels (training) must be finite; got 60 missing (NaN)",
    ),
    "warm-start targets of other width": (
        replaced(labels=np.ones((30, 3))),
        needs(y_key="labels"),
        "hisso.supervised.y_key must name targets of one column per action, as many as "
        "prices_train: 2; got 'labels', whose rows have shape (3,). Name another array, or cut",
    ),
    "warm-start targets of other width, without prices": (
        replaced(labels=np.ones((30, 3)), **{f"prices_{split}": None for split in ROWS}),
        needs(y_key="labels"),
        "one column per action, as many as y_train: 2; got 'labels', whose rows have shape (3,)",
    ),
    "features as warm-start targets": (
        good_data,
        needs(y_key="X_train"),
        "as many as prices_train: 2; got 'X_train', whose rows have shape (4,)",
    ),
    "warm-start targets as text": (
        replaced(labels=np.full((30, 2), "a")),
        needs(y_key="labels"),
        "labels must hold numbers; got dtype <U1",
    ),
    "portfolio prices that are not there": (
        replaced(closing=np.ones((12, 2))),
        needs(portfolio_prices_key="closings"),
        "evaluation.portfolio_prices_key must name one of the arrays or be null; got "
        "'closings', but there are X_test, X_train, X_val, closing, prices_test",
    ),
    "portfolio prices that are none": (
        good_data,
        needs(portfolio_prices_key="X_test"),
        "evaluation.portfolio_prices_key must name prices; got 'X_test'",
    ),
    "portfolio prices of other rows": (
        replaced(closing=np.ones((30, 2))),
        needs(portfolio_prices_key="closing"),
        "closing (test) must have as many rows as X_test, 12; got 30",
    ),
    "portfolio prices of zero": (
        replaced(closing=np.zeros((12, 2))),
        needs(portfolio_prices_key="closing"),
        "closing (test) must be more than 0",
    ),
    "portfolio prices without a test split": (
        without("test", closing=np.ones((12, 2))),
        needs(portfolio_prices_key="closing"),
        "closing (evaluation.portfolio_prices_key) must come with X_test",
    ),
    "nothing to evaluate": (
        replaced(X_train=None, X_test=None),
        needs(mode="evaluate"),
        "X_train or X_test must be given; got X_val, prices_test",
    ),
    "one row of supervised training": (
        shortened("train", 1),
        needs(window=None),
        "X_train (training) must have at least 2 rows (a move needs two); got 1",
    ),
}

CASES = [pytest.param(make, NEEDS, text, id=name) for name, (make, text) in BAD.items()] + [
    pytest.param(*case, id=name) for name, case in BAD_FOR_NEEDS.items()
]


@pytest.mark.parametrize(("make", "requirements", "fragment"), CASES)
def test_bad_data_are_refused_with_key_count_place_and_cure(make, requirements, fragment):
    with pytest.raises(DataError, match=re.escape(fragment)) as caught:
        loaded(make(), requirements)
    assert all(problem[-1] in ".?" for problem in caught.value.problems)


def test_at_least_forty_kinds_of_bad_data_are_known():
    assert len(CASES) >= 40


def test_good_data_raise_no_problem_and_no_warning():
    assert loaded(good_data()).warnings == ()


def test_every_problem_is_reported_at_once():
    data = good_data()
    data["X_train"][3, 1] = nan
    data["y_val"] = data["y_val"][:-1]
    data["prices_test"][0, 0] = -1.0
    data["time_val"] = data["time_val"] - 5
    data["X_test"] = np.full((12, 4), "a")
    with pytest.raises(DataError) as caught:
        loaded(data)
    # A broken X_test is not also reported as missing.
    starts = [problem.split()[0] for problem in caught.value.problems]
    assert starts == ["X_test", "y_val", "X_train", "prices_test", "time_val"]


def test_a_wrong_rank_does_not_hide_wrong_values():
    data = good_data() | {"X_train": np.full(30, nan)}
    with pytest.raises(DataError) as caught:
        loaded(data)
    assert len(caught.value.problems) == 2


def test_validation_and_test_are_optional():
    data = {key: array for key, array in good_data().items() if key.endswith("_train")}
    splits = loaded(data, needs(portfolio_prices_key=None))
    assert splits.split("val") == splits.split("test") == {}
    assert splits.warnings == ()


def test_targets_may_be_absent_when_nothing_needs_them():
    loaded(replaced(y_train=None, y_val=None, y_test=None)())


def test_evaluation_needs_no_training_rows():
    data = {key: array for key, array in good_data().items() if key.endswith("_test")}
    assert set(loaded(data, needs(mode="evaluate")).split("test")) == {"X", "y", "prices", "time"}


def test_evaluation_takes_training_rows_shorter_than_a_window():
    data = good_data()
    for kind in KINDS:
        data[f"{kind}_train"] = data[f"{kind}_train"][:3]
    loaded(data, needs(mode="evaluate"))


def test_exactly_window_plus_one_rows_are_enough():
    loaded(good_data(), needs(window=29))
    with pytest.raises(DataError, match="at least 31 rows"):
        loaded(good_data(), needs(window=30))


def test_times_between_the_splits_may_have_gaps():
    loaded(replaced(time_val=np.arange(1000.0, 1010.0), time_test=np.arange(2000.0, 2012.0))())


@given(
    split=st.sampled_from(sorted(ROWS)),
    kind=st.sampled_from(["X", "y", "prices"]),
    value=st.sampled_from([nan, inf, -inf, 1e300]),
    place=st.integers(0, 19),
)
@settings(max_examples=40, deadline=None)
def test_one_bad_number_anywhere_is_named_with_its_place(split, kind, value, place):
    data = good_data()
    array = data[f"{kind}_{split}"]
    row, column = divmod(place, array.shape[1])
    array[row, column] = value
    (problem,) = find_problems(data, frozenset(data), NEEDS)
    assert problem.startswith(f"{kind}_{split} (")
    assert f"first at row {row}, column {column}" in problem


def test_the_checks_change_nothing():
    data = good_data()
    find_problems(data, frozenset(data), NEEDS)
    find_oddities(data, NEEDS)
    fresh = good_data()
    assert all(np.array_equal(data[key], fresh[key]) for key in fresh)


def sorted_rows(data):
    order = np.unique(data["time_train"], return_index=True)[1]
    return {k: a[order] if k.endswith("_train") else a for k, a in data.items()}


YEARS = {"time_train": -20, "time_val": 10, "time_test": 20}
# What a message says to do, done to the very data that it is of.
CURES = {
    "missing values: drop those rows": (
        changed("X_train", put((5, 2), nan)),
        lambda d: {k: np.delete(a, 5, 0) if k.endswith("_train") else a for k, a in d.items()},
    ),
    "missing values: fill them": (
        changed("prices_test", put((3, 1), nan)),
        lambda d: d | {"prices_test": np.where(np.isnan(d["prices_test"]), 100, d["prices_test"])},
    ),
    "too large: rescale the column": (
        changed("X_train", put((3, 1), 1e39)),
        lambda d: d | {"X_train": d["X_train"] * [1, 1e-30, 1, 1]},
    ),
    "a vector: X.reshape(-1, 1)": (
        everywhere("X", np.ones),
        lambda d: {k: a.reshape(-1, 1) if k[0] == "X" else a for k, a in d.items()},
    ),
    "few rows: give more": (
        shortened("train", 8),
        lambda d: d | {k: a for k, a in good_data().items() if k.endswith("_train")},
    ),
    "other rows: cut both at the same rows": (
        replaced(time_test=np.arange(40.0, 53.0)),
        lambda d: d | {"time_test": d["time_test"][: len(d["X_test"])]},
    ),
    "other columns: the same in every split": (
        replaced(X_val=np.ones((10, 3))),
        lambda d: {k: a[:, :3] if k.startswith("X_") else a for k, a in d.items()},
    ),
    "prices at or below 0: no returns": (
        changed("prices_train", put((2, 0), -0.5)),
        lambda d: d | {"prices_train": np.abs(d["prices_train"])},
    ),
    "out of order: sort and drop duplicates": (changed("time_train", put(5, 4.0)), sorted_rows),
    "overlapping: cut so that they follow each other": (
        replaced(time_val=np.arange(25.0, 35.0)),
        lambda d: {k: a[5:] if k.endswith("_val") else a for k, a in d.items()},
    ),
    "texts: .astype(float)": (
        replaced(X_train=np.full((30, 4), "1.5")),
        lambda d: d | {"X_train": d["X_train"].astype(float)},
    ),
    "dates as features: days": (
        everywhere("X", lambda n: np.arange(4 * n).reshape(n, 4).astype("datetime64[D]")),
        lambda d: {
            k: np.asarray(a, dtype="datetime64[D]").astype(float) if k.startswith("X_") else a
            for k, a in d.items()
        },
    ),
    "dates in one split only: the same in every split": (
        replaced(time_train=np.arange(30).astype("datetime64[D]")),
        lambda d: {
            k: a.astype(float).astype("datetime64[D]") if k.startswith("time_") else a
            for k, a in d.items()
        },
    ),
    "times that are no dates: pandas.to_datetime": (
        everywhere("time", lambda n: [f"{1 + k:02d}/01/{2000 + n}" for k in range(n)]),
        lambda d: {
            k: pd.to_datetime(a, dayfirst=True) + pd.DateOffset(years=YEARS[k]) if k in YEARS else a
            for k, a in d.items()
        },
    ),
    "an array without rows of its own: add X, or leave it out": (
        replaced(X_test=None),
        lambda d: {k: a for k, a in d.items() if not k.endswith("_test")},
    ),
    "None: leave it out": (
        lambda: good_data() | {"y_val": None},
        lambda d: {k: a for k, a in d.items() if a is not None},
    ),
}


@pytest.mark.parametrize("make_and_cure", CURES.values(), ids=CURES.keys())
def test_what_a_message_says_to_do_makes_data_of_what_it_told_of(make_and_cure):
    make, cure = make_and_cure
    with pytest.raises(DataError):
        loaded(make())
    loaded(cure(make()))
