"""Limits on weights: held exactly, felt by training, without effect where nothing exceeds them."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from sklearn.base import clone
from torch import Tensor

from estimators_of_limits import fitted, rows_of_market
from psann.errors import DeviceError
from psann.estimators.seeds import Ensemble, fit_seeds
from psann.evaluation.judgement import Terms, judge
from psann.hisso.constraints import capacity_problem, capped_softmax, transform_of
from psann.hisso.options import HISSOOptions
from psann.hisso.transforms import TRANSFORMS
from thinning import thinned

N_ASSETS = 7
LIMITS: tuple[dict[str, Any], ...] = (
    {"primary_transform": "softmax", "max_weight": 0.2},
    {"primary_transform": "softmax", "max_weight": 1 / 7},
    {"primary_transform": "softmax", "max_weight": 0.6},
    {"primary_transform": "softmax_cash", "max_weight": 0.1},
    {"primary_transform": "softmax_cash", "max_weight": 0.4},
    {"primary_transform": "tanh", "max_weight": 0.3},
    {"primary_transform": "long_short", "max_weight": 0.15},
    {"primary_transform": "long_short", "gross_limit": 0.5},
    {"primary_transform": "long_short", "gross_limit": 1.6, "net_limit": 0.3},
    {"primary_transform": "long_short", "net_limit": 0.0},
    {"primary_transform": "long_short", "max_weight": 0.2, "gross_limit": 0.9, "net_limit": 0.1},
)
IDS = [" ".join(f"{value}" for value in limits.values()) for limits in LIMITS]


def outputs(limits: dict[str, Any], *, rows: int = 400, scale: float = 3.0) -> Tensor:
    extra = TRANSFORMS[limits["primary_transform"]].extra_outputs
    generator = torch.Generator().manual_seed(5)
    z = torch.randn(rows, N_ASSETS + extra, generator=generator, dtype=torch.float64)
    return scale * z


def hostile(limits: dict[str, Any]) -> Tensor:
    """Ties, spikes of either sign, a level of its own for each asset, and everything at the end."""
    width = N_ASSETS + TRANSFORMS[limits["primary_transform"]].extra_outputs
    far = torch.eye(width, dtype=torch.float64)
    steps = torch.arange(width, dtype=torch.float64)
    return torch.cat(
        [
            1e30 * far,
            -1e30 * far,
            1e30 * (2 * far - 1),
            torch.stack([torch.zeros(width), torch.ones(width)]).double() * 1e30,
            torch.stack([1e29 * steps, -1e29 * steps, 40.0 * steps, -1e-300 * steps]),
            1e30 * (far + far.roll(1, 0)),
            torch.full((1, width), -1e30, dtype=torch.float64),
        ]
    )


def membership(rows: int) -> Tensor:
    """Rows with every number of members from none to all, others of every code."""
    generator = torch.Generator().manual_seed(9)
    ranks = torch.rand(rows, N_ASSETS, generator=generator).argsort(-1)
    n_members = torch.arange(rows)[:, None] % (N_ASSETS + 1)
    others = -(torch.randint(0, 3, (rows, N_ASSETS), generator=generator))
    return torch.where(ranks < n_members, 1, others).to(torch.int8)


def exceeded(actions: Tensor, limits: dict[str, Any]) -> Tensor:
    """By how much each row is beyond the worst of its limits."""
    gross, net = actions.abs().sum(-1), actions.sum(-1).abs()
    beyond = [torch.zeros_like(gross)]
    if "max_weight" in limits:
        beyond.append(actions.abs().amax(-1) - limits["max_weight"])
    if limits["primary_transform"] != "tanh":
        beyond.append(gross - limits.get("gross_limit", 1.0))
    if "net_limit" in limits:
        beyond.append(net - limits["net_limit"])
    if limits["primary_transform"].startswith("softmax"):
        beyond.append(-actions.amin(-1))
    return torch.stack(beyond).amax(0)


@pytest.mark.parametrize("limits", LIMITS, ids=IDS)
@pytest.mark.parametrize("make", [outputs, hostile])
def test_no_action_exceeds_its_limits(limits: dict[str, Any], make: Any) -> None:
    actions = transform_of(HISSOOptions(**limits)).function(make(limits))
    assert actions.isfinite().all()
    assert exceeded(actions, limits).max() <= 1e-9
    if limits["primary_transform"] == "softmax":
        assert (actions.sum(-1) - 1).abs().max() <= 1e-9


@pytest.mark.parametrize("limits", LIMITS, ids=IDS)
@pytest.mark.parametrize("make", [outputs, hostile])
def test_no_action_exceeds_its_limits_whoever_can_be_held(
    limits: dict[str, Any], make: Any
) -> None:
    z = make(limits)
    active = membership(len(z))
    actions = transform_of(HISSOOptions(**limits)).function(z, active)
    assert actions.isfinite().all()
    assert (actions[active != 1] == 0).all()
    assert exceeded(actions, limits).max() <= 1e-9
    if limits["primary_transform"] == "softmax":
        whole = (limits["max_weight"] * (active == 1).sum(-1).double()).clamp_max(1.0)
        assert (actions.sum(-1) - whole).abs().max() <= 1e-9


@pytest.mark.parametrize("limits", LIMITS, ids=IDS)
def test_in_single_precision_limits_hold_to_its_rounding(limits: dict[str, Any]) -> None:
    for z in (outputs(limits), hostile(limits)):
        actions = transform_of(HISSOOptions(**limits)).function(z.float())
        assert actions.isfinite().all()
        assert exceeded(actions, limits).max() <= 1e-6
        if limits["primary_transform"] == "softmax":
            assert (actions.sum(-1) - 1).abs().max() <= 1e-6


@pytest.mark.parametrize("limits", LIMITS, ids=IDS)
@pytest.mark.parametrize("has_members", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_that_obey_anyway_keep_their_bits(
    limits: dict[str, Any], has_members: bool, dtype: torch.dtype
) -> None:
    parts = [outputs(limits, rows=96, scale=scale) for scale in (0.0, 0.05, 0.3, 1.0, 20.0)]
    z = torch.cat([*parts, torch.tensor([[0.5, -0.5] * 4]).double()[:, : parts[0].shape[1]]])
    z[-1, 6:], z = 0.0, z.to(dtype)
    who = (membership(len(z)),) if has_members else ()
    # Above a gross of 1 that limit is what lets a policy be free.
    kept = {"gross_limit"} if limits.get("gross_limit", 0.0) > 1 else set()
    free = {key: limits[key] for key in limits if key in {"primary_transform", *kept}}
    unlimited = transform_of(HISSOOptions(**free)).function(z, *who)
    beyond = exceeded(unlimited, limits)
    obeys = beyond <= 0
    assert obeys.any() and not obeys.all()
    found = transform_of(HISSOOptions(**limits)).function(z, *who)
    assert torch.equal(found[obeys], unlimited[obeys])
    assert (found[beyond > 1e-6] != unlimited[beyond > 1e-6]).any(-1).all()


# Of an odd number of limits, each is fast once: with members, or without.
@pytest.mark.parametrize(
    ("has_members", "limits"), thinned(product([False, True], LIMITS), every=2)
)
def test_gradients_are_those_of_finite_differences(
    has_members: bool, limits: dict[str, Any]
) -> None:
    z = outputs(limits, rows=4, scale=1.5).requires_grad_()
    who = (membership(8)[4:],) if has_members else ()
    function = transform_of(HISSOOptions(**limits)).function
    assert torch.autograd.gradcheck(lambda z: function(z, *who), (z,))


@pytest.mark.parametrize("limits", LIMITS, ids=IDS)
def test_gradients_are_finite_for_hostile_outputs(limits: dict[str, Any]) -> None:
    z = hostile(limits).requires_grad_()
    actions = transform_of(HISSOOptions(**limits)).function(z, membership(len(z)))
    weights = torch.arange(1.0, 1 + actions.numel(), dtype=torch.float64).view_as(actions)
    (slope,) = torch.autograd.grad((actions * weights).sum(), z)
    assert slope.isfinite().all()


@pytest.mark.parametrize("cap", [0.15, 0.2, 0.35, 0.6])
@pytest.mark.parametrize("n_uncapped", [0, 1])
def test_the_capped_softmax_is_the_one_level_that_makes_up_the_whole(
    cap: float, n_uncapped: int
) -> None:
    """``min(u, exp(z - tau))`` with ``tau`` found by bisection, row by row."""
    z = 2 * np.random.default_rng(3).standard_normal((200, N_ASSETS + n_uncapped))
    found = capped_softmax(torch.from_numpy(z), max_weight=cap, n_uncapped=n_uncapped).numpy()
    for row, weights in zip(z, found, strict=True):
        limits = np.r_[np.full(N_ASSETS, cap), np.full(n_uncapped, np.inf)]

        def shares(tau: float, row: Any = row, limits: Any = limits) -> Any:
            return np.minimum(limits, np.exp(row - tau))

        tau = brentq(lambda tau: shares(tau).sum() - 1, -50, 50, xtol=1e-14, rtol=1e-14)
        np.testing.assert_allclose(weights, shares(tau)[:N_ASSETS], atol=1e-12)


def test_what_the_largest_gives_away_goes_to_the_others_in_proportion() -> None:
    shares = torch.tensor([[0.6, 0.2, 0.1, 0.1]], dtype=torch.float64)
    capped = capped_softmax(shares.log(), max_weight=0.4)
    expected = torch.tensor([[0.4, 0.3, 0.15, 0.15]], dtype=torch.float64)
    torch.testing.assert_close(capped, expected)
    with_cash = capped_softmax(shares.log(), max_weight=0.4, n_uncapped=1)
    torch.testing.assert_close(with_cash, expected[:, :3])


def test_by_hand_a_long_short_policy_gives_off_what_its_net_limit_forbids() -> None:
    z = torch.atanh(torch.tensor([[0.5, 0.2, -0.1, 0.0]], dtype=torch.float64))
    limits = {"primary_transform": "long_short", "net_limit": 0.2}
    found = transform_of(HISSOOptions(**limits)).function(z)
    expected = torch.tensor([[0.4, 0.1, -0.2, -0.1]], dtype=torch.float64)
    torch.testing.assert_close(found, expected)
    found = transform_of(HISSOOptions(**limits, gross_limit=0.6)).function(z)
    # First 0.75 of everything, net 0.45: 0.0625 less each, gross 0.575.
    expected = torch.tensor([[0.375, 0.15, -0.075, 0.0]], dtype=torch.float64) - 0.0625
    torch.testing.assert_close(found, expected)


def test_a_policy_that_must_be_neutral_can_still_learn_when_all_it_says_is_long() -> None:
    z = torch.full((1, 4), 0.5, dtype=torch.float64, requires_grad=True)
    function = transform_of(HISSOOptions(primary_transform="long_short", net_limit=0)).function
    actions = function(z)
    assert actions.abs().max() <= 1e-15
    (slope,) = torch.autograd.grad(actions[0, 0], z)
    assert slope[0, 0] > 0.1 > 0 > slope[0, 1]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"gross_limit": 0.5}, "gross_limit is a limit of long_short; primary_transform is softm"),
        ({"primary_transform": "tanh", "net_limit": 0.5}, "Write long_short, or remove net_limit"),
        ({"primary_transform": "identity", "max_weight": 0.5}, "numbers of any size"),
        ({"primary_transform": "long_short", "net_limit": 1}, r"below the gross limit, 1, else it"),
        ({"primary_transform": "long_short", "gross_limit": 0.3, "max_weight": 0.3}, "max_weight"),
        ({"max_weight": 1.0}, "less than 1"),
        ({"max_weight": 0.0}, "greater than 0"),
    ],
)
def test_a_limit_without_effect_is_refused(limits: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HISSOOptions(**limits)


def test_so_few_assets_that_they_cannot_hold_everything_are_refused_with_a_cure() -> None:
    tight = HISSOOptions(max_weight=0.2)
    assert capacity_problem(tight, 5, has_cash=False) is None
    assert capacity_problem(HISSOOptions(max_weight=0.3333333333), 3, has_cash=False) is None
    assert capacity_problem(tight, 4, has_cash=True) is None
    problem = capacity_problem(tight, 4, has_cash=False)
    assert problem is not None and "at least 1/4 for 4 assets" in problem
    with pytest.raises(ValueError, match=r"at least 1/4[^\n]*primary_transform: softmax_cash"):
        fitted({"max_weight": 0.2})
    # The cure.
    actions = fitted({"max_weight": 0.2, "primary_transform": "softmax_cash"}).predict_actions(
        rows_of_market()["X"]
    )
    assert actions.max() <= 0.2


def test_a_policy_of_many_assets_is_refused_on_too_few_of_them() -> None:
    function = transform_of(HISSOOptions(max_weight=0.3)).function
    with pytest.raises(ValueError, match=r"3 assets of at most hisso\.max_weight = 0\.3 can"):
        function(torch.zeros(2, 3))
    few = function(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.int8))
    assert few.tolist() == [[pytest.approx(0.3)] * 3] * 2


@pytest.mark.parametrize(
    "limits",
    [
        {"primary_transform": "softmax", "max_weight": 0.3},
        {"primary_transform": "softmax_cash", "max_weight": 0.2},
        {"primary_transform": "tanh", "max_weight": 0.25},
        {"primary_transform": "long_short", "max_weight": 0.3, "net_limit": 0.1},
    ],
    ids=lambda limits: limits["primary_transform"],
)
def test_a_policy_is_trained_judged_and_deployed_within_its_limits(
    limits: dict[str, Any],
) -> None:
    rows = rows_of_market()
    free = fitted({"primary_transform": limits["primary_transform"]})
    assert exceeded(torch.from_numpy(free.predict_actions(rows["X"])), limits).max() > 0.1
    model = fitted(limits)
    actions = torch.from_numpy(model.predict_actions(rows["X"]))
    assert exceeded(actions, limits).max() <= 1e-9
    assert (exceeded(actions, limits | {"max_weight": 0.19}) > 0).any()
    later = {key: array[150:] for key, array in rows.items()}
    assert model.best_value_ == pytest.approx(model.evaluate_reward(**later), abs=1e-6)
    assert not np.array_equal(free.predict(rows["X"]), model.predict(rows["X"]))


@pytest.fixture(scope="module")
def slow_trader() -> Any:
    """A policy whose account may trade a tenth of its wealth on each row."""
    return fitted({"max_turnover": 0.1}, engine="eager")


def test_training_feels_a_limit_on_trades_as_validation_and_judgement_do(slow_trader: Any) -> None:
    rows, free = rows_of_market(), fitted({})
    later = {key: array[150:] for key, array in rows.items()}
    reward = slow_trader.evaluate_reward(**later)
    assert slow_trader.best_value_ == pytest.approx(reward, abs=1e-6)
    actions, terms = (
        slow_trader.predict_actions(later["X"]),
        Terms(trans_cost=0.001, initial="cash"),
    )
    judged = judge(actions, later["prices"], terms=replace(terms, max_turnover=0.1))
    assert judged.figures["turnover_traded"] <= 0.1 + 1e-12
    assert judge(actions, later["prices"], terms=terms).figures["turnover_traded"] > 0.2
    quick = free.predict_actions(rows["X"])
    assert np.abs(slow_trader.predict_actions(rows["X"]) - quick).max() > 1e-3
    episodes = slow_trader.evaluate_episodes(rows["X"], rows["prices"])
    assert not np.allclose(episodes, free.evaluate_episodes(rows["X"], rows["prices"]))


def test_seeds_with_limited_trades_are_trained_at_once_as_each_alone(slow_trader: Any) -> None:
    rows = rows_of_market()
    first = {key: array[:150] for key, array in rows.items()}
    later = {key: array[150:] for key, array in rows.items()}
    hisso = {"window": 16, "batch_episodes": 8, "transition_penalty": 0.001, "max_turnover": 0.1}
    together = fit_seeds(slow_trader, [0, 1], **first, validation_data=later, hisso=hisso)
    np.testing.assert_allclose(
        together[0].predict(rows["X"]), slow_trader.predict(rows["X"]), atol=1e-4
    )


def test_a_limit_on_trades_that_never_binds_trains_to_the_bits_of_none() -> None:
    X = rows_of_market()["X"]
    cash = {"primary_transform": "softmax_cash"}
    wide, free = (fitted({**cash, **more}, epochs=2) for more in ({"max_turnover": 5.0}, {}))
    assert wide.predict(X).tobytes() == free.predict(X).tobytes()


def test_limited_trades_are_refused_where_they_mean_nothing(slow_trader: Any) -> None:
    with pytest.raises(ValueError, match=r"hisso\.max_turnover limits .* got negative_mse"):
        fitted(
            {"max_turnover": 0.1, "reward": "negative_mse"},
            rows={**rows_of_market(), "y": rows_of_market()["X"]},
        )
    with pytest.raises(ValueError, match="remove max_turnover"):
        HISSOOptions(max_turnover=0.1, primary_transform="identity")
    hisso, several = {"window": 16, "max_turnover": 0.1}, clone(slow_trader)
    with pytest.raises(DeviceError, match=r"follow each other .* program for one seed only"):
        fit_seeds(several.set_params(engine="compiled"), [0, 1], **rows_of_market(), hisso=hisso)


@pytest.mark.slow  # compilations
@pytest.mark.parametrize("limit", [{"max_weight": 0.3}, {"max_turnover": 0.1}])
def test_a_compiled_training_within_limits_is_the_eager_one_to_rounding(
    limit: dict[str, float],
) -> None:
    eager, compiled = (fitted(limit, engine=e) for e in ("eager", "compiled"))
    X = rows_of_market()["X"]
    assert compiled.engine_ == "compiled"
    np.testing.assert_allclose(eager.predict_actions(X), compiled.predict_actions(X), atol=1e-5)


def test_seeds_trained_at_once_and_their_mean_obey_too() -> None:
    rows = rows_of_market()
    members = fit_seeds(
        fitted({"max_weight": 0.3}),
        [1, 2, 3],
        **rows,
        hisso={"window": 16, "batch_episodes": 8, "max_weight": 0.3},
    )
    for policy in (*members, Ensemble(members)):
        assert policy.predict_actions(rows["X"]).max() <= 0.3 + 1e-9


def test_too_few_members_hold_what_they_may_and_the_rest_is_cash() -> None:
    rows = rows_of_market()
    active = np.ones(rows["prices"].shape, dtype=np.int8)
    active[::3, :2] = 0
    model = fitted({"max_weight": 0.3}, rows={**rows, "active": active})
    sums = model.predict_actions(rows["X"], active=active).sum(-1)
    np.testing.assert_allclose(sums[::3], 0.6, atol=1e-9)
    np.testing.assert_allclose(np.delete(sums, np.s_[::3]), 1.0, atol=1e-9)
