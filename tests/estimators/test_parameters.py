from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from planted import planted, quick, story_of
from psann import AssetwiseRegressor, PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor
from psann.estimators._options import read_schedule
from psann.run.config.model import TrainingConfig
from thinning import slow

ESTIMATORS = [PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor, AssetwiseRegressor]
X = planted(64)["X"]
Y = np.column_stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]])
VALIDATION = (X[40:], Y[40:])


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_parameters_are_stored_as_given_and_clones_are_alike(cls: Any) -> None:
    params = {"hidden_units": 5, "lr_schedule": {"name": "cosine"}, "scaler": StandardScaler()}
    model = cls(**params)
    assert all(model.get_params(deep=False)[name] is value for name, value in params.items())
    again = clone(model.set_params(epochs=7))
    assert again.epochs == 7 and again.lr_schedule == {"name": "cosine"}
    assert vars(again).keys() == vars(model).keys()
    with pytest.raises(ValueError, match="Invalid parameter 'hidden_width'"):
        model.set_params(hidden_width=3)


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_every_parameter_is_documented_and_checked(cls: Any) -> None:
    names = set(cls().get_params())
    assert names == set(cls._parameter_constraints)
    text = cls.__doc__ or ""
    assert [name for name in names if name not in text] == []


# What a configuration of a run says in `training` rather than in `estimator.params`.
TRAINING_KEYS = sorted(TrainingConfig.model_fields.keys() & PSANNRegressor().get_params().keys())


def test_the_training_keys_of_a_run_are_parameters_of_every_estimator() -> None:
    assert TRAINING_KEYS == [
        "batch_size", "engine", "epochs", "lr", "lr_schedule", "max_skipped_updates", "monitor",
        "on_nonfinite", "patience", "threads",
    ]  # fmt: skip
    assert all(set(TRAINING_KEYS) <= cls().get_params().keys() for cls in ESTIMATORS)


@pytest.mark.parametrize("cls", ESTIMATORS)
@pytest.mark.parametrize("name", TRAINING_KEYS)
def test_a_training_key_has_the_same_default_in_a_run(cls: Any, name: str) -> None:
    default, of_a_run = cls().get_params()[name], getattr(TrainingConfig(), name)
    assert (read_schedule(default) if name == "lr_schedule" else default) == of_a_run


NUMBERS = (None, True, -1, 0, 1, 1024, 1025, 10**7, 10**7 + 1, 0.0, 1e-9, 0.5, np.inf, np.nan)
WORDS = ("stop", "skip", "auto", "eager", "captured", "compiled", "val_loss", "reward", "never")


# Not the schedule: both have it validated by the same model.
@pytest.mark.parametrize("name", [name for name in TRAINING_KEYS if name != "lr_schedule"])
def test_a_training_key_may_be_in_a_run_what_an_estimator_takes(name: str) -> None:
    for value in (*NUMBERS, *WORDS):
        problems = PSANNRegressor(**{name: value}).parameter_problems()
        try:
            TrainingConfig.model_validate({name: value}, strict=True)
            is_fine = True
        except ValueError:
            is_fine = False
        assert is_fine == (problems == []), (value, problems)


@pytest.mark.parametrize(
    "name", sorted({name for c in ESTIMATORS for name in c().get_params()} - {"hidden_layers"})
)
def test_a_parameter_that_estimators_share_has_one_default(name: str) -> None:
    defaults = [c().get_params()[name] for c in ESTIMATORS if name in c().get_params()]
    assert all(default == defaults[0] for default in defaults)


# ---------------------------------------------------------------- every parameter counts

SHARED: dict[str, Any] = {
    "hidden_layers": 2,
    "hidden_units": 9,
    "activation": "tanh",
    "activation_params": {"amplitude": 2.0},
    "epochs": 4,
    "batch_size": 31,
    "lr": 0.02,
    "lr_schedule": "cosine",
    "optimizer": "sgd",
    "weight_decay": 0.1,
    "clip_norm": 1e-3,
    "loss": "mae",
    "patience": 1,
    "monitor": "train_loss",
    "input_noise": 0.2,
    "shuffle": False,
    "scaler": "minmax",
    "target_scaler": "standard",
    "preserve_shape": True,
    "data_format": "channels_last",
    "on_nonfinite": "skip",
    "max_skipped_updates": 3,
    "engine": "eager",
    "threads": None,
    "device": "cuda:77",
    "warm_start": True,
    "random_state": 1,
}
STATEFUL = {"w0": 2.0, "stateful": True, "state": {"rho": 0.5}, "state_reset": "none"}
OWN: dict[Any, dict[str, Any]] = {
    PSANNRegressor: STATEFUL,
    ResPSANNRegressor: {**STATEFUL, "residual_alpha_init": 0.5},
    WaveResNetRegressor: {
        "first_layer_w0": 5.0,
        "hidden_w0": 2.0,
        "first_layer_w0_initial": 3.0,
        "hidden_w0_initial": 3.0,
        "w0_warmup_epochs": 2,
        "progressive_depth_initial": 1,
        "progressive_depth_interval": 1,
        "progressive_depth_growth": 2,
        "residual_alpha_init": 0.5,
        "norm": "rms",
        "dropout": 0.3,
        "use_phase_shift": False,
        "use_film": False,
    },
}
OWN[AssetwiseRegressor] = {"w0": 2.0, "pooling": "mean", "layout": "feature_major"}
# What a parameter belongs to, without which it says only that it plays no part.
BASIS: dict[str, dict[str, Any]] = {
    "layout": {"layout": "asset_major"},
    "state": {"stateful": True},
    "state_reset": {"stateful": True},
    "first_layer_w0_initial": {"w0_warmup_epochs": 2},
    "hidden_w0_initial": {"w0_warmup_epochs": 2},
    "progressive_depth_initial": {"hidden_layers": 4},
    "progressive_depth_interval": {"hidden_layers": 4, "progressive_depth_initial": 1},
    "progressive_depth_growth": {
        "hidden_layers": 4,
        "progressive_depth_initial": 1,
        "progressive_depth_interval": 2,
    },
}


def changes(cls: Any) -> dict[str, Any]:
    taken = cls().get_params()
    return {name: value for name, value in SHARED.items() if name in taken} | OWN[cls]


@pytest.mark.parametrize("cls", ESTIMATORS)
def test_the_changes_cover_every_parameter(cls: Any) -> None:
    assert changes(cls).keys() == cls().get_params().keys()


def trace(cls: Any, name: str, params: dict[str, Any]) -> str:
    """Story of a fit in which the parameter can show what it does."""
    model = quick(cls, **params)
    data: dict[str, Any] = {"X": X, "y": Y, "validation_data": VALIDATION}
    if cls is AssetwiseRegressor:
        assets = np.stack([X, X**2], axis=2)  # (64, 3, 2)
        assets = assets.reshape(64, 6) if name == "layout" else assets
        data = {"X": assets, "y": np.sin(X), "validation_data": (assets[40:], np.sin(X[40:]))}
    if name == "data_format":
        images = X.reshape(32, 3, 2)
        data = {"X": images, "y": images[:, :, 0] @ [1.0, 2.0, 3.0]}
    if name in ("use_phase_shift", "use_film"):
        data |= {"context": X[:, :1]}
        data["validation_data"] = {"X": X, "y": Y, "context": X[:, :1]}
    if name == "patience":
        data["y"] = data["y"] * 0.0 + np.random.default_rng(0).normal(size=data["y"].shape)
    if name == "on_nonfinite":
        model.set_params(loss="user_rewards:unlucky")
    if name == "warm_start":
        story_of(model, **data)
    return story_of(model, **data)


OWN_ROWS = {"layout", "data_format", "use_phase_shift", "use_film", "patience", "on_nonfinite"}


@cache
def usual_trace(cls: Any, name: str, params: tuple[tuple[str, Any], ...]) -> str:
    return trace(cls, name, dict(params))


def each_once() -> list[Any]:
    """Every parameter of every estimator; fast is each with one of those that have it, in turn."""
    names = dict.fromkeys(name for cls in ESTIMATORS for name in changes(cls))
    cases = []
    for number, name in enumerate(names):
        having = [cls for cls in ESTIMATORS if name in changes(cls)]
        one = having[number % len(having)]
        cases += [(cls, name) if cls is one else slow((cls, name)) for cls in having]
    return cases


@pytest.mark.parametrize(("cls", "name"), each_once())
def test_every_parameter_leaves_a_trace(cls: Any, name: str) -> None:
    basis = BASIS.get(name, {})
    usual = {"epochs": 12, "lr": 0.05} if name == "patience" else basis
    changed = {**usual, name: changes(cls)[name]}
    shared = name if name in OWN_ROWS | {"warm_start"} else ""
    assert trace(cls, name, changed) != usual_trace(cls, shared, tuple(usual.items()))


def test_numbers_of_numpy_are_numbers_and_nothing_is_said_of_them() -> None:
    single = {name: np.float32(0.5) for name in ("lr", "weight_decay", "w0", "clip_norm")}
    whole = {name: np.int8(3) for name in ("epochs", "hidden_units", "hidden_layers", "patience")}
    assert PSANNRegressor(**single, **whole).parameter_problems() == []
    for name in single:
        told = PSANNRegressor(**{name: 10**400}).parameter_problems()
        assert len(told) == 1 and name in told[0]


def test_all_problems_of_the_parameters_are_told_at_once() -> None:
    model = PSANNRegressor(
        epochs=0, lr=-1.0, optimizer="adm", lr_schedule={"nam": "x"}, loss="mze",
        hidden_units=True, preserve_shape=True,
    )  # fmt: skip
    problems = model.parameter_problems()
    assert len(problems) == 7
    for word in ("'epochs'", "'lr'", "'optimizer'", "lr_schedule.nam", "loss must", "hidden_units",
                 "preserve_shape must be False"):  # fmt: skip
        assert any(word in problem for problem in problems), word
    with pytest.raises(ValueError, match=r"lr_schedule\.nam") as caught:
        model.fit(X, Y)
    assert str(caught.value).splitlines() == problems
    assert not any(name.endswith("_") for name in vars(model))


@pytest.mark.parametrize(
    "name", [n for n in SHARED if n not in ("loss", "scaler", "target_scaler")]
)
def test_a_parameter_of_the_wrong_kind_is_refused_by_name(name: str) -> None:
    problems = PSANNRegressor(**{name: object()}).parameter_problems()
    assert len(problems) == 1 and f"'{name}'" in problems[0]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"activation_params": {"amplitud": 1}}, r"activation_params\.amplitud is no known key"),
        ({"activation": "tanh", "activation_params": {"amplitude": 2.0}}, "activation_params"),
        ({"lr_schedule": "cosin"}, r"lr_schedule\.name must be one of constant"),
        (
            {"lr_schedule": {"warmup_epochs": 9}, "epochs": 8},
            "warmup_epochs must be at most epochs",
        ),
        (
            {"lr_schedule": {"name": "linear", "lr_min": 1.0}, "lr": 0.5},
            "lr_min must be at most lr",
        ),
        ({"epochs": 10**7 + 1}, r"in the range \[1, 10000000\]"),
        ({"loss": "os.system"}, "loss: 'os.system' belongs to Python itself"),
        ({"loss": "user_rewards:averaged"}, "a loss must give one value per element"),
        ({"loss": "user_rewards:nothing"}, "a loss must give one value .*; got NoneType"),
        ({"loss": "user_rewards:whole"}, "a loss must give real numbers, .* got torch.int64"),
        ({"loss": "user_rewards:shifting"}, "shifting must leave .* has changed targets in place"),
        ({"hidden_layers": 10**9}, r"in the range \[1, 256\]"),
        ({"weight_decay": 10**400}, r"in the range \[0.0, inf\)"),
        ({"w0": 10**400}, r"in the range \(0.0, inf\)"),
        ({"monitor": "val_loss"}, "monitor 'val_loss' cannot be computed here"),
        ({"monitor": "reward"}, "monitor 'reward' cannot be computed here"),
    ],
)
def test_parameters_that_cannot_work_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(X, Y)


def test_a_loss_that_tells_two_things_of_the_same_is_refused_where_it_judges() -> None:
    quick(loss="user_rewards:noisy").fit(X, Y)  # nothing is judged by it
    with pytest.raises(ValueError, match=r"loss user_rewards:noisy must give the same .* asked tw"):
        quick(loss="user_rewards:noisy").fit(X, Y, validation_data=(X, Y))
