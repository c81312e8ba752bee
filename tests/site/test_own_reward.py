"""A reward and data of one's own, by the page alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pages import Reader, block
from psann.run import read_run

REWARD = block("extending.md", "# my_rewards.py")
NAMED = block("extending.md", "hisso: {reward:")
LOADER = block("extending.md", "# my_data.py")
LOADED = block("extending.md", "data: {loader:")


@pytest.mark.slow
def test_a_reward_and_a_loader_of_ones_own_are_trained_with(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    moves = np.random.default_rng(0).normal(0.0, 0.01, size=(2700, 3))
    np.savetxt(tmp_path / "prices.csv", np.exp(moves.cumsum(axis=0)), delimiter=",")
    reader.writes("my_rewards.py", REWARD)
    reader.writes("my_data.py", LOADER)
    estimator = "estimator: {target: psann.PSANNRegressor, params: {hidden_units: 8}}"
    reader.writes("own.yaml", estimator, NAMED, LOADED, "training: {epochs: 2}")
    options = "--config own.yaml --output-dir runs --run-name own --device cpu"
    reader.does(f"python -m psann.scripts.hisso_log_run {options}")
    run = read_run(tmp_path / "runs" / "own")
    assert run.status == "completed"
    assert run.config["hisso"]["reward"] == "my_rewards:growth_of_the_worst_tenth"
    # The mean of the worst tenth is far below that of all rows.
    assert run.figure("val_reward_mean") < -0.005
    # As a command it finds the modules where the page says they must be told.
    said = reader.does(f"hisso-log-run {options} --overwrite --check", code=1)
    assert "my_rewards" in said
    reader.does(f"PYTHONPATH={tmp_path} hisso-log-run {options} --overwrite --check")
