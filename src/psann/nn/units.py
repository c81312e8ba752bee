"""What happens behind each linear map of a body: the nonlinearity, and a state if there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from psann.nn.sine import activation
from psann.nn.state import FeatureState, StateOptions


@dataclass(frozen=True, kw_only=True)
class UnitOptions:
    """Nonlinearity of the hidden units.

    `kind` is psann, tanh or relu; `params` are values of `psann.nn.sine.SineOptions`;
    `state` makes the units stateful.
    """

    kind: str = "psann"
    params: Mapping[str, object] | None = None
    state: StateOptions | None = None

    def activation(self, features: int) -> nn.Module:
        """The nonlinearity alone."""
        return activation(self.kind, features, self.params)

    def memory(self, features: int) -> nn.Module:
        """The state alone; the identity where there is none."""
        return nn.Identity() if self.state is None else FeatureState(features, self.state)


def pre_activation(linear: nn.Module, h: Tensor, w0: float | Tensor) -> Tensor:
    """``w0 (W h + b)``: what a nonlinearity is given, and what its weights were drawn for."""
    z: Tensor = linear(h)
    return z if isinstance(w0, float) and w0 == 1.0 else w0 * z
