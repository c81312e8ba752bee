"""The estimators that a run has kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from acting_runs import ActingRuns
from psann import load_policy
from psann._digest import sha256_of
from psann.errors import UsageError
from psann.run.acting.kept import digest_of_policy, find_policy


def test_the_digest_is_of_the_file_and_of_several_of_their_digests(
    acting_runs: ActingRuns,
) -> None:
    run = acting_runs("prices")
    best = (run / "checkpoints" / "best.safetensors").read_bytes()
    kept, _ = find_policy(run, policy="best")
    assert kept.sha256 == sha256_of(best)
    files = [
        acting_runs("seeds") / "checkpoints" / f"best_seed{seed}.safetensors" for seed in (3, 4)
    ]
    digests = [sha256_of(file.read_bytes()) for file in files]
    assert find_policy(acting_runs("seeds"), policy="best")[0].sha256 == digest_of_policy(digests)
    assert digest_of_policy(digests) == sha256_of("".join(digests).encode())


def test_a_run_that_evaluated_another_names_that_one(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    run = tmp_path / "evaluated"
    shutil.copytree(acting_runs("prices"), run)
    config = run / "config_resolved.yaml"
    text = config.read_text().replace("mode: train", "mode: evaluate")
    config.write_text(text.replace("init_from: null", f"init_from: {acting_runs('prices')}"))
    with pytest.raises(UsageError, match=r"evaluated another. Act with that one: /.*prices"):
        load_policy(run)


def test_what_speaks_against_a_run_is_said(acting_runs: ActingRuns, tmp_path: Path) -> None:
    run = tmp_path / "doubtful"
    shutil.copytree(acting_runs("prices"), run)
    metrics = json.loads((run / "metrics.json").read_text())
    metrics |= {"status": "interrupted", "best_epoch": 0, "doubts": ["the future is in X."]}
    (run / "metrics.json").write_text(json.dumps(metrics))
    told = load_policy(run).act().provenance.warnings
    assert any("not at its end (interrupted)" in text for text in told)
    assert any("Best epoch 0" in text for text in told)
    assert any("the future is in X" in text for text in told)


@pytest.mark.parametrize(("epochs", "who"), [([0], "Best epoch 0:"), ([0, 2], "in 1 of 2 seeds:")])
def test_what_is_said_of_the_last_fold_is_of_its_own_training(
    acting_runs: ActingRuns, tmp_path: Path, epochs: list[int], who: str
) -> None:
    run = tmp_path / "folds"
    shutil.copytree(acting_runs("folds"), run)
    metrics = json.loads((run / "metrics.json").read_text())
    for is_kept in (True, False):
        metrics["best_epoch"] = 1 if is_kept else 0
        metrics["walk_forward"]["folds"][-1]["best_epochs"] = epochs if is_kept else [1]
        (run / "metrics.json").write_text(json.dumps(metrics))
        told = " ".join(load_policy(run, policy="last_fold").kept.warnings)
        assert (who in told) == ("Best epoch 0" in told) == is_kept


def test_a_run_without_its_manifest_is_refused(acting_runs: ActingRuns, tmp_path: Path) -> None:
    run = tmp_path / "torn"
    shutil.copytree(acting_runs("prices"), run)
    (run / "checkpoints" / "manifest.json").unlink()
    with pytest.raises(UsageError, match="has no readable manifest"):
        load_policy(run)
