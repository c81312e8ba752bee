"""The source of psann as syntax trees, parsed once for all that read it."""

from __future__ import annotations

import ast
import gc
from functools import cache
from pathlib import Path

SRC = Path(__file__).resolve().parents[1] / "src" / "psann"


@cache
def trees() -> dict[Path, ast.Module]:
    """Files of the source in order.

    Two in three seconds would go to the collector of garbage, which finds none.
    """
    gc.disable()
    try:
        return {path: ast.parse(path.read_text()) for path in sorted(SRC.rglob("*.py"))}
    finally:
        gc.freeze()
        gc.enable()
