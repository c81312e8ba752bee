"""What the command line asks for, and what the configuration makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

import trials
from psann.run.config.load import load_run_config
from psann.run.execution.context import (
    EXIT_DIVERGED,
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_LOCKED,
    EXIT_USAGE,
)
from trials import finished, metrics_of, request_of, write_config


@pytest.mark.parametrize(
    ("overrides", "option", "expected"),
    [((), None, (42, "default")), (("seed=3",), None, (3, "command line"))],
)
def test_the_seed_in_force_is_recorded_with_its_source(
    tmp_path: Path, overrides: tuple[str, ...], option: int | None, expected: tuple[int, str]
) -> None:
    paths = finished(tmp_path, "training.epochs=1", *overrides, seed=option)
    resolved = yaml.safe_load(paths.config_resolved.read_text())
    assert (resolved["seed"], resolved["recorded"]["seed_from"]) == expected
    assert metrics_of(paths)["seed"] == expected[0]


def test_the_seed_option_wins_over_the_configuration(tmp_path: Path) -> None:
    config = write_config(tmp_path, {**trials.CONFIG, "seed": 3})
    by_option = finished(tmp_path, config=config, name="a", seed=8)
    by_config = finished(tmp_path, config=config, name="b")
    assert (metrics_of(by_option)["seed"], metrics_of(by_config)["seed"]) == (8, 3)
    assert by_option.best.read_bytes() != by_config.best.read_bytes()


def test_each_option_of_a_request_reaches_the_configuration(tmp_path: Path) -> None:
    request = replace(
        request_of(tmp_path, "training.lr=0.5"),
        device="cuda:3",
        seed=8,
        mode="fine_tune",
        init_from=str(tmp_path / "parent"),
    )
    config = request.run_config
    assert (config.training.lr, config.device, config.seed) == (0.5, "cuda:3", 8)
    assert (config.mode, config.init_from) == ("fine_tune", str(tmp_path / "parent"))
    given = ("training.lr", "device", "seed", "mode", "init_from")
    assert [config.where(*key.split(".")) for key in given] == [
        *("--set training.lr=0.5", "--device", "--seed", "--mode", "--init-from"),
    ]


def test_a_request_without_options_leaves_the_configuration_as_it_is(tmp_path: Path) -> None:
    assert request_of(tmp_path).run_config == load_run_config(tmp_path / "trial.yaml")


def test_exit_codes_are_those_that_schedulers_and_scripts_rely_on() -> None:
    assert (EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_DIVERGED) == (0, 1, 2, 3)
    assert (EXIT_LOCKED, EXIT_INTERRUPTED) == (75, 130)
