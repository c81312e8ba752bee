"""Residual body: normalised two-layer blocks around a skip connection."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from psann.nn.network import Network
from psann.nn.sine import initialised_linear, weight_bound
from psann.nn.units import UnitOptions, pre_activation


class ResidualBlock(nn.Module):
    """``x + alpha act2(w0 fc2(act1(w0 fc1(norm(x)))))`` with a scalar alpha that learns."""

    def __init__(
        self,
        width: int,
        *,
        w0: float,
        alpha: float,
        units: UnitOptions,
        rng: np.random.Generator | None,
    ) -> None:
        super().__init__()
        self.w0 = w0
        bound = weight_bound(width, w0=w0, kind=units.kind)
        self.norm = nn.RMSNorm(width)
        self.fc1 = initialised_linear(width, width, bound=bound, rng=rng)
        self.act1 = units.activation(width)
        self.fc2 = initialised_linear(width, width, bound=bound, rng=rng)
        self.act2 = units.activation(width)
        self.alpha = nn.Parameter(torch.tensor(float(alpha)))
        self.memory = units.memory(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(rows, width)`` to the same shape."""
        branch = self.act1(pre_activation(self.fc1, self.norm(x), self.w0))
        branch = self.memory(self.act2(pre_activation(self.fc2, branch, self.w0)))
        out: Tensor = x + self.alpha * branch
        return out


class ResidualNetwork(Network):
    """Linear map in, residual blocks, RMS norm, linear head.

    Parameters
    ----------
    n_in, n_out : int
        Features and outputs.
    hidden_layers, hidden_units : int
        Number of blocks and width, at least 1.
    w0 : float
        Factor of every pre-activation inside a block, greater than 0.
    residual_alpha_init : float
        First value of each block's alpha.
    units, rng
        As for `psann.nn.dense.DenseNetwork`.

    References
    ----------
    He et al. 2016, "Identity mappings in deep residual networks",
    https://arxiv.org/abs/1603.05027 (pre-activation); Zhang & Sennrich 2019, "Root mean square
    layer normalization", https://arxiv.org/abs/1910.07467
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        hidden_layers: int,
        hidden_units: int,
        w0: float,
        residual_alpha_init: float,
        units: UnitOptions,
        rng: np.random.Generator | None,
    ) -> None:
        super().__init__()
        bound = weight_bound(n_in, w0=w0, kind=units.kind, is_first=True)
        self.stem = initialised_linear(n_in, hidden_units, bound=bound, rng=rng)
        self.blocks = nn.ModuleList(
            ResidualBlock(hidden_units, w0=w0, alpha=residual_alpha_init, units=units, rng=rng)
            for _ in range(hidden_layers)
        )
        self.norm = nn.RMSNorm(hidden_units)
        bound = weight_bound(hidden_units, w0=w0, kind=units.kind)
        self.head = initialised_linear(hidden_units, n_out, bound=bound, rng=rng)

    def forward(
        self, x: Tensor, context: Tensor | None = None, dropout_key: Tensor | None = None
    ) -> Tensor:
        """Outputs ``(rows, n_out)`` of ``(rows, n_in)``."""
        h = self.stem(x)  # (rows, hidden_units)
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.head(self.norm(h))
        return out
