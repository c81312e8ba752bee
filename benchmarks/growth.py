"""How the cost of an update grows with the series, the assets, the windows and the episodes.

Run from the repository root::

    python benchmarks/growth.py

One number of the case `growth` (benchmarks/cases.py) moves at a time; the last sweep trains from
a memory-mapped file. CPU milliseconds per update on one thread, medians; the points of a sweep
take turns. Up to 5,000 assets have processes of their own, whose most memory is noted, with freed
memory kept as the command keeps it, and as a program has it that calls `fit`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from cases import CASES
from measuring import Worker, description, median, save

SWEEPS: dict[str, tuple[int, ...]] = {
    "n_rows": (3_000, 20_000, 100_000, 500_000),
    "n_assets": (4, 8, 16, 32, 64),
    "window": (16, 32, 64, 128, 256),
    "batch_episodes": (8, 16, 32, 64, 128),
}
_FEATURES_PER_ASSET = 5
_MANY_ASSETS = (500, 1_000, 2_000, 5_000)
_OF_MANY = {"n_rows": 1_000, "batch_episodes": 8, "reward": "portfolio"}
_MAPPED_ROWS = 1_000_000  # 160 MB of features


def changes(name: str, value: int) -> dict[str, int]:
    """What a point of a sweep changes in the case."""
    if name == "n_assets":
        return {"n_assets": value, "n_features": _FEATURES_PER_ASSET * value}
    return {name: value}


def measure(worker: Worker, jobs: Sequence[dict[str, Any]], repeats: int) -> list[float]:
    """Milliseconds of CPU per update of each job, which take turns."""
    found: list[list[float]] = [[] for _ in jobs]
    for _ in range(repeats):
        for job, values in zip(jobs, found, strict=True):
            answer = worker.ask({"case": "growth", "planned_updates": 10_000_000, **job})
            if "error" in answer:
                raise RuntimeError(f"{job}: {answer['error']}")
            values.append(1e3 * answer["cpu_s"] / answer["updates"])
    return [median(values) for values in found]


def many_assets(measure_s: float, repeats: int) -> list[dict[str, Any]]:
    """Updates and most memory on many assets, one feature each."""
    print("assets: ms per update as the command runs, as a program does; MB at most")
    answers: dict[tuple[int, bool], list[dict[str, Any]]] = {}
    for _ in range(repeats):
        for n_assets in _MANY_ASSETS:
            for keeps_memory in (True, False):
                worker = Worker(sys.executable)
                job = {
                    "case": "growth",
                    "planned_updates": 100_000,
                    "measure_s": measure_s,
                    "settings": {"engine": "eager"},
                    "keeps_memory": keeps_memory,
                    "changes": {"n_assets": n_assets, "n_features": n_assets, **_OF_MANY},
                }
                answers.setdefault((n_assets, keeps_memory), []).append(worker.ask(job))
                worker.close()
    rows = []
    for n_assets in _MANY_ASSETS:
        row: dict[str, Any] = {"assets": n_assets}
        for name, keeps_memory in (("command", True), ("program", False)):
            given = answers[n_assets, keeps_memory]
            row[name] = {
                "cpu_ms_per_update": median([1e3 * a["cpu_s"] / a["updates"] for a in given]),
                "peak_bytes": median([a["peak_bytes"] for a in given]),
            }
        rows.append(row)
        costs = [row[name]["cpu_ms_per_update"] for name in ("command", "program")]
        memory = row["command"]["peak_bytes"] / 1e6
        print(f"{n_assets:>9,}  {costs[0]:.2f}  {costs[1]:.2f}  {memory:.0f} MB", flush=True)
    return rows


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write `growth.json` and `assets.json` to `benchmarks/results`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7, help="measurements per figure")
    parser.add_argument("--measure-s", type=float, default=0.7, help="CPU seconds of each")
    parser.add_argument("--only", choices=("sweeps", "assets"), help="one of the two files")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    if options.only != "assets":
        sweeps(options)
    if options.only != "sweeps":
        report = description("python benchmarks/growth.py --only assets")
        report |= {"repeats": options.repeats}
        report["cases"] = many_assets(options.measure_s, options.repeats)
        report["load_at_the_end"] = round(os.getloadavg()[0], 2)
        if not options.no_save:
            save("assets", report)


def sweeps(options: argparse.Namespace) -> None:
    """One number at a time, and the memory-mapped file."""
    report = description("python benchmarks/growth.py --only sweeps")
    report |= {"case": CASES["growth"].what, "repeats": options.repeats, "sweeps": {}}
    print(f"load {os.getloadavg()[0]:.1f}; {CASES['growth'].what}; ms of CPU per update")
    worker = Worker(sys.executable)
    settings = {"measure_s": options.measure_s, "settings": {"engine": "eager"}}
    for name, values in SWEEPS.items():
        jobs = [{**settings, "changes": changes(name, value)} for value in values]
        costs = measure(worker, jobs, options.repeats)
        report["sweeps"][name] = {"values": values, "cpu_ms_per_update": costs}
        points = ", ".join(f"{v:,}: {c:.2f}" for v, c in zip(values, costs, strict=True))
        print(f"{name}  {points}", flush=True)
    jobs = [
        {**settings, "changes": {"n_rows": _MAPPED_ROWS}, "mapped": mapped}
        for mapped in (False, True)
    ]
    in_memory, mapped = measure(worker, jobs, options.repeats)
    report["mapped"] = {
        "n_rows": _MAPPED_ROWS,
        "in_memory_cpu_ms_per_update": in_memory,
        "mapped_cpu_ms_per_update": mapped,
        "ratio": mapped / in_memory,
    }
    worker.close()
    print(
        f"{_MAPPED_ROWS:,} rows in memory {in_memory:.2f}, from a warm file {mapped:.2f}: "
        f"{mapped / in_memory:.2f}x (goal 1.3x)"
    )
    report["load_at_the_end"] = round(os.getloadavg()[0], 2)
    if not options.no_save:
        save("growth", report)


if __name__ == "__main__":
    main()
