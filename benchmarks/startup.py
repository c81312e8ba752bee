"""CPU seconds until the command answers: help, a bad flag, a bad configuration, a plan.

Run from the repository root::

    python benchmarks/startup.py

Each case is a process of its own, the cases in turn, so that a busy moment of the machine meets
all of them. The figure is user plus system time of the whole process, as the kernel counts it.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

BAD_CONFIG = """\
estimator: {target: psann.PSANNRegressor, params: {hidden_units: 32}}
hisso: {windw: 3, transition_penalty: -1}
data: {loader: psann.datasets.load_olps, kwargs: {name: nyse_o}}
training: {lr: fast}
"""
GOAL_S = 0.3


def cpu_seconds(arguments: list[str], folder: Path) -> float:
    """User and system time of one start of the command."""
    command = [sys.executable, "-m", "psann.scripts.hisso_log_run", *arguments]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bad.yaml").write_text(BAD_CONFIG)
        run = ["--config", "bad.yaml", "--output-dir", "out"]
        cases = {
            "--help": ["--help"],
            "misspelt flag": [*run, "--outptu-dir", "x"],
            "bad configuration, --check": [*run, "--check"],
            "bad configuration, run": run,
        }
        for _ in range(repeats):
            for case, arguments in cases.items():
                times.setdefault(case, []).append(cpu_seconds(arguments, folder))
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    print(f"load {os.getloadavg()[0]:.1f}; {repeats} starts each; goal {GOAL_S} s of CPU")
    print(f"{'case':<28}{'median':>8}{'lowest':>8}{'highest':>9}")
    for case, values in times.items():
        median = statistics.median(values)
        print(f"{case:<28}{median:>8.3f}{min(values):>8.3f}{max(values):>9.3f}")


if __name__ == "__main__":
    main()
