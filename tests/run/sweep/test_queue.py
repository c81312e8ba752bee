"""The queue: claims are made once, torn lines are mended, and a journal that changed is noticed."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from pathlib import Path

import pytest

from faults import exit_code_of, in_child
from made_sweeps import made_sweep
from psann.errors import PsannError, UsageError
from psann.run.sweep.config import Sweep
from psann.run.sweep.ledger import join
from psann.run.sweep.queue import Queue, is_claimed_here, may_live_elsewhere, open_storage
from psann.run.sweep.record import SweepPaths, TrialRow
from thinning import thinned
from without_locks.sitecustomize import refusing_all


def opened(sweep: Sweep, paths: SweepPaths) -> Queue:
    return Queue(sweep, open_storage(paths.journal))


def row(number: int, value: float | None) -> TrialRow:
    return {
        **{"run": f"t{number:04d}", "overrides": {}, "status": "completed", "value": value},
        **{"best_epoch": 1, "candidates": 5, "data_sha256": None},
    }  # type: ignore[typeddict-item]


@pytest.mark.parametrize("has_locks", thinned([False, True]))
def test_processes_that_claim_at_once_share_the_trials_without_a_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_locks: bool
) -> None:
    if not has_locks:
        monkeypatch.setattr(fcntl, "flock", refusing_all(errno.ENOLCK))
    began_s = time.monotonic()
    sweep, paths = made_sweep(tmp_path, trials=12)
    join(sweep, paths)

    def take() -> int:
        queue, taken = opened(sweep, paths), []
        while (claim := queue.claim()) is not None:
            taken.append(claim.number)
            assert claim.overrides == sweep.point(claim.number)
        (tmp_path / f"{os.getpid()}.txt").write_text(" ".join(map(str, taken)))
        return 0

    children = [in_child(take) for _ in range(3)]
    assert [exit_code_of(child) for child in children] == [0, 0, 0]
    taken = [int(n) for file in tmp_path.glob("*.txt") for n in file.read_text().split()]
    assert sorted(taken) == list(range(12))
    assert time.monotonic() - began_s < 25  # after 30 s Optuna takes a lock for a dead process's


def test_a_line_that_a_killed_writer_left_half_written_is_cut_off(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    queue = opened(sweep, paths)
    first = queue.claim()
    assert first is not None
    with paths.journal.open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    second = opened(sweep, paths).claim()
    assert second is not None and second.number == 1
    third = queue.claim()
    assert third is not None and third.number == 2
    assert paths.journal.read_bytes().endswith(b"}\n")


def test_a_journal_that_is_removed_under_a_worker_is_noticed(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    queue = opened(sweep, paths)
    queue.claim()
    paths.journal.unlink()
    opened(sweep, paths)  # another worker makes a new one
    with pytest.raises(PsannError, match=r"was removed while this worker used it\. Start"):
        queue.claim()


def test_what_was_told_first_stays(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    queue = opened(sweep, paths)
    queue.claim()
    queue.tell(0, row(0, 0.5), "val_reward")
    opened(sweep, paths).tell(0, row(0, 0.7), "val_reward")
    assert queue.rows()[0]["value"] == 0.5
    assert list(queue.running()) == []


def test_tpe_seeks_high_rewards_and_low_losses(tmp_path: Path) -> None:
    for monitor, sign in (("val_reward", 1.0), ("val_loss", -1.0)):
        sweep, paths = made_sweep(
            tmp_path / monitor,
            search="tpe",
            trials=40,
            space={"training.lr": {"range": [0.0001, 1.0]}},
        )
        join(sweep, paths)
        queue, tried = opened(sweep, paths), []
        while (claim := queue.claim()) is not None:
            tried.append(claim.overrides["training.lr"])
            value = -sign * (tried[-1] - 0.8) ** 2
            queue.tell(claim.number, row(claim.number, value), monitor)
        late = tried[20:]
        assert sum(abs(each - 0.8) < 0.2 for each in late) > 13


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "must be an address that answers: Could not parse"),
        ("sqlite:////nowhere/queue.db", "must be an address that answers: unable to open"),
        ("oracle://host/name", "must be of a database that is known here"),
        ("grpc://127.0.0.1", r"must be grpc://HOST:PORT, or of a database; got 'grpc://127"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(tmp_path: Path, url: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--storage {message}"):
        open_storage(tmp_path / "journal", url)


def test_a_proxy_that_does_not_answer_is_refused(tmp_path: Path) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # nobody listens
        with pytest.raises(UsageError, match="an address that answers: failed to connect"):
            open_storage(tmp_path / "journal", f"grpc://127.0.0.1:{bound.getsockname()[1]}")


def test_what_another_worker_told_meanwhile_is_neither_adopted_nor_released(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    one, other = opened(sweep, paths), opened(sweep, paths)
    one.claim()
    (trial,) = list(other.running())
    one.tell(0, row(0, 0.5), "val_reward")
    assert other.adopt(trial) is None
    other.release(0)
    other.beat(0)
    assert other.rows()[0]["value"] == 0.5


def test_a_claim_of_a_live_process_whose_folder_is_another_is_not_an_orphan_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep, paths = made_sweep(tmp_path)
    join(sweep, paths)
    queue, now = opened(sweep, paths), time.time()
    queue.claim()
    for age_s, may_live in ((60.0, True), (400.0, False), (-60.0, True), (-400.0, False)):
        monkeypatch.setattr("psann.run.sweep.queue.time.time", lambda age_s=age_s: now + age_s)
        (trial,) = queue.running()
        assert is_claimed_here(trial) == (abs(age_s) < 30)
        assert may_live_elsewhere(trial) == may_live


def test_workers_that_share_no_disk_share_a_data_base(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path)
    url = f"sqlite:///{tmp_path / 'queue.db'}"
    one, other = (Queue(sweep, open_storage(paths.journal, url)) for _ in range(2))
    first, second = one.claim(), other.claim()
    assert first is not None and second is not None
    assert (first.number, second.number) == (0, 1)
    one.tell(0, row(0, 0.5), "val_reward")
    assert other.rows()[0]["value"] == 0.5
    assert not paths.journal.exists()
