"""A forward pass over a few rows in NumPy, sooner than torch's: what stays is folded beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias, TypeGuard

import numpy as np
import torch
from torch import Tensor, nn

from psann._typing import Floats
from psann.nn.dense import DenseNetwork
from psann.nn.sine import SettledSine

# Of so few numbers NumPy's functions begin sooner. Of many its sine takes three times as long as
# torch's, its exponential half as long with AVX-512 and nearly three times as long without.
_FEW = 2**10
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
        with np.errstate(over="ignore", invalid="ignore"):  # who asked looks at what came out
            for (into, offset), curve in zip(maps, curves, strict=True):
                rows = rows @ into  # (rows, hidden_units)
                rows += offset
                rows = curve(rows)
            rows = rows @ weight
            rows += bias
            return rows

    return outputs


def _is_plain(linear: nn.Module) -> TypeGuard[nn.Linear]:
    return type(linear).forward is nn.Linear.forward and linear.bias is not None


def _folded(
    linear: nn.Linear, gain: Floats | float, factor: Floats | float
) -> tuple[Floats, Floats]:
    """``W^T`` and b of ``factor (W (gain h) + b)``."""
    weight = np.ascontiguousarray(_array(linear.weight).T * np.reshape(gain, (-1, 1)))
    return weight * factor, _array(linear.bias) * factor


def _curve(unit: nn.Module) -> tuple[Floats | float, _Curve, Floats | float] | None:
    """A nonlinearity as ``gain curve(factor z)``."""
    if type(unit) is nn.Tanh:
        return 1.0, lambda z: np.tanh(z, out=z), 1.0
    if type(unit) is nn.ReLU:
        return 1.0, lambda z: np.maximum(z, 0.0, out=z), 1.0
    if type(unit) is not SettledSine:
        return None
    frequency, amplitude = _array(unit.frequency), _array(unit.amplitude)
    if unit.minus_damping is None:
        return frequency, _sine, amplitude
    rate, is_even = _array(unit.minus_damping) / frequency, unit.mode == "abs"

    def damped(z: Floats) -> Floats:
        wave = _sine(z)
        distance = np.abs(z, out=z) if is_even else np.maximum(z, 0.0, out=z)
        distance *= rate
        wave *= _exp(distance)
        return wave

    return frequency, damped, amplitude


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


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().numpy()
    return array
