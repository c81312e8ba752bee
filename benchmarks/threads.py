"""Two runs at once on two cores: how much slower each is than alone, by choice of threads.

Run from the repository root::

    python benchmarks/threads.py

Whole processes with start-up, wall seconds, medians; alone and in pairs take turns. `auto` is
`training.threads: null`, the number by the size of an update; `all cores` is what torch would do
by itself. On a machine that does other work as well, `alone` is not alone: see `load`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from measuring import WholeProcess, description, median, save

_UPDATES = {"S": 6144, "L": 16}
_GOAL = 2.5


def seconds(job: dict[str, Any], n_at_once: int) -> float:
    """Wall seconds of the slowest of several equal runs that start together."""
    runs = [WholeProcess(sys.executable, job, threads=None) for _ in range(n_at_once)]
    return max(run.wait()["wall_s"] for run in runs)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write `benchmarks/results/threads.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7, help="measurements per figure")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    report = description("python benchmarks/threads.py")
    report |= {"repeats": options.repeats, "goal": _GOAL, "cases": []}
    print(f"load {os.getloadavg()[0]:.1f}; wall seconds of a run; goal: at most {_GOAL}x alone")
    for case, updates in _UPDATES.items():
        for name, threads in (("auto", None), ("all cores", os.cpu_count())):
            job = {"case": case, "planned_updates": updates, "settings": {"threads": threads}}
            alone, together = [], []
            for _ in range(options.repeats):
                alone.append(seconds(job, 1))
                together.append(seconds(job, 2))
            row = {
                "case": case,
                "threads": name,
                "updates": updates,
                "alone_s": median(alone),
                "two_at_once_s": median(together),
                "ratio": median(together) / median(alone),
            }
            report["cases"].append(row)
            print(
                f"{case}, {name}: alone {row['alone_s']:.2f} s, two at once "
                f"{row['two_at_once_s']:.2f} s, {row['ratio']:.2f}x",
                flush=True,
            )
    report["load_at_the_end"] = round(os.getloadavg()[0], 2)
    if not options.no_save:
        save("threads", report)


if __name__ == "__main__":
    main()
