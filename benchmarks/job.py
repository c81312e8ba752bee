"""CPU seconds of the job of the README, and of reading its prices, beside an earlier commit.

Run from the repository root::

    python benchmarks/job.py --beside c7c8428^

The job is `configs/hisso/nyse_o.yaml` as that commit has it, from the command to its last file;
its prices are those that it trains on. Each is a process of its own, and this checkout and the
commit take turns. The job counts with user and system time of its process, reading without the
imports.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import HERE, ONE_THREAD, cpu_seconds, description, median, of_commit, save

READING = """
import time
from psann.datasets import load_olps_prices
begun = time.process_time()
load_olps_prices("nyse_o")
print(time.process_time() - begun)
"""
GOALS = {"the job": "0.73x", "reading its prices": "0.10 s"}


def job_s(source: Path, config: Path, folder: Path) -> float:
    """Seconds of the whole command."""
    command = ["-m", "psann.scripts.hisso_log_run", "--config", str(config), "--output-dir"]
    command += [str(folder), "--run-name", "job", "--device", "cpu", "--overwrite", "--quiet"]
    return cpu_seconds(command, source=source)


def reading_s(source: Path) -> float:
    """Seconds of one reading, as the process itself counts them."""
    environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": str(source)}
    command = [sys.executable, "-c", READING]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return float(done.stdout)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--beside", metavar="COMMIT", default="c7c8428^")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        before = of_commit(options.beside, folder)
        config = before / "configs" / "hisso" / "nyse_o.yaml"
        for _ in range(options.repeats):
            for when, source in (("before", before / "src"), ("now", HERE.parent / "src")):
                seconds = job_s(source, config, folder / when)
                times.setdefault(("the job", when), []).append(seconds)
                times.setdefault(("reading its prices", when), []).append(reading_s(source))
    report = description(f"python benchmarks/job.py --beside {options.beside}")
    report |= {"repeats": options.repeats, "cases": []}
    for case, goal in GOALS.items():
        was, now = (median(times[case, when]) for when in ("before", "now"))
        row = {"case": case, "before_cpu_s": was, "now_cpu_s": now, "ratio": now / was}
        report["cases"].append(row | {"goal": goal})
        print(f"{case}: before {was:.3f} s, now {now:.3f} s, {now / was:.2f} of it")
    report["load_at_the_end"] = round(os.getloadavg()[0], 2)
    if not options.no_save:
        save("job", report)


if __name__ == "__main__":
    main()
