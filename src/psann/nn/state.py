"""Layers that remember: a gain per feature that follows the layer's own activity."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from psann._models import StrictModel


class StateOptions(StrictModel):
    """How the gain of a stateful layer moves."""

    rho: float = Field(0.95, ge=0, le=1)
    """Share of the old state that is kept."""
    beta: float = Field(1.0, ge=0, allow_inf_nan=False)
    """Weight of the layer's mean activity."""
    init: float = Field(1.0, allow_inf_nan=False)
    """State before the first update, and after a reset; not 0, which no activity ever leaves."""
    max_abs: float = Field(5.0, gt=0, allow_inf_nan=False)
    """The state stays inside ``(-max_abs, max_abs)``."""
    detach: Literal[True] = True
    """Gradients never flow through the state: an update's graph ends with the update."""

    @model_validator(mode="after")
    def _refuse_first_state_out_of_range(self) -> StateOptions:
        if not 0 < abs(self.init) < self.max_abs:
            raise ValueError(
                f"init must not be 0 and must lie inside (-max_abs, max_abs) = "
                f"(-{self.max_abs:g}, {self.max_abs:g}); got {self.init:g}"
            )
        return self


class FeatureState(nn.Module):
    """Scale each feature by a state, and propose the next state from what came out.

    ``out = y s``; next ``s = max_abs tanh((rho s + (1 - rho) beta m) / max_abs)`` with ``m`` the
    mean of ``|out|`` over all axes but the feature's. A forward pass only stages the next state;
    training commits it once the optimiser has moved. No gradient flows through the state.

    Parameters
    ----------
    features : int
        Size of the last axis.
    options : StateOptions
        Constants of the recursion.
    """

    state: Tensor

    def __init__(self, features: int, options: StateOptions) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("state", torch.full((features,), options.init))
        self.staged: Tensor | None = None

    def forward(self, y: Tensor) -> Tensor:
        """Scale ``(..., features)`` by the state."""
        out = y * self.state
        o = self.options
        activity = out.detach().abs().flatten(0, -2).mean(0)  # (features,)
        target = o.rho * self.state + (1.0 - o.rho) * o.beta * activity
        self.staged = o.max_abs * torch.tanh(target / o.max_abs)
        return out

    def settled(self) -> nn.Module:
        """The gain alone, with the state as it is."""
        return _Gain(self.state)


class _Gain(nn.Module):
    """What a layer that remembers does while its state stays."""

    state: Tensor

    def __init__(self, state: Tensor) -> None:
        super().__init__()
        self.register_buffer("state", state)

    def forward(self, y: Tensor) -> Tensor:
        return y * self.state


def without_memory(network: nn.Module) -> nn.Module:
    """Let the states of a network, which is changed, stay what they are for good."""
    for name, layer in list(network.named_modules()):
        if isinstance(layer, FeatureState):
            network.set_submodule(name, layer.settled())
    return network


def take_staged_states(network: nn.Module) -> dict[str, Tensor]:
    """Next states that the last forward pass proposed, by buffer name; they are proposed once."""
    states = {}
    for name, layer in network.named_modules():
        if isinstance(layer, FeatureState) and layer.staged is not None:
            states[f"{name}.state"] = layer.staged
            # A tensor of many seeds at once, or of a trace, must not outlive its forward pass.
            layer.staged = None
    return states


def initial_states(network: nn.Module) -> dict[str, Tensor]:
    """States as they are after a reset, by buffer name."""
    return {
        f"{name}.state": torch.full_like(layer.state, layer.options.init)
        for name, layer in network.named_modules()
        if isinstance(layer, FeatureState)
    }
