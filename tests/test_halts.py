"""What episodes hold at once is what an account holds row by row, and so are its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from made_panels import holey, panel_of
from psann.accounting import growth_and_traded_weight
from psann.halts import Halts
from psann.holdings import ENDED, HALTED, MEMBER, OUTSIDE, codes_of, held_weights


def universe(seed: int, n: int = 64, *, gross: float = 0.0) -> tuple[torch.Tensor, ...]:
    """Targets of members, prices and codes; some sell short where a gross exposure is given."""
    panel = panel_of(holey(n, 4, seed))
    codes = codes_of(panel.active, panel.halted, panel.ended)
    draws = np.random.default_rng(seed).random(codes.shape) ** 3
    if gross:
        draws = draws - 0.4
    draws *= codes == MEMBER
    total = np.abs(draws).sum(axis=1, keepdims=True)
    targets = np.divide(draws, total, out=np.zeros_like(draws), where=total > 0)
    return tuple(map(torch.from_numpy, ((gross or 0.8) * targets, panel.prices.copy(), codes)))


def many_halts(seed: int, n: int = 120, m: int = 12, *, share: float = 0.3) -> tuple:
    """A universe of which a large part is halted at any time, with halts of all lengths."""
    draws = np.random.default_rng(seed)
    codes = np.full((n, m), MEMBER)
    while (codes == HALTED).mean() < share:
        row, asset = draws.integers(1, n), draws.integers(m)
        codes[row : row + draws.integers(1, 30), asset] = HALTED
    prices = np.exp(draws.normal(scale=0.1, size=(n, m)).cumsum(0))
    targets = draws.dirichlet(np.ones(m) / 3, n) * (codes == MEMBER)
    return tuple(map(torch.from_numpy, (targets, prices, codes)))


def both(arrays: tuple, *, window: int = 20, first=(0, 7, 25, 44), **options: object):
    """What episodes hold at once, and row by row."""
    targets, prices, codes = arrays
    start = torch.tensor(first)
    at = start[:, None] + torch.arange(window)
    halts = Halts.of(codes, prices, window=window, **options)
    alone = held_weights(targets[at], prices[at], codes[at])
    together = targets[at] if halts is None else halts.held(targets[at], start)
    return together, alone


@given(seed=st.integers(0, 500))
@settings(max_examples=30, deadline=None)
def test_short_episodes_at_once_hold_what_row_by_row_gives(seed: int) -> None:
    together, alone = both(universe(seed), is_long_only=True)
    np.testing.assert_allclose(together.numpy(), alone.numpy(), atol=1e-14)


@given(seed=st.integers(0, 500), share=st.sampled_from([0.02, 0.3, 0.7]))
@settings(max_examples=20, deadline=None)
def test_overlapping_halts_of_all_lengths_agree_row_by_row(seed: int, share: float) -> None:
    arrays = many_halts(seed, share=share)
    together, alone = both(arrays, window=50, first=(0, 3, 70), is_long_only=True)
    np.testing.assert_allclose(together.numpy(), alone.numpy(), atol=1e-13)


@given(seed=st.integers(0, 500), gross=st.sampled_from([1.0, 2.0, 4.0]))
@settings(max_examples=40, deadline=None)
def test_leveraged_episodes_owe_what_row_by_row_says(seed: int, gross: float) -> None:
    arrays, first = universe(seed, gross=gross), (0, 7, 25, 44)
    together, alone = both(arrays, window=16, first=first)
    moves = arrays[1][1:] / arrays[1][:-1] - 1
    for ours, theirs, start in zip(together, alone, first, strict=True):
        growth = 1 + (theirs[:-1] * moves[start : start + 15]).sum(-1)
        if growth.min() > 1e-3:  # weights after a ruin mean nothing
            np.testing.assert_allclose(ours.numpy(), theirs.numpy(), atol=1e-10, rtol=1e-10)


def test_episodes_of_a_large_universe_are_listed_when_they_are_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arrays = many_halts(5, n=60)
    listed, _ = both(arrays, window=16, is_long_only=True)
    monkeypatch.setattr("psann.halts._MOST_LISTED", 0)
    drawn, alone = both(arrays, window=16, is_long_only=True)
    assert torch.equal(drawn, listed)
    np.testing.assert_allclose(drawn.numpy(), alone.numpy(), atol=1e-13)


def test_nothing_else_is_held_while_a_halted_position_exceeds_the_account() -> None:
    # A is held at the double of the account and halts: 1 is owed, and B is not sold short.
    targets = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    prices = torch.tensor([[1.0, 1.0], [1.0, 1.0], [1.25, 1.0]], dtype=torch.float64)
    codes = torch.tensor([[MEMBER, MEMBER], [HALTED, MEMBER], [MEMBER, MEMBER]])
    together, alone = both((targets, prices, codes), window=3, first=(0,))
    assert together[0].tolist() == alone[0].tolist() == [[2.0, 0.0], [2.0, 0.0], [0.0, 1.0]]


def test_what_all_trade_is_held_as_it_was_asked_for_to_the_bit() -> None:
    targets, prices, codes = (a.clone() for a in universe(1))
    held, _ = both((targets.float(), prices.float(), codes), is_long_only=True)
    at = torch.tensor([0, 7, 25, 44])[:, None] + torch.arange(20)
    free = ~(codes[at] == HALTED).any(-1)
    assert free.any() and not free.all()
    assert torch.equal(held[free], targets.float()[at][free])


def test_a_series_in_which_nobody_held_can_halt_has_no_halts() -> None:
    codes = torch.full((9, 2), MEMBER)
    codes[:3, 1], codes[6:, 1] = OUTSIDE, ENDED
    assert Halts.of(codes, torch.ones(9, 2), window=4) is None
    codes[:3, 1] = HALTED  # nobody could buy it before
    assert Halts.of(codes, torch.ones(9, 2), window=4) is None


def test_episodes_too_long_for_one_system_are_held_row_by_row() -> None:
    together, alone = both(many_halts(0, n=700), window=600, first=(0, 90), is_long_only=True)
    np.testing.assert_allclose(together.numpy(), alone.numpy(), atol=1e-12)


@pytest.mark.parametrize("gross", [0.0, 3.0])
def test_gradients_agree_with_finite_differences(gross: float) -> None:
    targets, prices, codes = (a[:14] for a in universe(3, 40, gross=gross))
    assert (codes == HALTED).any()
    halts = Halts.of(codes, prices, window=14, is_long_only=not gross)
    assert halts is not None

    def earned(weights: torch.Tensor) -> torch.Tensor:
        held = halts.held(weights * (codes == MEMBER), torch.tensor([0]))
        growth, traded = growth_and_traded_weight(held, prices, cash=True, active=codes)
        return (growth - 0.01 * traded).sum()

    weights = targets[None].clone().requires_grad_()
    (slope,) = torch.autograd.grad(earned(weights), weights)
    assert (slope[0][codes != MEMBER] == 0).all()
    for place in np.argwhere((codes == MEMBER).numpy())[::3]:
        step = torch.zeros_like(weights)
        step[0][tuple(place)] = 1e-6
        with torch.no_grad():
            difference = (earned(weights + step) - earned(weights - step)) / 2e-6
        assert float(slope[0][tuple(place)]) == pytest.approx(float(difference), abs=1e-6)


def test_gradients_of_debts_agree_with_those_row_by_row() -> None:
    targets, prices, codes = universe(3, 40, gross=4.0)
    weights = targets.clone().requires_grad_()
    members = weights * (codes == MEMBER)
    halts = Halts.of(codes, prices, window=40)
    assert halts is not None
    score = torch.from_numpy(np.random.default_rng(0).standard_normal(targets.shape))
    at_once = (halts.held(members[None], torch.tensor([0]))[0] * score).sum()
    alone = (held_weights(members, prices, codes) * score).sum()
    (one,) = torch.autograd.grad(at_once, weights, retain_graph=True)
    (two,) = torch.autograd.grad(alone, weights)
    np.testing.assert_allclose(one.numpy(), two.numpy(), atol=1e-10, rtol=1e-9)
