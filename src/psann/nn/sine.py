"""The sine unit with learnable amplitude, frequency and damping, and the initialisation for it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Discriminator, Field, Tag, model_validator
from torch import Tensor, nn
from torch.nn import functional

from psann._models import StrictModel

ParameterName = Literal["amplitude", "frequency", "damping"]

# f is at least this, so that no unit is constant.
_LEAST_FREQUENCY = 1e-6
# Settled on the panel of benchmarks/defaults.py.
_FASTEST, _FEWEST_ALONG_AXIS, _OF_TABLES = 60.0, 5.0, 0.5


Frequency = Annotated[float, Field(gt=_LEAST_FREQUENCY, le=1e6)]
Frequencies = Annotated[
    Annotated[Frequency, Tag("number")]
    | Annotated[tuple[Frequency, ...], Field(min_length=1), Tag("list")],
    # So that what is wrong with one form is not told of the other too.
    Discriminator(lambda given: "list" if isinstance(given, list | tuple) else "number"),
]


class SineOptions(StrictModel):
    """First shape of the sine units, and what of it is trained."""

    amplitude: float = Field(default=1.0, gt=0, le=1e6)
    """Initial A."""
    frequency: Frequencies = 1.0
    """Initial f: of all units, or a list with one for each."""
    damping: float | None = Field(default=None, gt=0, le=1e6)
    """Initial d; null means 0.1."""
    damping_mode: Literal["abs", "relu", "none"] = "abs"
    """The function g: ``|z|``, ``max(z, 0)``, or no damping at all."""
    learnable: tuple[ParameterName, ...] | None = None
    """Names of what is trained; null means everything."""
    bounds: dict[ParameterName, tuple[float, float]] = Field(default_factory=dict)
    """Lowest and highest value of what is trained. Values beyond are clipped and have no gradient,
    so the initial value must lie between."""

    @property
    def initial(self) -> dict[str, tuple[float, ...]]:
        """First values of every parameter that there is: one for all units, or one for each."""
        f = self.frequency
        values = {"amplitude": (self.amplitude,), "frequency": f if isinstance(f, tuple) else (f,)}
        if self.damping_mode != "none":
            values["damping"] = (0.1 if self.damping is None else self.damping,)
        return values

    @property
    def trained(self) -> tuple[str, ...]:
        """Names of the parameters that learn."""
        return tuple(self.initial) if self.learnable is None else self.learnable

    @model_validator(mode="after")
    def _refuse_settings_without_effect(self) -> SineOptions:
        problems = []
        if self.damping_mode == "none" and self.damping is not None:
            problems.append("damping has no effect with damping_mode none; remove it")
        for name in self.trained:
            if name not in self.initial:
                problems.append(f"{name} cannot learn with damping_mode none; remove it")
        for name, (low, high) in self.bounds.items():
            if name not in self.trained:
                problems.append(
                    f"bounds of {name} have no effect: it is not learnable; remove them"
                )
            elif name in self.initial and not all(
                0 <= low < value < high for value in self.initial[name]
            ):
                values = ", ".join(f"{value:g}" for value in self.initial[name])
                problems.append(
                    f"bounds of {name} must be [low, high] with 0 <= low < its initial value "
                    f"{values} < high; got [{low:g}, {high:g}]"
                )
        if problems:
            raise ValueError("; ".join(problems))
        return self


class SineParam(nn.Module):
    """Damped sine with parameters per feature.

    ``y = A exp(-d g(z)) sin(f z)`` with ``A = softplus(a)``, ``f = softplus(b) + 1e-6``,
    ``d = softplus(c)`` and ``g`` one of ``|z|``, ``max(z, 0)`` or 0; without g there is no d.

    Parameters
    ----------
    features : int
        Size of the last axis.
    options : SineOptions
        Initial values, bounds, and what learns.

    References
    ----------
    Sitzmann et al. 2020, "Implicit neural representations with periodic activation functions",
    https://arxiv.org/abs/2006.09661
    """

    def __init__(self, features: int, options: SineOptions) -> None:
        super().__init__()
        self.options = options
        for name, values in options.initial.items():
            if len(values) not in (1, features):
                raise ValueError(
                    f"activation_params: {name} must be one number, or a list of {features}, one "
                    f"for each unit; got {len(values)}."
                )
            offset = _LEAST_FREQUENCY if name == "frequency" else 0.0
            raw = torch.full((features,), _inverse_softplus(values[0] - offset))
            if len(values) > 1:
                raw = torch.tensor([_inverse_softplus(value - offset) for value in values])
            if name in options.trained:
                self.register_parameter(name, nn.Parameter(raw))
            else:
                self.register_buffer(name, raw)

    def forward(self, z: Tensor) -> Tensor:
        """Apply the unit to ``(..., features)``."""
        wave = self._value("amplitude") * torch.sin(self._value("frequency") * z)
        if self.options.damping_mode == "none":
            return wave
        distance = z.abs() if self.options.damping_mode == "abs" else z.clamp_min(0.0)
        return wave * torch.exp(-self._value("damping") * distance)

    def settled(self) -> nn.Module:
        """The unit with A, f and d as they are, without gradient."""
        return SettledSine(self)

    def _value(self, name: ParameterName) -> Tensor:
        """A, f or d, ``(features,)``."""
        raw: Tensor = getattr(self, name)
        value = functional.softplus(raw)
        if name == "frequency":
            value = value + _LEAST_FREQUENCY
        if name in self.options.bounds:
            value = value.clamp(*self.options.bounds[name])
        return value


class SettledSine(nn.Module):
    """What a `SineParam` computes, bit for bit, in place where the memory is its own."""

    def __init__(self, unit: SineParam) -> None:
        super().__init__()
        self.mode = unit.options.damping_mode
        self.amplitude, self.frequency = unit._value("amplitude"), unit._value("frequency")
        self.minus_damping = None if self.mode == "none" else -unit._value("damping")

    def forward(self, z: Tensor) -> Tensor:
        """Apply the unit to ``(..., features)``."""
        wave = torch.mul(z, self.frequency).sin_().mul_(self.amplitude)
        if self.minus_damping is None:
            return wave
        distance = z.abs() if self.mode == "abs" else z.clamp_min(0.0)
        return wave.mul_(distance.mul_(self.minus_damping).exp_())


def _inverse_softplus(value: float) -> float:
    """``ln(exp(v) - 1)``, written so that large values do not overflow."""
    return value + math.log(-math.expm1(-value))


def first_frequencies(
    n_units: int, *, n_rows: int, n_in: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Frequencies that units begin with which must learn fast and slow alike, without being told.

    N rows in a cube ``[-1, 1]^F`` lie ``2 / r`` apart, ``r = N^(1 / F)`` on each axis, and what is
    faster than ``r pi / 2`` cannot be told from them (Nyquist). With five rows along each axis, or
    more, the first layer begins with ``f_k = f_max^(k / (K - 1))``, ``f_max = min(60, r pi / 2)``,
    and the others with 1. With fewer there is nothing to interpolate between, and all begin with
    0.5: nearly linear, so that noise is learnt late.

    Parameters
    ----------
    n_units : int
        K, at least 1.
    n_rows, n_in : int
        N and F, at least 1.

    Returns
    -------
    first, others : tuple of float
        Of the first layer, one for each unit or one for all; of the others, one for all.

    References
    ----------
    Tancik et al. 2020, "Fourier features let networks learn high frequency functions in low
    dimensional domains", https://arxiv.org/abs/2006.10739; Liu et al. 2024, "FINER",
    https://arxiv.org/abs/2312.02434
    """
    rows_along_axis = n_rows ** (1 / n_in)
    if rows_along_axis < _FEWEST_ALONG_AXIS:
        return (_OF_TABLES,), (_OF_TABLES,)
    fastest = min(_FASTEST, math.pi / 2 * rows_along_axis)
    return tuple(fastest ** (k / max(1, n_units - 1)) for k in range(n_units)), (1.0,)


def activation(kind: str, features: int, params: Mapping[str, object] | None = None) -> nn.Module:
    """Nonlinearity of a hidden layer.

    Parameters
    ----------
    kind : {"psann", "tanh", "relu"}
        ``psann`` is `SineParam`.
    features : int
        Size of the last axis.
    params : mapping, optional
        Values of `SineOptions`; refused for the others, which have none.

    Raises
    ------
    ValueError
        If `kind` is unknown, or `params` cannot have an effect.
    """
    if kind == "psann":
        return SineParam(features, SineOptions.model_validate(params or {}))
    if params:
        raise ValueError(f"activation_params apply to activation='psann'; got activation={kind!r}.")
    if kind == "tanh":
        return nn.Tanh()
    if kind == "relu":
        return nn.ReLU()
    raise ValueError(f"activation must be psann, tanh or relu; got {kind!r}.")


class _UndrawnLinear(nn.Linear):
    """Linear layer whose weights are drawn by whoever makes it.

    `nn.utils.skip_init` would do the same by way of the meta device, at the cost of a second: it
    imports SymPy.
    """

    def reset_parameters(self) -> None:
        """Draw nothing."""


def initialised_linear(
    n_in: int, n_out: int, *, bound: float, rng: np.random.Generator | None, bias: bool = True
) -> nn.Linear:
    """Linear layer with weights ``U(-bound, bound)`` and biases ``U(-1/sqrt(n_in), 1/sqrt(n_in))``.

    Drawn from `rng` in NumPy, so that a seed gives the same weights on every device and version.
    Without `rng` it has a shape but no memory, on torch's meta device.
    """
    if rng is None:
        return _UndrawnLinear(n_in, n_out, bias=bias, device="meta")
    layer = _UndrawnLinear(n_in, n_out, bias=bias)
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
