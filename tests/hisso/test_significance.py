"""The gate by significance: its bound, its steps, its rates on noise, and its edges."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch

from noise import NOISES
from psann.accounting import net_growth
from psann.hisso.significance import SignificanceGate, bound_of, net_log_growth
from psann.training.loop import Validation
from thinning import thinned


def passes(gains: Any, *, bound: float, seed: int = 0) -> bool:
    nothing = np.zeros(len(gains))
    gate = SignificanceGate(bound=bound, untrained={seed: nothing})
    return gate(seed, Validation(loss=0.0, net_log_growth=np.asarray(gains)))


def test_the_bound_is_as_given_or_shares_five_per_cent_among_the_epochs() -> None:
    assert bound_of(2.5, n_epochs=1000) == 2.5
    # Normal quantiles of 0.05, 0.005 and 0.0005.
    bounds = [bound_of("auto", n_epochs=n) for n in (1, 10, 100)]
    assert bounds == pytest.approx([1.644854, 2.575829, 3.290527], abs=1e-6)


@pytest.mark.parametrize("initial", ["cash", "invested"])
def test_steps_are_net_log_growth_to_first_order_in_the_cost(initial: Any) -> None:
    draws = np.random.default_rng(0)
    prices = np.exp(0.02 * draws.standard_normal((30, 3)).cumsum(0))
    actions = draws.dirichlet(np.ones(3), size=30)
    ours = net_log_growth(
        torch.tensor(actions), torch.tensor(prices), trans_cost=1e-5, initial=initial, cash=False
    )
    theirs = net_growth(actions, prices, trans_cost=1e-5, initial=initial).net
    np.testing.assert_allclose(ours, np.log(theirs), atol=1e-9)


@pytest.mark.parametrize(("noise", "n_rows"), thinned(product(NOISES, [30, 250]), every=5))
def test_noise_passes_a_bound_as_seldom_as_a_normal_number_does(noise: str, n_rows: int) -> None:
    series = NOISES[noise](np.random.default_rng(9), (3000, n_rows))
    rate = np.mean([passes(gains, bound=1.644854) for gains in series])
    assert 0.035 < rate < 0.065
    assert np.mean([passes(gains, bound=3.0) for gains in series]) < 0.006  # 0.13 % and error


def test_losses_never_pass_and_few_steps_never_do() -> None:
    clear = 0.01 + 0.001 * np.arange(12)
    assert passes(clear, bound=1.0)
    assert not passes(-clear, bound=0.0)
    assert not passes(clear[:11], bound=0.0)
    assert not passes(np.zeros(50), bound=0.0)


def test_who_loses_everything_never_passes_and_whoever_does_not_beats_one_who_did() -> None:
    lost = np.array([0.1, -math.inf, *[math.nan] * 18])
    assert not passes(lost, bound=0.0)
    gate = SignificanceGate(bound=5.0, untrained={3: lost})
    assert gate(3, Validation(loss=0.0, net_log_growth=np.full(20, -0.5)))
    assert not gate(3, Validation(loss=0.0, net_log_growth=lost))
