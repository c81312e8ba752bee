"""A forward pass in NumPy, sooner than torch's on one thread: what stays is folded beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from psann._typing import Floats
from psann.nn.dense import DenseNetwork
from psann.nn.sine import SettledSine

# Of so few numbers NumPy's functions begin sooner than torch's, and its sine than a tangent.
_FEW = 2**10
# With it NumPy's tangent and exponential of many numbers take half the time of torch's sine and
# exponential, and without it three times as long.
_HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"
_Curve: TypeAlias = Callable[[Floats], Floats]  # its argument is overwritten
HostPass: TypeAlias = Callable[[Floats], Floats]


def host_pass(network: nn.Module) -> HostPass | None:
    """The outputs of a settled network in float64, ``(rows, n_in) -> (rows, n_out)``, on the CPU.

    What follows a linear map of the rows is one with it: ``A`` of a sine unit with the next map,
    ``f`` and `w0` with the one before. So the bits are not torch's: NumPy's products, ``tanh`` and
    ``exp`` and other roundings differ by some 1e-16 of the largest number on the way.

    Parameters
    ----------
    network : nn.Module
        As `psann.nn.settled` prepares it; not read any more afterwards.

    Returns
    -------
    callable or None
        For any number of threads; None for a body that is not dense, or has other units.
    """
    if type(network) is not DenseNetwork:
        return None
    maps: list[tuple[Floats, Floats]] = []
    curves: list[_Curve] = []
    gain: Floats | float = 1.0
    for linear, unit in zip(network.linears, network.activations, strict=True):
        found = _curve(unit)
        if found is None or not _is_plain(linear):
            return None
        factor, curve, next_gain = found
        maps.append(_folded(linear, gain, network.w0 * factor))
        curves.append(curve)
        gain = next_gain
    if not _is_plain(network.head):
        return None
    weight, bias = _folded(network.head, gain, 1.0)

    def outputs(rows: Floats) -> Floats:
        h = rows.T  # what differs by unit is then done by long rows, in half the time
        with np.errstate(over="ignore", invalid="ignore"):  # who asked looks at what came out
            for (into, offset), curve in zip(maps, curves, strict=True):
                h = into @ h  # (hidden_units, rows)
                h += offset
                h = curve(h)
            h = weight @ h  # (n_out, rows)
            h += bias
        return np.ascontiguousarray(h.T)

    return outputs


def _is_plain(linear: nn.Module) -> TypeGuard[nn.Linear]:
    return type(linear).forward is nn.Linear.forward and linear.bias is not None


def _folded(
    linear: nn.Linear, gain: Floats | float, factor: Floats | float
) -> tuple[Floats, Floats]:
    """W and b, a column, of ``factor (W (gain h) + b)``."""
    row = np.reshape(gain, (1, -1))
    return _array(linear.weight) * row * factor, _column(linear.bias) * factor


def _curve(unit: nn.Module) -> tuple[Floats | float, _Curve, Floats | float] | None:
    """A nonlinearity as ``gain curve(factor z)``, by columns."""
    if type(unit) is nn.Tanh:
        return 1.0, lambda z: np.tanh(z, out=z), 1.0
    if type(unit) is nn.ReLU:
        return 1.0, lambda z: np.maximum(z, 0.0, out=z), 1.0
    if type(unit) is not SettledSine:
        return None
    sine, part = (_half_sine, 0.5) if _HAS_AVX512 else (_sine, 1.0)
    factor, gain = part * _column(unit.frequency), _column(unit.amplitude) / part
    if unit.minus_damping is None:
        return factor, sine, gain
    rate, is_even = _column(unit.minus_damping) / factor, unit.mode == "abs"

    def damped(z: Floats) -> Floats:
        wave = sine(z)
        distance = np.abs(z, out=z) if is_even else np.maximum(z, 0.0, out=z)
        distance *= rate
        wave *= _exp(distance)
        return wave

    return factor, damped, gain


def _half_sine(z: Floats) -> Floats:
    """``sin(2 z) / 2 = t / (1 + t^2)`` with ``t = tan(z)``."""
    if z.size < _FEW:
        wave: Floats = np.sin(z + z)
        wave *= 0.5
        return wave
    wave = np.tan(z)
    whole = wave * wave
    whole += 1.0
    wave /= whole
    return wave


def _sine(z: Floats) -> Floats:
    if z.size < _FEW:
        return np.sin(z)
    wave: Floats = torch.from_numpy(z).sin().numpy()
    return wave


def _exp(z: Floats) -> Floats:
    if z.size < _FEW or _HAS_AVX512:
        return np.exp(z, out=z)
    decayed: Floats = torch.from_numpy(z).exp_().numpy()
    return decayed


def _column(tensor: Tensor) -> Floats:
    return _array(tensor)[:, None]


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().numpy()
    return array
