"""A fit that does not get to its end leaves all as it was, or the best so far."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from psann import PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor, fit_seeds
from psann.estimators._base import BasePSANNRegressor
from psann.training.history import EpochRecord
from psann.training.observers import Observer
from psann.training.state import TrainState
from thinning import thinned

RNG = np.random.default_rng(0)
X, PRICES = RNG.normal(size=(40, 3)), np.exp(RNG.normal(scale=0.1, size=(40, 2)).cumsum(0))
Y = X[:, 0] ** 2
HISSO = {"window": 6, "batch_episodes": 2, "updates_per_epoch": 1, "primary_transform": "softmax"}
KINDS = [PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor]
ARGUMENTS: dict[str, dict[str, Any]] = {
    "targets": {"y": Y},
    "episodes": {"prices": PRICES, "hisso": HISSO},
}


class Stop(Observer):
    """Raises after an epoch, or already before the first."""

    def __init__(self, error: BaseException, *, after: int) -> None:
        self.error, self.after = error, after

    def on_phase_start(self, state: TrainState) -> None:
        if self.after == 0:
            raise self.error

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        if record.epoch == self.after:
            raise self.error


def small(kind: type[BasePSANNRegressor], **params: Any) -> Any:
    sizes = {"hidden_layers": 1, "hidden_units": 4, "scaler": "standard", "random_state": 1}
    return kind(**{**sizes, "epochs": 6, **params})


def everything(estimator: Any) -> dict[str, Any]:
    """Every attribute, with the bits of tensors and arrays."""
    found = copy.deepcopy(vars(estimator))
    for name, value in found.items():
        if isinstance(value, torch.nn.Module):
            found[name] = {key: t.numpy().tobytes() for key, t in value.state_dict().items()}
        elif hasattr(value, "mean_"):
            found[name] = (value.mean_.tobytes(), value.scale_.tobytes())
    return {name: repr(value) for name, value in found.items()}


ACCIDENTS: dict[str, Callable[[Any, dict[str, Any]], object]] = {
    "refused option": lambda e, how: e.fit(X, **{**how, "hisso": {"window": 1}}),
    "refused array": lambda e, how: e.fit(X * np.nan, **how),
    "refused width": lambda e, how: e.fit(X, **how, validation_data={"X": X[:, :1], "y": Y}),
    "refused choice": lambda e, how: e.fit(X, **how, on_interrupt="ask"),
    "error at the start": lambda e, how: e.fit(
        X, **how, observers=[Stop(RuntimeError("x"), after=0)]
    ),
    "error later": lambda e, how: e.fit(X, **how, observers=[Stop(RuntimeError("x"), after=3)]),
    "Ctrl-C at the start": lambda e, how: e.fit(
        X, **how, observers=[Stop(KeyboardInterrupt(), after=0)]
    ),
    "Ctrl-C that raises": lambda e, how: e.fit(
        X, **how, observers=[Stop(KeyboardInterrupt(), after=3)], on_interrupt="raise"
    ),
}


@cache
def begun(kind: type[BasePSANNRegressor], way: str, before: str) -> Any:
    """An estimator with a past; to be copied."""
    estimator = small(kind, warm_start=before == "warm")
    if before != "unfitted":
        # Other rows and another width of the data, unless the network is to be gone on with.
        columns = 3 if before == "warm" else 2
        estimator.fit(X[:, :columns] + 1.0, **ARGUMENTS[way])
    return estimator


@pytest.mark.parametrize(
    ("kind", "way", "before", "accident"),
    thinned(product(KINDS, ARGUMENTS, ["unfitted", "fitted", "warm"], ACCIDENTS), every=7),
)
def test_a_fit_that_raises_leaves_the_estimator_exactly_as_it_was(
    kind: type[BasePSANNRegressor], way: str, before: str, accident: str
) -> None:
    estimator = copy.deepcopy(begun(kind, way, before))
    was = everything(estimator)
    with pytest.raises((ValueError, RuntimeError, KeyboardInterrupt)):
        ACCIDENTS[accident](estimator, ARGUMENTS[way])
    assert everything(estimator) == was


@pytest.mark.parametrize("way", ARGUMENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_ctrl_c_keeps_what_a_fit_of_as_many_epochs_would_have_and_warns(
    kind: type[BasePSANNRegressor], way: str
) -> None:
    stopped, whole = small(kind), small(kind, epochs=3)
    with pytest.warns(UserWarning, match="after 2 of 6 epochs; the best weights so far are kept"):
        # The third epoch is over for the observer, and not yet for the state's own count.
        stopped.fit(X, **ARGUMENTS[way], observers=[AtLaunch(KeyboardInterrupt(), epoch=2)])
    whole.set_params(epochs=2).fit(X, **ARGUMENTS[way])
    assert stopped.fit_result_.stopped_early
    assert stopped.fit_result_.best_epoch == whole.fit_result_.best_epoch
    assert np.array_equal(stopped.predict(X), whole.predict(X))


class AtLaunch(Observer):
    """Raises in the first launch after so many epochs."""

    def __init__(self, error: BaseException, *, epoch: int) -> None:
        self.error, self.epoch = error, epoch

    def on_launch(self, state: TrainState) -> None:
        if state.epoch == self.epoch:
            raise self.error


def test_fit_seeds_keeps_the_best_of_every_seed_and_leaves_its_estimator_alone() -> None:
    estimator = small(PSANNRegressor)
    was = everything(estimator)
    with pytest.warns(UserWarning, match="after 2 of 6"):
        members = fit_seeds(
            estimator, [1, 2], X, Y, observers=[AtLaunch(KeyboardInterrupt(), epoch=2)]
        )
    assert [member.best_epoch_ for member in members] == [
        small(PSANNRegressor, epochs=2, random_state=seed).fit(X, Y).best_epoch_ for seed in (1, 2)
    ]
    with pytest.raises(RuntimeError):
        fit_seeds(estimator, [1, 2], X, Y, observers=[AtLaunch(RuntimeError(), epoch=2)])
    assert everything(estimator) == was
