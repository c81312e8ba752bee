"""The sine unit with learnable amplitude, frequency and damping, and the initialisation for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

DampingMode = Literal["abs", "relu", "none"]
PARAMETER_NAMES = ("amplitude", "frequency", "damping")


class SineParam(nn.Module):
    """Damped sine with parameters per feature.

    ``y = A exp(-d g(z)) sin(f z)`` with ``A = softplus(a)``, ``f = softplus(b) + 1e-6``,
    ``d = softplus(c)`` and ``g`` one of ``|z|``, ``max(z, 0)`` or 0.

    Parameters
    ----------
    features : int
        Size of the last axis.
    amplitude, frequency, damping : float
        Initial A, f and d, greater than 0.
    damping_mode : {"abs", "relu", "none"}
        The function g.
    learnable : sequence of str
        Which of ``amplitude``, ``frequency``, ``damping`` are trained; the rest stay put.
    bounds : mapping of str to (float, float), optional
        Limits of A, f or d, applied after the softplus.

    Raises
    ------
    ValueError
        If a name, mode, initial value or bound is not as described.

    References
    ----------
    Sitzmann et al. 2020, "Implicit neural representations with periodic activation functions",
    https://arxiv.org/abs/2006.09661
    """

    def __init__(
        self,
        features: int,
        *,
        amplitude: float = 1.0,
        frequency: float = 1.0,
        damping: float = 0.1,
        damping_mode: DampingMode = "abs",
        learnable: Sequence[str] = PARAMETER_NAMES,
        bounds: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        super().__init__()
        initial = dict(zip(PARAMETER_NAMES, (amplitude, frequency - 1e-6, damping), strict=True))
        _check_sine_settings(initial, damping_mode, learnable, bounds or {})
        for name, value in initial.items():
            raw = torch.full((features,), math.log(math.expm1(value)))
            if name in learnable:
                self.register_parameter(name, nn.Parameter(raw))
            else:
                self.register_buffer(name, raw)
        self.damping_mode = damping_mode
        self.bounds = {
            name: (float(low), float(high)) for name, (low, high) in (bounds or {}).items()
        }

    def _effective(self, name: str) -> Tensor:
        value = functional.softplus(self.get_parameter_or_buffer(name))
        if name == "frequency":
            value = value + 1e-6
        if name in self.bounds:
            value = value.clamp(*self.bounds[name])
        return value

    def get_parameter_or_buffer(self, name: str) -> Tensor:
        """The raw tensor behind A, f or d."""
        tensor = self.__getattr__(name)
        assert isinstance(tensor, Tensor)
        return tensor

    def forward(self, z: Tensor) -> Tensor:
        """Apply the unit to ``(..., features)``."""
        wave = self._effective("amplitude") * torch.sin(self._effective("frequency") * z)
        if self.damping_mode == "none":
            return wave
        distance = z.abs() if self.damping_mode == "abs" else z.clamp_min(0.0)
        return wave * torch.exp(-self._effective("damping") * distance)


def _check_sine_settings(
    initial: Mapping[str, float],
    damping_mode: str,
    learnable: Sequence[str],
    bounds: Mapping[str, Sequence[float]],
) -> None:
    problems = [
        f"{name} of a sine unit must be greater than 0; got {value:g}."
        for name, value in initial.items()
        if not value > 0 or not math.isfinite(value)
    ]
    if damping_mode not in ("abs", "relu", "none"):
        problems.append(f"damping_mode must be abs, relu or none; got {damping_mode!r}.")
    for name in [*learnable, *bounds]:
        if name not in PARAMETER_NAMES:
            problems.append(
                f"a sine unit has amplitude, frequency and damping to learn or bound; got {name!r}."
            )
    for name, limits in bounds.items():
        if len(limits) != 2 or not 0 <= limits[0] < limits[1]:
            problems.append(
                f"bounds of {name} must be [low, high] with 0 <= low < high; got {limits!r}."
            )
    if problems:
        raise ValueError("\n".join(problems))


def activation(kind: str, features: int, params: Mapping[str, object] | None = None) -> nn.Module:
    """Nonlinearity of a hidden layer.

    Parameters
    ----------
    kind : {"psann", "tanh", "relu"}
        ``psann`` is `SineParam`.
    features : int
        Size of the last axis.
    params : mapping, optional
        Keyword arguments of `SineParam`; refused for the others, which have none.

    Raises
    ------
    ValueError
        If `kind` is unknown, or `params` cannot have an effect.
    """
    if kind == "psann":
        return SineParam(features, **dict(params or {}))  # type: ignore[arg-type]
    if params:
        raise ValueError(f"activation_params apply to activation='psann'; got activation={kind!r}.")
    if kind == "tanh":
        return nn.Tanh()
    if kind == "relu":
        return nn.ReLU()
    raise ValueError(f"activation must be psann, tanh or relu; got {kind!r}.")


def initialised_linear(
    n_in: int, n_out: int, *, bound: float, rng: np.random.Generator | None, bias: bool = True
) -> nn.Linear:
    """Linear layer with weights ``U(-bound, bound)`` and biases ``U(-1/sqrt(n_in), 1/sqrt(n_in))``.

    Drawn from `rng` in NumPy, so that a seed gives the same weights on every device and version.
    Without `rng` it has a shape but no memory, on torch's meta device.
    """
    if rng is None:
        return nn.Linear(n_in, n_out, bias=bias, device="meta")
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, n_in, n_out, bias=bias)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(rng.uniform(-bound, bound, (n_out, n_in))))
        if bias:
            limit = 1.0 / math.sqrt(n_in)
            layer.bias.copy_(torch.from_numpy(rng.uniform(-limit, limit, n_out)))
    return layer


def weight_bound(n_in: int, *, w0: float, kind: str, is_first: bool = False) -> float:
    """Half-width of the uniform initial weights of a layer.

    SIREN's for sine units: ``1 / n_in`` in the first layer, else ``sqrt(6 / n_in) / w0``, meant
    for a forward pass that multiplies the pre-activation by `w0`; ``1 / sqrt(n_in)`` for others.

    References
    ----------
    Sitzmann et al. 2020, section 3.2, https://arxiv.org/abs/2006.09661
    """
    if kind != "psann":
        return 1.0 / math.sqrt(n_in)
    return 1.0 / n_in if is_first else math.sqrt(6.0 / n_in) / w0
