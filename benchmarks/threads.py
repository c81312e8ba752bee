"""Two runs at once on two cores: how much slower each is than alone, by choice of threads.

Run from the repository root::

    python benchmarks/threads.py

Wall milliseconds per update, medians; alone and in pairs take turns. `auto` is
`training.threads: null`, the number by the size of an update; `all cores` is what torch would do
by itself. On a machine that does other work as well, `alone` is not alone: see `load`.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from collections.abc import Sequence
from typing import Any

from measuring import Worker, description, median, save

_CASES = ("S", "L")
_GOAL = 2.5


def milliseconds(workers: Sequence[Worker], job: dict[str, Any]) -> float:
    """Wall milliseconds per update of equal runs at once, their mean."""
    for worker in workers:
        worker.begin(job)
    answers = [worker.answer() for worker in workers]
    costs = [1e3 * answer["wall_s"] / answer["updates"] for answer in answers]
    return sum(costs) / len(costs)


def pair_of_workers(wait_policy: str | None) -> list[Worker]:
    """Two workers, with that policy of waiting for OpenMP's threads."""
    os.environ.pop("OMP_WAIT_POLICY", None)
    if wait_policy is not None:
        os.environ["OMP_WAIT_POLICY"] = wait_policy
    return [Worker(sys.executable, threads=None) for _ in range(2)]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write `benchmarks/results/threads.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7, help="measurements per figure")
    parser.add_argument("--measure-s", type=float, default=3.0, help="wall seconds of each")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    report = description("python benchmarks/threads.py")
    report |= {"goal": _GOAL, "cases": []}
    print(f"load {os.getloadavg()[0]:.1f}; wall ms per update; goal: at most {_GOAL}x alone")
    # `auto` as the command runs it, whose idle threads sleep; torch by itself lets them spin.
    pairs = {"auto": pair_of_workers("PASSIVE"), "all cores": pair_of_workers(None)}
    for case, (choice, threads) in itertools.product(
        _CASES, (("auto", None), ("all cores", os.cpu_count()))
    ):
        job = {"case": case, "planned_updates": 10_000_000, "settings": {"threads": threads}}
        job |= {"clock": "wall", "warm_s": 1.0, "measure_s": options.measure_s}
        alone, together, pair = [], [], pairs[choice]
        # Spinning threads can make a single launch last half a minute.
        repeats = options.repeats if choice == "auto" else min(options.repeats, 3)
        for _ in range(repeats):
            alone.append(milliseconds(pair[:1], job))
            together.append(milliseconds(pair, job))
        row = {
            "case": case,
            "threads": choice,
            "repeats": repeats,
            "alone_ms": median(alone),
            "two_at_once_ms": median(together),
            "ratio": median(together) / median(alone),
        }
        report["cases"].append(row)
        print(
            f"{case}, {choice}: alone {row['alone_ms']:.2f} ms, two at once "
            f"{row['two_at_once_ms']:.2f} ms, {row['ratio']:.2f}x",
            flush=True,
        )
    for worker in itertools.chain(*pairs.values()):
        worker.close()
    report["load_at_the_end"] = round(os.getloadavg()[0], 2)
    if not options.no_save:
        save("threads", report)


if __name__ == "__main__":
    main()
