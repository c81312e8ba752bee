"""Optimisers as one expression over a flat vector of weights.

They follow torch.optim to rounding, and are written out because a torch.optim object costs a
second to import and cannot be a pure function of its state.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

OptimizerName = Literal["adam", "adamw", "sgd"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
_LOG_BETA1, _LOG_BETA2 = math.log(_BETA1), math.log(_BETA2)
_MOMENTUM = 0.9


class OptimizerState(NamedTuple):
    """What an optimiser remembers; `moment1` is the velocity of sgd, which has no `moment2`."""

    moment1: Tensor  # (P,)
    moment2: Tensor  # (P,)
    steps: Tensor  # () accepted updates

    @classmethod
    def fresh(cls, weights: Tensor) -> OptimizerState:
        """Before the first step."""
        zeros = torch.zeros_like(weights)
        return cls(zeros, zeros, torch.zeros((), device=weights.device, dtype=weights.dtype))


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Rule by which a gradient moves the weights.

    Parameters
    ----------
    name : {"adam", "adamw", "sgd"}
        Adam with coupled weight decay, Adam with decoupled decay, or descent with momentum 0.9.
    weight_decay : float
        At least 0.
    clip_norm : float or None
        Largest global norm of a gradient; None never clips.

    References
    ----------
    Kingma & Ba 2015, https://arxiv.org/abs/1412.6980; Loshchilov & Hutter 2019,
    https://arxiv.org/abs/1711.05101
    """

    name: OptimizerName
    weight_decay: float = 0.0
    clip_norm: float | None = None

    def step(
        self,
        weights: Tensor,
        gradient: Tensor,
        state: OptimizerState,
        *,
        lr: float | Tensor,
        norm: Tensor,
        decayed: Tensor,
        factors: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, OptimizerState]:
        """Weights and state after one step.

        Parameters
        ----------
        weights, gradient : torch.Tensor
            ``(P,)``.
        state : OptimizerState
            Before the step.
        lr : float or torch.Tensor
            Learning rate, ``()`` where it is a tensor.
        norm : torch.Tensor
            Norm ``()`` of the gradient, for the clip.
        decayed : torch.Tensor
            ``(P,)``, 1 where weight decay applies, else 0.
        factors : tuple of torch.Tensor, optional
            What `factors` gives of this step, where it is known already.
        """
        if self.clip_norm is not None:
            gradient = gradient * ((norm + 1e-6).reciprocal() * self.clip_norm).clamp_max(1.0)
        if self.weight_decay and self.name == "adamw":
            weights = weights - (lr * self.weight_decay) * (decayed * weights)
        elif self.weight_decay:
            gradient = torch.addcmul(gradient, decayed, weights, value=self.weight_decay)
        steps = state.steps + 1.0
        if self.name == "sgd":
            velocity = _MOMENTUM * state.moment1 + gradient
            return weights - lr * velocity, OptimizerState(velocity, state.moment2, steps)
        moment1 = torch.lerp(state.moment1, gradient, 1.0 - _BETA1)
        moment2 = torch.lerp(state.moment2, gradient.square(), 1.0 - _BETA2)
        step_size, share = self.factors(steps, lr) if factors is None else factors
        root = (moment2 / share).sqrt() + _EPSILON
        return weights - step_size * (moment1 / root), OptimizerState(moment1, moment2, steps)

    def factors(self, steps: Tensor, lr: float | Tensor) -> tuple[Tensor, Tensor]:
        """Of steps of Adam, ``lr / (1 - beta1^t)`` and ``1 - beta2^t``, in the shape of t."""
        rate = lr.to(steps.dtype) if isinstance(lr, Tensor) else lr
        # By expm1: the difference itself has four digits left in float32. What a number is divided
        # by torch takes the reciprocal of; a tensor is to give the same.
        factor = torch.expm1(steps * _LOG_BETA1).reciprocal() * -rate
        return factor, -torch.expm1(steps * _LOG_BETA2)
