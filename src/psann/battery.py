"""A battery behind the meter: what is earned with it, made data, and rules to compare with.

An example of a problem that is no portfolio. One action says how full the battery is at the end of
each hour; the reward is given price and demand by name. The prices are made, and of no market.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from psann._typing import AnyFloats, Array, is_whole
from psann.errors import DataError
from psann.market.cutting import spans

CAPACITY, EFFICIENCY, FEED_IN = 3.0, 0.95, 0.8
_FIRST_HOUR = np.datetime64("2024-01-01T00", "h")
_FEWEST_DAYS = 20
_LOOKBACK = 24


def savings(
    actions: Tensor,
    *,
    price: Tensor,
    demand: Tensor,
    transition_penalty: float | Tensor,
    capacity: float = CAPACITY,
    efficiency: float = EFFICIENCY,
    feed_in: float = FEED_IN,
) -> Tensor:
    """Money saved per hour against having no battery, less its wear: the mean over an episode.

    ``e_t = capacity a_t`` is stored at the end of hour t; it is 0 before the first hour and after
    the last. Charging takes ``(e_t - e_{t-1}) / efficiency`` from the grid, discharging gives
    ``efficiency (e_{t-1} - e_t)``. With ``g_t``, demand and this, an hour costs ``price_t g_t``, or
    ``feed_in price_t g_t`` where ``g_t < 0`` is fed into the grid, and `transition_penalty` for
    each unit of energy that goes into the battery or comes out of it.

    Parameters
    ----------
    actions : torch.Tensor
        Shares of the capacity, in [0, 1], ``(B, T, 1)``: an hour is enough to fill or empty it.
    price, demand : torch.Tensor
        Of a unit of energy, and units of energy in an hour, ``(B, T, 1)``.
    transition_penalty : float or torch.Tensor
        Wear in money per unit of energy.
    capacity : float
        Units of energy.
    efficiency : float
        One way, in (0, 1].
    feed_in : float
        Share of the price that is paid for what is fed in.

    Returns
    -------
    torch.Tensor
        ``(B,)``; 0 for actions of 0.
    """
    stored = torch.nn.functional.pad(capacity * actions[:, :-1, 0], (1, 1))  # (B, T + 1)
    change = stored.diff(dim=-1)  # (B, T)
    price, demand = price[..., 0], demand[..., 0]
    grid = demand + torch.where(change > 0, change / efficiency, change * efficiency)
    cost = price * torch.where(grid > 0, grid, feed_in * grid)
    return (price * demand - cost - transition_penalty * change.abs()).mean(dim=-1)


def do_nothing(time: ArrayLike) -> AnyFloats:
    """The battery stays empty: actions of 0, ``(n, 1)``."""
    return np.zeros((len(np.asarray(time)), 1))


def fixed_hours(time: ArrayLike, *, full_from: int = 3, empty_from: int = 12) -> AnyFloats:
    """Full between two hours of every day, by default from the night until noon: ``(n, 1)``.

    Parameters
    ----------
    time : array-like of shape (n,)
        Dates of the hours.
    full_from, empty_from : int
        Hours in which it is filled and emptied, from 0 to 23.
    """
    hour = np.asarray(time).astype("datetime64[h]").astype(np.int64) % 24
    is_full = (hour - full_from) % 24 < (empty_from - full_from) % 24
    return is_full.astype(np.float64)[:, None]


def make_battery(n_days: int = 365, *, seed: int = 0) -> dict[str, Array]:
    """Hours of made prices and demand of a house, with what is known of each in time.

    Nights are cheap. Noon is dear under clouds and cheap, at times below 0, when the sun shines,
    which is foretold for the day; evenings are dear. Noise lasts for some hours.

    Parameters
    ----------
    n_days : int
        Days of 24 hours, at least 20; the first is history only. Of the others 0.6 are for
        training, 0.2 for validation, 0.2 for test.
    seed : int
        Fixes every draw.

    Returns
    -------
    dict of str to ndarray
        `X_* (n, 9)`, `price_*` and `demand_* (n,)` in money per unit and units of energy,
        `time_* (n,)` dates, `feature_names`. Row t of X knows the price of hour t and the demand
        until the hour before.

    Raises
    ------
    DataError
        If there are too few days, or the seed is none.

    Examples
    --------
    >>> data = make_battery(30)
    >>> data["X_train"].shape, data["price_test"].shape
    ((408, 9), (144,))
    """
    for name, value, least in (("n_days", n_days, _FEWEST_DAYS), ("seed", seed, 0)):
        if not is_whole(value, least):
            raise DataError(f"{name} must be a whole number of at least {least}; got {value!r}.")
    rng = np.random.default_rng(seed)
    n_hours = 24 * n_days
    hour = np.arange(n_hours) % 24.0
    at_noon = _around(hour, 12.5, 2.5)
    sun = rng.beta(0.7, 0.7, n_days)
    foretold = np.clip(sun + 0.1 * rng.normal(size=n_days), 0.0, 1.0).repeat(24)
    price = 0.22 + 0.22 * (0.9 - 1.9 * sun.repeat(24)) * at_noon + _lasting(rng, n_hours, 0.02)
    price += 0.16 * _around(hour, 19.0, 1.5) - 0.08 * _around(hour, 3.0, 2.5)
    demand = 0.4 + 0.5 * _around(hour, 7.5, 1.5) + 1.2 * _around(hour, 19.5, 2.0)
    demand = np.maximum(demand * (1 + _lasting(rng, n_hours, 0.15)), 0.05)
    rows = np.arange(_LOOKBACK, n_hours)
    turns = 2 * np.pi * hour[rows, None] * np.array([1, 2]) / 24
    features = {
        "price": price[rows],
        "price a day ago": price[rows - 24],
        "demand an hour ago": demand[rows - 1],
        "sun foretold": foretold[rows],
        "sun foretold at noon": (foretold * at_noon)[rows],
        **{f"sine of {k} turns a day": np.sin(turns[:, k - 1]) for k in (1, 2)},
        **{f"cosine of {k} turns a day": np.cos(turns[:, k - 1]) for k in (1, 2)},
    }
    X, time = np.column_stack([*features.values()]), _FIRST_HOUR + rows
    n_train, n_val = (24 * round(share * (n_days - 1)) for share in (0.6, 0.2))
    data: dict[str, Array] = {"feature_names": np.array([*features])}
    for split, part in spans(len(rows), (0, n_train, n_train + n_val)).items():
        data[f"X_{split}"], data[f"time_{split}"] = X[part], time[part]
        data[f"price_{split}"], data[f"demand_{split}"] = price[rows][part], demand[rows][part]
    return data


def _around(hour: AnyFloats, middle: float, width: float) -> AnyFloats:
    """A hill over the hours of a day, 1 at its middle."""
    distance = (hour - middle + 12) % 24 - 12
    hill: AnyFloats = np.exp(-0.5 * (distance / width) ** 2)
    return hill


def _lasting(rng: np.random.Generator, n: int, deviation: float) -> AnyFloats:
    """Noise of which nine tenths last from hour to hour."""
    noise, draws = np.zeros(n), rng.normal(size=n) * deviation * np.sqrt(1 - 0.9**2)
    for t in range(1, n):
        noise[t] = 0.9 * noise[t - 1] + draws[t]
    return noise
