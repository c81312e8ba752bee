"""What `--check` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_sweeps import made_sweep
from psann.errors import UsageError
from psann.run.sweep.ledger import join
from psann.run.sweep.plan import plan_lines


def test_the_plan_names_every_key_and_trial_and_what_stays_shut(tmp_path: Path) -> None:
    text = "\n".join(plan_lines(*made_sweep(tmp_path)))
    assert "random, 4 trials" in text
    assert "training.lr: 0.01 to 0.1 on a log scale" in text
    assert "estimator.params.hidden_units: 4, 8" in text
    assert "withheld until --finish" in text
    assert [line for line in text.splitlines() if line.startswith("  t")][-1].startswith("  t0003")


def test_a_long_plan_is_cut_and_says_so(tmp_path: Path) -> None:
    assert "and 88 more trials" in "\n".join(plan_lines(*made_sweep(tmp_path, trials=100)))


@pytest.mark.parametrize(
    ("changes", "is_told"),
    [
        ({}, False),
        ({"search": "tpe"}, True),
        ({"prune": {"by": "median", "from_epoch": 2}}, True),
    ],
)
def test_it_is_said_beforehand_whether_the_order_matters(
    tmp_path: Path, changes: dict[str, object], is_told: bool
) -> None:
    text = "\n".join(plan_lines(*made_sweep(tmp_path, **changes)))
    assert ("depends on which trial ends first" in text) is is_told
    assert ("a function of this file" in text) is not is_told


def test_the_folder_of_another_sweep_is_refused(tmp_path: Path) -> None:
    join(*made_sweep(tmp_path))
    other, paths = made_sweep(tmp_path, seed=5)
    with pytest.raises(UsageError, match="the folder of this very sweep"):
        list(plan_lines(other, paths))
    with pytest.raises(UsageError, match="holds another"):
        join(other, paths)
