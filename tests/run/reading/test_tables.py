"""Tables of one run: every figure where it belongs, defaults told from settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from made_runs import made_run
from psann.run.reading.reading import RunView, read_run
from psann.run.reading.tables import (
    config_table,
    files_table,
    key_figures_table,
    net_of,
    origin_tables,
    result_table,
    seeds_table,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return read_run(made_run(tmp_path_factory.mktemp("runs") / "run"))


def test_policy_and_its_nearest_baselines_lead_the_table(run: RunView) -> None:
    table = result_table(run)
    assert table is not None
    assert [row[0] for row in table.rows[:3]] == ["policy", "policy, one row later", "1/N"]
    assert len(table.rows) == 14


def test_higher_costs_follow_the_policy_and_a_benchmark_has_its_name(tmp_path: Path) -> None:
    figures = {"cum_return": 0.25, "annual_log_growth": 0.1}
    more = {
        "portfolio_metrics_cost_2": figures,
        "portfolio_metrics_cost_3": {**figures, "cum_return": -0.5},
        "judged": {"split": "test", "n_rows": 300, "benchmark": "S&P 500"},
    }
    table = result_table(read_run(made_run(tmp_path / "run", **more)))
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    assert [*rows][2:4] == ["policy, at twice the cost", "policy, at 3 times the cost"]
    assert rows["policy, at twice the cost"][0] == "1.25"
    assert rows["policy, at 3 times the cost"][0] == "0.50"
    assert [*rows][-1] == "benchmark S&P 500"


def test_baselines_that_do_what_one_over_n_does_are_left_out_and_that_is_said(
    run: RunView, tmp_path: Path
) -> None:
    uniform = run.metrics["baselines"]["uniform"]
    alike = dict.fromkeys(("uniform", "buy_and_hold", "bcrp_hindsight"), uniform)
    table = result_table(read_run(made_run(tmp_path / "run", baselines=alike)))
    assert table is not None and table.note is not None
    assert [row[0] for row in table.rows] == ["policy", "policy, one row later", "1/N"]
    assert table.note.endswith("gross growth. Baselines that do what 1/N does are left out.")
    whole = result_table(run)
    assert whole is not None and whole.note is not None
    assert whole.note.endswith("(*) chosen on these very rows: unattainable.")


@pytest.mark.parametrize(
    ("evaluation", "hisso", "told"),
    [
        ("trans_cost: 0.001", "transition_penalty: 0.5", "net of 14.86 bp"),
        ("initial: cash", "transition_penalty: [0.1, 0.2]", "net of 14.86 bp on average"),
        ("trans_cost: null", "transition_penalty: [0.1, 0.2]", "net of 14.86 bp on average"),
        ("trans_cost: spread", "window: 3", "net of 14.86 bp on average"),
    ],
)
def test_costs_that_are_not_one_number_are_told_on_average(
    evaluation: str, hisso: str, told: str, tmp_path: Path
) -> None:
    run = read_run(made_run(tmp_path / "run", trans_cost=0.00148644))
    (run.path / "config_resolved.yaml").write_text(
        f"evaluation: {{{evaluation}}}\nhisso: {{{hisso}}}\n"
    )
    assert net_of(run) == told
    assert net_of(read_run(made_run(tmp_path / "none", trans_cost=None))) == ""


def test_result_is_written_as_the_record_has_it(run: RunView) -> None:
    table = result_table(run)
    assert table is not None
    figures = run.metrics["portfolio_metrics"]
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert cells["wealth"] == f"{1 + figures['cum_return']:,.2f}"
    assert cells["drawdown"] == f"{figures['max_drawdown']:.1%}"


def test_missing_and_foreign_values_are_dashes_or_nothing(tmp_path: Path) -> None:
    foreign = {"portfolio_metrics": {"sharpe": "high"}, "baselines": {"x": 3, "y": None}}
    run = read_run(made_run(tmp_path / "run", **foreign, portfolio_metrics_delay_1=None))
    table = result_table(run)
    assert table is not None
    assert [row[0] for row in table.rows] == ["policy"]
    assert {cell for row in table.rows for cell in row[1:]} == {"–"}


def test_run_without_figures_has_no_tables(tmp_path: Path) -> None:
    run = read_run(tmp_path)
    tables = (result_table(run), key_figures_table(run), config_table(run), files_table(run))
    assert tables == (None, None, None, None)
    assert origin_tables(run) == ()


def test_seeds_stand_beside_each_other_with_mean_and_spread(tmp_path: Path) -> None:
    seeds = [{"seed": 42 + k, "best_epoch": k, "val_reward_mean": 0.5 + k} for k in range(2)]
    run = read_run(
        made_run(
            tmp_path / "run",
            per_seed=seeds,
            best_epoch=0.5,
            val_reward_mean=1.0,
            spread={"val_reward_mean": 0.7071},
            ensemble={"portfolio_metrics": {"cum_return": 3.0}},
        )
    )
    table = seeds_table(run)
    assert table is not None
    assert [row[0] for row in table.rows] == ["42", "43", "mean", "standard deviation"]
    assert table.columns[1:3] == ("best epoch", "validation reward (per row, higher is better)")
    assert [row[1] for row in table.rows] == ["0", "1", "–", "–"]
    assert [row[2] for row in table.rows] == ["0.5", "1.5", "1", "0.7071"]
    result = result_table(run)
    assert result is not None
    assert [row[0] for row in result.rows[:4]] == [
        "policy, mean of 2 seeds",
        "  spread over seeds",
        "policy, one row later",
        "the seeds as one policy",
    ]
    assert result.rows[3][1] == "4.00"


def test_seeds_on_targets_stand_beside_each_other_by_their_losses(tmp_path: Path) -> None:
    names = ("reward_mean", "val_reward_mean", "test_reward_mean", "portfolio_metrics", "baselines")
    none: dict[str, Any] = dict.fromkeys(names)
    seeds = [{**none, "seed": k, "best_epoch": k, "val_loss": 0.5 + k} for k in range(2)]
    table = seeds_table(read_run(made_run(tmp_path / "run", per_seed=seeds, **none, val_loss=1.0)))
    assert table is not None
    assert table.columns[1:] == ("best epoch", "validation loss (lower is better)")
    assert [row[2] for row in table.rows] == ["0.5", "1.5", "1", "–"]


def test_run_of_one_seed_has_no_table_of_seeds(run: RunView) -> None:
    assert seeds_table(run) is None


def test_only_values_at_their_default_are_set_back(run: RunView) -> None:
    table = config_table(run, {"hisso.input_noise": 0.0, "training.lr": 0.001, "seed": 42})
    assert table is not None
    origin = {row[0]: (row[1], row[2]) for row in table.rows}
    assert origin["hisso.input_noise"] == ("0.0", "default")
    assert origin["training.lr"] == ("0.005", "set")
    assert origin["estimator.params.hidden_units"] == ("32", "set")
    assert origin["seed"] == ("42", "default")
    assert "recorded.seed_from" not in origin
    assert {i for i, row in enumerate(table.rows) if row[2] == "default"} == table.quiet_rows


def test_origin_names_the_command_and_the_machine(run: RunView) -> None:
    (table,) = origin_tables(run)
    rows = dict(table.rows)
    assert rows["command"] == "hisso-log-run --config a.yaml"
    assert rows["versions"] == "python 3.11.7, psann 0.1.0"


def test_files_are_listed_with_their_digests(tmp_path: Path) -> None:
    artefacts = {"events.csv": {"bytes": 3, "sha256": "a" * 64}, "odd": "no entry"}
    table = files_table(read_run(made_run(tmp_path / "run", artefacts=artefacts)))
    assert table is not None
    assert table.rows == (("events.csv", "3", "a" * 64),)


def test_a_wealth_near_total_loss_keeps_its_digits(tmp_path: Path) -> None:
    lost = {"final_wealth": 3.25e-13, "cum_return": -1.0}
    table = result_table(read_run(made_run(tmp_path / "run", portfolio_metrics=lost)))
    assert table is not None
    assert table.rows[0][1] == "3.25e-13"
