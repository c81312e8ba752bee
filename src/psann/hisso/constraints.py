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
from psann.hisso.transforms import TRANSFORMS, Transform, bounded, long_short, tanh
from psann.holdings import members

# Outputs that far below the highest are alike: a softmax in float32 barely tells them from 0.
_FLOOR = -80.0
# What 1 / M, written with digits, lacks of M weights that make up the whole.
_ROUNDING = 1e-9


def transform_of(hisso: HISSOOptions) -> Transform:
    """From outputs to actions, within the limits that a user set."""
    transform, cap = TRANSFORMS[hisso.primary_transform], hisso.max_weight
    if hisso.low is not None and hisso.high is not None:
        return replace(transform, function=partial(bounded, low=hisso.low, high=hisso.high))
    if hisso.max_turnover is not None:  # what is not bought yet
        transform = replace(transform, holds_cash=True)
    gross, net = hisso.gross_limit, hisso.net_limit
    if cap is None and gross is None and net is None:
        return transform
    function: Callable[..., Tensor]
    if cap is None or hisso.primary_transform == "long_short":
        function = partial(limited_long_short, max_weight=cap, gross_limit=gross, net_limit=net)
    elif hisso.primary_transform == "tanh":
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
    base = TRANSFORMS["softmax_cash" if n_uncapped else "softmax"].function(z, active)
    e = _relative(z, active, n_uncapped)  # (..., M + n_uncapped)
    e, rest = e[..., :n_assets], e[..., n_assets:].sum(-1, keepdim=True)
    n_capped, least = _largest_exceeding(e, rest, max_weight)
    is_capped = (e >= least).to(e.dtype)
    e_open = e * (1 - is_capped)
    open_sum = e_open.sum(-1, keepdim=True) + rest
    left = (1 - max_weight * is_capped.sum(-1, keepdim=True)).clamp_min(0.0)
    scale = left / torch.where(open_sum > 0, open_sum, 1.0)
    capped = (scale * e_open).clamp_max(max_weight) + max_weight * is_capped
    return torch.where(n_capped > 0, capped, base)


def _relative(z: Tensor, active: Tensor | None, n_uncapped: int) -> Tensor:
    """``exp(z)`` beside the largest of each row, which is 1; 0 for who cannot be held."""
    if active is None:
        return (z - z.detach().amax(-1, keepdim=True)).clamp_min(_FLOOR).exp()
    member = torch.nn.functional.pad(members(active, like=z), (0, n_uncapped), value=1.0)
    # A number far below all outputs for the others; rows without members are emptied in the end.
    top = (z.detach() + torch.finfo(z.dtype).max / 4 * (member - 1)).amax(-1, keepdim=True)
    # What is above the members' top is of others, and must not become infinite. No upper clamp: the
    # top is at its bound, where clamp has the slope 1 up to torch 2.13 and 0 from 2.14 on.
    return (z - top).masked_fill(member == 0, _FLOOR).clamp_min(_FLOOR).exp() * member


@torch.no_grad()
def _largest_exceeding(e: Tensor, rest: Tensor, max_weight: float) -> tuple[Tensor, Tensor]:
    """How many are above the limit, and the least of them, infinite without one; ``(..., 1)``.

    With the ``k`` largest at the limit the next has ``(1 - k u) e_k / sum_{j >= k} e_j``, which
    falls with ``k`` from above the limit to below it. `rest` is what knows no limit.
    """
    rising = e.sort(-1).values
    # Sums from the smallest on: those of the largest would swallow them.
    sums = rising.cumsum(-1) + rest
    n_assets = e.shape[-1]
    place = torch.arange(n_assets - 1, -1, -1, device=e.device, dtype=e.dtype)
    left = (1 - max_weight * place).clamp_min(0.0)
    n_capped = (left * rising > max_weight * sums).sum(-1, keepdim=True)
    least = rising.gather(-1, (n_assets - n_capped).clamp_max(n_assets - 1))
    return n_capped, torch.where(n_capped > 0, least, torch.inf)


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
    member = torch.ones_like(a) if active is None else members(active, like=a)
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
