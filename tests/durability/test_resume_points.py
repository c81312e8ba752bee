"""R1, X2: a run goes on from wherever it can stop, and from no state that was damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from faults import (
    SETTINGS,
    assert_notices_damage,
    assert_survives_stops,
    stopped_after,
    unhurt,
)
from psann.run.directory.paths import RunPaths
from thinning import slow
from trials import trial

# Two updates in each of six epochs, the warm start's included: a launch is an update here.
N_MOMENTS = 18


@pytest.fixture(autouse=True)
def _one_update_per_launch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psann.training.engine._LAUNCH_S", 1e-9)


@pytest.mark.parametrize(
    ("architecture", "stride"),
    [
        ("PSANNRegressor", 8),  # of the three moments of an epoch each in turn
        slow(("PSANNRegressor", 5)),
        *(
            pytest.param(name, 1, marks=pytest.mark.chaos)
            for name in ("PSANNRegressor", "ResPSANNRegressor", "WaveResNetRegressor")
        ),
    ],
)
def test_stop_between_any_two_updates_or_epochs_loses_nothing(
    tmp_path: Path, architecture: str, stride: int
) -> None:
    settings = (*SETTINGS, f"estimator.target=psann.{architecture}")
    expected = unhurt(tmp_path / "unhurt", *settings)
    assert_survives_stops(tmp_path, expected, range(1, N_MOMENTS, stride), *settings)


@pytest.mark.parametrize("stride", [4, slow(2)])
def test_stop_in_a_refit_or_right_before_it_loses_nothing(tmp_path: Path, stride: int) -> None:
    settings = ("hisso.refit=true", *SETTINGS[1:])
    expected = unhurt(tmp_path / "unhurt", *settings)
    assert_survives_stops(tmp_path, expected, range(14, 20, stride), *settings)


@pytest.mark.parametrize(
    "n_damages", [200, slow(700), pytest.param(20_000, marks=pytest.mark.chaos)]
)
def test_damaged_resume_state_is_never_read(tmp_path: Path, n_damages: int) -> None:
    with stopped_after(8):
        assert trial(tmp_path, *SETTINGS).exit_code == 143
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    paths = RunPaths(tmp_path / "out" / "run")
    assert_notices_damage(paths, n_damages=n_damages, draw=random.Random(seed))
