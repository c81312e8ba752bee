"""pyplot for those who draw: whoever only fills in tables need not wait for matplotlib."""

from __future__ import annotations

from typing import Any


def pyplot(backend: str) -> Any:
    """`matplotlib.pyplot`, for pictures in files."""
    import matplotlib as mpl

    mpl.use(backend)
    from matplotlib import pyplot

    return pyplot
