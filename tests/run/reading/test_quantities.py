"""What numbers are called, and which way is better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from psann.run.reading.quantities import QUANTITIES, quantity
from psann.run.reading.reading import read_run
from trials import finished


def test_every_quantity_has_a_value_in_a_finished_run(tmp_path: Path) -> None:
    settings = ("training.epochs=2", "hisso.temperature_scaling=true")
    run = read_run(finished(tmp_path, *settings).root)
    without = [each.key for each in QUANTITIES if each.of(run) is None]
    assert without == []
    for each in QUANTITIES:
        value = each.of(run)
        assert value is not None
        assert each.write(value)


def test_excess_is_growth_less_that_of_equal_weights(tmp_path: Path) -> None:
    run = read_run(finished(tmp_path, "training.epochs=2").root)
    policy = run.metrics["portfolio_metrics"]["annual_log_growth"]
    uniform = run.metrics["baselines"]["uniform"]["annual_log_growth"]
    assert quantity("excess_growth").of(run) == pytest.approx(policy - uniform, abs=1e-12)
    late = quantity("excess_growth_delay_1").of(run)
    delayed, paths = run.metrics["portfolio_metrics_delay_1"]["annual_log_growth"], run.evaluation
    later = paths.net[[*paths.names].index("uniform")][1:]  # 1/N of the rows that both have
    growth = 252 * np.log(later[-1] / later[0]) / (len(later) - 1)
    assert abs(uniform - growth) > 0.1  # but for the cost of the first purchase:
    assert late == pytest.approx(delayed - growth, abs=0.05)
    assert quantity("excess_growth").of(read_run(tmp_path)) is None


@pytest.mark.parametrize(
    ("key", "better"),
    [
        ("val_reward_mean", "higher"),
        ("val_loss", "lower"),
        ("portfolio_metrics.max_drawdown", "higher"),  # it is negative
        ("portfolio_metrics.cost_paid", "lower"),
        ("best_epoch", ""),
    ],
)
def test_direction_of_better(key: str, better: str) -> None:
    assert quantity(key).better == better
