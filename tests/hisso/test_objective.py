from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch.func import functional_call

from planted import planted
from psann.accounting import net_growth
from psann.hisso.objective import EpisodeObjective, Series
from psann.hisso.rewards import resolve_reward
from psann.hisso.transforms import TRANSFORMS
from psann.holdings import Carry
from psann.nn.dense import DenseNetwork
from psann.nn.units import UnitOptions


def objective(**changes: Any) -> EpisodeObjective:
    rows = planted(40)
    settings = {
        "series": Series(
            X=torch.tensor(rows["X"]), reward_context=torch.tensor(rows["prices"]).double()
        ),
        "window": 6,
        "transform": TRANSFORMS["softmax"],
        "reward": resolve_reward("portfolio"),
        "transition_penalty": 0.001,
        "input_noise": 0.0,
        "shares_rows": False,
    }
    return EpisodeObjective(**{**settings, **changes})


def network() -> Any:
    body = DenseNetwork(
        3,
        3,
        hidden_layers=1,
        hidden_units=8,
        w0=1.0,
        units=UnitOptions(),
        rng=np.random.default_rng(0),
    )
    return body.double()


@pytest.mark.parametrize("transform", ["softmax", "long_short"])
def test_windows_that_share_rows_have_the_values_and_gradients_of_those_that_do_not(
    transform: str,
) -> None:
    index = torch.tensor([0, 3, 3, 17, 34])
    results = []
    for shares_rows in (False, True):
        body = network()
        weights = {n: p.detach().clone().requires_grad_() for n, p in body.named_parameters()}
        task = objective(shares_rows=shares_rows, transform=TRANSFORMS[transform])

        def forward(x: Any, context: Any, key: Any, body: Any = body, w: Any = weights) -> Any:
            return functional_call(body, w, (x, context, key))

        loss, values = task(forward, index, None)
        results.append((loss, values, *torch.autograd.grad(loss, list(weights.values()))))
    for plain, shared in zip(*results, strict=True):
        torch.testing.assert_close(shared, plain, rtol=1e-6, atol=1e-12)


def test_loss_is_minus_the_mean_reward_of_the_windows() -> None:
    rows = planted(40)
    loss, values = objective()(network(), torch.tensor([0, 20]), None)
    with torch.no_grad():
        actions = torch.softmax(network()(torch.tensor(rows["X"])), -1).numpy()
    for value, start in zip(values.tolist(), (0, 20), strict=True):
        part = slice(start, start + 6)
        growth = net_growth(actions[part], rows["prices"][part])
        expected = (np.log(growth.gross) - 0.001 * growth.traded).mean()
        assert value == pytest.approx(expected, abs=1e-8)
    assert loss.item() == pytest.approx(-values.mean().item())


@pytest.mark.parametrize("max_turnover", [None, 0.2])
@pytest.mark.parametrize("columns", [1, 3])
def test_windows_pay_the_costs_and_rates_of_their_own_rows(
    columns: int, max_turnover: float | None
) -> None:
    rows, draws = planted(40), np.random.default_rng(0)
    costs = draws.uniform(0.0, 0.01, (40, columns))
    cash, borrow = draws.uniform(-0.01, 0.02, 40), draws.uniform(0.0, 0.03, 40)
    told: Any = {"max_turnover": max_turnover}
    task = objective(
        transform=TRANSFORMS["long_short"],
        transition_penalty=torch.tensor(costs).float(),
        carry=Carry(cash=torch.tensor(cash), borrow=torch.tensor(borrow), **told),
    )
    with torch.no_grad():
        _, values = task(network(), torch.tensor([3, 20]), None)
        outputs = network()(torch.tensor(rows["X"]))
    actions = TRANSFORMS["long_short"].function(outputs, None).numpy()
    assert (actions < 0).any()
    for value, start in zip(values.tolist(), (3, 20), strict=True):
        part = slice(start, start + 6)
        growth = net_growth(
            actions[part],
            rows["prices"][part],
            trans_cost=np.broadcast_to(costs[part], (6, 3)),
            cash=True,
            carry=Carry(cash=cash[part], borrow=borrow[part], **told),
        )
        fees = 1 - growth.net / growth.gross
        assert value == pytest.approx((np.log(growth.gross) - fees).mean(), abs=1e-7)


def test_noise_reaches_the_network_and_never_the_reward() -> None:
    seen = []

    def forward(x: Any, context: Any, key: Any) -> Any:
        seen.append(x)
        return x * 0.0

    key = torch.tensor([1, 2])
    clean = objective()(forward, torch.tensor([0]), key)
    noisy = objective(input_noise=0.5)(forward, torch.tensor([0]), key)
    assert torch.equal(clean[1], noisy[1])
    assert 0.1 < float((seen[1] - seen[0]).std()) < 1.0


def test_the_place_of_a_number_that_is_not_finite_is_named() -> None:
    index = torch.tensor([0])
    body = network()

    def place(task: EpisodeObjective, forward: Any = body) -> str:
        return task.place_of_nonfinite(forward, index, None)

    rows = objective().series
    holed = dataclasses.replace(rows, X=rows.X.clone().fill_(float("nan")))
    assert place(objective(series=holed)) == "the data of this update are not finite"
    assert place(objective(), lambda x, c, k: body(x) / 0.0).startswith("the forward pass")
    nan_reward = resolve_reward("user_rewards:turns_nan")
    expected = "the reward user_rewards:turns_nan is not finite"
    assert place(objective(reward=nan_reward)) == expected
    assert place(objective()) == "the gradient is not finite"
