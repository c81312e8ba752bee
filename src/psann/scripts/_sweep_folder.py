"""Where a command that reads runs is given the folder of a sweep, which it shows as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def show_if_sweep(paths: Sequence[Path]) -> bool:
    """Show the one folder of a sweep that is given; whether it was one."""
    from psann._terminal import Terminal

    if len(paths) != 1 or not (paths[0] / "sweep.json").exists():
        return False
    from psann.run.sweep.reading import read_sweep, show_sweep

    if (found := read_sweep(paths[0])) is None:
        return False
    show_sweep(found, Terminal(is_product=True))
    return True


def report_if_sweep(paths: Sequence[Path], output: Path, *, format: str) -> list[Path] | None:
    """Write a page about the one folder of a sweep that is given; None for anything else."""
    if len(paths) != 1 or not (paths[0] / "sweep.json").exists():
        return None
    from psann.run.sweep.reading import read_sweep

    if (found := read_sweep(paths[0])) is None:
        return None
    from psann.run.sweep.page import write_sweep_report

    return write_sweep_report(found, output, format=format)
