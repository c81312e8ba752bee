"""Torture kills real processes, verifies after every kill, and certifies what it saw."""

from __future__ import annotations

import json
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import trials
from forked import Forked
from psann.errors import ConfigError, UsageError
from psann.run.directory.findings import Finding, Verdict
from psann.run.directory.paths import RunPaths
from psann.run.directory.rows import parse_log
from psann.run.verification import torture as torture_module
from psann.run.verification.torture import CERTIFICATE, Certificate, torture
from psann.scripts.hisso_log_run import main
from thinning import slow
from trials import CONFIG, metrics_of, write_config


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # The modules of the tests are those of the user; one thread, as the machine is shared.
    monkeypatch.setenv("PYTHONPATH", str(Path(trials.__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # a forked child has no worker threads to wait for
    yield
    torch.set_num_threads(before)


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*what: Any) -> Forked:
        return Forked(lambda: main(torture_module._arguments(*what)))

    monkeypatch.setattr(torture_module, "_start", start)


def tortured(folder: Path, config: Path, *, kills: int) -> tuple[Certificate, list[str]]:
    told: list[str] = []
    certificate = torture(config, kills=kills, seed=3, folder=folder / "out", tell=told.append)
    return certificate, told


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("kills", [1, slow(3)])
def test_killed_run_is_resumed_to_the_same_bits_and_certified(tmp_path: Path, kills: int) -> None:
    certificate, told = tortured(tmp_path, write_config(tmp_path), kills=kills)
    assert certificate.is_clean, (certificate.findings, certificate.differences)
    assert certificate.kills_landed == len(certificate.kills) == kills
    assert all(kill["epoch_rows"] >= 1 for kill in certificate.kills)
    assert certificate.run["epoch_rows"] == 4
    victims = [tmp_path / f"out/tortured-{i + 1}" for i in range(certificate.runs_compared)]
    records = [metrics_of(RunPaths(victim)) for victim in victims]
    assert certificate.resumes == sum(record["resumes"] for record in records)
    whole = RunPaths(tmp_path / "out/whole")
    assert whole.best.read_bytes() == RunPaths(victims[0]).best.read_bytes()
    saved = json.loads((tmp_path / "out" / CERTIFICATE).read_bytes())
    assert (saved["seed"], saved["kills_landed"], saved["differences"]) == (3, kills, [])
    assert "seed 3" in told[0]
    assert f"kill 1 of {kills}" in told[1]
    assert "s left" in told[1]


@pytest.mark.usefixtures("forked")
def test_reward_that_is_no_function_is_certified_as_different(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "drifting.py").write_text(
        "import os\n"
        "def reward(actions, context, *, transition_penalty):\n"
        "    return actions.mean(dim=(1, 2)) * (os.getpid() % 97)\n"
    )
    content = {**CONFIG, "hisso": {**CONFIG["hisso"], "reward": "drifting.reward"}}
    certificate, _ = tortured(tmp_path, write_config(tmp_path, content), kills=1)
    assert not certificate.is_clean
    assert "tortured-1: checkpoints/best.safetensors differs" in certificate.differences


@pytest.mark.chaos
def test_ten_kills_of_real_processes_change_no_bit(tmp_path: Path) -> None:
    content = {
        **CONFIG,
        "hisso": {**CONFIG["hisso"], "supervised": {"epochs": 40}},
        "training": {"epochs": 400, "lr": 0.05},
    }
    certificate, _ = tortured(tmp_path, write_config(tmp_path, content), kills=10)
    assert certificate.is_clean, (certificate.findings, certificate.differences)
    assert certificate.kills_landed == 10
    assert len({kill["epoch_rows"] for kill in certificate.kills}) > 5


def test_run_that_fails_by_itself_is_no_case_for_torture(tmp_path: Path) -> None:
    bad = write_config(tmp_path, {**CONFIG, "sed": 3})
    with pytest.raises(ConfigError, match=r"ended with exit code 1\. Run hisso-log-run --check"):
        tortured(tmp_path, bad, kills=1)
    assert "sed" in (tmp_path / "out" / "whole.log").read_text()


def test_directory_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").touch()
    with pytest.raises(UsageError, match="must be a new or empty directory"):
        tortured(tmp_path, tmp_path / "none.yaml", kills=1)


def test_certificate_is_clean_only_if_every_kill_landed_and_nothing_was_wrong() -> None:
    def certificate(**changes: object) -> Certificate:
        known = {"config": "c", "seed": 0, "kills_asked": 2, "kills_landed": 2}
        return Certificate(**{**known, **changes})

    assert certificate().is_clean
    assert not certificate(kills_landed=1).is_clean
    assert not certificate(findings=["x"]).is_clean
    assert not certificate(differences=["x"]).is_clean


def test_instants_lie_between_the_first_epoch_row_and_the_end() -> None:
    timeline = torture_module._Timeline(epochs_s=(1.0, 2.0, 5.0), end_s=6.0)
    instants = [timeline.instant(random.Random(seed)) for seed in range(200)]
    assert {n_rows for n_rows, _ in instants} == {1, 2, 3}
    for n_rows, after_s in instants:
        assert 0.0 <= after_s < {1: 1.0, 2: 3.0, 3: 1.0}[n_rows]
    assert instants == [timeline.instant(random.Random(seed)) for seed in range(200)]


def test_only_whole_epoch_rows_are_counted() -> None:
    log = b"seq,event,epoch,message\r\n1,epoch,1,x\r\n2,log,,epoch\r\n3,epoch,2,\r\n4,epoch,3"
    assert torture_module._count_epochs(parse_log(log)[0]) == 2


def test_errors_after_a_kill_are_on_the_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finding = Finding("best.safetensors", "is damaged", True)
    verdict = Verdict(findings=(finding,), n_files=7, status="running")
    monkeypatch.setattr(torture_module, "verify_run", lambda root: verdict)
    paths = RunPaths(tmp_path)
    paths.events.write_bytes(b"")
    certificate = Certificate(config="c", seed=0, kills_asked=1, kills_landed=1)
    timeline = torture_module._Timeline(epochs_s=(1.0,), end_s=2.0)
    work = torture_module._Torture(Path("c"), paths, timeline, certificate, tell=lambda _: None)
    work._verify(paths, is_finished=False)
    assert certificate.findings == ["kill 1: error: best.safetensors: is damaged."]
    assert (certificate.artefacts_checked, certificate.kills[0]["errors"]) == (7, 1)


def test_process_that_ends_before_its_kill_is_no_kill_that_landed() -> None:
    certificate = Certificate(config="c", seed=0, kills_asked=1)
    timeline = torture_module._Timeline(epochs_s=(1.0,), end_s=2.0)
    paths = RunPaths(Path("whole"))
    work = torture_module._Torture(Path("c"), paths, timeline, certificate, tell=lambda _: None)
    with subprocess.Popen(["true"]) as process:
        assert not work._kill(process, iter([0, 0]))
    assert certificate.kills_landed == 0
