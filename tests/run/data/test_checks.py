"""Bad data: every kind is refused, or warned of, with key, count, place and cure."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psann.errors import DataError
from psann.run.data.checks import DataRequirements, find_oddities, find_problems, split_of
from psann.run.data.splits import load_splits

NEEDS = DataRequirements(
    window=8,
    needs_targets=False,
    needs_prices=True,
    y_key=None,
    portfolio_prices_key="prices_test",
    mode="train",
)
KINDS = ("X", "y", "prices", "time")
ROWS = {"train": 30, "val": 10, "test": 12}
STARTS = {"train": 0, "val": 30, "test": 40}


def good_data():
    generator = np.random.default_rng(0)
    data = {}
    for split, rows in ROWS.items():
        data[f"X_{split}"] = generator.standard_normal((rows, 4))
        data[f"y_{split}"] = generator.standard_normal((rows, 2))
        data[f"prices_{split}"] = 100.0 * np.exp(0.01 * generator.standard_normal((rows, 2)))
        data[f"time_{split}"] = STARTS[split] + np.arange(float(rows))
    return data


def load(data, needs=NEEDS):
    source = SimpleNamespace(npz=None, loader="mine.load", kwargs={})
    return load_splits(source, load_function=lambda: data, requirements=needs)


def changed(key, change):
    """Data set in which one array was changed in place."""

    def make():
        data = good_data()
        change(data[key])
        return data

    return make


def replaced(**arrays):
    """Data set with other or further arrays; None takes one away."""

    def make():
        data = good_data() | arrays
        return {key: array for key, array in data.items() if array is not None}

    return make


def shortened(split, rows):
    """Data set in which one split has only its first rows."""
    return replaced(**{f"{k}_{split}": good_data()[f"{k}_{split}"][:rows] for k in KINDS})


def without(split, **arrays):
    return replaced(**{f"{k}_{split}": None for k in KINDS}, **arrays)


def everywhere(kind, make):
    """Data set in which every split of a kind is made anew from its number of rows."""
    return replaced(**{f"{kind}_{split}": make(rows) for split, rows in ROWS.items()})


def put(place, value):
    return lambda array: array.__setitem__(place, value)


def needs(**changes):
    return dataclasses.replace(NEEDS, **changes)


nan, inf = float("nan"), float("inf")

BAD = {
    # one array by itself
    "NaN": (
        changed("X_val", put((5, 2), nan)),
        "X_val (validation) must be finite; got 1 NaN and 0 infinite of 40 values, first "
        "at row 5, column 2. Drop",
    ),
    "infinity": (
        changed("X_train", put((slice(3, 5), 1), -inf)),
        "X_train (training) must be finite; got 0 NaN and 2 infinite of 120 values, first"
        " at row 3, column 1",
    ),
    "NaN in a target": (
        changed("y_train", put((0, 0), nan)),
        "y_train (training) must be finite; got 1 NaN",
    ),
    "NaN in a price": (
        changed("prices_test", put((11, 1), nan)),
        "prices_test (test) must be finite; got 1 NaN and 0 infinite of 24 values, first "
        "at row 11, column 1",
    ),
    "NaN in time": (
        changed("time_val", put(4, nan)),
        "time_val (validation) must be finite; got 1 NaN and 0 infinite of 10 values, "
        "first at row 4.",
    ),
    "NaN in context": (
        everywhere("context", lambda n: np.full((n, 1), nan)),
        "context_test (test) must be finite; got 12 NaN",
    ),
    "NaN deep in an image": (
        everywhere("X", lambda n: np.full((n, 2, 3), nan)),
        "first at row 0, column (0, 0)",
    ),
    "beyond float32": (
        changed("X_test", put((1, 3), -1e39)),
        "X_test (test) must fit into float32 (at most 3.4e38 in size); got 1 of 48 values"
        " beyond that, first at row 1, column 3: -1e+39. Rescale",
    ),
    "longdouble beyond float64": (
        replaced(X_test=np.full((12, 4), np.longdouble("1e4000"))),
        "X_test (test) must be finite; got 0 NaN and 48 infinite",
    ),
    "text": (
        replaced(X_train=np.full((30, 4), "1.5")),
        "X_train must hold numbers; got dtype <U3 (ndarray). Convert",
    ),
    "objects": (
        replaced(X_train=np.full((30, 4), None)),
        "X_train must hold numbers; got dtype object",
    ),
    "None": (
        lambda: good_data() | {"y_val": None},
        "y_val must hold numbers; got dtype object (NoneType). Convert it with "
        ".astype(float), or leave the key out",
    ),
    "complex": (
        replaced(y_val=np.ones((10, 2), complex)),
        "y_val must hold numbers; got dtype complex128",
    ),
    "dates": (
        replaced(time_train=np.arange(30).astype("datetime64[D]")),
        "time_train must hold numbers; got dtype datetime64[D] (ndarray). Use numbers, e.g. days",
    ),
    "records": (
        replaced(X_train=np.zeros(30, dtype=[("a", float)])),
        "X_train must hold numbers; got dtype [('a'",
    ),
    "ragged rows": (
        replaced(X_train=[[1.0, 2.0], [3.0]]),
        "X_train must be an array of numbers; got list that cannot be made one",
    ),
    "masked values": (
        replaced(X_train=np.ma.masked_greater(good_data()["X_train"], 1.0)),
        "X_train must have no masked values; got ",
    ),
    "an extra of objects": (
        replaced(meta={"a": 1}),
        "meta must hold numbers; got dtype object (dict)",
    ),
    # rank and columns
    "X as a vector": (
        replaced(X_train=np.ones(30)),
        "X_train (training) must have 2 or more dimensions; got 1 (shape (30,)). Reshape "
        "it with X.reshape(-1, 1)",
    ),
    "X as a number": (
        replaced(X_train=np.float64(3)),
        "X_train (training) must have 2 or more dimensions; got 0",
    ),
    "y as a cube": (
        replaced(y_train=np.ones((30, 2, 1))),
        "y_train (training) must have 1 or 2 dimensions; got 3",
    ),
    "prices as a cube": (
        replaced(prices_val=np.ones((10, 2, 1))),
        "prices_val (validation) must have 2 dimensions; got 3",
    ),
    "time as a table": (
        replaced(time_val=np.ones((10, 2))),
        "time_val (validation) must have 1 dimension; got 2",
    ),
    "no columns": (
        replaced(X_val=np.ones((10, 0))),
        "X_val (validation) must have columns; got shape (10, 0)",
    ),
    # rows
    "unequal rows of y": (
        replaced(y_val=np.ones((9, 2))),
        "y_val (validation) must have as many rows as X_val, 10; got 9",
    ),
    "unequal rows of prices": (
        replaced(prices_train=np.ones((31, 2))),
        "prices_train (training) must have as many rows as X_train, 30; got 31",
    ),
    "unequal rows of time": (
        replaced(time_test=np.arange(40.0, 53.0)),
        "time_test (test) must have as many rows as X_test, 12; got 13",
    ),
    "too few training rows": (
        shortened("train", 8),
        "X_train (training) must have at least 9 rows (hisso.window 8 + 1); got 8. Give "
        "more rows or lower hisso.window",
    ),
    "one validation row": (
        shortened("val", 1),
        "X_val (validation) must have at least 2 rows (a move needs two); got 1. Give more rows.",
    ),
    "no test rows": (
        shortened("test", 0),
        "X_test (test) must have at least 2 rows (a move needs two); got 0",
    ),
    # widths
    "other features in validation": (
        replaced(X_val=np.ones((10, 5))),
        "X_val (validation) must have rows of the same shape as X_train, (4,); got (5,). "
        "Use the same columns",
    ),
    "other targets in test": (
        replaced(y_test=np.ones((12, 3))),
        "y_test (test) must have rows of the same shape as y_train, (2,); got (3,)",
    ),
    "prices of other assets": (
        everywhere("prices", lambda n: np.ones((n, 3))),
        "prices_train must have one column per action, as many as y_train: 2; got 3",
    ),
    "a target vector beside two prices": (
        everywhere("y", lambda n: np.ones(n)),
        "prices_train must have one column per action, as many as y_train: 1; got 2",
    ),
    # prices
    "a price of zero": (
        changed("prices_train", put((7, 1), 0.0)),
        "prices_train (training) must be more than 0 (at least 1.2e-38); got 1 of 60 "
        "values that are not, first at row 7, column 1: 0. Give prices, not returns",
    ),
    "returns as prices": (
        replaced(prices_val=np.linspace(-0.1, 0.1, 20).reshape(10, 2)),
        "prices_val (validation) must be more than 0 (at least 1.2e-38); got 10 of 20 "
        "values that are not, first at row 0, column 0: -0.1",
    ),
    "a price that float32 rounds to zero": (
        changed("prices_test", put((0, 0), 1e-60)),
        "first at row 0, column 0: 1e-60",
    ),
    # time
    "time that stands still": (
        changed("time_train", put(5, 4.0)),
        "time_train must increase from row to row; got 1 of 30 rows that do not come "
        "after the row before, first row 5: 4 after 4",
    ),
    "time that runs backwards": (
        replaced(time_val=np.arange(39.0, 29.0, -1)),
        "time_val must increase from row to row; got 9 of 10 rows",
    ),
    "validation inside training": (
        replaced(time_val=np.arange(25.0, 35.0)),
        "time_val must begin after time_train ends at 29; got 5 of 10 rows that do not, "
        "first row 0: 25. Cut",
    ),
    "test before training": (
        replaced(time_test=np.arange(-20.0, -8.0)),
        "time_test must begin after time_val ends at 39; got 12 of 12 rows that do not",
    ),
    "test inside training without validation": (
        without("val", time_test=np.arange(12.0)),
        "time_test must begin after time_train ends at 29; got 12",
    ),
    # presence
    "no data at all": (dict, "X_train must be given; got no array."),
    "a misspelt X_train": (
        replaced(X_train=None, x_Train=np.ones((30, 4))),
        "Did you mean 'x_Train'?",
    ),
    "no training prices": (
        replaced(prices_train=None),
        "prices_train (training) must be given with X_train: the prices are needed by the"
        " reward. Add it",
    ),
    "misspelt validation prices": (
        replaced(prices_val=None, price_val=np.ones((10, 2))),
        "prices_val (validation) must be given with X_val: the prices are needed by the "
        "reward. Add it, or leave the validation split out. Did you mean 'price_val'?",
    ),
    "prices of a split that is not given": (
        replaced(X_test=None, y_test=None, time_test=None),
        "prices_test must come with X_test, which is not given. Add X_test or leave "
        "prices_test out",
    ),
    "context in one split only": (
        replaced(context_train=np.ones((30, 1))),
        "context_val (validation) must be given with X_val: the network reads a context "
        "in every split",
    ),
    "contexts of different width": (
        everywhere("context", lambda n: np.ones((n, n))),
        "context_val (validation) must have rows of the same shape as context_train, "
        "(30,); got (10,)",
    ),
}

BAD |= {
    "numbers for names": (
        replaced(asset_names=np.arange(2.0)),
        "asset_names must be a vector of texts; got float64 of shape (2,)",
    ),
    "too few names": (
        replaced(asset_names=np.array(["a"])),
        "asset_names must name each of the 2 columns of prices_train; got 1 names",
    ),
    "a name twice": (
        replaced(asset_names=["a", "a"]),
        "asset_names must differ from each other; got 'a' more than once",
    ),
}
BAD_FOR_NEEDS = {
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
        "labels (training) must be finite; got 60 NaN",
    ),
    "warm-start targets of other width": (
        replaced(labels=np.ones((30, 3))),
        needs(y_key="labels"),
        "hisso.supervised.y_key must name targets of one column per action, as many as "
        "prices_train: 2; got 'labels', whose rows have shape (3,). Name another array, or cut",
    ),
    "warm-start targets of other width, without prices": (
        replaced(labels=np.ones((30, 3)), **{f"prices_{split}": None for split in ROWS}),
        needs(y_key="labels", needs_prices=False),
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
        load(make(), requirements)
    assert all(problem[-1] in ".?" for problem in caught.value.problems)


def test_at_least_forty_kinds_of_bad_data_are_known():
    assert len(CASES) >= 40


def test_good_data_raise_no_problem_and_no_warning():
    assert load(good_data()).warnings == ()


def test_every_problem_is_reported_at_once():
    data = good_data()
    data["X_train"][3, 1] = nan
    data["y_val"] = data["y_val"][:-1]
    data["prices_test"][0, 0] = -1.0
    data["time_val"] = data["time_val"] - 5
    data["X_test"] = np.full((12, 4), "a")
    del data["prices_val"]
    with pytest.raises(DataError) as caught:
        load(data)
    # A broken X_test is not also reported as missing.
    starts = [problem.split()[0] for problem in caught.value.problems]
    assert starts == ["X_test", "prices_val", "y_val", "X_train", "prices_test", "time_val"]


def test_a_wrong_rank_does_not_hide_wrong_values():
    data = good_data() | {"X_train": np.full(30, nan)}
    with pytest.raises(DataError) as caught:
        load(data)
    assert len(caught.value.problems) == 2


def test_validation_and_test_are_optional():
    data = {key: array for key, array in good_data().items() if key.endswith("_train")}
    splits = load(data, needs(portfolio_prices_key=None))
    assert splits.split("val") == splits.split("test") == {}
    assert splits.warnings == ()


def test_targets_may_be_absent_when_nothing_needs_them():
    load(replaced(y_train=None, y_val=None, y_test=None)())


def test_evaluation_needs_no_training_rows():
    data = {key: array for key, array in good_data().items() if key.endswith("_test")}
    assert set(load(data, needs(mode="evaluate")).split("test")) == {"X", "y", "prices", "time"}


def test_evaluation_takes_training_rows_shorter_than_a_window():
    data = good_data()
    for kind in KINDS:
        data[f"{kind}_train"] = data[f"{kind}_train"][:3]
    load(data, needs(mode="evaluate"))


def test_exactly_window_plus_one_rows_are_enough():
    load(good_data(), needs(window=29))
    with pytest.raises(DataError, match="at least 31 rows"):
        load(good_data(), needs(window=30))


def test_times_between_the_splits_may_have_gaps():
    load(replaced(time_val=np.arange(1000.0, 1010.0), time_test=np.arange(2000.0, 2012.0))())


WARNED = {
    "a constant column": (
        changed("X_train", put((slice(None), 2), 7.0)),
        "X_train has 1 constant of 4 columns, first column 2, always 7",
    ),
    "constant targets": (
        changed("y_train", put(slice(None), 0.0)),
        "y_train has 2 constant of 2 columns",
    ),
    "a jump of the price": (
        changed("prices_train", put((9, 1), 2000.0)),
        "prices_train (training) has 2 moves by more than a factor of 10, first from row "
        "8 to 9, column 1",
    ),
    "an extra": (
        replaced(names=np.array(["a", "b"])),
        "names is kept as an extra; nothing in this run reads it.",
    ),
    "a misspelt optional key": (
        replaced(time_val=None, tme_val=np.arange(10.0)),
        "tme_val is kept as an extra; nothing in this run reads it. Did you mean time_val?",
    ),
    "no prices for the metrics": (
        replaced(X_test=None, y_test=None, prices_test=None, time_test=None),
        "There are no portfolio metrics: the data hold no prices_test",
    ),
    "time in some splits only": (
        replaced(time_val=None),
        "time_val is absent while other splits have their time",
    ),
    "validation copied from training": (
        replaced(time_train=None, time_val=None, time_test=None, X_val=good_data()["X_train"][20:]),
        "X_val has 10 of 10 rows in common with X_train, first row 0: the splits seem to overlap",
    ),
}


@pytest.mark.parametrize(("make", "fragment"), WARNED.values(), ids=WARNED.keys())
def test_odd_data_are_taken_with_a_warning(make, fragment):
    warnings = load(make()).warnings
    assert any(fragment in warning for warning in warnings), warnings


def test_shared_rows_of_data_that_repeat_by_nature_are_no_overlap():
    data = {key: array for key, array in good_data().items() if not key.startswith("time")}
    for split, rows in ROWS.items():
        data[f"X_{split}"] = np.random.default_rng(rows).integers(0, 2, (rows, 2))
    assert load(data).warnings == ()


def test_rows_of_the_same_numbers_in_another_order_are_not_shared():
    data = {key: array for key, array in good_data().items() if not key.startswith("time")}
    data["X_val"] = data["X_train"][:10, ::-1]
    assert load(data).warnings == ()


def test_one_shared_row_among_many_is_found_and_placed():
    data = {key: array for key, array in good_data().items() if not key.startswith("time")}
    data["X_test"][7] = data["X_val"][3]
    (warning,) = load(data).warnings
    assert warning.startswith("X_test has 1 of 12 rows in common with X_val, first row 7")


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


@pytest.mark.parametrize(
    ("key", "named"),
    [
        ("X_train", ("X", "train")),
        ("context_val", ("context", "val")),
        ("X_train2", None),
        ("X", None),
    ],
)
def test_a_key_names_kind_and_split(key, named):
    assert split_of(key) == named
