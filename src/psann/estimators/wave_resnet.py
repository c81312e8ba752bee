"""The WaveResNet estimator."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions

from psann._published import answers_published
from psann.estimators._base import BasePSANNRegressor
from psann.estimators._parameters import COUNT, COUNT_OR_ZERO, POSITIVE, REAL
from psann.nn.network import Network, NetworkShape
from psann.nn.units import UnitOptions
from psann.nn.wave_resnet import WaveOptions, WaveResNet
from psann.training.engine_choice import EngineName
from psann.training.loop import MonitorName
from psann.training.optimizer import OptimizerName


class WaveResNetRegressor(BasePSANNRegressor):
    """WaveResNet: a sine stem of high frequency, then sine blocks around a skip connection.

    The default ``first_layer_w0`` of 30 suits signals that vary quickly within inputs of unit size;
    smooth targets want a smaller one, such as 3.

    Parameters
    ----------
    hidden_layers : int
        Number of blocks, at least 1.
    hidden_units : int
        Width, at least 1.
    first_layer_w0, hidden_w0 : float
        Factor of the stem's and of the blocks' pre-activations, greater than 0.
    first_layer_w0_initial, hidden_w0_initial : float or None
        Where a warm-up of these factors begins; None is 1.
    w0_warmup_epochs : int
        Epochs over which they go linearly to their target; 0 starts at the target.
    progressive_depth_initial : int or None
        Blocks in the first epoch; None uses all from the start.
    progressive_depth_interval, progressive_depth_growth : int
        Every so many epochs, so many blocks join.
    residual_alpha_init : float
        First weight of each block's branch; it learns.
    norm : {"none", "rms", "weight"}
        RMS norm before each block, or weight norm of its linear maps.
    dropout : float
        Share of hidden units dropped in training, in [0, 1).
    use_phase_shift, use_film : bool
        What a context does to a block: shift the phase of its sines; scale and shift its output.
    activation, activation_params, epochs, batch_size, lr, lr_schedule, optimizer, weight_decay, \
clip_norm, loss, patience, monitor, input_noise, shuffle, scaler, target_scaler, preserve_shape, \
data_format, on_nonfinite, max_skipped_updates, engine, threads, device, warm_start, random_state
        As for `psann.PSANNRegressor`.

    References
    ----------
    Sitzmann et al. 2020, https://arxiv.org/abs/2006.09661; Perez et al. 2018,
    https://arxiv.org/abs/1709.07871
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BasePSANNRegressor._parameter_constraints,
        "first_layer_w0": [POSITIVE],
        "hidden_w0": [POSITIVE],
        "first_layer_w0_initial": [POSITIVE, None],
        "hidden_w0_initial": [POSITIVE, None],
        "w0_warmup_epochs": [COUNT_OR_ZERO],
        "progressive_depth_initial": [COUNT, None],
        "progressive_depth_interval": [COUNT],
        "progressive_depth_growth": [COUNT],
        "residual_alpha_init": [REAL],
        "norm": [StrOptions({"none", "rms", "weight"})],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "use_phase_shift": ["boolean"],
        "use_film": ["boolean"],
    }

    @answers_published
    def __init__(
        self,
        *,
        hidden_layers: int = 4,
        hidden_units: int = 64,
        activation: Literal["psann", "tanh", "relu"] = "psann",
        activation_params: dict[str, Any] | None = None,
        first_layer_w0: float = 30.0,
        hidden_w0: float = 1.0,
        first_layer_w0_initial: float | None = None,
        hidden_w0_initial: float | None = None,
        w0_warmup_epochs: int = 0,
        progressive_depth_initial: int | None = None,
        progressive_depth_interval: int = 10,
        progressive_depth_growth: int = 1,
        residual_alpha_init: float = 0.1,
        norm: Literal["none", "rms", "weight"] = "none",
        dropout: float = 0.0,
        use_phase_shift: bool = True,
        use_film: bool = True,
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
        if not self.w0_warmup_epochs:
            for name in ("first_layer_w0_initial", "hidden_w0_initial"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} has no effect without w0_warmup_epochs; remove it.")
        options = WaveOptions(
            hidden_layers=self.hidden_layers,
            hidden_units=self.hidden_units,
            first_layer_w0=self.first_layer_w0,
            hidden_w0=self.hidden_w0,
            first_layer_w0_initial=self.first_layer_w0_initial,
            hidden_w0_initial=self.hidden_w0_initial,
            w0_warmup_epochs=self.w0_warmup_epochs,
            progressive_depth_initial=self.progressive_depth_initial,
            progressive_depth_interval=self.progressive_depth_interval,
            progressive_depth_growth=self.progressive_depth_growth,
            residual_alpha_init=self.residual_alpha_init,
            norm=self.norm,
            dropout=self.dropout,
            n_context=shape.n_context,
            use_phase_shift=self.use_phase_shift,
            use_film=self.use_film,
            units=UnitOptions(kind=self.activation, params=self.activation_params),
        )
        return WaveResNet(shape.n_in, shape.n_out, options=options, rng=rng)
