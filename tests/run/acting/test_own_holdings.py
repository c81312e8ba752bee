"""What a user holds, told to a policy that sees it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acting_runs import ActingRuns
from psann.errors import UsageError
from psann.market.newer_rows import newer_rows
from psann.run.acting.policy import Policy
from psann.run.acting.weights_file import read_weights
from psann.scripts.hisso_runs import main

HELD = [0.7, 0.1, 0.0]


@pytest.fixture(scope="module")
def policy(acting_runs: ActingRuns) -> Policy:
    return acting_runs.policy("sees_held")


def test_the_newest_row_is_decided_by_what_the_user_holds(
    policy: Policy, acting_runs: ActingRuns
) -> None:
    alone, told = policy.act(), policy.act(held=HELD)
    assert np.array_equal(alone.values[:-1], told.values[:-1])
    assert np.abs(told.values[-1] - alone.values[-1]).max() > 1e-4
    (member,) = policy.kept.members
    newest = newer_rows(acting_runs.prices, policy.recipe).X[-1:]
    assert np.array_equal(told.values[-1:], member.predict_actions(newest, held=HELD))


def test_a_later_first_row_does_not_change_what_it_holds(policy: Policy) -> None:
    whole = policy.act()
    part = policy.act(since=whole.labels[-5])
    assert part.labels == whole.labels[-5:]
    assert np.array_equal(part.values, whole.values[-5:])


def test_act_trades_to_what_follows_from_the_holdings_and_verify_repeats_it(
    acting_runs: ActingRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, held, file = str(acting_runs("sees_held")), tmp_path / "held.csv", tmp_path / "w.csv"
    held.write_text("asset,weight\nAAA,0.7\nBBB,0.1\n")
    told = ["--data", str(acting_runs.prices), "-o", str(file), "--held", str(held)]
    assert main(["act", run, *told, "--journal", str(tmp_path / "j.jsonl")]) == 0
    assert read_weights(file).provenance.held == HELD
    target = read_weights(file).values[-1]
    assert f"{target[0]:.6f}" in capsys.readouterr().out.splitlines()[2]
    arguments = ["verify", run, "--weights", str(file), "--data", str(acting_runs.prices)]
    assert main(arguments) == 0
    held.write_text("asset,weight\nCCC,1\n")
    assert main(["act", run, *told, "--journal", str(tmp_path / "j.jsonl")]) == 0
    said = capsys.readouterr().out
    assert "the data were revised, or something else was held. What it said stands." in said


def test_holdings_that_change_nothing_are_refused(acting_runs: ActingRuns) -> None:
    with pytest.raises(UsageError, match="held has no effect"):
        acting_runs.policy("prices").act(held=HELD)
