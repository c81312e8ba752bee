from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from configs import loaded
from psann.run.execution.estimator_rows import estimator_rows

ARRAYS: Any = {kind: object() for kind in ("X", "y", "prices", "time", "benchmark", "price")}
OWN = "n_actions: 1, reward_inputs: [price], reward: 'test_estimator_rows:profit'"


def profit(actions: Any, *, price: Any, transition_penalty: float) -> Any:
    return (actions * price).mean((-2, -1))


@pytest.mark.parametrize(
    ("hisso", "y", "named"),
    [
        ("{}", "y", {}),
        ("{reward: excess, reward_inputs: [benchmark]}", "y", {"benchmark"}),
        (f"{{{OWN}}}", None, {"price"}),
        (f"{{{OWN}, supervised: true}}", "y", {"price"}),
        ("{n_actions: 1, reward: negative_mse}", "y", {}),
        (f"{{{OWN}, enabled: false}}", "y", {}),
    ],
)
def test_estimators_are_given_what_they_learn_from_and_what_the_reward_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hisso: str, y: str | None, named: set[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    text = f"estimator: {{target: psann.PSANNRegressor}}\ndata: {{npz: a.npz}}\nhisso: {hisso}\n"
    rows = estimator_rows(ARRAYS, loaded(tmp_path, text))
    assert rows.pop("reward_inputs") == {name: ARRAYS[name] for name in named}
    assert rows.keys() == {"X", "y", "prices", "context", "active"}
    assert rows["y"] is (None if y is None else ARRAYS["y"])
    assert rows["X"] is ARRAYS["X"] and rows["context"] is None
