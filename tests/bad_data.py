"""Data of a market, and many kinds of bad ones: how each is made, and what must be said of it.

Configurations name the loader here as `bad_data.load`.
"""

from types import SimpleNamespace

import numpy as np

from psann.run.data.requirements import DataRequirements
from psann.run.data.splits import load_splits

# What a run on a market asks for.
NEEDS = DataRequirements(
    window=8,
    needs_targets=False,
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


nan, inf = float("nan"), float("inf")

BAD = {
    # one array by itself
    "NaN": (
        changed("X_val", put((5, 2), nan)),
        "X_val (validation) must be finite; got 1 missing (NaN) and 0 infinite of 40 values, first "
        "at row 5, column 2. Drop",
    ),
    "infinity": (
        changed("X_train", put((slice(3, 5), 1), -inf)),
        "X_train (training) must be finite; got 0 missing (NaN) and 2 infinite of 120 values, first"
        " at row 3, column 1",
    ),
    "NaN in a target": (
        changed("y_train", put((0, 0), nan)),
        "y_train (training) must be finite; got 1 missing (NaN)",
    ),
    "NaN in a price": (
        changed("prices_test", put((11, 1), nan)),
        "prices_test (test) must be finite; got 1 missing (NaN) and 0 infinite of 24 values, first "
        "at row 11, column 1",
    ),
    "NaN in time": (
        changed("time_val", put(4, nan)),
        "time_val (validation) must be finite; got 1 missing (NaN) and 0 infinite of 10 values, "
        "first at row 4.",
    ),
    "NaN in context": (
        everywhere("context", lambda n: np.full((n, 1), nan)),
        "context_test (test) must be finite; got 12 missing (NaN)",
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
        "X_test (test) must be finite; got 0 missing (NaN) and 48 infinite",
    ),
    "text": (
        replaced(X_train=np.full((30, 4), "1.5")),
        "X_train must hold numbers; got dtype <U3 (ndarray). Convert",
    ),
    "objects": (
        replaced(X_train=np.full((30, 4), {})),
        "X_train must hold numbers; got dtype object (ndarray), in which {} is dict. Leave it out",
    ),
    "None": (
        lambda: good_data() | {"y_val": None},
        "y_val must be an array of numbers; got None. Give one, or leave it out.",
    ),
    "complex": (
        replaced(y_val=np.ones((10, 2), complex)),
        "y_val must hold numbers; got dtype complex128",
    ),
    "dates as features": (
        replaced(X_train=np.arange(120).reshape(30, 4).astype("datetime64[D]")),
        "X_train must hold numbers; got dtype datetime64[D] (ndarray). Use days",
    ),
    "dates in one split only": (
        replaced(time_train=np.arange(30).astype("datetime64[D]")),
        "time_train holds dates and time_val numbers. Give the same in every split.",
    ),
    "times that are no dates": (
        replaced(time_train=["03/04/2020"] * 30),
        "time_train must hold dates or numbers; got the text '03/04/2020' in row 0. Write ISO",
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
        "X_train (training) must be finite; got 22 missing (NaN)",
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
        "values that are not, first at row 7, column 1: 0. Give prices, not returns, without "
        "gaps. If actions are no weights, give hisso.n_actions.",
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
    "numbers for names": (
        replaced(asset_names=np.arange(2.0)),
        "asset_names must be a vector of texts; got float64 of shape (2,)",
    ),
    "too few names": (
        replaced(asset_names=np.array(["a"])),
        "asset_names must name each of the 2 columns of prices_train; got 1 names",
    ),
    "who can be held in one split only": (
        replaced(active_train=np.ones((30, 2))),
        "active_val (validation) must be given with X_val: it says who can be held in every split",
    ),
    "who can be held of other assets": (
        replaced(**{f"active_{name}": np.ones((rows, 3)) for name, rows in ROWS.items()}),
        "active_train (training) must be of the shape of the prices, (30, 2); got (30, 3)",
    ),
    "who can be held in a code that is none": (
        replaced(**{f"active_{name}": np.full((rows, 2), 3) for name, rows in ROWS.items()}),
        "active_test (test) must say of each asset 1 (can be held), 0 (cannot), -1 (is halted) or",
    ),
    "a name twice": (
        replaced(asset_names=["a", "a"]),
        "asset_names must differ from each other; got 'a' more than once",
    ),
}


# What only the reward makes bad: one of the user's may judge something else.
BAD_FOR_REWARDS = {
    "no training prices": (
        replaced(prices_train=None),
        "hisso.reward must say what to maximise",
    ),
    "misspelt validation prices": (
        replaced(prices_val=None, price_val=np.ones((10, 2))),
        "prices_val (validation) must be given with X_val",
    ),
}


def load(*, case):
    """One of the bad data sets."""
    make, _ = (BAD | BAD_FOR_REWARDS)[case]
    return make()


def loaded(data, needs=NEEDS):
    """The splits of a data set, as the loader of a run gave it."""
    source = SimpleNamespace(npz=None, loader="mine.load", arguments={})
    return load_splits(source, load_function=lambda: data, requirements=needs)
