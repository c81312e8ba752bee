"""The kinds of arrays that this package passes around, by name, and what is a number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
# What formulas of both libraries take, and give back of the same one.
ArrayT = TypeVar("ArrayT", Array, "torch.Tensor")
AnyFloats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Dates = NDArray[np.datetime64]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]


def is_whole(value: object, lowest: int = 0) -> TypeGuard[int]:
    """Say whether a value of anybody's is a whole number, True and False being none."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        return False
    return int(value) >= lowest


def is_number(value: object) -> TypeGuard[float]:
    """Say whether a value of anybody's is a number, True and False being none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
