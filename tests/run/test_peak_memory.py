"""How much memory training takes: not more with every epoch or seed, and less than the data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trials import finished, metrics_of

pytestmark = pytest.mark.slow

MIB = 2**20

# Each script gets a folder and a number, and prints a number: of bytes, or 1 for success.
_START = """
import resource, sys
import numpy as np
from psann import PSANNRegressor, fit_seeds
folder, number = sys.argv[1], int(sys.argv[2])
HISSO = {"window": 8, "batch_episodes": 4, "updates_per_epoch": 4}
def model(**how):
    return PSANNRegressor(hidden_layers=1, hidden_units=8, epochs=2, device="cpu", **how)
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
"""
_SEEDS = """
X = np.zeros((2**20, 16), np.float32)
X[:, 0] = np.arange(2**20)
prices = np.ones((2**20, 2))
fit_seeds(model(), range(number), X, prices=prices, hisso=HISSO)
print(peak())
"""
_LIMITED = """
X = np.load(f"{folder}/X.npy", mmap_mode="r")
prices = np.ones((len(X), 1))
small = np.random.default_rng(0).normal(size=(64, 64))
model(scaler="standard").fit(small, prices=np.ones((64, 1)), hisso=HISSO)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
data = 1024 * int(status["VmData"].split()[0])
resource.setrlimit(resource.RLIMIT_DATA, (data + number, data + number))
try:
    np.array(X)
except MemoryError:
    fitted = model(scaler="standard").fit(X, prices=prices, hisso=HISSO)
    print(len(fitted.predict_actions(X)) == len(X))
"""


def output_of(script: str, folder: Path, number: int) -> Any:
    command = [sys.executable, "-c", _START + script, str(folder), str(number)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.lower())


def test_peak_memory_is_reported_and_does_not_grow_with_epochs(tmp_path: Path) -> None:
    """In processes of their own: the peak of a process never falls."""
    peaks = []
    for epochs in (10, 400):
        script = (
            "from trials import finished; from pathlib import Path; import sys; "
            "finished(Path(sys.argv[1]), f'training.epochs={sys.argv[2]}', name=sys.argv[2])"
        )
        tests = str(Path(__file__).parents[1])
        command = [sys.executable, "-c", script, str(tmp_path), str(epochs)]
        subprocess.run(command, cwd=tests, check=True, capture_output=True, timeout=300)
        metrics = json.loads(next(tmp_path.rglob(f"{epochs}/metrics.json")).read_text())
        peaks.append(metrics["hardware"]["peak_memory_bytes"])
    assert peaks[0] > 50 * MIB
    # 390 epochs of history, a few kB each, would be seen if anything else were kept.
    assert peaks[1] - peaks[0] < 12 * MIB


def test_seeds_share_the_data(tmp_path: Path) -> None:
    one, eight = (output_of(_SEEDS, tmp_path, number) for number in (1, 8))
    assert eight - one < 32 * MIB  # half of what X takes


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA and /proc are Linux's")
def test_a_series_beyond_the_memory_limit_is_scaled_trained_and_judged(tmp_path: Path) -> None:
    n_rows = 2**19  # of 64 float64: 256 MiB, and 128 MiB of scaled float32
    X = np.lib.format.open_memmap(
        tmp_path / "X.npy", mode="w+", dtype=np.float64, shape=(n_rows, 64)
    )
    X[:] = np.random.default_rng(0).normal(size=64)
    X[:, 0] += np.arange(n_rows) % 7
    X[:, 1:] += np.arange(n_rows)[:, None] % 5
    X.flush()
    del X
    assert output_of(_LIMITED, tmp_path, 160 * MIB) is True


def test_the_record_of_a_run_has_its_peak_memory(tmp_path: Path) -> None:
    assert metrics_of(finished(tmp_path))["hardware"]["peak_memory_bytes"] > 50 * MIB
