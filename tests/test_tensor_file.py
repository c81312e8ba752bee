"""The file format under estimators and resume states."""

from __future__ import annotations

import random

import pytest
import safetensors.torch
import torch

from psann._tensor_file import decode, encode
from psann.errors import FileFormatError

DESCRIPTION = {"class": "X", "numbers": [1, 2.5, None, True], "text": "é \u2028"}
TENSORS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.tensor([], dtype=torch.float64)}


def test_what_is_written_reads_back_equal() -> None:
    description, tensors = decode(encode(DESCRIPTION, TENSORS), who="a file")
    assert description == DESCRIPTION
    assert set(tensors) == set(TENSORS)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())


def test_same_content_in_another_order_gives_the_same_bytes() -> None:
    backwards = dict(reversed(list(DESCRIPTION.items())))
    assert encode(backwards, dict(reversed(list(TENSORS.items())))) == encode(DESCRIPTION, TENSORS)


def test_no_flipped_bit_and_no_cut_is_accepted() -> None:
    data = encode(DESCRIPTION, TENSORS)
    draws = random.Random(5)
    for _ in range(1000):
        place, bit = draws.randrange(len(data)), draws.randrange(8)
        flipped = bytearray(data)
        flipped[place] ^= 1 << bit
        with pytest.raises(FileFormatError):
            decode(bytes(flipped), who="a file")
    for length in range(len(data)):
        with pytest.raises(FileFormatError):
            decode(data[:length], who="a file")
    with pytest.raises(FileFormatError):
        decode(data + b"\0", who="a file")


def _foreign(metadata: dict[str, str] | None) -> bytes:
    data: bytes = safetensors.torch.save({"a": torch.zeros(2)}, metadata=metadata)
    return data


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "cut short"),
        (b"\xff" * 64, "cut short"),
        (_foreign(None), "no description by psann"),
        (_foreign({"psann": "{}", "other": "x"}), "no description by psann"),
        (_foreign({"psann": "[1]"}), "must hold one object"),
        (_foreign({"psann": "{"}), "not strict JSON"),
        (_foreign({"psann": '{"a": NaN}'}), "not strict JSON"),
        (_foreign({"psann": '{"a": 1, "a": 2}'}), "not strict JSON"),
        (_foreign({"psann": "[" * 100_000}), "not strict JSON"),
        (_foreign({"psann": '{"format_version": 2}'}), "format version 2"),
        (_foreign({"psann": '{"format_version": 1}'}), "digest does not match"),
        (safetensors.torch.save({"a": torch.zeros(2).half()}, {"psann": "{}"}), "must be of F32"),
        (encode({}, {"a": torch.tensor([float("nan")])}), "not finite"),
    ],
    ids=map(str, range(13)),
)
def test_foreign_and_forged_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        decode(data, who="a file")


def test_numbers_that_json_cannot_hold_are_our_bug() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")}, {})


def test_tensors_that_share_memory_are_written_apart() -> None:
    whole = torch.arange(4.0)
    _, tensors = decode(encode({}, {"a": whole, "b": whole, "c": whole[1:]}), who="a file")
    assert [tensors[name].tolist() for name in "abc"] == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3]]
