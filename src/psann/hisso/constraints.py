"""What no action may exceed: limits on single weights, on their gross and on their net sum.

Each is a part of the transform, so that training feels it: exact, differentiable but at its edges,
and without a change to rows that obey it anyway. Where `active (..., M)` says who can be held,
limits are kept by members alone; what they leave over is cash.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from psann.hisso.options import HISSOOptions
from psann.hisso.transforms import TRANSFORMS, Transform, long_short, tanh
from psann.holdings import MEMBER

# Outputs that far below the highest are alike: a softmax in float32 barely tells them from 0.
_FLOOR = -80.0
# What 1 / M, written with digits, lacks of M weights that make up the whole.
_ROUNDING = 1e-9


def transform_of(hisso: HISSOOptions) -> Transform:
    """From outputs to actions, within the limits that a user set."""
    transform, cap = TRANSFORMS[hisso.primary_transform], hisso.max_weight
    limits = {"max_weight": cap, "gross_limit": hisso.gross_limit, "net_limit": hisso.net_limit}
    if all(limit is None for limit in limits.values()):
        return transform
    function: Callable[..., Tensor]
    if transform is TRANSFORMS["long_short"]:
        function = partial(limited_long_short, **limits)
    elif transform is TRANSFORMS["tanh"]:
        function = partial(_clamped_tanh, max_weight=cap)
    else:
        function = partial(capped_softmax, max_weight=cap, n_uncapped=transform.extra_outputs)
    return replace(transform, function=function)


def capacity_problem(hisso: HISSOOptions, n_assets: int, *, has_cash: bool) -> str | None:
    """Say why so many assets cannot hold all of the wealth, if they have to.

    Parameters
    ----------
    hisso : HISSOOptions
    n_assets : int
        M.
    has_cash : bool
        Whether what they cannot hold may be cash, as where there is membership.
    """
    cap = hisso.max_weight
    if has_cash or cap is None or hisso.primary_transform != "softmax":
        return None
    if n_assets * cap >= 1 - _ROUNDING:
        return None
    return (
        f"hisso.max_weight must be at least 1/{n_assets} for {n_assets} assets that hold all of "
        f"the wealth between them; got {cap:g}. Raise it, or write primary_transform: "
        "softmax_cash, which keeps the rest in cash."
    )


def capped_softmax(
    z: Tensor, active: Tensor | None = None, *, max_weight: float, n_uncapped: int = 0
) -> Tensor:
    r"""Softmax of which no share is above a limit: ``a_i = min(u, exp(z_i - tau))``.

    ``tau`` is such that all shares sum to 1. Of all weights with these sums and limits it is the
    nearest to the softmax in relative entropy: what the largest must give away goes to the others
    in proportion to theirs, and to cash.

    Parameters
    ----------
    z : torch.Tensor
        Outputs ``(..., M + n_uncapped)``. Those more than 80 below the highest of a row that meets
        the limit count as 80 below.
    active : torch.Tensor, optional
        Codes ``(..., M)``. Members too few to hold everything have `max_weight` each.
    max_weight : float
        ``u``, above 0 and below 1.
    n_uncapped : int
        Shares at the end that know no limit, and are left out: 1 for cash.

    Returns
    -------
    torch.Tensor
        ``(..., M)``, at most `max_weight`; the softmax itself, bit for bit, where that obeys.

    References
    ----------
    Warmuth & Kuzmin 2008, "Randomized online PCA algorithms with regret bounds that are logarithmic
    in the dimension", section 4 (capping), https://jmlr.org/papers/v9/warmuth08a.html
    """
    n_assets = z.shape[-1] - n_uncapped
    if active is None and not n_uncapped and n_assets * max_weight < 1 - _ROUNDING:
        raise ValueError(
            f"{n_assets} assets of at most hisso.max_weight = {max_weight:g} cannot hold all of "
            "the wealth. Give more assets, or say by active who can be held: the rest is cash then."
        )
    is_shut = torch.zeros_like(z, dtype=torch.bool)
    if active is not None:
        is_shut = torch.nn.functional.pad(active != MEMBER, (0, n_uncapped), value=False)
    z, is_capped = _met(z, is_shut, max_weight=max_weight, n_assets=n_assets)
    n_capped = is_capped.sum(-1, keepdim=True)
    is_open = ~(is_shut | is_capped)
    # A row without any is computed as if all were open, so that nothing is undefined.
    is_off = ~is_open & is_open.any(-1, keepdim=True)
    shares = torch.softmax(z.masked_fill(is_off, -torch.inf), dim=-1).masked_fill(~is_open, 0.0)
    left = (1 - max_weight * n_capped.to(shares.dtype)).clamp_min(0.0)
    weights = torch.where(is_capped, max_weight, (left * shares).clamp_max(max_weight))
    return weights[..., :n_assets]


@torch.no_grad()
def _largest_exceeding(e: Tensor, rest: Tensor, max_weight: float) -> Tensor:
    """How many of the largest ``(..., M)``, in falling order, are above the limit, ``(..., 1)``.

    With ``k`` at the limit the next has ``(1 - k u) e_k / sum_{j >= k} e_j``, which falls with
    ``k`` from above the limit to below it. `rest` is what knows no limit, ``(..., 1)``.
    """
    sums = e.flip(-1).cumsum(-1).flip(-1) + rest
    place = torch.arange(e.shape[-1], device=e.device, dtype=e.dtype)
    left = (1 - max_weight * place).clamp_min(0.0)
    return (left * e > max_weight * sums).sum(-1, keepdim=True)


def _met(z: Tensor, is_shut: Tensor, *, max_weight: float, n_assets: int) -> tuple[Tensor, Tensor]:
    """Outputs with a floor in rows that meet the limit, and who is at the limit there."""
    top = z.detach().masked_fill(is_shut, -torch.inf).amax(-1, keepdim=True)
    # Rows without members are shut as a whole, whatever they are shifted by.
    top = torch.where(top.isfinite(), top, 0.0)
    level = (z.detach() - top).clamp_min(_FLOOR)
    e = level.exp().masked_fill(is_shut, 0.0)
    rest = e[..., n_assets:].sum(-1, keepdim=True)
    falling = e[..., :n_assets].sort(-1, descending=True).values
    n_capped = _largest_exceeding(falling, rest, max_weight)
    least = falling.gather(-1, (n_capped - 1).clamp_min(0))
    is_asset = torch.arange(z.shape[-1], device=z.device) < n_assets
    is_capped = (e >= least) & (n_capped > 0) & is_asset & ~is_shut
    return torch.where(n_capped > 0, torch.maximum(z, top + _FLOOR), z), is_capped


def limited_long_short(
    z: Tensor,
    active: Tensor | None = None,
    *,
    max_weight: float | None = None,
    gross_limit: float | None = None,
    net_limit: float | None = None,
) -> Tensor:
    """Weights of either sign within limits on each, on the sum of sizes, and on the sum.

    ``tanh(z)`` shrinks until ``sum |a_i| <= gross_limit``; each is cut at `max_weight`; where
    ``|sum a_i|`` is above `net_limit`, every member gives the same off until it is not, and all
    shrink alike until the other limits hold again. What is cut is in cash.

    Parameters
    ----------
    z : torch.Tensor
        Outputs ``(..., M)``.
    active : torch.Tensor, optional
        Codes ``(..., M)``.
    max_weight : float, optional
        Largest size of a weight; None for no limit.
    gross_limit : float, optional
        Largest sum of sizes; None is 1.
    net_limit : float, optional
        Largest size of the sum; 0 is as much short as long. None for no limit.

    Returns
    -------
    torch.Tensor
        ``(..., M)``.
    """
    gross = 1.0 if gross_limit is None else gross_limit
    a = long_short(z, active) if gross_limit is None else _within(tanh(z, active), gross)
    if max_weight is not None:
        a = a.clamp(-max_weight, max_weight)
    if net_limit is None:
        return a
    net = a.sum(-1, keepdim=True)
    surplus = net - net.clamp(-net_limit, net_limit)
    member = torch.ones_like(a) if active is None else (active == MEMBER).to(a.dtype)
    shifted = a - surplus * member / member.sum(-1, keepdim=True).clamp_min(1.0)
    shifted = _within(shifted, gross)
    if max_weight is not None:
        largest = shifted.abs().amax(-1, keepdim=True)
        shifted = shifted / (largest / max_weight).clamp_min(1.0)
    return torch.where(surplus != 0, shifted, a)


def _within(a: Tensor, gross: float) -> Tensor:
    return a / (a.abs().sum(-1, keepdim=True) / gross).clamp_min(1.0)


def _clamped_tanh(z: Tensor, active: Tensor | None = None, *, max_weight: float) -> Tensor:
    return tanh(z, active).clamp(-max_weight, max_weight)
