"""How a policy is judged on validation rows."""

from __future__ import annotations

import numpy as np
import pytest

from planted import fit_hisso, planted, quick
from psann.accounting import net_growth

VALIDATION = planted(60, seed=1)
WITH_TARGETS = {"y": planted()["X"], "validation_data": {**VALIDATION, "y": VALIDATION["X"]}}


def test_validation_judges_the_whole_span_at_the_deployed_cost() -> None:
    for evaluation, hisso, cost in (
        ({}, {"transition_penalty": 0.004}, 0.004),
        ({"trans_cost": 0.002, "initial": "invested"}, {"transition_penalty": 0.004}, 0.002),
    ):
        model = fit_hisso(quick(), hisso, evaluation=evaluation)
        actions = model.predict_actions(VALIDATION["X"])
        growth = net_growth(
            actions,
            VALIDATION["prices"],
            initial=evaluation.get("initial", "cash"),  # type: ignore[arg-type]
        )
        expected = (np.log(growth.gross) - cost * growth.traded).mean()
        assert model.best_value_ == pytest.approx(expected, abs=1e-7)
        record = model.fit_result_.history[model.best_epoch_ - 1]
        assert record.val_reward_mean == model.best_value_ == -record.val_loss


@pytest.mark.parametrize("reward", ["portfolio", "sharpe", "max_drawdown", "negative_mse"])
def test_evaluate_reward_reproduces_the_best_value(reward: str) -> None:
    model = fit_hisso(quick(), {"reward": reward}, **WITH_TARGETS)
    again = model.evaluate_reward(VALIDATION["X"], VALIDATION["prices"], y=VALIDATION["X"])
    assert again == pytest.approx(model.best_value_, abs=1e-6)
