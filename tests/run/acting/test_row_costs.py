"""Costs and rates that stand beside the prices: trained on, traded at, judged by."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acting_runs import NOW, RATE, SPREAD, ActingRuns
from psann.errors import UsageError
from psann.run.acting.journal import keep
from psann.run.acting.policy import Policy
from psann.run.acting.promise import judge_journal
from psann.scripts.hisso_runs import main


@pytest.fixture(scope="module")
def policy(acting_runs: ActingRuns) -> Policy:
    return acting_runs.policy("row_costs")


def test_a_run_is_judged_at_what_stands_beside_its_prices(acting_runs: ActingRuns) -> None:
    run = acting_runs("row_costs")
    metrics = json.loads((run / "metrics.json").read_text())
    n_test = len(acting_runs.allocations("row_costs"))
    assert metrics["trans_cost"] == pytest.approx(SPREAD[-n_test:].mean(), rel=1e-6)
    assert main(["verify", str(run)]) == 0


def test_a_journal_is_judged_at_the_costs_of_each_row(policy: Policy, tmp_path: Path) -> None:
    weights = policy.act()
    journal, _ = keep(tmp_path / "j.jsonl", weights, now=NOW)
    verdict = judge_journal(journal, weights, terms=policy.terms_on(weights.arrays), promises=[])
    n_rows, growth = len(weights), []
    costs, rates = SPREAD[-n_rows:], RATE[-n_rows:] / 252
    for targets in (weights.values, np.full((n_rows, 3), 1 / 3)):
        held = np.zeros(3)
        for row in range(n_rows - 1):
            fee = costs[row] * np.abs(targets[row] - held).sum()
            grown = targets[row] * weights.quotes[row + 1] / weights.quotes[row]
            whole = grown.sum() + (1 - targets[row].sum()) * (1 + rates[row])
            growth.append(np.log(whole * (1 - fee)))
            held = grown / whole
    ours, theirs = np.split(np.array(growth), 2)
    assert verdict.growth == pytest.approx(252 * (ours - theirs).mean(), rel=1e-9)
    # A journal that begins later is judged at the costs of its own rows.
    late, _ = keep(tmp_path / "late.jsonl", weights.last(9), now=NOW)
    found = judge_journal(late, weights, terms=policy.terms_on(weights.arrays), promises=[])
    again = weights.last(9)
    assert found == judge_journal(late, again, terms=policy.terms_on(again.arrays), promises=[])
    assert policy.promises()[0].of == "validation rows"


def test_trades_pay_the_costs_of_the_newest_row(
    acting_runs: ActingRuns, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held, trades = tmp_path / "held.csv", tmp_path / "trades.csv"
    held.write_text("asset,weight\n")
    arguments = ["act", str(acting_runs("row_costs")), "--data", str(acting_runs.beside)]
    arguments += ["--held", str(held), "--trades", str(trades), "-o", str(tmp_path / "w.csv")]
    assert main([*arguments, "--judge", "--journal", str(tmp_path / "j.jsonl")]) == 0
    said = capsys.readouterr().out
    trade = pd.read_csv(trades)["trade"].sum()
    assert f"traded weight {trade:.4f}, cost {trade * SPREAD[-1]:.6f} of the wealth" in said
    assert "promised by validation rows" in said


def test_rows_without_the_costs_are_acted_on_but_not_traded(policy: Policy) -> None:
    table = pd.read_csv(policy.config.data.prices, index_col=0, parse_dates=True)
    weights = policy.act(table[["AAA", "BBB", "CCC"]], reading={"arrays": []})
    assert len(weights) and not weights.arrays
    with pytest.raises(UsageError, match="need spread, rate on newer rows"):
        policy.terms_on(weights.arrays)
