"""The residual estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from psann._published import answers_published
from psann.estimators._base import BasePSANNRegressor
from psann.estimators._parameters import POSITIVE, REAL
from psann.estimators._stateful import StatefulMixin
from psann.nn.network import Network, NetworkShape
from psann.nn.residual import ResidualNetwork
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions
from psann.training.engine import StateReset
from psann.training.engine_choice import EngineName
from psann.training.loop import MonitorName
from psann.training.optimizer import OptimizerName


class ResPSANNRegressor(StatefulMixin, BasePSANNRegressor):
    """Residual network of sine units: normalised two-layer blocks around a skip connection.

    Parameters
    ----------
    hidden_layers : int
        Number of blocks, at least 1.
    hidden_units : int
        Width, at least 1.
    w0 : float
        Factor of every pre-activation inside a block, greater than 0.
    residual_alpha_init : float
        First weight of each block's branch; it learns.
    activation, activation_params, stateful, state, state_reset, epochs, batch_size, lr, \
lr_schedule, optimizer, weight_decay, clip_norm, loss, patience, monitor, input_noise, shuffle, \
scaler, target_scaler, preserve_shape, data_format, on_nonfinite, max_skipped_updates, engine, \
threads, device, warm_start, random_state
        As for `psann.PSANNRegressor`.

    References
    ----------
    He et al. 2016, https://arxiv.org/abs/1603.05027
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BasePSANNRegressor._parameter_constraints,
        **StatefulMixin._parameter_constraints,
        "w0": [POSITIVE],
        "residual_alpha_init": [REAL],
    }

    @answers_published
    def __init__(
        self,
        *,
        hidden_layers: int = 2,
        hidden_units: int = 64,
        activation: Literal["psann", "tanh", "relu"] = "psann",
        activation_params: dict[str, Any] | None = None,
        w0: float = 1.0,
        residual_alpha_init: float = 0.1,
        stateful: bool = False,
        state: dict[str, Any] | StateOptions | None = None,
        state_reset: StateReset = "batch",
        epochs: int = 200,
        batch_size: int = 32,
        lr: float = 1e-3,
        lr_schedule: str | dict[str, Any] | None = None,
        optimizer: OptimizerName = "adam",
        weight_decay: float = 0.0,
        clip_norm: float | None = 1.0,
        loss: str | Callable[..., Any] = "mse",
        patience: int | None = None,
        monitor: MonitorName | Literal["auto"] = "auto",
        input_noise: float = 0.0,
        shuffle: bool = True,
        scaler: Any = None,
        target_scaler: Any = None,
        preserve_shape: bool = False,
        data_format: Literal["channels_first", "channels_last"] = "channels_first",
        on_nonfinite: Literal["stop", "skip"] = "stop",
        max_skipped_updates: int = 100,
        engine: EngineName = "auto",
        threads: int | None = None,
        device: str = "auto",
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self._store(locals())

    def _build_network(self, shape: NetworkShape, rng: np.random.Generator | None) -> Network:
        self._refuse_context(shape.n_context)
        return ResidualNetwork(
            shape.n_in,
            shape.n_out,
            hidden_layers=self.hidden_layers,
            hidden_units=self.hidden_units,
            w0=self.w0,
            residual_alpha_init=self.residual_alpha_init,
            units=UnitOptions(
                kind=self.activation, params=self.activation_params, state=self._state_options()
            ),
            rng=rng,
        )
