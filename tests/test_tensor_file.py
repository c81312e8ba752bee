"""The file format under estimators and resume states."""

from __future__ import annotations

import json
import random
from itertools import product

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from psann._tensor_file import decode, encode
from psann.errors import FileFormatError
from thinning import thinned

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
        (safetensors.torch.save({"a": torch.zeros(2).half()}, {"psann": "{}"}), "of I64, F64"),
        (encode({}, {"a": torch.tensor([float("nan")])}), "not finite"),
    ],
    ids=map(str, range(13)),
)
def test_foreign_and_forged_files_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        decode(data, who="a file")


SIDES = {"dtype": "F32", "data_offsets": [0, 0]}


def _with_shape(shape: object) -> bytes:
    header = json.dumps({"__metadata__": {"psann": "{}"}, "a": {**SIDES, "shape": shape}}).encode()
    return len(header).to_bytes(8, "little") + header


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (_with_shape("x"), "must have 64 sides at most"),
        (_with_shape([1] * 65), "must have 64 sides at most"),
        (_with_shape([1.0]), "must be whole numbers"),
        (_with_shape([-1]), "must be whole numbers"),
        (_with_shape([10**38] * 64), "format version None"),  # a product that takes no time
    ],
    ids=map(str, range(5)),
)
def test_sides_that_no_tensor_has_are_refused(data: bytes, message: str) -> None:
    with pytest.raises(FileFormatError, match=message):
        decode(data, who="a file")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
ARRAYS = arrays(
    st.sampled_from([np.float32, np.float64, np.int64, np.uint8]),
    array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    elements=st.integers(0, 255),
)


@given(content=st.dictionaries(NAMES, ARRAYS, max_size=4), text=NAMES)
@settings(max_examples=50, deadline=None)
def test_files_are_written_as_safetensors_writes_them(content: dict, text: str) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in content.items()}
    data = encode({"text": text}, tensors)
    assert safetensors.torch.save(tensors, {"psann": _metadata(data)}) == data
    found = safetensors.torch.load(data)
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


def _metadata(data: bytes) -> str:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text: str = header["__metadata__"]["psann"]
    return text


@pytest.mark.parametrize(
    ("n_letters", "n_values"), thinned(product(range(1, 9), [0, 1, 2, 7]), every=5)
)
def test_nothing_may_follow_or_hide_in_a_file(n_letters: int, n_values: int) -> None:
    """At every size of the header, whose end is filled with blanks, and of the numbers."""
    data = encode({}, {"x" * n_letters: torch.zeros(n_values, dtype=torch.uint8)})
    header, rest = data[8 : 8 + int.from_bytes(data[:8], "little")], data[8:]
    rest = rest[len(header) :]
    for more in range(1, 17):
        for hidden in (b" " * more, bytes(more), b"x" * more):
            for longer in (
                len(header + hidden).to_bytes(8, "little") + header + hidden + rest,
                len(header).to_bytes(8, "little") + header + rest + hidden,
                len(header).to_bytes(8, "little") + header + hidden + rest,
            ):
                with pytest.raises(FileFormatError):
                    decode(longer, who="a file")
    trimmed = header.rstrip(b" ")
    if trimmed != header:
        with pytest.raises(FileFormatError):
            decode(len(trimmed).to_bytes(8, "little") + trimmed + rest, who="a file")


def test_numbers_that_json_cannot_hold_are_our_bug() -> None:
    with pytest.raises(ValueError, match="JSON"):
        encode({"a": float("nan")}, {})


def test_tensors_that_share_memory_are_written_apart() -> None:
    whole = torch.arange(4.0)
    _, tensors = decode(encode({}, {"a": whole, "b": whole, "c": whole[1:]}), who="a file")
    assert [tensors[name].tolist() for name in "abc"] == [[0, 1, 2, 3], [0, 1, 2, 3], [1, 2, 3]]
