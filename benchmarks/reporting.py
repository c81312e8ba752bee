"""CPU seconds of `hisso-runs report`: one run, the same as markdown, and four runs compared.

Run from the repository root::

    python benchmarks/reporting.py --beside 5ed899e

Runs are made first, on the real prices of twenty stocks. Each report is a process of its own; this
checkout and the commit beside it take turns. The figure is user plus system time of the process.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import HERE, ONE_THREAD, cpu_seconds, description, median, of_commit, save

ROOT = HERE.parent
CONFIG = ROOT / "configs" / "hisso" / "planted_signal.yaml"
# Of what it took when every figure was drawn twice by matplotlib.
GOAL = 1.5


def made_runs(folder: Path, n_runs: int) -> list[Path]:
    """Short runs that differ in their learning rate."""
    for number in range(n_runs):
        command = [sys.executable, "-m", "psann.scripts.hisso_log_run", "--quiet"]
        command += ["--config", str(CONFIG), "--output-dir", str(folder), "--device", "cpu"]
        command += ["--run-name", f"run{number}", "--set", f"training.lr={0.05 + number / 50}"]
        command += ["--set", "training.epochs=10"]
        subprocess.run(command, check=True, env={**os.environ, **ONE_THREAD}, capture_output=True)
    return [folder / f"run{number}" for number in range(n_runs)]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--beside", metavar="COMMIT", help="measure that commit too")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"now": ROOT / "src"}
        if options.beside:
            sources["before"] = of_commit(options.beside, folder) / "src"
        runs = list(map(str, made_runs(folder / "runs", 4)))
        cases = {
            "one run": [*runs[:1], "-o", str(folder / "one.html")],
            "one run, markdown": [*runs[:1], "-o", str(folder / "one.md"), "--format", "markdown"],
            "four runs compared": [*runs, "-o", str(folder / "four.html")],
        }
        for _ in range(options.repeats):
            for case, arguments in cases.items():
                for when, source in sources.items():
                    command = ["-m", "psann.scripts.hisso_runs", "report", *arguments]
                    times.setdefault((case, when), []).append(cpu_seconds(command, source=source))
    report = description(f"python benchmarks/reporting.py --beside {options.beside}")
    report |= {"repeats": options.repeats, "goal": GOAL, "cases": []}
    for case in cases:
        row = {"case": case} | {f"{when}_cpu_s": median(times[case, when]) for when in sources}
        report["cases"].append(row)
        print(", ".join(f"{key} {value}" for key, value in row.items()))
    report["load_at_the_end"] = round(os.getloadavg()[0], 2)
    if not options.no_save:
        save("reporting", report)


if __name__ == "__main__":
    main()
