"""Series without an edge: independent, dependent, and with clusters of volatility."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_BURN_IN = 200


def independent(draws: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Series ``(n_series, n)`` of standard normal numbers."""
    return draws.standard_normal(shape)


def autoregressive(draws: np.random.Generator, shape: tuple[int, int], phi: float = 0.3) -> Floats:
    """``x_t = phi x_{t-1} + e_t``."""
    noise = draws.standard_normal((shape[0], shape[1] + _BURN_IN))
    for t in range(1, noise.shape[1]):
        noise[:, t] += phi * noise[:, t - 1]
    return noise[:, _BURN_IN:]


def garch(draws: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """GARCH(1, 1) of unit variance, ``h_t = 0.02 + 0.1 x_{t-1}^2 + 0.88 h_{t-1}``."""
    noise = draws.standard_normal((shape[0], shape[1] + _BURN_IN))
    variance = np.ones(shape[0])
    for t in range(noise.shape[1]):
        noise[:, t] *= np.sqrt(variance)
        variance = 0.02 + 0.1 * noise[:, t] ** 2 + 0.88 * variance
    return noise[:, _BURN_IN:]


NOISES = {"iid": independent, "ar_0.3": autoregressive, "garch": garch}
