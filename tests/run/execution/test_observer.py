"""What reaches the disk while training goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import trials
from psann._signals import StopRequest
from psann.errors import TrainingInterrupted
from psann.estimators.dense import PSANNRegressor
from psann.run.directory.checkpoints import Checkpoints
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import RunRecord
from psann.run.directory.resume_state import RunIdentity
from psann.run.directory.storage import Storage
from psann.run.execution.observer import RunObserver
from psann.run.execution.resume import ResumePoint, resume_bytes
from psann.run.reading.sentences import result_sentences
from psann.run.verification.verify import verify_run
from psann.training.history import EpochRecord
from psann.training.observers import Observer
from psann.training.state import TrainState
from trials import finished, metrics_of, rows_of, trial

IDENTITY = RunIdentity(
    config={"training.epochs": "4"}, data_sha256="0", init_from_sha256=None, environment={}
)
HISSO = {"window": 6, "batch_episodes": 4, "updates_per_epoch": 2}


class Scene:
    """An estimator whose training is watched by a `RunObserver`, and what it leaves."""

    def __init__(self, folder: Path, *, every_s: float = 1e9, keep: bool = False) -> None:
        self.paths = RunPaths(folder)
        self.storage = Storage(folder)
        self.record = RunRecord()
        self.record.attach(self.storage, self.paths.metrics)
        self.stop = StopRequest()
        self.estimator = PSANNRegressor(
            hidden_layers=1, hidden_units=8, lr=0.05, epochs=4, random_state=0, device="cpu"
        )
        self.observer = RunObserver(
            {0: self.estimator},
            record=self.record,
            checkpoints=Checkpoints(self.storage, self.paths),
            keep_checkpoints=keep,
            resume_state=lambda group: resume_bytes(
                ResumePoint(
                    saved=tuple(state.state_dict() for state in group),
                    identity=IDENTITY,
                    log_bytes=0,
                )
            ),
            stop=self.stop,
            checkpoint_every_s=every_s,
        )

    def fit(self, *others: Observer, hisso: dict[str, Any] | None = None, **params: Any) -> None:
        data = trials.market()
        self.estimator.set_params(**params).fit(
            data["X_train"],
            data["y_train"],
            prices=data["prices_train"],
            validation_data={kind: data[f"{kind}_val"] for kind in ("X", "prices")},
            hisso={**HISSO, **(hisso or {})},
            observers=(self.observer, *others),
        )

    def manifest(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(self.paths.manifest.read_bytes())
        return content


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(tmp_path)
    yield scene
    scene.storage.close()


class Spy(Observer):
    """Sees, after the run observer, which epochs' weights the disk holds."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.on_disk: list[int | None] = []

    def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
        best = metrics_of(self.scene.paths)["best"]
        self.on_disk.append(None if best is None else best["epoch"])


def test_commits_wait_for_their_time_and_the_end_of_a_phase(scene: Scene) -> None:
    spy = Spy(scene)
    scene.fit(spy)
    assert spy.on_disk == [None] * 4
    assert metrics_of(scene.paths)["best"]["epoch"] == 4


def test_every_epoch_commits_when_the_time_is_short(tmp_path: Path) -> None:
    scene = Scene(tmp_path, every_s=1e-9)
    spy = Spy(scene)
    scene.fit(spy)
    assert spy.on_disk == [1, 2, 3, 4]
    scene.storage.close()


def test_the_same_best_is_written_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.fit()
    before = scene.paths.best.stat().st_ino
    scene.observer.commit()
    assert scene.paths.best.stat().st_ino == before


def test_the_state_of_a_moment_is_written_once(scene: Scene) -> None:
    scene.fit()
    before = scene.paths.last.stat().st_ino
    scene.observer.commit()
    assert scene.paths.last.stat().st_ino == before
    assert not scene.paths.previous.exists()


def test_a_commit_writes_the_record_only_where_there_is_news(scene: Scene) -> None:
    scene.fit()
    before = scene.paths.metrics.stat().st_ino
    scene.observer.commit()
    assert scene.paths.metrics.stat().st_ino == before
    scene.record.update(episodes=7)
    scene.observer.commit()
    assert metrics_of(scene.paths)["episodes"] == 7


def test_the_file_of_the_best_is_the_estimator_that_fit_leaves(scene: Scene) -> None:
    scene.fit()
    assert scene.paths.best.read_bytes() == scene.estimator.to_bytes()


def test_a_stop_request_is_heeded_after_the_launch_that_brings_it(scene: Scene) -> None:
    class Signal(Observer):
        def on_epoch(self, record: EpochRecord, state: TrainState) -> None:
            if record.epoch == 2:
                scene.stop.receive(15, None)

    with pytest.raises(TrainingInterrupted, match="SIGTERM"):
        scene.fit(Signal())
    assert scene.record.as_dict()["epoch"] == 2


def test_the_untrained_candidate_is_committed_before_the_first_epoch_ends(scene: Scene) -> None:
    class Stop(Observer):
        def on_launch(self, state: TrainState) -> None:
            scene.observer.commit()
            raise TrainingInterrupted("a test", status="preempted", exit_code=0)

    with pytest.raises(TrainingInterrupted):
        scene.fit(Stop())
    metrics = metrics_of(scene.paths)
    assert (metrics["best_epoch"], metrics["best"]["epoch"], metrics["epoch"]) == (0, 0, 0)
    assert (metrics["train_loss"], metrics["reward_mean"]) == (None, None)


def test_nothing_is_committed_where_there_is_no_best_yet(scene: Scene) -> None:
    scene.observer.commit()
    assert list(scene.paths.checkpoints.iterdir()) == []
    assert metrics_of(scene.paths)["best"] is None


def test_the_warm_start_has_a_file_of_its_own(scene: Scene) -> None:
    scene.fit(hisso={"supervised": {"epochs": 2}})
    warm = PSANNRegressor.load(scene.paths.warm_start)
    assert (warm.best_epoch_, warm.monitor_) == (2, None)
    kept = {"best.safetensors", "warm_start.safetensors"}
    assert set(scene.manifest()["files"]) == {*kept, "last.safetensors", "previous.safetensors"}
    assert scene.manifest()["files"]["warm_start.safetensors"]["epoch"] == 2
    files = [path.name for path in scene.paths.checkpoints.iterdir()]
    assert not any(name.startswith(("epoch_", "state_")) for name in files)  # nobody asked


@pytest.mark.parametrize(("epochs", "kept"), [(4, [1, 2, 3, 4]), (20, list(range(2, 21, 2)))])
def test_kept_checkpoints_are_about_ten_epochs_with_their_own_weights(
    tmp_path: Path, epochs: int, kept: list[int]
) -> None:
    scene = Scene(tmp_path, keep=True)
    scene.fit(epochs=epochs)
    files = sorted(path.name for path in scene.paths.checkpoints.glob("epoch_*"))
    assert files == [scene.paths.epoch(epoch).name for epoch in kept]
    history = scene.estimator.fit_result_.history
    for epoch in kept:
        entry = scene.manifest()["files"][scene.paths.epoch(epoch).name]
        assert entry["metric"] == history[epoch - 1].monitor_value
    last = PSANNRegressor.load(scene.paths.epoch(epochs))
    assert last.best_epoch_ == epochs
    first = load_file(scene.paths.epoch(kept[0]))
    assert any(not np.array_equal(first[k], v) for k, v in _numbers(last).items())
    scene.storage.close()


def _numbers(estimator: PSANNRegressor) -> dict[str, Any]:
    return {f"network.{k}": v.numpy() for k, v in estimator.network_.state_dict().items()}


def test_the_record_follows_the_phases_and_counts_the_episodes(scene: Scene) -> None:
    phases = []

    class Watch(Observer):
        def on_phase_start(self, state: TrainState) -> None:
            metrics = metrics_of(scene.paths)
            phases.append((metrics["phase"], metrics["epochs_total"], metrics["monitor"]))

        def on_launch(self, state: TrainState) -> None:
            assert scene.record.as_dict()["episodes"] == state.episodes

    scene.fit(Watch(), hisso={"supervised": {"epochs": 2}})
    assert phases == [("warm_start", 2, None), ("hisso", 4, "val_reward")]
    assert metrics_of(scene.paths)["episodes"] == 4 * 2 * 4


def test_seconds_are_summed_by_kind_of_work(scene: Scene) -> None:
    scene.fit()
    history = scene.estimator.fit_result_.history
    for kind in ("data_s", "step_s", "val_s"):
        assert scene.observer.timing[kind] == pytest.approx(sum(getattr(e, kind) for e in history))
    assert scene.observer.timing["checkpoint_s"] > 0


def test_checkpoint_rows_name_phase_epoch_and_seconds(tmp_path: Path) -> None:
    paths = finished(tmp_path, "hisso.supervised={epochs: 2}", "training.epochs=2")
    rows = rows_of(paths, "checkpoint")
    assert [(row["phase"], row["epoch"]) for row in rows] == [("warm_start", "2"), ("hisso", "2")]
    assert all(float(row["checkpoint_s"]) > 0 for row in rows)


def test_a_run_that_is_beyond_hope_ends_pruned_with_its_best_weights(tmp_path: Path) -> None:
    asked: list[tuple[int, float]] = []

    def is_hopeless(epoch: int, value: float) -> bool:
        asked.append((epoch, value))
        return epoch == 3

    outcome = trial(tmp_path, "training.epochs=9", is_hopeless=is_hopeless)
    assert outcome.exit_code == 0 and outcome.paths is not None
    record = metrics_of(outcome.paths)
    assert (record["status"], record["epoch"], record["error"]) == ("pruned", 3, None)
    assert [epoch for epoch, _ in asked] == [1, 2, 3]
    assert asked[-1][1] == record["monitor_value"] == max(value for _, value in asked)
    assert outcome.paths.best.exists() and verify_run(outcome.paths.root).errors == ()
    (sentence,) = [s for s in result_sentences(record) if "Pruned" in s]  # type: ignore[arg-type]
    assert "after epoch 3 of 9" in sentence
    again = trial(tmp_path, "training.epochs=9", resume=True)
    assert again.exit_code == 0 and "already complete: pruned" in (again.message or "")


def test_losses_are_told_with_their_sign_changed(tmp_path: Path) -> None:
    asked: list[float] = []
    outcome = trial(
        tmp_path,
        "training.monitor=val_loss",
        is_hopeless=lambda epoch, value: asked.append(value) or False,  # type: ignore[func-returns-value]
    )
    assert outcome.paths is not None
    assert asked[-1] == -metrics_of(outcome.paths)["monitor_value"]
