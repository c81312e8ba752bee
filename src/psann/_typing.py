"""The kinds of arrays that this package passes around, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

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
