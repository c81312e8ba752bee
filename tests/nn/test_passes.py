from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from draws import normal
from psann.nn.dense import DenseNetwork
from psann.nn.network import Network
from psann.nn.passes import bound, row_passes
from psann.nn.units import UnitOptions
from tiny_training import N_IN, wave

CPU = torch.device("cpu")


@pytest.mark.parametrize("n_rows", [1, 63, 64, 65, 127, 128, 129, 191, 192, 1000, 4096, 4159])
@pytest.mark.parametrize("row_bytes", [2**7, 2**12, 2**14, 2**20])
def test_passes_cover_the_rows_in_whole_tiles_and_none_is_short(
    monkeypatch: pytest.MonkeyPatch, n_rows: int, row_bytes: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    passes = row_passes(n_rows, row_bytes=row_bytes, device=CPU)
    rows = torch.arange(n_rows)
    assert torch.equal(torch.cat([rows[part] for part in passes]), rows)
    sizes = [part.stop - part.start for part in passes]
    assert all(size % 64 == 0 for size in sizes[:-1])
    assert len(sizes) == 1 or min(sizes) >= 64
    # Within the budget, but for one tile and what is left over.
    assert max(sizes) * row_bytes < max(2**20, 64 * row_bytes) + 64 * row_bytes


def test_a_card_and_many_threads_take_more_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def sizes(n_threads: int, device: str) -> list[int]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
        parts = row_passes(100_000, row_bytes=2**10, device=torch.device(device))
        return [part.stop - part.start for part in parts]

    assert sizes(1, "cpu")[0] == 1024 and sizes(4, "cpu")[0] == 4096
    assert sizes(1, "cuda") == [65_536, 34_464]


def network() -> Network:
    return wave(norm="weight", hidden_units=16)


@pytest.mark.parametrize("n_rows", [130, 1000, 4097])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_row_has_nearly_the_result_of_one_pass_over_all(n_rows: int, dtype: torch.dtype) -> None:
    made, x = network().to(dtype), normal(n_rows, N_IN, dtype=dtype)
    with torch.no_grad():
        parts = [made(x[p]) for p in row_passes(n_rows, row_bytes=2**13, device=CPU)]
        torch.testing.assert_close(torch.cat(parts), made(x), rtol=0, atol=1e-6)


def test_a_network_computes_with_bound_tensors_inside_and_its_own_outside() -> None:
    units = UnitOptions(params={"learnable": ["damping"]})  # the others are buffers
    size: Any = {"hidden_layers": 1, "hidden_units": 4, "w0": 1.0}
    made = DenseNetwork(N_IN, 2, **size, units=units, rng=np.random.default_rng(0))
    x = normal(3, N_IN)
    own = {**dict(made.named_parameters()), **dict(made.named_buffers())}
    assert len(own) > len(dict(made.named_parameters()))
    others = {name: 2 * p.detach() for name, p in own.items()}
    before = made(x)
    with bound(made, others):
        inside = made(x)
    assert torch.equal(inside, torch.func.functional_call(made, others, (x,)))
    assert not torch.equal(inside, before)
    with pytest.raises(AttributeError), bound(made, {**others, "nowhere.weight": x}):
        pass
    assert all(p is own[name] for name, p in made.named_parameters())
    assert all(p is own[name] for name, p in made.named_buffers())
    assert torch.equal(made(x), before)
