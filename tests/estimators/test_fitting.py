"""How a fit goes: weights of rows, the same bytes, what is told, and fits that go on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from planted import Recorder, fit_hisso, planted, quick
from psann import (
    AssetwiseRegressor,
    PSANNRegressor,
    ResPSANNRegressor,
    WaveResNetRegressor,
    fit_seeds,
)

ESTIMATORS = [PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor]
ROWS = planted(120)
X, PRICES = ROWS["X"], ROWS["prices"]
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
VALIDATION = (X[80:], Y[80:])


# ---------------------------------------------------------------- weights of rows

SCALED = {"scaler": "minmax", "target_scaler": "standard", "input_noise": 0.1}
WEIGHT = np.arange(120) % 4 / 2


def fit_weighed(weight: Any, rows: Any = slice(None), **params: Any) -> Any:
    """A fit of two columns on some of the rows, with the last ones to validate on."""
    how = {"validation_data": {"X": X[80:], "y": Y[80:]}}
    return quick(**SCALED, **params).fit(X[rows], Y[rows], sample_weight=weight, **how)


@pytest.mark.parametrize("cls", [*ESTIMATORS, AssetwiseRegressor])
def test_a_row_of_weight_zero_is_a_row_left_out_bit_for_bit(cls: Any) -> None:
    features = {"layout": "asset_major"} if cls is AssetwiseRegressor else {}
    scaled = {"scaler": "standard"}
    kept = WEIGHT > 0
    y = Y if cls is not AssetwiseRegressor else X
    weighed = quick(cls, **scaled, **features).fit(X, y, sample_weight=WEIGHT)
    left = quick(cls, **scaled, **features).fit(X[kept], y[kept], sample_weight=WEIGHT[kept])
    assert weighed.to_bytes() == left.to_bytes()
    assert weighed.to_bytes() != quick(cls, **scaled, **features).fit(X, y).to_bytes()


def test_weights_that_are_all_alike_are_none_bit_for_bit() -> None:
    assert fit_weighed(np.full(120, 0.3)).to_bytes() == fit_weighed(None).to_bytes()
    ones = (WEIGHT > 0) * 7
    assert fit_weighed(ones).to_bytes() == fit_weighed(None, WEIGHT > 0).to_bytes()


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_weight_of_two_is_a_row_there_twice_where_all_are_one_batch(cls: Any) -> None:
    settings: dict[str, Any] = {"batch_size": 1000, "epochs": 6, "lr": 1e-2, "w0": 1.0}
    settings |= {"scaler": "standard", "target_scaler": "standard"}
    if cls is not PSANNRegressor:
        settings.pop("w0")
    times = np.arange(120) % 3
    weighed = quick(cls, **settings).fit(X, Y, 5.0 * times)
    repeated = quick(cls, **settings).fit(X.repeat(times, axis=0), Y.repeat(times, axis=0))
    np.testing.assert_allclose(weighed.predict(X), repeated.predict(X), rtol=1e-3, atol=1e-4)
    assert weighed.loss_curve_ == pytest.approx(repeated.loss_curve_, rel=1e-4)
    plain = quick(cls, **settings).fit(X, Y)
    assert np.abs(plain.predict(X) - repeated.predict(X)).max() > 1e-2


def test_weights_of_validation_rows_choose_the_epoch() -> None:
    weight = np.linspace(0, 1, 40)
    model = quick(epochs=5).fit(
        X[:80], Y[:80], validation_data={"X": X[80:], "y": Y[80:], "sample_weight": weight}
    )
    errors = ((model.predict(X[80:]) - Y[80:]) ** 2).mean(1)
    assert model.best_value_ == pytest.approx(np.average(errors, weights=weight), rel=1e-5)


def test_weights_of_a_frame_go_to_the_rows_of_their_names() -> None:
    index = pd.date_range("2020-01-01", periods=120)
    table, weight = pd.DataFrame(X, index=index), pd.Series(WEIGHT, index=index)
    model = quick().fit(table, Y, sample_weight=weight.iloc[::-1])
    assert model.to_bytes() == quick().fit(table, Y, sample_weight=WEIGHT).to_bytes()


def test_several_seeds_are_weighed_as_one_is() -> None:
    together = fit_seeds(quick(), [0, 1], X, Y, sample_weight=WEIGHT)
    alone = quick(random_state=1).fit(X, Y, sample_weight=WEIGHT)
    np.testing.assert_allclose(together[1].predict(X), alone.predict(X), rtol=1e-4, atol=1e-5)


def test_weights_reach_an_estimator_in_a_search_over_a_pipeline() -> None:
    pipeline = make_pipeline(StandardScaler(), quick(epochs=2))
    search = GridSearchCV(pipeline, {"psannregressor__lr": [1e-2]}, cv=2)
    search.fit(X, Y, psannregressor__sample_weight=WEIGHT)
    alone = make_pipeline(StandardScaler(), quick(epochs=2))
    alone.fit(X, Y, psannregressor__sample_weight=WEIGHT)
    np.testing.assert_array_equal(search.predict(X), alone.predict(X))


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (np.zeros(120), "sample_weight must not be zero on every row"),
        (WEIGHT - 0.1, "sample_weight must be at least 0; the smallest is -0.1"),
        (WEIGHT[:, None] * [1, 1], r"one number per row; got shape \(120, 2\)"),
        (WEIGHT[:5], "sample_weight must have the 120 rows of X; got 5"),
        (WEIGHT * np.nan, "sample_weight must be finite"),
    ],
)
def test_weights_that_weigh_nothing_are_refused(weight: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick().fit(X, Y, sample_weight=weight)


@pytest.mark.parametrize("where", ["training", "validation"])
def test_rows_of_episodes_have_no_weights(where: str) -> None:
    validation = {"X": X, "prices": PRICES}
    how: dict[str, Any] = {"sample_weight": WEIGHT}
    if where == "validation":
        validation, how = {**validation, **how}, {}
    with pytest.raises(ValueError, match="Leave it out, or train on targets, without hisso"):
        fit_hisso(quick(), **how, validation_data=validation)


# ---------------------------------------------------------------- the same seed


def test_the_same_seed_gives_the_same_bytes_whatever_the_global_generators_did() -> None:
    settings = {"input_noise": 0.1, "random_state": 3}
    first = quick(**settings).fit(X, Y).to_bytes()
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    assert quick(**settings).fit(X, Y).to_bytes() == first
    assert quick(input_noise=0.1, random_state=4).fit(X, Y).to_bytes() != first


def test_a_random_state_object_moves_on_from_fit_to_fit() -> None:
    state = np.random.RandomState(0)
    model = quick(random_state=state)
    first = model.fit(X, Y).predict(X)
    assert not np.array_equal(model.fit(X, Y).predict(X), first)
    again = quick(random_state=np.random.RandomState(0)).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), first)


def test_training_leaves_the_callers_arrays_and_threads_alone() -> None:
    threads = torch.get_num_threads()
    x, y = X.astype(np.float32), Y.astype(np.float32)
    x.flags.writeable = y.flags.writeable = False
    quick(scaler="standard", target_scaler="standard", threads=threads + 1).fit(x, y)
    assert torch.get_num_threads() == threads


# ---------------------------------------------------------------- what is told


def test_parameters_without_effect_are_named_in_the_decisions() -> None:
    model = quick(max_skipped_updates=3, state_reset="none").fit(X, Y, prices=PRICES[:, :2])
    (message,) = [d.message for d in model.fit_result_.decisions if "without effect" in d.message]
    assert message == (
        "without effect here: max_skipped_updates (on_nonfinite is stop); state_reset (stateful "
        "is False); prices (training is on targets)"
    )


def test_observers_hear_of_every_decision_that_the_result_holds() -> None:
    recorder = Recorder()
    model = quick(max_skipped_updates=3, threads=None, engine="eager").fit(
        X, Y, observers=[recorder]
    )
    assert recorder.decisions == model.fit_result_.decisions
    assert recorder.decisions[0].message == (
        "engine eager (as asked), 1 thread (chosen by the size of an update)"
    )
    assert [r.epoch for r in recorder.records] == [1, 2, 3]


# ---------------------------------------------------------------- going on


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_a_warm_start_goes_on_from_weights_and_scalers(cls: Any) -> None:
    model = quick(cls, scaler="standard", target_scaler="standard", warm_start=True).fit(X, Y)
    scaler, before = model.scaler_, model.predict(X)
    model.set_params(lr=1e-12, batch_size=120).fit(X + 5.0, Y)
    assert model.scaler_ is scaler
    np.testing.assert_allclose(model.predict(X), before, atol=1e-5)
    loss = model.fit_result_.history[0].train_loss
    assert loss == pytest.approx(model.evaluate_loss(X + 5.0, Y), rel=1e-3)


def test_a_warm_start_learns_more() -> None:
    model = quick(warm_start=True).fit(X, Y)
    scores = [model.score(X, Y)] + [model.fit(X, Y).score(X, Y) for _ in range(3)]
    assert scores == sorted(scores)


def test_without_warm_start_a_second_fit_begins_anew() -> None:
    model = quick().fit(X, Y)
    first = model.to_bytes()
    assert model.fit(X, Y).to_bytes() == first
    assert model.fit(X[:, :2], Y[:, 0]).predict(X[:, :2]).shape == (120,)


def test_epoch_zero_of_a_warm_start_is_the_network_as_given() -> None:
    model = fit_hisso(quick(warm_start=True, epochs=10, lr=4e-2))
    before = model.predict_actions(X)
    # What these rows teach is the opposite of what the validation rows reward.
    fit_hisso(model, **planted(rho=-1.0, seed=8))
    assert model.best_epoch_ == 0
    np.testing.assert_array_equal(model.predict_actions(X), before)
    assert "kept the weights as given" in model.fit_result_.decisions[-1].message


def test_warm_ups_go_on_where_the_kept_epoch_was() -> None:
    model = quick(WaveResNetRegressor, w0_warmup_epochs=10, hidden_w0=11.0, warm_start=True)
    model.fit(X, Y)
    first = model.schedule_epoch_
    assert model.network_.hidden_w0 == float(first)
    model.fit(X, Y)
    assert model.schedule_epoch_ == first + model.best_epoch_
    assert model.network_.hidden_w0 == float(model.schedule_epoch_)


def test_a_policy_can_follow_an_estimator_of_targets() -> None:
    model = quick(warm_start=True).fit(X, X)
    fit_hisso(model, **planted(120))
    assert model.predict_actions(X).shape == (120, 3)


@pytest.mark.parametrize(
    ("params", "fit", "message"),
    [
        ({"hidden_units": 9}, {}, r"amplitude \(8,\) -> \(9,\)"),
        ({"hidden_layers": 2}, {}, r"activations\.1\.0\.amplitude None -> \(8,\)"),
        ({"stateful": True}, {}, "None ->"),
        ({}, {"y": Y[:, 0]}, r"head\.weight \(2, 8\) -> \(1, 8\)"),
        ({}, {"X": X[:, :2]}, "2 features, but PSANNRegressor is expecting 3"),
        (
            {},
            {"hisso": {"window": 8, "reward": "negative_mse", "primary_transform": "softmax_cash"}},
            r"head\.weight \(2, 8\) -> \(3, 8\)",
        ),
    ],
)
def test_a_warm_start_with_another_shape_is_refused_and_changes_nothing(
    params: dict[str, Any], fit: dict[str, Any], message: str
) -> None:
    model = quick(warm_start=True).fit(X, Y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=message):
        model.set_params(**params).fit(**{"X": X, "y": Y, **fit})
    np.testing.assert_array_equal(model.predict(X), before)
