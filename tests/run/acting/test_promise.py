"""What came of what a policy said, beside what it promised."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acting_runs import NOW, ActingRuns
from psann import load_policy
from psann.errors import DataError, UsageError
from psann.evaluation.judgement import judge_policy
from psann.metrics import confidence_sequence
from psann.run.acting.journal import keep
from psann.run.acting.policy import Policy
from psann.run.acting.promise import Promise, judge_journal, promises_of


@pytest.fixture(scope="module")
def policy(acting_runs: ActingRuns) -> Policy:
    return acting_runs.policy("prices")


@pytest.fixture(scope="module")
def table(acting_runs: ActingRuns) -> pd.DataFrame:
    return acting_runs.table()


def _promise(growth: float) -> Promise:
    return Promise(of="made rows", growth=growth, low=growth - 1, high=growth + 1)


def _wealth(weights: np.ndarray, prices: np.ndarray, cost: float) -> np.ndarray:
    """An account by itself: shares, cash, a fee in proportion to what is traded."""
    wealth, before, path = 1.0, np.zeros(weights.shape[1]), [1.0]
    for row in range(len(prices) - 1):
        fee = cost * np.abs(weights[row] - before).sum()
        moves = prices[row + 1] / prices[row]
        grown = weights[row] * moves
        growth = grown.sum() + 1 - weights[row].sum()
        wealth *= growth * (1 - fee)
        before = grown / growth
        path.append(wealth)
    return np.array(path)


def test_the_growth_is_that_of_an_account_that_did_what_was_said(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table)
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    verdict = judge_journal(journal, weights, terms=policy.terms_on({}), promises=[])
    cost = policy.terms_on({}).trans_cost
    assert policy.terms_on({}).initial == "cash"
    ours = _wealth(weights.values, weights.quotes, cost)
    equal = np.full_like(weights.values, 1 / 3)
    theirs = _wealth(equal, weights.quotes, cost)
    steps = np.diff(np.log(ours)) - np.diff(np.log(theirs))
    assert verdict.n_steps == len(steps) == len(weights) - 1
    assert verdict.growth == pytest.approx(252 * steps.mean(), rel=1e-9)
    wanted = confidence_sequence(steps)
    assert verdict.low == pytest.approx(252 * wanted.low[-1])
    assert verdict.high == pytest.approx(252 * wanted.high[-1])


def test_a_split_among_the_rows_judged_is_told_beside_the_verdict(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table)
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    given = {"terms": policy.terms_on({}), "promises": []}
    honest = judge_journal(journal, weights, **given)
    assert weights.quotes is not None and honest.doubts == ()
    quotes = weights.quotes.copy()
    quotes[10:, 1] /= 2
    verdict = judge_journal(journal, replace(weights, quotes=quotes), **given)
    assert verdict.sentences[-1].startswith(
        f"hard to believe of the {len(quotes)} rows judged: The price of asset 1 ('BBB') moves by"
    )
    assert verdict.sentences[-1].endswith(f"Row 10 is {weights.labels[10]}.")
    assert verdict.line.keys() == honest.line.keys()


def test_actions_that_are_executed_later_are_judged_later(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table)
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    late = replace(policy.terms_on({}), delay=1)
    verdict = judge_journal(journal, weights, terms=late, promises=[])
    cost = policy.terms_on({}).trans_cost
    ours = _wealth(weights.values[:-1], weights.quotes[1:], cost)
    theirs = _wealth(np.full_like(weights.values[:-1], 1 / 3), weights.quotes[1:], cost)
    steps = np.diff(np.log(ours)) - np.diff(np.log(theirs))
    assert verdict.n_steps == len(weights) - 2
    assert verdict.growth == pytest.approx(252 * steps.mean(), rel=1e-9)


def test_a_policy_that_is_equal_weights_but_for_rounding_is_neither_better_nor_worse(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table)
    for k, beside in enumerate((0.0, 1.0)):
        equal = np.full_like(weights.values, np.nextafter(np.nextafter(1 / 3, beside), beside))
        said = replace(weights, values=equal)
        journal, _ = keep(tmp_path / f"{k}.jsonl", said, now=NOW)
        given = {"terms": policy.terms_on({}), "promises": [_promise(0.0)]}
        verdict = judge_journal(journal, said, **given)
        assert verdict.low != 0 and verdict.low * verdict.high > 0
        assert verdict.versus_uniform == "not told apart"
        assert verdict.promises[0][1] == "holds so far"


def test_what_was_said_is_judged_whatever_would_be_said_now(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "j.jsonl"
    weights = policy.act(table)
    journal, _ = keep(path, weights, now=NOW)
    before = judge_journal(journal, weights, terms=policy.terms_on({}), promises=[])
    other = policy.act(table)
    object.__setattr__(other, "values", np.roll(other.values, 1, axis=1))
    after = judge_journal(journal, other, terms=policy.terms_on({}), promises=[])
    assert before == after


def test_a_promise_is_broken_or_surpassed_only_beyond_the_interval(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table)
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    plain = judge_journal(journal, weights, terms=policy.terms_on({}), promises=[])
    middle = (plain.low + plain.high) / 2
    promises = [_promise(plain.low - 0.01), _promise(middle), _promise(plain.high + 0.01)]
    verdict = judge_journal(journal, weights, terms=policy.terms_on({}), promises=promises)
    assert [how for _, how in verdict.promises] == ["surpassed", "holds so far", "broken"]
    assert verdict.sentences[1].startswith("promised by made rows:")
    assert verdict.line["promises"][2]["verdict"] == "broken"


def test_rows_that_made_a_promise_do_not_keep_it(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table)
    (own,) = promises_of(policy.kept.metrics, policy="best")
    assert own.last == weights.labels[-1]
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    earlier = replace(own, last="2001-01-01")
    verdict = judge_journal(journal, weights, terms=policy.terms_on({}), promises=[own, earlier])
    assert [how for _, how in verdict.promises] == ["its own rows", "holds so far"]
    assert "rows judged are the very rows that promised" in verdict.sentences[1]


def test_too_few_moves_say_nothing_and_none_at_all_are_refused(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table).last(10)
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    verdict = judge_journal(journal, weights, terms=policy.terms_on({}), promises=[_promise(0.5)])
    assert (verdict.low, verdict.versus_uniform) == (None, "too early")
    assert verdict.promises[0][1] == "too early"
    assert "too early to say anything" in verdict.sentences[0]
    one, _ = keep(tmp_path / "k.jsonl", weights.last(), now=NOW)
    with pytest.raises(DataError, match=r"needs a move since .* Judge again when a row has come"):
        judge_journal(one, weights.last(), terms=policy.terms_on({}), promises=[])


# 20:00 in New York is 1:00 UTC of the next day, whose close nobody knows before 3:00 UTC.
@pytest.mark.parametrize(("hours", "n_more"), [(18, 0), (25, 0), (27, 1)])
def test_rows_that_were_written_down_late_are_counted(
    policy: Policy, table: pd.DataFrame, tmp_path: Path, hours: int, n_more: int
) -> None:
    path = tmp_path / "j.jsonl"
    weights = policy.act(table)
    third = datetime.fromisoformat(weights.labels[2]).replace(tzinfo=UTC)
    keep(path, policy.act(table.loc[: weights.labels[2]]), now=third + timedelta(hours=hours))
    verdict = judge_journal(
        keep(path, weights, now=datetime(2030, 1, 1, tzinfo=UTC))[0],
        weights,
        terms=policy.terms_on({}),
        promises=[],
    )
    # The first two were late on the third day, the third was not, the newest has none after it.
    assert verdict.n_late == len(weights) - 1 - 1 + n_more


def test_rows_that_are_gone_from_the_data_are_refused(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table)
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    fewer = policy.act(table.drop(index=table.index[-5]))
    with pytest.raises(DataError, match=f"{table.index[-5].date()} is not there"):
        judge_journal(journal, fewer, terms=policy.terms_on({}), promises=[])


def test_without_prices_nothing_can_be_judged(
    acting_runs: ActingRuns, policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    weights = policy.act(table)
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    object.__setattr__(weights, "quotes", None)
    with pytest.raises(UsageError, match="--judge needs prices"):
        judge_journal(journal, weights, terms=policy.terms_on({}), promises=[])


def test_promises_are_those_of_the_record_and_of_the_validation_rows(
    policy: Policy, table: pd.DataFrame, acting_runs: ActingRuns
) -> None:
    validation, test = policy.promises(table)
    told = policy.kept.metrics["versus_uniform"]
    assert (test.of, test.growth) == ("test rows", told["growth"])
    assert validation.of == "validation rows"
    config, spans = policy.config, policy.kept.metrics["spans"]["val"]
    rows = table.loc[spans["first"] : spans["last"]]
    assert len(rows) == spans["rows"]
    # By the run's own arithmetic on the run's own split.
    from psann.market import load_prices

    data = load_prices(acting_runs.prices)
    wanted = judge_policy(
        policy.of_estimators(data["X_val"]), data["prices_val"], terms=policy.terms_on({})
    )
    assert validation.growth == pytest.approx(wanted.versus_uniform.growth)
    assert validation.low == pytest.approx(wanted.versus_uniform.low)
    assert config.hisso.refit is False
    assert [promise.of for promise in policy.promises(table.iloc[-70:])] == ["test rows"]


def test_validation_rows_are_told_as_trained_on_only_of_a_policy_that_was(
    acting_runs: ActingRuns, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = load_policy(acting_runs("prices"))
    hisso = policy.config.hisso.model_copy(update={"refit": True})
    policy.config = policy.config.model_copy(update={"hisso": hisso})
    for best_epoch, told in (
        (2, "validation rows, which it was refitted on"),
        (0, "validation rows"),
    ):
        monkeypatch.setattr(policy.kept.members[0], "best_epoch_", best_epoch)
        assert policy.promises(table)[0].of == told


def test_of_several_seeds_their_mean_promises_and_of_folds_the_walk(
    acting_runs: ActingRuns,
) -> None:
    seeds = acting_runs.policy("seeds").kept.metrics
    (promise,) = promises_of(seeds, policy="best")
    assert promise.growth == seeds["ensemble"]["versus_uniform"]["growth"]
    walked = load_policy(acting_runs("folds"), policy="last_fold")
    (promise,) = walked.promises()
    assert promise.of == "walking forward"
    assert promise.growth == walked.kept.metrics["walk_forward"]["versus_uniform"]["growth"]


def test_holdings_without_a_price_are_kept_while_judging(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    policy = acting_runs.policy("holes")
    weights = policy.act()
    assert np.isnan(weights.quotes).any()
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    verdict = judge_journal(journal, weights, terms=policy.terms_on({}), promises=policy.promises())
    assert np.isfinite(verdict.growth)
    assert verdict.n_steps == len(weights) - 1
