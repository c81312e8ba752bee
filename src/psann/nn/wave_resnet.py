"""WaveResNet: a sine stem of high frequency and sine blocks around a skip connection."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from psann._seed import hashed_uniform, layer_key
from psann.nn.network import Network
from psann.nn.sine import initialised_linear, weight_bound
from psann.nn.units import UnitOptions, pre_activation


@dataclass(frozen=True, kw_only=True)
class WaveOptions:
    """Shape of a `WaveResNet`; `psann.estimators.wave_resnet` describes each value."""

    hidden_layers: int
    hidden_units: int
    first_layer_w0: float = 30.0
    hidden_w0: float = 1.0
    first_layer_w0_initial: float | None = None
    hidden_w0_initial: float | None = None
    w0_warmup_epochs: int = 0
    progressive_depth_initial: int | None = None
    progressive_depth_interval: int = 10
    progressive_depth_growth: int = 1
    residual_alpha_init: float = 0.1
    norm: str = "none"
    dropout: float = 0.0
    n_context: int = 0
    use_phase_shift: bool = True
    use_film: bool = True
    units: UnitOptions = field(default_factory=UnitOptions)


class WeightNormLinear(nn.Module):
    """Linear map whose rows have a direction and a length apart: ``W = g v / |v|``, row by row.

    It begins as the map that it is made from. torch's own parametrisation cannot be pickled.

    References
    ----------
    Salimans & Kingma 2016, https://arxiv.org/abs/1602.07868
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        length = weight.new_empty(len(weight), 1)
        if not weight.is_meta:  # where a norm costs three seconds of imports
            torch.linalg.vector_norm(weight, dim=1, keepdim=True, out=length)
        self.direction = nn.Parameter(weight)
        self.length = nn.Parameter(length)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., n_in)`` to ``(..., n_out)``."""
        unit = self.direction / torch.linalg.vector_norm(self.direction, dim=1, keepdim=True)
        return nn.functional.linear(x, self.length * unit, self.bias)


class WaveBlock(nn.Module):
    """``h + alpha W2 FiLM(act(w0 (W1 norm(h) + b1) + P c))``, with dropout before W2.

    FiLM is ``(1 + G c) v + B c`` without biases, so that a zero context leaves the block alone.
    """

    def __init__(
        self, options: WaveOptions, *, number: int, rng: np.random.Generator | None
    ) -> None:
        super().__init__()
        width = options.hidden_units
        bound = weight_bound(width, w0=options.hidden_w0, kind=options.units.kind)
        self.number = number
        self.dropout = options.dropout
        self.norm = nn.RMSNorm(width) if options.norm == "rms" else nn.Identity()
        self.fc1: nn.Module = initialised_linear(width, width, bound=bound, rng=rng)
        self.act = options.units.activation(width)
        self.fc2: nn.Module = initialised_linear(width, width, bound=bound, rng=rng)
        if options.norm == "weight":
            self.fc1, self.fc2 = WeightNormLinear(self.fc1), WeightNormLinear(self.fc2)
        self.alpha = nn.Parameter(torch.tensor(float(options.residual_alpha_init)))
        n_context = options.n_context
        self.phase = self.film = None
        if n_context and options.use_phase_shift:
            self.phase = _context_map(n_context, width, rng)
        if n_context and options.use_film:
            self.film = _context_map(n_context, 2 * width, rng)

    def forward(
        self, h: Tensor, context: Tensor | None, w0: float | Tensor, dropout_key: Tensor | None
    ) -> Tensor:
        """Map ``(rows, width)`` to the same shape."""
        z = pre_activation(self.fc1, self.norm(h), w0)
        if self.phase is not None:
            z = z + self.phase(context)
        v = self.act(z)
        if self.film is not None:
            gain, shift = self.film(context).chunk(2, dim=-1)  # 2 x (rows, width)
            v = (1.0 + gain) * v + shift
        if dropout_key is not None and self.dropout:
            kept = hashed_uniform(layer_key(dropout_key, self.number), v.shape) >= self.dropout
            v = v * kept / (1.0 - self.dropout)
        out: Tensor = h + self.alpha * self.fc2(v)
        return out


def _context_map(n_context: int, width: int, rng: np.random.Generator | None) -> nn.Linear:
    # Small first weights: the context starts as a nudge, not as a second input layer.
    return initialised_linear(n_context, width, bound=0.1 / n_context**0.5, rng=rng, bias=False)


class WaveResNet(Network):
    """Stem ``act(w0 (W x + b))``, blocks, linear head; frequencies and depth grow by epoch.

    Parameters
    ----------
    n_in, n_out : int
        Features and outputs.
    options : WaveOptions
        Shape and schedules.
    rng : numpy.random.Generator or None
        Source of the initial weights; without one the body has a shape but no memory.

    Raises
    ------
    ValueError
        If there is a context and nothing that uses it.

    References
    ----------
    Sitzmann et al. 2020, https://arxiv.org/abs/2006.09661; Perez et al. 2018, "FiLM: visual
    reasoning with a general conditioning layer", https://arxiv.org/abs/1709.07871
    """

    def __init__(
        self, n_in: int, n_out: int, *, options: WaveOptions, rng: np.random.Generator | None
    ) -> None:
        super().__init__()
        if options.n_context and not (options.use_phase_shift or options.use_film):
            raise ValueError(
                "a context has no effect without use_phase_shift or use_film; set one or leave "
                "the context out."
            )
        self.options = options
        self.dropout = options.dropout
        width, kind = options.hidden_units, options.units.kind
        bound = weight_bound(n_in, w0=options.first_layer_w0, kind=kind, is_first=True)
        self.stem = initialised_linear(n_in, width, bound=bound, rng=rng)
        self.stem_act = options.units.activation(width)
        self.blocks = nn.ModuleList(
            WaveBlock(options, number=number, rng=rng) for number in range(options.hidden_layers)
        )
        bound = weight_bound(width, w0=options.hidden_w0, kind=kind)
        self.head = initialised_linear(width, n_out, bound=bound, rng=rng)
        if options.w0_warmup_epochs:
            self.epoch_factors = ("first_layer_w0", "hidden_w0")
        self.set_epoch(0)

    @property
    def stage(self) -> int:
        """Number of blocks that have joined."""
        return self.active_depth

    @property
    def n_stages(self) -> int:
        """Depths that there are, from the first to the last."""
        o = self.options
        if o.progressive_depth_initial is None:
            return 1
        missing = max(0, o.hidden_layers - o.progressive_depth_initial)
        return 1 + math.ceil(missing / o.progressive_depth_growth)

    def set_epoch(self, epoch: int) -> None:
        """Set w0 and depth of an epoch (1 is the first; 0 counts as 1).

        w0 goes linearly from its initial value in epoch 1 to its target in epoch
        ``w0_warmup_epochs + 1``; ``progressive_depth_growth`` blocks join every
        ``progressive_depth_interval`` epochs.
        """
        o = self.options
        done = max(0, epoch - 1)
        share = min(1.0, done / o.w0_warmup_epochs) if o.w0_warmup_epochs else 1.0
        first = 1.0 if o.first_layer_w0_initial is None else o.first_layer_w0_initial
        hidden = 1.0 if o.hidden_w0_initial is None else o.hidden_w0_initial
        self.first_layer_w0 = first + (o.first_layer_w0 - first) * share
        self.hidden_w0 = hidden + (o.hidden_w0 - hidden) * share
        depth = o.hidden_layers
        if o.progressive_depth_initial is not None:
            steps = done // o.progressive_depth_interval
            depth = min(depth, o.progressive_depth_initial + steps * o.progressive_depth_growth)
        self.active_depth = depth

    def undecayed_parameters(self) -> set[str]:
        """Sine shapes, and the blocks that have not joined yet: they keep their first weights."""
        waiting = {
            name
            for name, _ in self.named_parameters()
            if name.startswith("blocks.") and int(name.split(".")[1]) >= self.active_depth
        }
        return super().undecayed_parameters() | waiting

    def forward(
        self, x: Tensor, context: Tensor | None = None, dropout_key: Tensor | None = None
    ) -> Tensor:
        """Outputs ``(rows, n_out)`` of ``(rows, n_in)`` and context ``(rows, n_context)``."""
        h = self.stem_act(pre_activation(self.stem, x, self.first_layer_w0))  # (rows, width)
        for block in self.blocks[: self.active_depth]:
            h = block(h, context, self.hidden_w0, dropout_key)
        out: Tensor = self.head(h)
        return out
