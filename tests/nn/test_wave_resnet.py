"""WaveResNet: sizes, formula, context, dropout by key, and what moves with the epoch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from draws import normal
from psann._seed import update_keys
from psann.nn.units import UnitOptions
from psann.nn.wave_resnet import WaveOptions, WaveResNet

KEYS = update_keys(0, "test", epoch=1, n_updates=2)


def wave(n_in: int = 4, n_out: int = 3, **options: Any) -> WaveResNet:
    settings = {"hidden_layers": 1, "hidden_units": 8}
    return WaveResNet(
        n_in, n_out, options=WaveOptions(**{**settings, **options}), rng=np.random.default_rng(0)
    )


@pytest.mark.parametrize(("depth", "expected"), [(1, 260), (3, 260 + 2 * 169)])
def test_the_number_of_parameters_is_the_published_one(depth: int, expected: int) -> None:
    assert sum(p.numel() for p in wave(hidden_layers=depth).parameters()) == expected


def test_outputs_are_those_of_the_formula() -> None:
    network = wave(
        hidden_layers=2,
        first_layer_w0=7.0,
        hidden_w0=3.0,
        residual_alpha_init=0.5,
        units=UnitOptions(kind="tanh"),
    )
    x = normal(6, 4)
    h = torch.tanh(7.0 * network.stem(x))
    for block in network.blocks:
        h = h + 0.5 * block.fc2(torch.tanh(3.0 * block.fc1(h)))
    torch.testing.assert_close(network(x), network.head(h))


def test_initial_weights_are_sirens() -> None:
    network = wave(n_in=16, n_out=64, hidden_units=64, first_layer_w0=30.0, hidden_w0=2.0)
    block = network.blocks[0]
    hidden = math.sqrt(6 / 64) / 2
    for layer, bound in (
        (network.stem, 1 / 16),
        (block.fc1, hidden),
        (block.fc2, hidden),
        (network.head, hidden),
    ):
        assert 0.98 * bound < layer.weight.abs().max() <= bound


def test_rms_norm_stands_before_a_block_and_not_in_its_skip() -> None:
    network = wave(norm="rms", units=UnitOptions(kind="tanh"), residual_alpha_init=0.5)
    x = 100 * normal(6, 4)
    h = torch.tanh(30.0 * network.stem(x))
    block = network.blocks[0]
    normed = h / h.square().mean(-1, keepdim=True).sqrt()
    h = h + 0.5 * block.fc2(torch.tanh(block.fc1(normed)))
    torch.testing.assert_close(network(x), network.head(h), rtol=1e-4, atol=1e-5)


def test_weight_norm_starts_as_the_same_function_and_learns_lengths_apart() -> None:
    plain, normed = wave(), wave(norm="weight")
    x = normal(6, 4)
    torch.testing.assert_close(plain(x), normed(x))
    extra = sum(p.numel() for p in normed.parameters()) - sum(p.numel() for p in plain.parameters())
    assert extra == 2 * 8
    with torch.no_grad():
        normed.blocks[0].fc1.direction.mul_(2.0)
    torch.testing.assert_close(plain(x), normed(x))


# --- context


def contextual(**options: Any) -> WaveResNet:
    return wave(hidden_layers=2, n_context=5, residual_alpha_init=1.0, **options)


@pytest.mark.parametrize("uses", ["use_phase_shift", "use_film", "both"])
def test_a_zero_context_leaves_the_network_alone_and_another_moves_it(uses: str) -> None:
    flags = {flag: uses in (flag, "both") for flag in ("use_phase_shift", "use_film")}
    network = contextual(**flags)
    x = normal(6, 4)
    bare = wave(hidden_layers=2, residual_alpha_init=1.0)
    bare.load_state_dict(
        {name: value for name, value in network.state_dict().items() if name in bare.state_dict()}
    )
    with torch.no_grad():
        assert torch.equal(network(x, torch.zeros(6, 5)), bare(x))
        context = torch.zeros(6, 5)
        context[2] = 3.0
        is_moved = (network(x, context) != bare(x)).any(-1)
    assert is_moved.tolist() == [False, False, True, False, False, False]


def test_context_shifts_the_phase_then_scales_and_shifts_the_wave() -> None:
    network = contextual(units=UnitOptions(kind="tanh"), first_layer_w0=1.0, hidden_w0=2.0)
    x, c = normal(6, 4), normal(6, 5)
    h = torch.tanh(network.stem(x))
    for block in network.blocks:
        gain, shift = (c @ block.film.weight.T).split(8, dim=-1)
        v = torch.tanh(2.0 * block.fc1(h) + c @ block.phase.weight.T)
        h = h + block.fc2((1 + gain) * v + shift)
    torch.testing.assert_close(network(x, c), network.head(h))


def test_a_context_that_nothing_uses_is_refused() -> None:
    with pytest.raises(ValueError, match="no effect without use_phase_shift or use_film"):
        contextual(use_phase_shift=False, use_film=False)


# --- dropout


def dropped(share: float, key: Tensor | None = KEYS[0], width: int = 64) -> Tensor:
    """What a block's second map was given, ``(rows, width)``."""
    network = wave(hidden_units=width, dropout=share, units=UnitOptions(kind="tanh"))
    seen = []
    network.blocks[0].fc2.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    with torch.no_grad():
        network(normal(512, 4), None, key)
    return seen[0]


def test_without_a_key_nothing_is_dropped() -> None:
    assert torch.equal(dropped(0.5, key=None), dropped(0.0))
    assert torch.equal(dropped(0.0, key=KEYS[0]), dropped(0.0))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_right_share_is_dropped_and_the_rest_scaled_up(share: float) -> None:
    before, after = dropped(0.0), dropped(share)
    is_kept = after != 0
    n = after.numel()
    error = 5 * (share * (1 - share) / n) ** 0.5
    assert float(1 - is_kept.float().mean()) == pytest.approx(share, abs=error)
    torch.testing.assert_close(after[is_kept], before[is_kept] / (1 - share))


def test_the_key_alone_decides_what_is_dropped() -> None:
    before = torch.get_rng_state()
    first = dropped(0.5)
    torch.manual_seed(1)
    assert torch.equal(dropped(0.5), first)
    assert not torch.equal(dropped(0.5, key=KEYS[1]), first)
    torch.set_rng_state(before)
    dropped(0.5)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_block_drops_units_of_its_own() -> None:
    network = wave(hidden_layers=2, hidden_units=64, dropout=0.5)
    masks = []
    for block in network.blocks:
        block.fc2.register_forward_pre_hook(lambda _, args: masks.append(args[0] == 0))
    with torch.no_grad():
        network(normal(256, 4), None, KEYS[0])
    first, second = (mask.double().flatten().numpy() for mask in masks)
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / (256 * 64) ** 0.5


# --- what moves with the epoch


def test_w0_warms_up_linearly_and_is_a_function_of_the_epoch() -> None:
    network = wave(
        first_layer_w0=30.0,
        hidden_w0=3.0,
        first_layer_w0_initial=10.0,
        w0_warmup_epochs=4,
    )
    for epoch, first, hidden in (
        (5, 30.0, 3.0),
        (1, 10.0, 1.0),
        (3, 20.0, 2.0),
        (2, 15.0, 1.5),
        (0, 10.0, 1.0),
        (100, 30.0, 3.0),
    ):
        network.set_epoch(epoch)
        assert (network.first_layer_w0, network.hidden_w0) == (first, hidden)


def test_the_warm_up_reaches_the_forward_pass() -> None:
    network = wave(w0_warmup_epochs=2, first_layer_w0=30.0, hidden_w0=5.0)
    x = normal(6, 4)
    with torch.no_grad():
        network.set_epoch(1)
        first = network(x)
        network.set_epoch(3)
        last = network(x)
        assert torch.equal(last, wave(first_layer_w0=30.0, hidden_w0=5.0)(x))
        assert not torch.allclose(first, last)


def test_without_a_warm_up_w0_is_at_its_target_from_the_start() -> None:
    network = wave(first_layer_w0=20.0, hidden_w0=2.0)
    assert (network.first_layer_w0, network.hidden_w0) == (20.0, 2.0)


def test_blocks_join_by_the_epoch_until_all_are_there() -> None:
    network = wave(
        hidden_layers=6,
        progressive_depth_initial=1,
        progressive_depth_interval=3,
        progressive_depth_growth=2,
    )
    depths = []
    for epoch in range(12):
        network.set_epoch(epoch)
        depths.append(network.active_depth)
    #                epoch 0  1  2  3  4  5  6  7  8  9  10 11
    assert depths == [1, 1, 1, 1, 3, 3, 3, 5, 5, 5, 6, 6]
    assert wave(hidden_layers=6).active_depth == 6


def test_a_waiting_block_neither_acts_nor_learns_nor_decays() -> None:
    network = wave(hidden_layers=3, progressive_depth_initial=1, progressive_depth_interval=1)
    x = normal(6, 4)
    network(x).square().sum().backward()
    is_waiting = {
        name: name.startswith(("blocks.1.", "blocks.2.")) for name, _ in network.named_parameters()
    }
    for name, parameter in network.named_parameters():
        assert (parameter.grad is None) == is_waiting[name], name
    exempt = network.undecayed_parameters()
    assert {name for name, waits in is_waiting.items() if waits} <= exempt
    assert "blocks.0.fc1.weight" not in exempt
    network.set_epoch(2)
    assert "blocks.1.fc1.weight" not in network.undecayed_parameters()
    assert "blocks.2.fc1.weight" in network.undecayed_parameters()


def test_eleven_blocks_are_told_apart_by_number_and_not_by_first_digit() -> None:
    network = wave(hidden_layers=11, progressive_depth_initial=10)
    waiting = {name for name in network.undecayed_parameters() if name.endswith("fc1.weight")}
    assert waiting == {"blocks.10.fc1.weight"}
