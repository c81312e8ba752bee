"""F1: a long run keeps its size: memory, open files, and no temporary file left."""

from __future__ import annotations

import ctypes
import gc
import os
from pathlib import Path

import pytest

from psann.run.execution.observer import RunObserver
from psann.run.verification.verify import verify_run
from psann.training.history import EpochRecord
from psann.training.state import TrainState
from trials import finished

N_EPOCHS = 2_000
# After so many epochs every cache is as large as it will be.
N_WARM = 500
MAX_GROWTH_BYTES = 5 * 2**20


def memory_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.chaos
def test_two_thousand_epochs_neither_grow_nor_leak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: dict[int, tuple[int, int]] = {}
    on_epoch = RunObserver.on_epoch

    def watched(observer: RunObserver, record: EpochRecord, state: TrainState) -> None:
        on_epoch(observer, record, state)
        if record.epoch % N_WARM == 0:
            gc.collect()
            ctypes.CDLL(None).malloc_trim(0)
            sizes[record.epoch] = memory_bytes(), len(os.listdir("/proc/self/fd"))

    monkeypatch.setattr(RunObserver, "on_epoch", watched)
    # A commit every tenth of a second: some hundreds of them.
    settings = (f"training.epochs={N_EPOCHS}", "training.checkpoint_every_s=0.1")
    paths = finished(tmp_path, *settings)
    print({epoch: (f"{size / 2**20:.1f} MB", n_files) for epoch, (size, n_files) in sizes.items()})
    first, last = sizes[N_WARM], sizes[N_EPOCHS]
    assert last[0] - first[0] < MAX_GROWTH_BYTES
    assert {n_files for _, n_files in sizes.values()} == {first[1]}
    assert not list(paths.root.rglob("*.tmp"))
    assert verify_run(paths.root).findings == ()
