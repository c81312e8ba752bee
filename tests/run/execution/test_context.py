"""What the command line asks for, and what the configuration makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import trials
from trials import finished, metrics_of, write_config


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
