"""What is decided on one row and executed on a later one, from training to the trade."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acting_runs import NOW, ActingRuns
from psann.errors import UsageError
from psann.run.acting.holdings_file import Held, read_held
from psann.run.acting.journal import keep
from psann.run.acting.policy import Policy
from psann.run.acting.promise import judge_journal
from psann.run.acting.trades import lines_of, trades_of
from psann.run.acting.verify_weights import verify_weights
from psann.run.acting.weights import Weights
from psann.run.acting.weights_file import read_weights, write_weights
from psann.scripts.hisso_runs import main


@pytest.fixture(scope="module")
def policy(acting_runs: ActingRuns) -> Policy:
    return acting_runs.policy("late")


@pytest.fixture(scope="module")
def weights(policy: Policy) -> Weights:
    return policy.act()


def test_a_limit_holds_in_what_acts(weights: Weights) -> None:
    assert weights.values.max() == pytest.approx(0.4, abs=1e-6)  # it binds somewhere


def test_weights_of_a_run_say_how_late_they_are_executed_and_are_verified(
    policy: Policy, weights: Weights, acting_runs: ActingRuns, tmp_path: Path
) -> None:
    assert (policy.terms_on({}).delay, weights.provenance.delay) == (1, 1)
    file = write_weights(weights, tmp_path / "w.json")
    run = acting_runs("late")
    assert verify_weights(run, file, data=acting_runs.prices) == []
    file.write_text(file.read_text().replace('"delay": 1', '"delay": 0'))
    (found,) = verify_weights(run, file, data=acting_runs.prices)
    assert found.message == "delay is 0, not 1, as of the run"


def test_the_journal_of_a_run_is_judged_from_the_row_of_execution_on(
    policy: Policy, weights: Weights, tmp_path: Path
) -> None:
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    assert journal.head["delay"] == 1
    verdict = judge_journal(journal, weights, terms=policy.terms_on({}), promises=policy.promises())
    # By hand: what was decided on row t is held from the prices of row t + 1 to those of row t + 2.
    moves = weights.quotes[2:] / weights.quotes[1:-1]
    difference = []
    for decided in (weights.values[:-2], np.full_like(weights.values[:-2], 1 / 3)):
        held, growth = np.zeros(3), []
        for target, move in zip(decided, moves, strict=True):
            fee = policy.terms_on({}).trans_cost * np.abs(target - held).sum()
            grown = target * move
            total = grown.sum() + 1 - target.sum()
            growth.append(np.log(total * (1 - fee)))
            held = grown / total
        difference.append(np.array(growth))
    by_hand = float((difference[0] - difference[1]).mean())
    assert verdict.n_steps == len(weights) - 2
    assert verdict.growth == pytest.approx(252 * by_hand, rel=1e-6)
    test = next(promise for promise, _ in verdict.promises if promise.of == "test rows")
    # The test rows are those that were acted on: what came is what the run itself found.
    assert test.growth == pytest.approx(verdict.growth, rel=1e-4)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_trades_are_to_the_weights_that_are_due_and_say_when(delay: int, weights: Weights) -> None:
    late = replace(weights, provenance=weights.provenance.model_copy(update={"delay": delay}))
    held = Held(kind="weight", amounts=np.zeros(3), cash=None)
    trades = trades_of(late, held, trans_cost=0.0, capital=1000.0, lot=0.001)
    place = -max(delay, 1)
    assert np.array_equal(trades.target, weights.values[place])
    assert (trades.decided, trades.label) == (weights.labels[place], weights.labels[-1])
    told = [line for line in lines_of(trades) if line.startswith("decided on")]
    newest = weights.labels[-1]
    assert told == [
        f"decided on {weights.labels[place]}, to be executed {delay} row{'s' * (delay > 1)} later, "
        f"on the one after {newest}; counted at the prices of {newest}"
    ] * bool(delay)


def test_trades_of_a_decision_that_is_not_there_are_refused(weights: Weights) -> None:
    late = replace(weights, provenance=weights.provenance.model_copy(update={"delay": 3}))
    held = Held(kind="weight", amounts=np.zeros(3), cash=None)
    options = {"trans_cost": 0.0, "capital": None, "lot": 1.0}
    with pytest.raises(UsageError, match=r"decided 3 rows before; there are 2 rows\. Give an earl"):
        trades_of(late.last(2), held, **options)
    assert trades_of(late.last(3), held, **options).decided == weights.labels[-3]


def test_earlier_weights_are_held_from_their_execution_on(weights: Weights, tmp_path: Path) -> None:
    # Yesterday's weights were bought at today's prices: they have not drifted yet.
    yesterday = replace(weights, rows=weights.rows[:-1], values=weights.values[:-1], quotes=None)
    held = read_held(write_weights(yesterday, tmp_path / "y.csv"), weights)
    assert np.array_equal(held.amounts, weights.values[-2])
    # Of today's file, whose last row nobody has bought yet, the row before is what is held.
    held = read_held(write_weights(weights, tmp_path / "t.csv"), weights)
    assert np.array_equal(held.amounts, weights.values[-2])
    # Those of five rows before: shares bought one row later, valued by the newest prices.
    before = replace(weights, rows=weights.rows[:-5], values=weights.values[:-5], quotes=None)
    held = read_held(write_weights(before, tmp_path / "b.csv"), weights)
    values = weights.values[-6] / weights.quotes[-5] * weights.quotes[-1]
    cash = 1 - weights.values[-6].sum()
    assert np.allclose(held.amounts, values / (values.sum() + cash), atol=1e-12)
    newest = write_weights(weights.last(), tmp_path / "n.csv")
    with pytest.raises(UsageError, match=r"executed 1 row later.* Give the file of an earlier row"):
        read_held(newest, weights)


def test_the_command_says_on_which_row_the_decision_is_executed(
    acting_runs: ActingRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "held.csv").write_text("asset,weight\nAAA,0.5\n")
    file, run = tmp_path / "w.csv", str(acting_runs("late"))
    held = ["--held", str(tmp_path / "held.csv")]
    assert main(["act", run, "--last", "-o", str(file), *held]) == 0
    out = capsys.readouterr().out
    assert "1 row to 2022-05-20, 3 assets, to be executed 1 row later" in out
    assert "decided on 2022-05-20, to be executed 1 row later, on the one after 2022-05-20" in out
    assert read_weights(file).provenance.delay == 1
    assert pd.read_csv(file, comment="#", index_col=0).index.tolist() == ["2022-05-20"]
