"""CPU seconds until the command answers: help, a bad flag, a bad configuration, a first update.

Run from the repository root::

    python benchmarks/startup.py

Each case is a process of its own, the cases in turn, so that a busy moment of the machine meets
all of them. The figure is user plus system time of the whole process, as the kernel counts it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import ONE_THREAD, description, median, save

BAD_CONFIG = """\
estimator: {target: psann.PSANNRegressor, params: {hidden_units: 32}}
hisso: {windw: 3, transition_penalty: -1}
data: {loader: psann.datasets.load_olps, kwargs: {name: nyse_o}}
training: {lr: fast}
"""
# A whole run of one update, from the command to its last file.
FIRST_UPDATE = """\
estimator: {target: psann.PSANNRegressor, params: {hidden_layers: 1, hidden_units: 32}}
hisso: {window: 24, batch_episodes: 8, updates_per_epoch: 1}
data: {loader: psann.datasets.make_smoke_market, kwargs: {rows: 200}}
training: {epochs: 1, engine: eager}
"""
GOALS_S = {"a run of one update": 5.0}
GOAL_S = 0.3


def cpu_seconds(arguments: list[str], folder: Path) -> float:
    """User and system time of one start of the command."""
    command = [sys.executable, "-m", "psann.scripts.hisso_log_run", *arguments]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **ONE_THREAD},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and "first.yaml" in arguments:
        raise RuntimeError(f"the run of one update failed with exit code {process.returncode}")
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
        (folder / "first.yaml").write_text(FIRST_UPDATE)
        run = ["--config", "bad.yaml", "--output-dir", "out"]
        first = ["--config", "first.yaml", "--output-dir", "out", "--device", "cpu"]
        cases = {
            "--help": ["--help"],
            "misspelt flag": [*run, "--outptu-dir", "x"],
            "bad configuration, --check": [*run, "--check"],
            "bad configuration, run": run,
            "a run of one update": first,
        }
        for _ in range(repeats):
            for case, arguments in cases.items():
                times.setdefault(case, []).append(cpu_seconds(arguments, folder))
    report = description("python benchmarks/startup.py") | {"repeats": repeats, "cases": []}
    print(f"load {os.getloadavg()[0]:.1f}; {repeats} starts each; seconds of CPU")
    print(f"{'case':<28}{'median':>8}{'lowest':>8}{'highest':>9}{'goal':>6}")
    for case, values in times.items():
        row = {"case": case, "cpu_s": median(values), "goal_s": GOALS_S.get(case, GOAL_S)}
        report["cases"].append(row)
        print(
            f"{case:<28}{row['cpu_s']:>8.3f}{min(values):>8.3f}{max(values):>9.3f}"
            f"{row['goal_s']:>6.1f}"
        )
    report["load_at_the_end"] = round(os.getloadavg()[0], 2)
    save("startup", report)


if __name__ == "__main__":
    main()
