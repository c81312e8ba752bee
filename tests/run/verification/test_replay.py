"""A finished run can be trained again from what it left, to the same bits."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from faults import hurt, kill, n_calls
from psann.errors import UsageError
from psann.run.directory.digests import describe_artefacts
from psann.run.directory.paths import RunPaths
from psann.run.execution.resume import resume_bytes, resume_point
from psann.run.verification.replay import Repetition, replay
from thinning import thinned
from trials import change_log, change_record, finished, metrics_of, tree_of

SETTINGS = ("hisso.supervised={epochs: 1}", "training.epochs=3")


def again(root: Path, *, last_epochs: int) -> Repetition:
    return replay(root, last_epochs=last_epochs, allow_import=["trials"])


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("replay"), *SETTINGS)


@pytest.fixture
def copy(original: RunPaths, tmp_path: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(original.root, tmp_path / "copy")))


def test_replayed_run_has_the_same_bits_and_is_left_alone(original: RunPaths) -> None:
    before = tree_of(original.root)
    repetition = again(original.root, last_epochs=3)
    assert (repetition.begun_from, repetition.differences) == ("the start", [])
    assert tree_of(original.root) == before


def test_what_the_configuration_of_a_run_names_is_not_run_unless_it_is_named_again(
    original: RunPaths,
) -> None:
    repetition = replay(original.root, last_epochs=1)
    message = repetition.failure
    assert repetition.differences == []
    assert "'trials.market' was named by a file" in message
    assert "--allow-import trials for a command" in message


def test_run_that_was_not_trained_so_is_exposed_by_replay(copy: RunPaths) -> None:
    change_log(copy, "grad_norm", "0.125")
    other = {"threads": 99, "engine": "captured"}
    change_record(copy, episodes=1, hardware={**metrics_of(copy)["hardware"], **other})
    found = again(copy.root, last_epochs=1).differences
    assert any("grad_norm 0.125 /" in text for text in found)
    assert any(text.startswith("metrics.json: episodes 1 /") for text in found)
    assert any("the run had threads 99" in text for text in found[:2])
    assert "(the run had engine 'captured', the repetition 'eager')" in found[:2]


def test_other_data_explain_what_differs_before_it_is_told(copy: RunPaths) -> None:
    change_record(copy, data_sha256="0" * 64)
    text, *_ = again(copy.root, last_epochs=1).differences
    assert text.startswith(f"(the run had data (sha256) '{'0' * 64}', the repetition '")


def test_replay_that_cannot_be_done_says_why(copy: RunPaths) -> None:
    with pytest.raises(UsageError, match=r"must be at most the 3 epochs of the run; got 4"):
        again(copy.root, last_epochs=4)
    copy.config_resolved.write_text(copy.config_resolved.read_text().replace("market", "raising"))
    assert "exit code 1" in again(copy.root, last_epochs=1).failure
    change_record(copy, status="preempted")
    with pytest.raises(UsageError, match="trained to its end"):
        again(copy.root, last_epochs=1)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("kept"), *SETTINGS, keep_checkpoints=True)


@pytest.mark.parametrize(
    ("last_epochs", "begun_from"),
    thinned(
        [
            (1, "the state kept after epoch 2"),
            (2, "the state kept after epoch 1"),
            (3, "the start"),
        ],
        2,
    ),
)
def test_replay_begins_at_the_newest_state_that_is_early_enough(
    kept: RunPaths, last_epochs: int, begun_from: str
) -> None:
    before = tree_of(kept.root)
    repetition = again(kept.root, last_epochs=last_epochs)
    assert (repetition.begun_from, repetition.differences) == (begun_from, [])
    assert tree_of(kept.root) == before


def test_replay_goes_on_from_the_kept_state_and_not_from_the_start(
    kept: RunPaths, tmp_path: Path
) -> None:
    copy = RunPaths(Path(shutil.copytree(kept.root, tmp_path / "copy")))
    point = resume_point(copy.kept_state(2).read_bytes(), who="it")
    point.saved[0].tensors["weights"] += 1.0
    copy.kept_state(2).write_bytes(resume_bytes(point))
    change_record(copy, artefacts=describe_artefacts(copy))
    assert again(copy.root, last_epochs=2).differences == []
    found = again(copy.root, last_epochs=1).differences
    assert "checkpoints/epoch_000003.safetensors differs" in found
    assert any(text.startswith("seed 42, phase hisso, epoch 3: ") for text in found)
    assert not any(text.startswith("seed 42, phase hisso, epoch 2: ") for text in found)


def test_replay_of_a_run_that_was_interrupted_finds_the_place_in_its_log(tmp_path: Path) -> None:
    """A state kept before a kill knows a length of the log that no longer is."""
    settings = (*SETTINGS, "training.checkpoint_every_s=1000")
    place = n_calls(tmp_path / "counted", *settings, keep_checkpoints=True) - 60
    hurt(tmp_path, *settings, place=place, act=kill, keep_checkpoints=True)
    paths = finished(tmp_path, *settings, resume=True, keep_checkpoints=True)
    assert metrics_of(paths)["resumes"] == 1
    point = resume_point(paths.kept_state(1).read_bytes(), who="it")
    paths.kept_state(1).write_bytes(resume_bytes(replace(point, log_bytes=5)))
    change_record(paths, artefacts=describe_artefacts(paths))
    repetition = again(paths.root, last_epochs=2)
    assert (repetition.begun_from, repetition.differences) == ("the state kept after epoch 1", [])
