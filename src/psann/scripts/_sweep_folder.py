"""Where a command that reads runs is given the folder of a sweep, which it shows as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psann.run.sweep.reading import SweepView


def show_if_sweep(paths: Sequence[Path]) -> bool:
    """Show the one folder of a sweep that is given; whether it was one."""
    if (found := _sweep_at(paths)) is None:
        return False
    from psann._terminal import Terminal
    from psann.run.sweep.reading import show_sweep

    show_sweep(found, Terminal(is_product=True))
    return True


def report_if_sweep(paths: Sequence[Path], output: Path, *, format: str) -> list[Path] | None:
    """Write a page about the one folder of a sweep that is given; None for anything else."""
    if (found := _sweep_at(paths)) is None:
        return None
    from psann.run.sweep.page import write_sweep_report

    return write_sweep_report(found, output, format=format)


def _sweep_at(paths: Sequence[Path]) -> SweepView | None:
    if len(paths) != 1 or not (paths[0] / "sweep.json").exists():
        return None
    # Only here: what shows runs does without it.
    from psann.run.sweep.reading import read_sweep

    return read_sweep(paths[0])
