"""The file of a commit, read back without torch."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from psann._tensor_file import encode
from psann.errors import FileFormatError
from psann.run.directory.resume_state import read_state

FACTS: dict[str, Any] = {
    "identity": {
        "config": {"seed": "1"},
        "data_sha256": "a",
        "init_from_sha256": None,
        "environment": {"torch": "2"},
    },
    "log_bytes": 12,
    "done": ["one.safetensors"],
}


def state_file(facts: Any = FACTS, values: bytes = b'[{"epoch": 3}, {"epoch": 4}]  ') -> bytes:
    tensors = {"0.weights": torch.ones(2), "1.weights": torch.zeros(3)}
    tensors["values"] = torch.frombuffer(bytearray(values), dtype=torch.uint8)
    return encode({"resume": facts}, tensors)


def test_values_and_arrays_come_back_by_seed_with_what_is_needed_to_go_on() -> None:
    state = read_state(state_file(), who="x")
    assert state.values == ({"epoch": 3}, {"epoch": 4})
    assert [{k: a.tolist() for k, a in each.items()} for each in state.arrays] == [
        {"weights": [1.0, 1.0]},
        {"weights": [0.0, 0.0, 0.0]},
    ]
    assert (state.identity.config, state.log_bytes) == ({"seed": "1"}, 12)
    assert state.done == ("one.safetensors",)


@pytest.mark.parametrize(
    "data",
    [
        encode({"resume": FACTS}, {}),
        encode({"other": 1}, {"values": torch.zeros(2, dtype=torch.uint8)}),
        state_file({**FACTS, "log_bytes": "many"}),
        state_file({**FACTS, "identity": {}}),
        state_file(values=b"[" * 100_000),
    ],
)
def test_what_is_no_resume_state_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(FileFormatError, match="last is no resume state"):
        read_state(data, who="last")
