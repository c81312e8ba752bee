"""The dense estimator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import numpy as np

from psann._published import answers_published
from psann.estimators._base import BasePSANNRegressor
from psann.estimators._parameters import POSITIVE
from psann.estimators._stateful import StatefulMixin
from psann.nn.dense import DenseNetwork
from psann.nn.network import Network, NetworkShape
from psann.nn.sine import first_frequencies
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions
from psann.training.engine import StateReset
from psann.training.engine_choice import EngineName
from psann.training.loop import MonitorName
from psann.training.optimizer import OptimizerName


class PSANNRegressor(StatefulMixin, BasePSANNRegressor):
    """Dense network of sine units, ``hidden_layers`` times ``act(w0 (W h + b))``, then a head.

    Parameters
    ----------
    hidden_layers : int
        Number of hidden layers, at least 1.
    hidden_units : int
        Width of each, at least 1.
    activation : {"psann", "tanh", "relu"}
        Nonlinearity; ``psann`` is the sine with learnable amplitude, frequency and damping.
    activation_params : dict or None
        For ``psann``: ``amplitude``, ``frequency``, ``damping`` (first values), ``damping_mode``
        (abs, relu, none), ``learnable`` (names) and ``bounds`` (name to [low, high]).
        ``frequency`` may be a list, of the units of the first hidden layer. Left out, and with
        ``w0`` at 1, a fit on targets begins with frequencies that suit the number of rows and
        features (`psann.nn.sine.first_frequencies`); a policy, or a stateful network, with 1.
    w0 : float
        Factor of every pre-activation, greater than 0.
    stateful : bool
        Scale each hidden unit by a state that follows its activity.
    state : dict or None
        ``rho``, ``beta``, ``init``, ``max_abs`` of the state; see `psann.nn.state`.
    state_reset : {"batch", "epoch", "none"}
        When the state returns to ``init`` in training.
    epochs : int
        Passes over the rows, or epochs of episodes.
    batch_size : int
        Rows per update of supervised training.
    lr : float
        Peak learning rate, greater than 0.
    lr_schedule : str, dict or None
        constant, linear, cosine, one_cycle or step, or its options; see
        `psann.training.schedules`.
    optimizer : {"adam", "adamw", "sgd"}
        sgd has momentum 0.9.
    weight_decay : float
        At least 0; never touches the sine units' own parameters.
    clip_norm : float or None
        Largest global norm of a gradient.
    loss : str or callable
        mse, mae, huber, log_cosh, ``pkg.mod:function``, or a function (outputs, targets) that
        gives a tensor of their shape.
    patience : int or None
        Epochs without a better monitor before training stops; None never stops.
    monitor : {"auto", "val_reward", "val_loss", "reward", "train_loss"}
        What decides which epoch's weights are kept; auto takes the first that can be computed.
    input_noise : float
        Standard deviation of Gaussian noise on the inputs in supervised training; HISSO has its
        own.
    shuffle : bool
        Random order of rows in supervised training.
    scaler, target_scaler : {"standard", "minmax"}, transformer or None
        scikit-learn transformers fitted on the training rows of X and y.
    preserve_shape : bool
        Must be False: rows of more than one dimension are flattened.
    data_format : {"channels_first", "channels_last"}
        Where the channels of such rows are; flattening puts them outermost.
    on_nonfinite : {"stop", "skip"}
        What an update does whose loss or gradient is not finite; weights never move in it.
    max_skipped_updates : int
        With skip: more than this many raise.
    engine : {"auto", "eager", "compiled", "captured"}
        How updates run: operation by operation, as a compiled program, or as a CUDA graph. auto
        compiles where the planned updates pay for it.
    threads : int or None
        Threads of torch in fit and predict; None chooses by the size of an update.
    device : str
        cpu, cuda, cuda:N or auto.
    warm_start : bool
        A second fit goes on from the weights and scalers of the first.
    random_state : int, RandomState or None
        Seed of weights, shuffles, episodes, noise.

    References
    ----------
    Sitzmann et al. 2020, https://arxiv.org/abs/2006.09661

    Examples
    --------
    >>> import numpy as np
    >>> from psann import PSANNRegressor
    >>> X = np.linspace(-3, 3, 200)[:, None]
    >>> model = PSANNRegressor(hidden_units=16, epochs=20, lr=3e-2, random_state=0)
    >>> bool(model.fit(X, np.sin(2 * X[:, 0])).score(X, np.sin(2 * X[:, 0])) > 0.9)
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BasePSANNRegressor._parameter_constraints,
        **StatefulMixin._parameter_constraints,
        "w0": [POSITIVE],
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
        state = self._state_options()
        first, params = self._unit_params(shape)
        return DenseNetwork(
            shape.n_in,
            shape.n_out,
            hidden_layers=self.hidden_layers,
            hidden_units=self.hidden_units,
            w0=self.w0,
            units=UnitOptions(kind=self.activation, params=params, state=state),
            first_units=UnitOptions(kind=self.activation, params=first, state=state),
            rng=rng,
        )

    def _unit_params(self, shape: NetworkShape) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the units of the first hidden layer, and of the others, begin with."""
        params = dict(self.activation_params or {})
        if isinstance(params.get("frequency"), list | tuple):
            return params, {k: v for k, v in params.items() if k != "frequency"}
        is_told = self.w0 != 1.0 or "frequency" in {*params, *params.get("bounds", {})}
        if self.activation != "psann" or self.stateful or is_told or not shape.n_rows:
            return params, params
        first, others = first_frequencies(self.hidden_units, n_rows=shape.n_rows, n_in=shape.n_in)
        return {**params, "frequency": first}, {**params, "frequency": others}
