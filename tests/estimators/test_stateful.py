from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from planted import planted, quick
from psann import PSANNRegressor, ResPSANNRegressor
from psann.nn.state import StateOptions, initial_states

X = planted(60)["X"]
Y = X[:, :2]
CLASSES = [PSANNRegressor, ResPSANNRegressor]


def stateful(cls: Any = PSANNRegressor, **params: Any) -> Any:
    return quick(cls, stateful=True, **params).fit(X, Y)


def states(model: Any) -> dict[str, torch.Tensor]:
    return {n: model.network_.state_dict()[n].clone() for n in initial_states(model.network_)}


@pytest.mark.parametrize("cls", CLASSES)
@pytest.mark.parametrize("target_scaler", [None, "standard"])
def test_a_sequence_in_two_halves_equals_the_whole(cls: Any, target_scaler: Any) -> None:
    model = stateful(cls, target_scaler=target_scaler)
    model.reset_state()
    whole = model.predict_sequence(X)
    model.reset_state()
    halves = [model.predict_sequence(X[:23]), model.predict_sequence(X[23:])]
    np.testing.assert_array_equal(np.concatenate(halves), whole)


@pytest.mark.parametrize("cls", CLASSES)
def test_a_sequence_moves_the_state_and_predict_does_not(cls: Any) -> None:
    model = stateful(cls)
    before = states(model)
    assert before
    model.predict(X)
    assert all(torch.equal(states(model)[name], state) for name, state in before.items())
    first = model.predict(X[:1])
    np.testing.assert_array_equal(model.predict_sequence(X[:1]), first)
    assert not any(torch.equal(states(model)[name], state) for name, state in before.items())
    assert not np.array_equal(model.predict(X[:1]), first)


def test_others_may_predict_while_a_sequence_is_on_its_way() -> None:
    model = stateful()
    usual, seen = model.predict(X[:3]), []

    def look(*_: object) -> None:
        seen.append(None)
        if len(seen) == 2:  # the second row of the sequence, before which the state has moved
            seen[1] = model.predict(X[:3])

    hook = model.network_.register_forward_hook(look)
    model.predict_sequence(X[:4])
    hook.remove()
    np.testing.assert_array_equal(seen[1], usual)
    assert not np.array_equal(model.predict(X[:3]), usual)


def test_a_row_of_a_sequence_does_not_know_the_rows_after_it() -> None:
    model = stateful()
    corrupted = X.copy()
    corrupted[30:] = 9.0
    model.reset_state()
    usual = model.predict_sequence(X)
    model.reset_state()
    np.testing.assert_array_equal(model.predict_sequence(corrupted)[:30], usual[:30])


def test_a_reset_returns_to_the_first_value() -> None:
    model = stateful(state={"init": 2.0})
    model.predict_sequence(X)
    model.reset_state()
    assert all((state == 2.0).all() for state in states(model).values())


def test_the_state_left_by_training_depends_on_when_it_is_reset() -> None:
    left = {reset: states(stateful(state_reset=reset)) for reset in ("batch", "epoch", "none")}
    name = next(iter(left["batch"]))
    assert not torch.equal(left["batch"][name], left["epoch"][name])
    assert not torch.equal(left["epoch"][name], left["none"][name])


def test_a_sequence_has_the_shape_of_the_targets() -> None:
    assert stateful().predict_sequence(X).shape == (60, 2)
    model = quick(stateful=True).fit(X.reshape(30, 2, 3), Y[:30, 0])
    assert model.predict_sequence(X.reshape(30, 2, 3)).shape == (30,)


def test_a_sequence_whose_outputs_are_not_finite_is_refused_and_the_state_stays() -> None:
    model = stateful()
    before = states(model)
    with torch.no_grad():
        model.network_.head.bias.fill_(torch.inf)
    with pytest.raises(ValueError, match=r"outputs are not finite for 60 of 60 rows"):
        model.predict_sequence(X)
    assert all(torch.equal(states(model)[name], state) for name, state in before.items())


def test_an_estimator_without_state_has_no_sequences() -> None:
    with pytest.raises(ValueError, match="predict_sequence needs stateful=True; use predict"):
        quick().fit(X, Y).predict_sequence(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"state": {"rho": 0.5}}, "state has no effect without stateful=True; remove it"),
        (
            {"stateful": True, "state": {"rho": 2}},
            r"state\.rho must be a number .* of at most 1",
        ),
        ({"stateful": True, "state": {"roh": 1}}, r"state\.roh is no known key.*'rho'"),
        ({"stateful": True, "state_reset": "never"}, "'state_reset' parameter"),
        ({"stateful": True, "state": {"init": 0.0}}, "init must not be 0"),
    ],
)
def test_a_state_that_cannot_be_is_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(X, Y)


def test_options_may_be_given_as_they_are() -> None:
    options = StateOptions(rho=0.5)
    np.testing.assert_array_equal(
        stateful(state=options).predict(X), stateful(state={"rho": 0.5}).predict(X)
    )
