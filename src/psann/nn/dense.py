"""Dense body: hidden layers of linear map and nonlinearity, then a linear head."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from psann.nn.network import Network
from psann.nn.sine import initialised_linear, weight_bound
from psann.nn.units import UnitOptions, pre_activation


class DenseNetwork(Network):
    """``hidden_layers`` times ``act(w0 (W h + b))``, then ``W h + b``.

    Parameters
    ----------
    n_in, n_out : int
        Features and outputs.
    hidden_layers, hidden_units : int
        Depth and width, at least 1.
    w0 : float
        Factor of every pre-activation, greater than 0.
    units : UnitOptions
        Nonlinearity and state of the hidden layers.
    first_units : UnitOptions or None
        Those of the first hidden layer where they begin otherwise.
    rng : numpy.random.Generator or None
        Source of the initial weights; without one the body has a shape but no memory.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        hidden_layers: int,
        hidden_units: int,
        w0: float,
        units: UnitOptions,
        rng: np.random.Generator | None,
        first_units: UnitOptions | None = None,
    ) -> None:
        super().__init__()
        self.w0 = w0
        self.linears = nn.ModuleList()
        self.activations = nn.ModuleList()
        width = n_in
        for layer in range(hidden_layers):
            bound = weight_bound(width, w0=w0, kind=units.kind, is_first=layer == 0)
            self.linears.append(initialised_linear(width, hidden_units, bound=bound, rng=rng))
            of_layer = first_units if first_units is not None and layer == 0 else units
            memory = () if units.state is None else (units.memory(hidden_units),)
            self.activations.append(nn.Sequential(of_layer.activation(hidden_units), *memory))
            width = hidden_units
        bound = weight_bound(width, w0=w0, kind=units.kind)
        self.head = initialised_linear(width, n_out, bound=bound, rng=rng)

    def forward(
        self, x: Tensor, context: Tensor | None = None, dropout_key: Tensor | None = None
    ) -> Tensor:
        """Outputs ``(rows, n_out)`` of ``(rows, n_in)``."""
        for linear, unit in zip(self.linears, self.activations, strict=True):
            x = unit(pre_activation(linear, x, self.w0))  # (rows, hidden_units)
        out: Tensor = self.head(x)
        return out
