"""Policies that see what they hold: trained by memory, deciding row after row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from psann import AssetwiseRegressor, PSANNRegressor
from psann.errors import DataError, UsageError
from psann.estimators.seeds import Ensemble, fit_seeds
from psann.hisso.options import HISSOOptions
from psann.hisso.own_weights import decided_in_turn, first_memory, remembered
from psann.hisso.transforms import TRANSFORMS
from psann.training.carry import MEMORY
from psann.training.observers import Observer
from psann.training.state import SavedState, TrainState

N, M = 260, 4
_DRAW = np.random.default_rng(0)
_MOVES = 0.02 * _DRAW.normal(size=(N, M))
PRICES = np.exp(np.cumsum(_MOVES, axis=0))
X = (0.4 * np.roll(_MOVES, -1, axis=0) / 0.02 + _DRAW.normal(size=(N, M)))[:, :, None]
FIRST, LATER = slice(0, 180), slice(180, N)
LATE = {"X": X[LATER], "prices": PRICES[LATER]}
HISSO = {"window": 24, "batch_episodes": 8, "updates_per_epoch": 6, "transition_penalty": 0.005}


def model(**params: Any) -> Any:
    return AssetwiseRegressor(**{"epochs": 5, "lr": 0.08, "random_state": 0, **params})


def fitted(hisso: dict[str, Any] | None = None, *, fit: Any = None, **params: Any) -> Any:
    """A policy that sees what it holds, at 50 bp."""
    options = {**HISSO, "held_weights": True, **(hisso or {})}
    given = {"prices": PRICES[FIRST], "validation_data": LATE, "hisso": options, **(fit or {})}
    return model(engine="eager", **params).fit(X[FIRST], **given)


@pytest.fixture(scope="module")
def seeing() -> Any:
    return fitted()


def test_each_row_is_decided_by_what_prices_left_of_the_one_before(seeing: Any) -> None:
    a, b = (float(w) for w in seeing.network_.head.score.weight.detach()[0])
    held, expected = np.array([0.7, 0.1, 0.1, 0.0]), []
    for row in range(30):
        scores = a * X[row, :, 0].astype(np.float32) + b * np.arcsinh(M * held)
        target = np.exp(scores) / np.exp(scores).sum()
        expected.append(target)
        if row < 29:
            grown = target * PRICES[row + 1] / PRICES[row]
            held = grown / grown.sum()
    found = seeing.predict_actions(X[:30], prices=PRICES[:30], held=[0.7, 0.1, 0.1, 0.0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    named = pd.DataFrame(PRICES[:30], columns=list("DCBA"))
    held = pd.Series([0.0, 0.1, 0.1, 0.7], index=list("ABCD"))
    np.testing.assert_array_equal(seeing.predict_actions(X[:30], prices=named, held=held), found)
    with pytest.raises(DataError, match="held must have the columns of prices: D, C, B, A"):
        seeing.predict_actions(X[:30], prices=named, held=held.rename({"D": "E"}))
    backwards = named.set_axis(pd.date_range("2020-01-01", periods=30))[::-1]
    with pytest.raises(DataError, match=r"^prices must be in the order of time"):
        seeing.predict_actions(X[:30], prices=backwards)


def test_it_learns_to_trade_less_and_to_earn_more_of_it(seeing: Any) -> None:
    blind = fitted({"held_weights": False})
    assert float(seeing.network_.head.score.weight.detach()[0, 1]) > 0.2
    assert seeing.best_value_ > blind.best_value_ + 1e-4
    assert seeing.best_value_ == pytest.approx(seeing.evaluate_reward(**LATE), abs=1e-7)
    episodes = seeing.evaluate_episodes(X[FIRST], PRICES[FIRST])
    assert episodes.mean() > blind.evaluate_episodes(X[FIRST], PRICES[FIRST]).mean()


def test_the_memory_has_what_episodes_decided_and_keeps_other_rows() -> None:
    prices = torch.tensor([[1.0, 1.0], [2.0, 1.0], [2.0, 1.0], [2.0, 4.0]])
    memory = first_memory(prices, TRANSFORMS["softmax"])
    assert memory.tolist() == [[0.5, 0.5]] * 4
    actions = torch.tensor([[[0.5, 0.5], [0.25, 0.25]], [[0.25, 0.25], [1.0, 0.0]]])
    after = remembered(memory, torch.tensor([[0, 1], [1, 2]]), actions, prices[1:] / prices[:-1])
    # 0.5 became 1 of 1.5; 0.25 each stayed, with half in cash; the last rows are nobody's yet.
    np.testing.assert_allclose(after, [[0.5, 0.5], [2 / 3, 1 / 3], [0.25, 0.25], [0.5, 0.5]])
    cash = first_memory(prices, TRANSFORMS["softmax_cash"])
    np.testing.assert_allclose(cash, np.full((4, 2), 1 / 3))


def test_the_first_row_is_decided_from_cash_or_from_what_is_told() -> None:
    seen = []

    def outputs_of(x: torch.Tensor) -> torch.Tensor:
        seen.append(x[0, 1::2].tolist())
        return torch.zeros(1, 2, dtype=torch.float64)

    x, prices = torch.zeros(2, 2, dtype=torch.float64), torch.ones(2, 2, dtype=torch.float64)
    decided_in_turn(outputs_of, x, prices, TRANSFORMS["softmax"])
    told = torch.tensor([0.9, 0.1])
    decided_in_turn(outputs_of, x, prices, TRANSFORMS["softmax"], held=told)
    held = np.array([[0, 0], [0.5, 0.5], [0.9, 0.1], [0.5, 0.5]])
    np.testing.assert_allclose(seen, np.arcsinh(2 * held), atol=1e-7)


def test_permuting_the_assets_permutes_its_actions(seeing: Any) -> None:
    order = [2, 0, 3, 1]
    np.testing.assert_allclose(
        seeing.predict_actions(X[:, order], prices=PRICES[:, order]),
        seeing.predict_actions(X, prices=PRICES)[:, order],
        atol=1e-6,
    )


def test_seeds_at_once_are_those_alone_and_their_mean_acts(seeing: Any) -> None:
    both = fit_seeds(
        model(engine="eager"),
        [0, 1],
        X[FIRST],
        prices=PRICES[FIRST],
        validation_data=LATE,
        hisso={**HISSO, "held_weights": True},
    )
    actions = [each.predict_actions(**LATE) for each in both]
    np.testing.assert_allclose(actions[0], seeing.predict_actions(**LATE), atol=1e-4)
    mean = Ensemble(both).predict_actions(**LATE)
    np.testing.assert_allclose(mean, np.mean(actions, axis=0))


class _Stop(Observer):
    """Takes the state after the third epoch of each phase."""

    def __init__(self) -> None:
        self.states: dict[str, SavedState] = {}

    def on_epoch(self, record: Any, state: TrainState) -> None:
        if state.epoch == 3:
            self.states[state.phase] = state.state_dict()


def test_training_goes_on_from_its_memory_to_the_last_bit() -> None:
    how = {"refit": True, "delay": 1}
    stop = _Stop()
    whole = fitted(
        how, epochs=4, lr=0.05, hidden_layers=1, hidden_units=4, fit={"observers": [stop]}
    )
    for phase, n_rows in (("hisso", 179), ("refit", 179 + N - 181)):
        memory = stop.states[phase].tensors[f"buffers.{MEMORY}"]
        assert memory.shape == (n_rows, M) and float((memory - 0.25).abs().max()) > 0.01
        go_on = {"resume": stop.states[phase]}
        again = fitted(how, epochs=4, lr=0.05, hidden_layers=1, hidden_units=4, fit=go_on)
        ours, theirs = (each.predict_actions(**LATE) for each in (whole, again))
        assert ours.tobytes() == theirs.tobytes()


def test_a_saved_policy_sees_what_it_holds_again(seeing: Any, tmp_path: Any) -> None:
    seeing.save(tmp_path / "policy.safetensors")
    loaded = AssetwiseRegressor.load(tmp_path / "policy.safetensors")
    assert MEMORY not in loaded.network_.state_dict()
    assert loaded.predict_actions(**LATE).tobytes() == seeing.predict_actions(**LATE).tobytes()


def test_what_it_cannot_be_used_for_is_refused_by_name(seeing: Any) -> None:
    for wrong, message in (
        (lambda: seeing.predict_actions(X), "prices must be given with X"),
        (lambda: seeing.predict(X), "Use predict_actions with prices"),
        (lambda: seeing.predict_actions(**LATE, held=[1.0]), "weight of each of the 4 assets"),
        (lambda: fitted({"reward": "negative_mse"}, fit={"y": X[FIRST, :, 0]}), "not of prices"),
        (
            lambda: PSANNRegressor().fit(X[:, :, 0], prices=PRICES, hisso={"held_weights": True}),
            "PSANNRegressor has no place for hisso.held_weights",
        ),
        (
            lambda: model().partial_fit(
                X[FIRST], prices=PRICES[FIRST], hisso={**HISSO, "held_weights": True}
            ),
            "partial_fit has no place for hisso.held_weights",
        ),
        (lambda: HISSOOptions(held_weights=True, input_noise=0.1), "combined with input_noise"),
        (lambda: HISSOOptions(held_weights=True, max_turnover=0.1), "combined with max_turnover"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong()
    codes = np.ones((180, M), dtype=np.int8)
    late = {**LATE, "active": np.ones((N - 180, M), dtype=np.int8)}
    with pytest.raises(ValueError, match="active says that assets come and go"):
        fitted(fit={"active": codes, "validation_data": late})
    blind = fitted({"held_weights": False}, epochs=1)
    with pytest.raises(ValueError, match="held has no effect"):
        blind.predict_actions(X, held=[0.0] * M)


@pytest.mark.slow  # a compilation
def test_a_compiled_training_is_the_eager_one_to_rounding(seeing: Any) -> None:
    options = {**HISSO, "held_weights": True}
    given = {"prices": PRICES[FIRST], "validation_data": LATE, "hisso": options}
    compiled = model(engine="compiled").fit(X[FIRST], **given)
    assert compiled.engine_ == "compiled"
    np.testing.assert_allclose(
        compiled.predict_actions(**LATE), seeing.predict_actions(**LATE), atol=1e-4
    )


def test_a_run_is_judged_and_acts_by_what_it_holds(acting_runs: Any) -> None:
    policy = acting_runs.policy("sees_held")
    weights = policy.act(acting_runs.prices)
    judged = acting_runs.allocations("sees_held")
    assert np.abs(weights.values - judged).max() < 1e-6
    assert np.abs(np.diff(judged, axis=0)).max() > 1e-3
    from psann.run.acting.programs import export_policy

    with pytest.raises(UsageError, match="this one sees what it holds"):
        export_policy(policy, acting_runs.folder / "held.pt2", to="torch-export")
