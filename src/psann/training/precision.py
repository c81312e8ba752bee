"""Mixed precision: which reduced type an update computes in, and whether gradients are scaled."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import torch

AMP_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}

# float16 gradients are scaled so that small ones do not underflow: doubled after so many good
# updates, halved after an overflow (Micikevicius et al. 2018, https://arxiv.org/abs/1710.03740).
INITIAL_SCALE = 2.0**16
GROWTH_INTERVAL = 2000
# So many overflows in a row are no longer the search for a scale.
MAX_OVERFLOWS_IN_A_ROW = 50


@dataclass(frozen=True)
class Precision:
    """The type of the forward pass and the reward; `None` is the weights' own float32."""

    device_type: str
    dtype: torch.dtype | None = None

    @property
    def is_scaled(self) -> bool:
        """Whether gradients need scaling: float16 has too few exponents, bfloat16 enough."""
        return self.dtype is torch.float16

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Context of the forward pass and the reward."""
        if self.dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device_type, dtype=self.dtype)


def resolve_precision(
    *, mixed_precision: bool, amp_dtype: str, device: torch.device
) -> tuple[Precision, str | None]:
    """Precision in force on a device, and what to tell the user if it is not what they asked.

    Parameters
    ----------
    mixed_precision : bool
        What the user asked for.
    amp_dtype : {"float16", "bfloat16"}
        The reduced type.
    device : torch.device
        Where the updates run.

    Returns
    -------
    precision : Precision
        What the engine uses.
    note : str or None
        One sentence when the request has no effect here.

    Raises
    ------
    ValueError
        If `amp_dtype` is not one of the two.
    """
    if amp_dtype not in AMP_DTYPES:
        raise ValueError(f"amp_dtype must be float16 or bfloat16; got {amp_dtype!r}.")
    if not mixed_precision:
        return Precision(device.type), None
    if device.type == "cpu":
        return Precision("cpu"), (
            "mixed_precision has no effect on a CPU, where reduced types are slower: "
            "training computes in float32."
        )
    return Precision(device.type, AMP_DTYPES[amp_dtype]), None
