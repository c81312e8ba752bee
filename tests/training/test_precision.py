"""Mixed precision: what is in force where, and the note where it cannot be."""

from __future__ import annotations

import pytest
import torch

from draws import normal
from psann.training.precision import Precision, resolve_precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("amp_dtype", sorted(DTYPES))
def test_on_a_cpu_it_means_float32_and_a_note_that_says_so(amp_dtype: str) -> None:
    precision, note = resolve_precision(mixed_precision=True, amp_dtype=amp_dtype, device=CPU)
    assert precision == Precision("cpu", None)
    assert not precision.is_scaled
    assert note is not None
    assert "no effect on a CPU" in note
    assert "float32" in note


@pytest.mark.parametrize("device", [CPU, CUDA], ids=str)
def test_unasked_it_is_off_without_a_word(device: torch.device) -> None:
    precision, note = resolve_precision(mixed_precision=False, amp_dtype="float16", device=device)
    assert precision == Precision(device.type, None)
    assert note is None


@pytest.mark.parametrize("amp_dtype", sorted(DTYPES))
def test_on_a_gpu_it_is_the_reduced_type_and_only_float16_is_scaled(amp_dtype: str) -> None:
    precision, note = resolve_precision(mixed_precision=True, amp_dtype=amp_dtype, device=CUDA)
    assert precision == Precision("cuda", DTYPES[amp_dtype])
    assert precision.is_scaled == (amp_dtype == "float16")
    assert note is None


@pytest.mark.parametrize("mixed_precision", [False, True])
def test_another_type_is_refused_whether_used_or_not(mixed_precision: bool) -> None:
    with pytest.raises(ValueError, match="must be float16 or bfloat16; got 'float8'"):
        resolve_precision(mixed_precision=mixed_precision, amp_dtype="float8", device=CPU)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16, torch.float16], ids=str)
def test_autocast_computes_in_the_reduced_type_and_ends_with_the_block(
    dtype: torch.dtype | None,
) -> None:
    layer, x = torch.nn.Linear(4, 3), normal(2, 4)
    with Precision("cpu", dtype).autocast():
        assert layer(x).dtype == (dtype or torch.float32)
    assert layer(x).dtype == torch.float32
