"""Records of finished runs, written by hand."""

from __future__ import annotations

from typing import Any

from psann.run.directory.record import RunRecord

FIGURES = {
    **{
        "gross_log_growth": 0.5,
        "annual_log_growth": 0.25,
        "annual_sharpe": 1.5,
        "max_drawdown": -0.125,
    },
    **{"turnover": 0.0, "turnover_traded": 0.0625, "cum_return": 22.3},
}


def finished(**fields: Any) -> RunRecord:
    record = RunRecord()
    values: dict[str, Any] = {
        **{"run_name": "first", "status": "completed", "best_epoch": 12, "episodes": 15360},
        **{"epoch": 60, "epochs_total": 60, "reward_mean": 0.125, "throughput_eps_per_sec": 5230.4},
        **{"portfolio_metrics": FIGURES, "trans_cost": 0.001, "val_reward_mean": 0.0625},
        "portfolio_metrics_delay_1": {**FIGURES, "annual_log_growth": 0.1875},
        "baselines": {
            "uniform": {**FIGURES, "annual_log_growth": 0.125, "cum_return": 1.21},
            "buy_and_hold": {**FIGURES, "annual_sharpe": None},
            "best_asset": {**FIGURES, "cum_return": 1.23456e9},
            "olmar": FIGURES,
            "bcrp_hindsight": FIGURES,
        },
    }
    record.update(**{**values, **fields})
    return record
