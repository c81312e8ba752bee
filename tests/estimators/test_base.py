"""What all estimators share: scikit-learn's contract, settings that count, and honest errors."""

from __future__ import annotations

import functools
import io
import pickle
from itertools import product
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from planted import fit_hisso, planted, quick
from psann import (
    AssetwiseRegressor,
    PSANNRegressor,
    ResPSANNRegressor,
    WaveResNetRegressor,
)
from psann.errors import DeviceError, DivergedError
from thinning import slow, thinned

ESTIMATORS = [PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor]
ROWS = planted(120)
X, PRICES = ROWS["X"], ROWS["prices"]
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
VALIDATION = (X[80:], Y[80:])


# ---------------------------------------------------------------- scikit-learn's contract

CHECKED = [
    PSANNRegressor(epochs=2, batch_size=64, lr=3e-2, hidden_layers=1, hidden_units=8),
    ResPSANNRegressor(epochs=2, batch_size=64, lr=3e-2, hidden_layers=1, hidden_units=8),
    WaveResNetRegressor(
        epochs=2, batch_size=64, lr=3e-2, hidden_layers=1, hidden_units=8, first_layer_w0=3.0
    ),
    AssetwiseRegressor(
        epochs=2, batch_size=64, lr=3e-2, hidden_layers=1, hidden_units=8, layout="feature_major"
    ),
]


REPEATS = "check_sample_weight_equivalence_on_dense_data"


def few_are_fast(checked: list[Any]) -> Any:
    """Each check of scikit-learn, with one or two of the estimators."""
    names, cases = parametrize_with_checks(checked).args
    by_check = sorted(cases, key=lambda case: case[1].func.__name__)
    return pytest.mark.parametrize(names, thinned(by_check, every=3), ids=name_of)


def name_of(value: Any) -> str:
    """Of a check or an estimator, in no time: its own takes longer than some checks."""
    return value.func.__name__ if hasattr(value, "func") else type(value).__name__


@few_are_fast(CHECKED)
def test_scikit_learns_checks_pass_without_exception(
    estimator: Any, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if check.func.__name__ == REPEATS:
        # Of 1e-7 there is nothing in float32, where repeated rows add up in another order.
        close = functools.partial(estimator_checks.assert_allclose_dense_sparse, rtol=1e-5)
        monkeypatch.setattr(estimator_checks, "assert_allclose_dense_sparse", close)
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [*(cls() for cls in ESTIMATORS), AssetwiseRegressor(layout="asset_major")],
    expected_failed_checks=lambda estimator: (
        # One network of few weights for all assets stays near enough.
        {}
        if isinstance(estimator, AssetwiseRegressor)
        else {REPEATS: "200 epochs make much of a rounding error"}
    ),
)
def test_scikit_learns_checks_pass_with_every_default(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize(
    ("norm", "cls"), thinned(product(["none", "rms", "weight"], ESTIMATORS), every=4)
)
def test_fitted_estimators_can_be_pickled(cls: Any, norm: str) -> None:
    params = {"norm": norm} if cls is WaveResNetRegressor else {}
    model = fit_hisso(quick(cls, scaler="standard", **params))
    buffer = io.BytesIO()
    joblib.dump(model, buffer)
    buffer.seek(0)
    for again in (pickle.loads(pickle.dumps(model)), joblib.load(buffer)):
        np.testing.assert_array_equal(again.predict_actions(X), model.predict_actions(X))
        assert again.to_bytes() == model.to_bytes()


def test_a_pipeline_and_a_search_train_it() -> None:
    pipeline = make_pipeline(StandardScaler(), quick(epochs=10))
    search = GridSearchCV(pipeline, {"psannregressor__lr": [1e-5, 2e-2]}, cv=2)
    search.fit(X, Y)
    assert search.best_params_ == {"psannregressor__lr": 2e-2}
    assert search.predict(X).shape == (120, 2)


def test_names_of_columns_are_remembered_and_held() -> None:
    table = pd.DataFrame(X, columns=["a", "b", "c"])
    model = quick().fit(table, pd.DataFrame(Y))
    assert model.feature_names_in_.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(model.predict(table), quick().fit(X, Y).predict(X))
    with pytest.raises(ValueError, match="feature names"):
        model.predict(table.rename(columns={"a": "z"}))
    with pytest.raises(ValueError, match="feature names"):
        quick().fit(table, Y, validation_data=(table.rename(columns={"a": "z"}), Y))


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_images_are_flattened_and_the_place_of_channels_does_not_matter(cls: Any) -> None:
    images = np.random.default_rng(0).normal(size=(40, 2, 3, 4))
    y = images.mean(axis=(1, 2, 3))
    first = quick(cls).fit(images, y)
    last = quick(cls, data_format="channels_last").fit(np.moveaxis(images, 1, -1), y)
    np.testing.assert_array_equal(last.predict(np.moveaxis(images, 1, -1)), first.predict(images))
    assert (first.n_features_in_, first.input_shape_) == (24, (2, 3, 4))


# ---------------------------------------------------------------- training on targets


@pytest.mark.parametrize(
    ("cls", "loss"),
    thinned(
        every=3,
        cases=[
            *((PSANNRegressor, loss) for loss in ("mse", "mae", "huber", "log_cosh")),
            (PSANNRegressor, "user_rewards:quartic"),
            (ResPSANNRegressor, "mse"),
            (WaveResNetRegressor, "mse"),
        ],
    ),
)
def test_every_estimator_and_every_loss_learns(cls: Any, loss: str) -> None:
    w0 = {"first_layer_w0": 2.0} if cls is WaveResNetRegressor else {}
    model = quick(cls, epochs=20, lr=2e-2, loss=loss, **w0).fit(X, Y[:, 0])
    losses = [record.train_loss for record in model.fit_result_.history]
    assert losses[-1] < 0.5 * losses[0]
    assert model.score(X, Y[:, 0]) > 0.5


@pytest.mark.parametrize("optimizer", [*map(slow, ["adam", "adamw"]), "sgd"])
def test_every_optimiser_learns(optimizer: str) -> None:
    model = quick(epochs=30, lr=2e-2, optimizer=optimizer).fit(X, Y[:, 0])
    assert model.score(X, Y[:, 0]) > 0.6


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        (None, [0.01] * 4),
        ("constant", [0.01] * 4),
        ({"name": "linear", "lr_min": 0.001}, [0.01, 0.007, 0.004, 0.001]),
        ({"name": "step", "step_epochs": 2, "gamma": 0.5}, [0.01, 0.01, 0.005, 0.005]),
        ({"name": "constant", "warmup_epochs": 2}, [0.005, 0.01, 0.01, 0.01]),
        ("cosine", [0.01, 0.0075, 0.0025, 0.0]),
    ],
)
def test_the_learning_rate_follows_its_schedule(schedule: Any, rates: list[float]) -> None:
    model = quick(epochs=4, lr=0.01, lr_schedule=schedule).fit(X, Y)
    assert [r.lr for r in model.fit_result_.history] == pytest.approx(rates, abs=1e-15)


def test_validation_rows_choose_the_epoch_and_patience_ends_training() -> None:
    noise = np.random.default_rng(0).normal(size=(120, 1))
    model = quick(epochs=200, lr=5e-2, hidden_units=32, patience=5)
    model.fit(X[:40], noise[:40], validation_data={"X": X[40:], "y": noise[40:]})
    result = model.fit_result_
    assert result.stopped_early and result.epochs_done == result.best_epoch + 5
    values = [record.val_loss for record in result.history]
    assert model.best_value_ == min(v for v in values if v is not None)
    assert model.monitor_ == "val_loss"
    assert model.evaluate_loss(X[40:], noise[40:]) == pytest.approx(model.best_value_, rel=1e-5)


def test_without_validation_the_training_loss_chooses() -> None:
    model = quick(epochs=6).fit(X, Y)
    losses = [record.train_loss for record in model.fit_result_.history]
    assert model.monitor_ == "train_loss" and losses[model.best_epoch_ - 1] == min(losses)


def test_epochs_and_their_losses_are_told_as_scikit_learn_tells_them() -> None:
    model = quick(epochs=4)
    assert not hasattr(model, "n_iter_") and not hasattr(model, "loss_curve_")
    rows = planted()
    model.fit(rows["X"], rows["X"][:, :2])
    assert model.n_iter_ == 4 == len(model.loss_curve_)
    assert model.loss_curve_ == [record.train_loss for record in model.fit_result_.history]
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    policy = fit_hisso(quick(epochs=4), {"refit": True})
    assert policy.n_iter_ == policy.best_epoch_ == len(policy.loss_curve_)
    refitted = [record for record in policy.fit_result_.history if record.phase == "refit"]
    assert policy.loss_curve_ == pytest.approx([-each.reward_mean for each in refitted], 1e-4)
    stopped = quick(epochs=50, patience=1, lr=1.0).fit(rows["X"], rows["X"][:, :2])
    assert stopped.n_iter_ == stopped.fit_result_.epochs_done < 50


# ---------------------------------------------------------------- what is refused


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(DeviceError, match="cuda:77"):
        quick(device="cuda:77").fit(X, Y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"y": None}, "requires y to be passed"),
        ({"y": Y[:5]}, "inconsistent numbers of samples"),
        ({"y": Y * np.nan}, "NaN"),
        ({"context": X[:, :1]}, "PSANNRegressor takes no context; leave it out"),
        ({"validation_data": (X, Y, Y)}, r"or the pair \(X, y\); got tuple"),
        ({"validation_data": {"y": Y}}, "must be a mapping with X and any of .* got y"),
        ({"validation_data": {"X": X, "Y": Y}}, "got X, Y"),
        ({"validation_data": {"X": X}}, "requires y to be passed"),
        ({"validation_data": {}}, "got nothing"),
        ({"validation_data": (X[:, :2], Y)}, "2 features, but PSANNRegressor is expecting 3"),
        ({"validation_data": (X, Y[:, :1])}, "validation y must have the 2 columns"),
        ({"hisso": {"windw": 3}}, r"hisso\.windw is no known key"),
        ({"evaluation": {"initial": "x"}}, r"evaluation\.initial must be one of cash, invested"),
        ({"prices": PRICES[:5]}, "prices must have the 120 rows of X; got 5"),
    ],
)
def test_data_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick().fit(**{"X": X, "y": Y, **arguments})


def test_a_fit_that_diverges_names_its_place_and_leaves_the_earlier_one() -> None:
    model = quick().fit(X, Y)
    before = model.predict(X)
    model.set_params(loss="user_rewards:nan_loss")
    with pytest.raises(DivergedError, match="phase supervised, epoch 1, update 1: the loss is not"):
        model.fit(X[:, :2], Y)
    assert np.array_equal(model.predict(X), before)
