"""What arrays are called, and what a run makes of them."""

import dataclasses

import numpy as np
import pytest

from psann.run.data.requirements import DataRequirements, label, roles_of, split_of

NEEDS = DataRequirements(
    window=8,
    needs_targets=False,
    y_key="targets",
    portfolio_prices_key="closing",
    mode="train",
)


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


def test_an_array_that_the_run_names_has_the_role_it_is_named_for():
    assert NEEDS.role("targets") == ("y", "train")
    assert NEEDS.role("closing") == ("prices", "test")
    assert dataclasses.replace(NEEDS, y_key=None).role("targets") is None


def test_an_array_is_called_by_its_key_and_its_split_in_words():
    assert label("X_val", NEEDS) == "X_val (validation)"
    assert label("names", NEEDS) == "names"


def test_roles_come_training_first_and_without_extras():
    arrays = {key: np.zeros((2, 1)) for key in ("X_test", "names", "X_train", "targets")}
    found = [(key, kind, split) for key, kind, split, _ in roles_of(arrays, NEEDS)]
    assert found == [
        ("X_train", "X", "train"),
        ("targets", "y", "train"),
        ("X_test", "X", "test"),
    ]
