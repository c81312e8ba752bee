"""What studies of many trainings share: their command, and the file that keeps what they found."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def description() -> Row:
    """Where, with what and when this was measured."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "system": platform.system(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("psann", "torch", "numpy")},
        },
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "command": " ".join(["python", *sys.argv]),
    }


def without_actions(row: Row) -> Row:
    return {key: value for key, value in row.items() if key != "actions"}


def run_parts(
    name: str, parts: Mapping[str, Callable[[Any], Row]], settings: Row, *, about: str
) -> None:
    """Measure the parts that the command line asks for, and write each when it is done.

    Parameters
    ----------
    name : str
        Of the file in `benchmarks/results`.
    parts : mapping of str to callable
        Each takes a `map` that may work on several processes.
    settings : dict
        What stands in the file beside the parts.
    about : str
        One line for `--help`.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--jobs", type=int, default=1, help="trainings at the same time")
    default = Path("benchmarks/results", f"{name}.json")
    parser.add_argument("--output", type=Path, default=default, help="JSON file")
    options = parser.parse_args()
    print(json.dumps(description(), indent=2))
    for part in options.parts:
        with ProcessPoolExecutor(options.jobs) as pool:
            result = parts[part](pool.map)
        # Read anew: another process may have written another part meanwhile.
        report = json.loads(options.output.read_text()) if options.output.exists() else {}
        report |= settings | {part: {"measured": description(), "result": result}}
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
        print(f"written: {options.output}", flush=True)
