"""Constructor parameters: what they may be, and a sentence for each that cannot."""

from __future__ import annotations

import functools
import sys
from abc import abstractmethod
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)

from psann._imports import import_object
from psann.estimators._arrays import DataFormat
from psann.estimators._options import read_options, read_schedule
from psann.estimators._scaling import SCALERS
from psann.hisso.own_rewards import of_the_user
from psann.losses import LOSSES, Loss
from psann.nn.network import Network, NetworkShape
from psann.nn.sine import SineOptions
from psann.training.engine_choice import ENGINES, EngineName
from psann.training.loop import MonitorName
from psann.training.optimizer import OptimizerName
from psann.training.schedules import LRScheduleOptions


class FloatInterval(Interval):  # type: ignore[misc]
    """Real numbers that a float can hold: integers of Python know no bound."""

    def __contains__(self, value: Any) -> bool:
        """Whether it lies in the interval and is no integer beyond all floats."""
        is_beyond = isinstance(value, Integral) and abs(int(value)) > sys.float_info.max
        return super().__contains__(value) and not is_beyond


POSITIVE = FloatInterval(Real, 0, None, closed="neither")
NOT_NEGATIVE = FloatInterval(Real, 0, None, closed="left")
COUNT = Interval(Integral, 1, None, closed="left")
# Far beyond what can be trained, so that a slip of the keyboard or a hostile file is refused
# before it takes memory.
LAYERS = Interval(Integral, 1, 256, closed="both")
UNITS = Interval(Integral, 1, 65_536, closed="both")
ITERATIONS = Interval(Integral, 1, 10_000_000, closed="both")
COUNT_OR_ZERO = Interval(Integral, 0, None, closed="left")
REAL = FloatInterval(Real, None, None, closed="neither")
# What may change for a fitted network, since it says how to train; everything else is architecture.
TRAINING_PARAMETERS = frozenset(
    [
        *("epochs", "batch_size", "lr", "lr_schedule", "optimizer", "weight_decay", "clip_norm"),
        *("loss", "patience", "monitor", "input_noise", "shuffle", "state_reset", "on_nonfinite"),
        *("max_skipped_updates", "engine", "threads", "device", "warm_start", "random_state"),
    ]
)


class ParametrisedEstimator(BaseEstimator):  # type: ignore[misc]
    """The parameters that all estimators have; a subclass adds its own and builds its network."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "hidden_layers": [LAYERS],
        "hidden_units": [UNITS],
        "activation": [StrOptions({"psann", "tanh", "relu"})],
        "activation_params": [dict, None],
        "epochs": [ITERATIONS],
        "batch_size": [ITERATIONS],
        "lr": [POSITIVE],
        "lr_schedule": [str, dict, LRScheduleOptions, None],
        "optimizer": [StrOptions({*get_args(OptimizerName)})],
        "weight_decay": [NOT_NEGATIVE],
        "clip_norm": [POSITIVE, None],
        "loss": [str, callable],
        "patience": [COUNT, None],
        "monitor": [StrOptions({"auto", *get_args(MonitorName)})],
        "input_noise": [NOT_NEGATIVE],
        "shuffle": ["boolean"],
        "scaler": [StrOptions(set(SCALERS)), HasMethods(["fit", "transform"]), None],
        "target_scaler": [
            StrOptions(set(SCALERS)),
            HasMethods(["fit", "transform", "inverse_transform"]),
            None,
        ],
        "preserve_shape": ["boolean"],
        "data_format": [StrOptions({*get_args(DataFormat)})],
        "on_nonfinite": [StrOptions({"stop", "skip"})],
        "max_skipped_updates": [COUNT],
        "engine": [StrOptions({"auto", *ENGINES})],
        "threads": [Interval(Integral, 1, 1024, closed="both"), None],
        "device": [str],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
    }

    hidden_layers: int
    hidden_units: int
    activation: str
    activation_params: dict[str, Any] | None
    epochs: int
    batch_size: int
    lr: float
    lr_schedule: str | dict[str, Any] | LRScheduleOptions | None
    optimizer: OptimizerName
    weight_decay: float
    clip_norm: float | None
    loss: str | Loss
    patience: int | None
    monitor: MonitorName | Literal["auto"]
    input_noise: float
    shuffle: bool
    scaler: Any
    target_scaler: Any
    preserve_shape: bool
    data_format: DataFormat
    on_nonfinite: str
    max_skipped_updates: int
    engine: EngineName
    threads: int | None
    device: str
    warm_start: bool
    random_state: Any

    _parameters_of_fit: dict[str, Any] | None = None
    """As a file holds them; None while a fit is under way, and where no file could."""

    def _as_fitted(self, name: str) -> Any:
        """A parameter as the fitted network knows it, whatever was set since."""
        return (self._parameters_of_fit or {}).get(name, getattr(self, name))

    @classmethod
    @functools.cache  # scikit-learn asks for the signature at every get_params
    def _get_param_names(cls) -> list[str]:
        names: list[str] = super()._get_param_names()
        return names

    def _store(self, arguments: Mapping[str, Any]) -> None:
        """Set the constructor's arguments as attributes: all that a constructor may do."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    @abstractmethod
    def _build_network(self, shape: NetworkShape, rng: np.random.Generator | None) -> Network:
        """The body of this shape; without `rng` only its shape, on torch's meta device."""

    def parameter_problems(self, *, imports: bool = True) -> list[str]:
        """Every constructor parameter that `fit` would refuse, one sentence each.

        Parameters
        ----------
        imports : bool
            Whether a loss named by its import path may be imported to see if it is there.
        """
        name = type(self).__name__
        refused = self._refused_parameters()
        problems = list(refused.values())
        checks: list[Callable[[], object]] = []
        if "lr_schedule" not in refused:
            is_fitting = not {"lr", "epochs"} & refused.keys()
            checks.append(self._check_schedule if is_fitting else self._schedule)
        if "loss" not in refused and imports:
            checks.append(self._loss)
        if not refused:
            checks.append(self._network_problem)
        for check in checks:
            try:
                check()
            except (ValueError, TypeError) as error:
                problems += [f"{name}: {line}" for line in str(error).splitlines()]
        return problems

    def _refused_parameters(self) -> dict[str, str]:
        """Parameters of the wrong type or out of range, each with a sentence."""
        name = type(self).__name__
        refused = {}
        for key, value in self.get_params(deep=False).items():
            constraints = self._parameter_constraints.get(key, ["no_validation"])
            if isinstance(value, bool) and not {"boolean", "no_validation"} & set(constraints):
                refused[key] = f"The {key!r} parameter of {name} must be no boolean; got {value}."
                continue
            try:
                validate_parameter_constraints({key: constraints}, {key: value}, caller_name=name)
            except InvalidParameterError as error:
                refused[key] = str(error)
        if self.preserve_shape is True:
            refused["preserve_shape"] = (
                f"{name} flattens its inputs: preserve_shape must be False; got True. "
                "Convolutional bodies are not part of this release."
            )
        return refused

    def _network_problem(self) -> None:
        """Raise `ValueError` if the parameters do not describe a network."""
        if self.activation == "psann":
            read_options(SineOptions, self.activation_params or {}, who="activation_params")
        # One layer is as right or wrong as all of them.
        small = type(self)(**{**self.get_params(deep=False), "hidden_layers": 1})
        with torch.device("meta"):
            small._build_network(NetworkShape(n_in=1, n_out=1), None)

    def _schedule(self) -> LRScheduleOptions:
        """The learning-rate schedule; a bare name takes its defaults."""
        return read_schedule(self.lr_schedule)

    def _check_schedule(self) -> None:
        """Raise `ValueError` if there is no such schedule, or not of these epochs and rate."""
        self._schedule().check_fits(lr=self.lr, epochs=self.epochs)

    def _loss(self) -> Loss:
        """The loss by name, import path, or as given."""
        if callable(self.loss):
            name = getattr(self.loss, "__name__", type(self.loss).__name__)
            return of_the_user(self.loss, name=name, kind="loss")
        if self.loss in LOSSES:
            return LOSSES[self.loss]
        if "." not in self.loss and ":" not in self.loss:
            raise ValueError(
                f"loss must be one of {', '.join(LOSSES)}, pkg.mod:function or a function; got "
                f"{self.loss!r}."
            )
        imported: Loss = import_object(self.loss, who="loss")
        return of_the_user(imported, name=self.loss, kind="loss")
