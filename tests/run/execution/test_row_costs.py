"""Runs whose costs are an array of the data: trained, judged, resumed, folded, told of, refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trials
from event_simulator import simulate
from faults import stopped_after
from psann import PSANNRegressor, load_policy
from psann.accounting import net_growth
from psann.errors import UsageError
from psann.holdings import Carry
from psann.run.directory.evaluation import read_evaluation
from psann.run.directory.paths import RunPaths
from psann.run.verification.verify import verify_run
from trials import bit_differences, finished, market_with_spreads, metrics_of, trial

DATA = "data={loader: trials.market_with_spreads, kwargs: {columns: %d}}"
BY_NAME = (
    *("hisso.transition_penalty=spread", "evaluation.trans_cost=spread", "hisso.delay=1"),
    *("evaluation.cash_rate=rate", "hisso.primary_transform=long_short"),
)
FOLDS = "evaluation.walk_forward={folds: 2}"


def same(value: float) -> str:
    return f"data={{loader: trials.market_with_spreads, kwargs: {{spread: {value}}}}}"


def spread_of(split: str, data: dict[str, Any]) -> dict[str, Any]:
    rows = {"X": data[f"X_{split}"], "prices": data[f"prices_{split}"]}
    return rows | {"reward_inputs": {name: data[f"{name}_{split}"] for name in ("spread", "rate")}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("row_costs"), DATA % 2, *BY_NAME, FOLDS)


def test_the_wealth_of_the_policy_and_of_every_fold_is_that_of_an_event_simulator(
    run: RunPaths,
) -> None:
    data = market_with_spreads()
    prices, costs = data["prices_test"], data["spread_test"]
    for path in (run.evaluation, run.walk_forward):
        series = read_evaluation(path)
        for name, weights in (("policy", series.allocations), ("uniform", np.full((15, 2), 0.5))):
            decided = weights.astype(np.float64)[:-1]
            terms: Any = {"trans_cost": costs[1:], "cash_rate": data["rate_test"][1:] / 252}
            theirs = simulate(decided, prices[1:], initial="cash", **terms)
            ours = series.net[list(series.names).index(name)]
            # Weights are kept in float32.
            np.testing.assert_allclose(ours, np.append(1.0, theirs), rtol=1e-7)


def test_the_record_has_the_mean_and_keeps_its_promises(run: RunPaths) -> None:
    metrics, data = metrics_of(run), market_with_spreads()
    assert metrics["trans_cost"] == pytest.approx(data["spread_test"].mean())
    assert metrics["transition_penalty"] == pytest.approx(data["spread_train"].mean())
    once, twice = (metrics[f"portfolio_metrics{at}"]["cum_return"] for at in ("", "_cost_2"))
    assert twice < once
    assert verify_run(run.root).findings == ()


def test_the_rewards_of_every_split_are_those_of_the_estimator(run: RunPaths) -> None:
    metrics, policy, data = metrics_of(run), PSANNRegressor.load(run.best), market_with_spreads()
    for split in ("val", "test"):
        found = policy.evaluate_reward(**spread_of(split, data))
        assert metrics[f"{split}_reward_mean"] == found
        decided = policy.predict_actions(data[f"X_{split}"])[:-1].astype(np.float64)
        late = {name: data[f"{name}_{split}"][1:] for name in ("prices", "spread", "rate")}
        growth = net_growth(
            decided,
            late["prices"],
            trans_cost=late["spread"],
            initial="cash",
            cash=True,
            carry=Carry(cash=late["rate"] / 252),
        )
        fees = 1 - growth.net / growth.gross
        assert found == pytest.approx((np.log(growth.gross) - fees).mean(), abs=1e-12)
        for worse in ({"spread": 2 * data[f"spread_{split}"]}, {"rate": 0 * data[f"rate_{split}"]}):
            dear = spread_of(split, data)
            dear["reward_inputs"] |= worse
            assert policy.evaluate_reward(**dear) < found
    with pytest.raises(
        ValueError, match=r"must have spread, rate, which hisso\.transition_penalty and eval"
    ):
        policy.evaluate_reward(data["X_val"], data["prices_val"])


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(run: RunPaths, tmp_path: Path) -> None:
    with stopped_after(4):
        assert trial(tmp_path, DATA % 2, *BY_NAME, FOLDS).exit_code == 143
    again = finished(tmp_path, DATA % 2, *BY_NAME, FOLDS, resume=True)
    assert bit_differences(run, again) == []


def test_equal_costs_of_all_rows_give_the_bits_of_the_number(tmp_path: Path) -> None:
    named = finished(tmp_path, same(0.002), *BY_NAME, name="named")
    numbers = [each.replace("spread", "0.002").replace("=rate", "=0.04") for each in BY_NAME]
    told = finished(tmp_path, same(0.002), *numbers, name="told")
    kept = [PSANNRegressor.load(paths.best).network_.state_dict() for paths in (named, told)]
    assert all(bool((value == kept[1][key]).all()) for key, value in kept[0].items())
    alike = ("portfolio_metrics", "baselines", "val_reward_mean", "versus_uniform", "reward_mean")
    for name in (*alike, "portfolio_metrics_cost_3"):
        assert metrics_of(named)[name] == metrics_of(told)[name], name
    assert metrics_of(named)["trans_cost"] == pytest.approx(0.002)


def test_one_column_stands_for_every_asset_and_costs_of_training_stand_alone(
    tmp_path: Path,
) -> None:
    paths = finished(tmp_path, DATA % 1, "hisso.transition_penalty=spread", "training.epochs=2")
    data, series = market_with_spreads(columns=1), read_evaluation(paths.evaluation)
    costs = np.repeat(data["spread_test"], 2, axis=1)
    weights = series.allocations.astype(np.float64)
    theirs = simulate(weights, data["prices_test"], trans_cost=costs, initial="cash")
    np.testing.assert_allclose(series.net[0], theirs, rtol=1e-7)
    assert verify_run(paths.root).findings == ()


def test_shorts_pay_what_their_row_says_also_in_an_account_whose_trades_are_limited(
    tmp_path: Path,
) -> None:
    short = ("hisso.primary_transform=long_short", "evaluation.borrow_rate=rate")
    limit = "hisso.max_turnover=0.3"
    paths = finished(tmp_path, same(0.002), *short, limit, name="same")
    number = finished(tmp_path, same(0.002), short[0], "evaluation.borrow_rate=0.04", limit)
    for name in ("portfolio_metrics", "val_reward_mean", "reward_mean"):
        assert metrics_of(paths)[name] == metrics_of(number)[name], name
    data = trials.market_with_spreads()
    data |= {f"rate_{split}": np.abs(data[f"rate_{split}"]) for split in trials.ROWS}
    np.savez(tmp_path / "fees.npz", **data)
    paths = finished(tmp_path, f"data={{npz: '{tmp_path}/fees.npz'}}", *short, limit, name="each")
    series = read_evaluation(paths.evaluation)
    theirs = simulate(
        series.allocations.astype(np.float64),
        data["prices_test"],
        trans_cost=0.001,
        initial="cash",
        borrow_rate=data["rate_test"] / 252,
        max_turnover=0.3,
    )
    assert (series.allocations < 0).any()
    np.testing.assert_allclose(series.net[0], theirs, rtol=1e-7)
    assert verify_run(paths.root).findings == ()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ("evaluation.cash_rate=spread",),
            "spread_train, which evaluation.cash_rate names, must ha",
        ),
        (
            ("evaluation.borrow_rate=rate",),
            "rate_train, which evaluation.borrow_rate names, must ho",
        ),
        (("data={loader: trials.market}",), "spread_train (training) must be given with X_train: "),
        (("evaluation.trans_cost='a b'",), "'a b' is no name that a Python function can have"),
        ((DATA % 3,), "spread_test, which evaluation.trans_cost names, must have one column, or"),
        (
            ("data={loader: trials.market_with_spreads, kwargs: {spread: -0.1}}",),
            "spread_val, which evaluation.trans_cost names, must hold costs per unit traded, at",
        ),
        (("hisso.reward=negative_mse",), "so the reward must be one of what is held, such as"),
        (("evaluation.placebo=1",), "the arrays of evaluation.trans_cost would not go any more"),
    ],
)
def test_what_can_be_no_cost_is_refused_by_name(
    tmp_path: Path, overrides: tuple[str, ...], message: str
) -> None:
    outcome = trial(tmp_path, DATA % 2, "evaluation.trans_cost=spread", *overrides)
    assert outcome.exit_code == 1 and message in (outcome.message or "")


def test_acting_needs_no_costs_but_trades_do(run: RunPaths) -> None:
    policy, data = load_policy(run.root), market_with_spreads()
    assert policy.predict_actions(data["X_test"]).shape == (15, 2)
    with pytest.raises(UsageError, match="need spread, rate on newer rows, by which its"):
        policy.terms_on({})
