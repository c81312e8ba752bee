"""What differs from the configuration of a run, as its file tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from psann.errors import ConfigError
from psann.run.config.changes import changes_since, check_resolved, config_keys, problems_of_change
from psann.run.config.load import dump_resolved, load_run_config
from psann.run.config.model import RunConfig
from trials import write_config


def config(folder: Path, *overrides: str) -> RunConfig:
    return load_run_config(write_config(folder), overrides=overrides)


@pytest.fixture
def resolved(tmp_path: Path) -> Path:
    path = tmp_path / "config_resolved.yaml"
    path.write_text(dump_resolved(config(tmp_path, "data.kwargs={token: hunter2, a: [1, 1.0, x]}")))
    return path


SAME = "data.kwargs={token: other, a: [1, 1.0, x]}"


def test_nothing_differs_from_what_was_written_whatever_a_secret_is(
    tmp_path: Path, resolved: Path
) -> None:
    assert changes_since(resolved, config(tmp_path, SAME)) == []
    check_resolved(resolved, config(tmp_path, SAME))


def test_every_key_that_differs_is_told_with_both_values(tmp_path: Path, resolved: Path) -> None:
    now = config(tmp_path, SAME, "training.lr=0.5", "hisso.window=5", "device=auto")
    expected = [
        'device was "cpu" when this run began and is now "auto"',
        "hisso.window was 6 when this run began and is now 5",
        "training.lr was 0.05 when this run began and is now 0.5",
    ]
    assert changes_since(resolved, now) == expected
    with pytest.raises(ConfigError) as refused:
        check_resolved(resolved, now)
    cure = "; --resume goes on with the same configuration."
    assert list(refused.value.problems) == [each + cure for each in expected[1:]]


def test_what_may_differ_is_no_problem(tmp_path: Path, resolved: Path) -> None:
    free = ("device=auto", "training.epochs=9", "training.checkpoint_every_s=1")
    check_resolved(resolved, config(tmp_path, SAME, *free))


def test_a_file_that_cannot_be_read_refuses_nothing(tmp_path: Path, resolved: Path) -> None:
    resolved.write_text("{")
    check_resolved(resolved, config(tmp_path))
    check_resolved(tmp_path / "none", config(tmp_path))


def test_a_key_that_came_later_was_as_earlier_releases_had_it(tmp_path: Path) -> None:
    now = config_keys(config(tmp_path, "hisso.min_significance=0"))
    then = {key: value for key, value in now.items() if key != "hisso.min_significance"}
    assert problems_of_change(then, now) == []
