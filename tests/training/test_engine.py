"""One update, and launches of several: the same mathematics as torch, nothing half done."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from draws import normal
from psann._seed import update_keys
from psann.losses import mse
from psann.nn.network import Network
from psann.nn.state import StateOptions
from psann.training.carry import Carry, WeightLayout, alone
from psann.training.engine import EagerEngine
from psann.training.precision import INITIAL_SCALE, Precision
from psann.training.statistics import LaunchStatistics
from psann.training.supervised import RowObjective
from tiny_training import (
    BODIES,
    N_IN,
    POISON,
    batches,
    dense,
    engine,
    initial_carry,
    launched_together,
    near,
    objective,
    poisoned,
    residual,
    rows,
    same,
    stacks_of,
    wave,
)

KEYS = update_keys(0, "test", epoch=1, n_updates=12)


def launched(
    made: EagerEngine,
    goal: RowObjective | None = None,
    *,
    indices: list[Tensor] | None = None,
    keys: Tensor | None = None,
    lr: float = 0.01,
    carry: Carry | None = None,
) -> tuple[Carry, LaunchStatistics]:
    return made.launch(
        initial_carry(made) if carry is None else carry,
        objective() if goal is None else goal,
        stacks=stacks_of(batches(5) if indices is None else indices),
        keys=keys,
        lr=lr,
    )


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_the_network_as_a_function_is_the_network(body: Callable[[], Network]) -> None:
    network = body()
    made = engine(network)
    carry, x = initial_carry(made), normal(6, N_IN)
    with torch.no_grad():
        expected = network(x)
        assert torch.equal(made.forward(carry.weights, carry.buffers)(x, None, None), expected)
        moved = made.forward(1.5 * carry.weights, carry.buffers)(x, None, None)
        assert torch.equal(network(x), expected)
        network.load_state_dict(made.layout.unflatten(1.5 * carry.weights))
        assert torch.equal(network(x), moved)


# --- one update


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_the_gradient_is_autograds_of_the_plain_module(body: Callable[[], Network]) -> None:
    network, (index,) = body(), batches(1)
    data = rows()
    carry, statistics = launched(engine(network, name="sgd"), indices=[index], lr=1.0)
    loss = mse(network(data.X[index]), data.y[index]).mean()
    loss.backward()
    layout = WeightLayout.of(network)
    gradient = layout.flatten({name: p.grad for name, p in network.named_parameters()})
    before = layout.flatten(dict(network.named_parameters()))
    torch.testing.assert_close(before - carry.weights, gradient, rtol=1e-5, atol=1e-6)
    assert statistics.loss == pytest.approx([loss.item()])
    assert statistics.grad_norm == pytest.approx([gradient.norm().item()], rel=1e-5)


THEIRS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": lambda groups, **options: torch.optim.SGD(groups, momentum=0.9, **options),
}


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_many_updates_are_a_loop_over_torch_optim(name: str) -> None:
    data, indices = rows(dtype=torch.float64), batches(25)
    rule = {"name": name, "weight_decay": 0.2, "clip_norm": 0.5}
    made = engine(residual().double(), **rule)
    carry, _ = launched(made, objective(data), indices=indices)

    network = residual().double()
    exempt = network.undecayed_parameters()
    groups = [
        {
            "params": [p for n, p in network.named_parameters() if (n in exempt) == is_exempt],
            "weight_decay": 0.0 if is_exempt else 0.2,
        }
        for is_exempt in (False, True)
    ]
    optimizer = THEIRS[name](groups, lr=0.01)
    for index in indices:
        optimizer.zero_grad()
        mse(network(data.X[index]), data.y[index]).mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 0.5)
        optimizer.step()
    expected = made.layout.flatten(dict(network.named_parameters()))
    torch.testing.assert_close(carry.weights, expected, rtol=0, atol=1e-12)


def test_a_launch_leaves_the_networks_own_parameters_alone() -> None:
    network = dense(state=StateOptions())
    before = {name: t.clone() for name, t in network.state_dict().items()}
    made = engine(network)
    first = initial_carry(made)
    weights = first.weights.clone()
    launched(made, carry=first)
    assert torch.equal(first.weights, weights)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_the_statistics_are_those_of_each_update() -> None:
    data, indices = rows(), [*batches(2), torch.tensor([3])]
    network = dense()
    _, statistics = launched(engine(network), indices=indices, lr=0.0)
    assert statistics.n_values.tolist() == [6, 6, 1]
    by_update = np.split(statistics.values, [6, 12])
    for loss, values, index in zip(statistics.loss, by_update, indices, strict=True):
        with torch.no_grad():
            expected = mse(network(data.X[index]), data.y[index]).mean(-1)
        np.testing.assert_allclose(values, expected.numpy(), rtol=1e-6)
        assert loss == pytest.approx(values.mean(), rel=1e-6)
    assert statistics.is_accepted.all()
    assert statistics.is_loss_finite.all()


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("state_reset", ["batch", "none"])
def test_launches_of_any_size_give_the_same_result(size: int, state_reset: Any) -> None:
    def made() -> EagerEngine:
        return engine(dense(state=StateOptions()), clip_norm=1.0, state_reset=state_reset)

    goal, indices = objective(input_noise=0.3), batches(12)
    whole, statistics = launched(made(), goal, indices=indices, keys=KEYS)
    pieces, carry, losses = made(), initial_carry(made()), []
    for first in range(0, 12, size):
        part = slice(first, first + size)
        carry, found = launched(pieces, goal, indices=indices[part], keys=KEYS[part], carry=carry)
        losses += found.loss.tolist()
    assert same(carry, whole)
    assert losses == statistics.loss.tolist()


def test_training_draws_nothing_from_torchs_global_generator() -> None:
    before = torch.get_rng_state()
    made = engine(wave(dropout=0.5))
    launched(made, objective(input_noise=0.3), keys=KEYS)
    assert torch.equal(torch.get_rng_state(), before)


def test_keys_decide_the_noise_and_no_keys_means_none() -> None:
    goal = objective(input_noise=0.3)
    first, again, other, none = (
        launched(engine(), goal, keys=keys)[0] for keys in (KEYS[:5], KEYS[:5], KEYS[5:10], None)
    )
    assert same(first, again)
    assert not same(first, other)
    assert same(none, launched(engine(), objective())[0])


def test_dropout_reaches_the_update_through_the_keys() -> None:
    first, again, other, none = (
        launched(engine(wave(dropout=0.5)), keys=keys)[0]
        for keys in (KEYS[:5], KEYS[:5], KEYS[5:10], None)
    )
    assert same(first, again)
    assert not same(first, other)
    assert same(none, launched(engine(wave()))[0])


@pytest.mark.parametrize(
    "loss",
    [
        lambda outputs, targets: (outputs.detach() - targets).square(),
        lambda outputs, targets: torch.ones_like(targets, requires_grad=True),
    ],
    ids=["detached", "of something else"],
)
def test_a_loss_that_does_not_depend_on_the_network_is_refused(loss: Any) -> None:
    with pytest.raises(ValueError, match="does not depend on the network's outputs"):
        launched(engine(), objective(loss=loss))


# --- weight decay, and blocks that wait


def parts_of(made: EagerEngine, weights: Tensor, is_wanted: Callable[[str], bool]) -> Tensor:
    named = made.layout.unflatten(weights)
    return torch.cat([tensor.flatten() for name, tensor in named.items() if is_wanted(name)])


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_weight_decay_moves_weights_and_biases_but_never_sine_shapes(name: str) -> None:
    made = engine(name=name, weight_decay=0.5)
    plain = engine(name=name, weight_decay=0.0)
    exempt = made.network.undecayed_parameters()
    # A single update: later ones differ everywhere, through the weights.
    decayed, free = (launched(e, indices=batches(1))[0].weights for e in (made, plain))
    assert torch.equal(*(parts_of(made, w, exempt.__contains__) for w in (decayed, free)))
    rest = (parts_of(made, w, lambda n: n not in exempt) for w in (decayed, free))
    assert not torch.equal(*rest)


@pytest.mark.parametrize("name", sorted(THEIRS))
def test_waiting_blocks_keep_their_first_weights_bit_for_bit(name: str) -> None:
    network = wave(hidden_layers=3, progressive_depth_initial=1, progressive_depth_interval=1)
    made = engine(network, name=name, weight_decay=0.5)
    first = initial_carry(made)
    carry = first
    for epoch, n_waiting in ((1, 2), (2, 1), (3, 0)):
        made.set_epoch(epoch)
        carry, _ = launched(made, carry=carry)
        for block in range(3):
            old, new = (
                parts_of(made, w, lambda n: n.startswith(f"blocks.{block}."))  # noqa: B023
                for w in (first.weights, carry.weights)
            )
            assert torch.equal(old, new) == (block >= 3 - n_waiting)


def test_another_weight_decay_holds_inside_the_block_only() -> None:
    made = engine(weight_decay=0.5)
    with made.weight_decay_of(0.0):
        inside, _ = launched(made)
    assert same(inside, launched(engine(weight_decay=0.0))[0])
    with pytest.raises(KeyError), made.weight_decay_of(0.1):
        raise KeyError
    assert same(launched(made)[0], launched(engine(weight_decay=0.5))[0])
    bare = engine(weight_decay=0.0)
    with bare.weight_decay_of(0.5):
        assert same(launched(bare)[0], launched(engine(weight_decay=0.5))[0])


def test_a_whole_span_goes_through_in_parts_without_gradient(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = engine(wave(n_context=1))
    carry, x = initial_carry(made), normal(300, N_IN)
    weights, context = carry.weights.requires_grad_(), normal(300, 1, seed=1)
    whole = made.forward(weights, carry.buffers)(x, context, None)
    monkeypatch.setattr("psann.nn.passes._CPU_BYTES", 64 * 8 * 4)
    sizes: list[int] = []
    made.network.register_forward_hook(lambda _, given, out: sizes.append(len(given[0])))
    outputs = made.span_forward(weights, carry.buffers)(x, context, None)
    assert sizes == [64, 64, 64, 108] and not outputs.requires_grad
    torch.testing.assert_close(outputs, whole.detach(), rtol=0, atol=1e-6)


def test_the_epoch_offset_shifts_the_networks_epochs() -> None:
    network = wave(w0_warmup_epochs=10, first_layer_w0=11.0)
    made = engine(network, epoch_offset=4)
    assert network.first_layer_w0 == 1.0 + 3
    made.set_epoch(2)
    assert network.first_layer_w0 == 1.0 + 5


class OneMatrix(Network):
    """A network of a single parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.head = torch.nn.Linear(N_IN, 2, bias=False)
        torch.nn.init.ones_(self.head.weight)

    def forward(
        self, x: Tensor, context: Tensor | None = None, dropout_key: Tensor | None = None
    ) -> Tensor:
        outputs: Tensor = self.head(x)
        return outputs


@pytest.mark.parametrize("stop", [True, False])
@pytest.mark.parametrize("body", [*BODIES, OneMatrix], ids=lambda body: body.__name__)
def test_a_launch_on_a_cpu_has_the_bits_of_updates_that_the_device_judges(
    body: Callable[[], Network], stop: bool
) -> None:
    goal = broken_rows("gradient")
    rule = {"weight_decay": 0.1, "clip_norm": 0.5, "stop_on_nonfinite": stop}
    made = engine(body(), **rule)
    carry, reports = initial_carry(made), []
    for index in WITH_BAD:
        carry, report = made.update(carry, goal, index, None, lr=0.01, lift=alone)
        reports.append(report.numbers.nan_to_num(-1.0).tolist())
    found, statistics = launched(made, goal, indices=WITH_BAD)
    assert same(found, carry)
    assert bool(found.is_frozen) == bool(carry.is_frozen) == stop
    columns = (statistics.loss, statistics.grad_norm, statistics.is_accepted)
    assert np.nan_to_num(np.transpose(columns), nan=-1.0).tolist() == [r[:3] for r in reports]


# --- numbers that are not finite


def broken_rows(kind: str) -> RowObjective:
    """Row 7 breaks an update: its loss, or only its gradient."""
    data = rows()
    data.y[7] = {"loss": math.inf, "nan": math.nan, "gradient": POISON}[kind]
    return objective(data, loss=poisoned if kind == "gradient" else mse)


GOOD = [torch.tensor(index) for index in ([0, 1], [2, 3], [4, 5], [8, 9])]
BAD = torch.tensor([6, 7])
WITH_BAD = [*GOOD[:2], BAD, *GOOD[2:]]
KINDS = ["loss", "nan", "gradient"]


def stateful(*, stop: bool, state_reset: Any = "none") -> EagerEngine:
    network = dense(state=StateOptions(rho=0.5))
    return engine(network, clip_norm=1.0, stop_on_nonfinite=stop, state_reset=state_reset)


@pytest.mark.parametrize("state_reset", ["none", "batch"])
@pytest.mark.parametrize("kind", KINDS)
def test_with_stop_nothing_moves_from_the_bad_update_to_the_end_of_the_launch(
    kind: str, state_reset: Any
) -> None:
    goal = broken_rows(kind)
    carry, statistics = launched(
        stateful(stop=True, state_reset=state_reset), goal, indices=WITH_BAD
    )
    expected, _ = launched(stateful(stop=True, state_reset=state_reset), goal, indices=GOOD[:2])
    assert same(carry, expected)
    assert statistics.is_accepted.tolist() == [True, True, False, False, False]
    assert statistics.is_loss_finite.tolist() == [True, True, kind == "gradient", True, True]
    assert not np.isfinite(statistics.grad_norm[2])


@pytest.mark.parametrize("state_reset", ["none", "batch"])
@pytest.mark.parametrize("kind", KINDS)
def test_with_skip_the_bad_update_alone_leaves_no_trace(kind: str, state_reset: Any) -> None:
    goal = broken_rows(kind)
    made = stateful(stop=False, state_reset=state_reset)
    carry, statistics = launched(made, goal, indices=WITH_BAD)
    expected, _ = launched(stateful(stop=False, state_reset=state_reset), goal, indices=GOOD)
    assert same(carry, expected)
    assert statistics.is_accepted.tolist() == [True, True, False, True, True]


@pytest.mark.parametrize("state_reset", ["none", "batch"])
def test_a_first_update_that_is_bad_leaves_the_carry_as_it_was(state_reset: Any) -> None:
    made = stateful(stop=True, state_reset=state_reset)
    first = initial_carry(made)
    first.buffers["activations.0.1.state"].fill_(2.5)
    carry, _ = launched(made, broken_rows("nan"), indices=[BAD, *GOOD], carry=first)
    assert same(carry, first)
    assert carry.buffers["activations.0.1.state"].tolist() == [2.5] * 8


def test_the_next_launch_starts_without_the_latch() -> None:
    made, goal = stateful(stop=True), broken_rows("loss")
    carry, _ = launched(made, goal, indices=[BAD])
    carry, statistics = launched(made, goal, indices=GOOD, carry=carry)
    assert statistics.is_accepted.all()
    assert same(carry, launched(stateful(stop=True), goal, indices=GOOD)[0])


# --- the state of stateful layers


def test_a_state_is_committed_after_each_update_as_the_recursion_says() -> None:
    data, name = rows(), "activations.0.1.state"
    options = StateOptions(rho=0.5, beta=2.0, max_abs=3.0, init=0.7)
    network = dense(state=options)
    made = engine(network, state_reset="none")
    # Without a learning rate the weights stay, so that only the state moves.
    carry, _ = launched(made, indices=GOOD[:3], lr=0.0)
    state = torch.full((8,), 0.7)
    with torch.no_grad():
        for index in GOOD[:3]:
            out = network.activations[0][0](network.linears[0](data.X[index])) * state
            target = 0.5 * state + 0.5 * 2.0 * out.abs().mean(0)
            state = 3.0 * torch.tanh(target / 3.0)
    torch.testing.assert_close(carry.buffers[name], state)
    assert torch.equal(network.activations[0][1].state, torch.full((8,), 0.7))


def test_a_state_that_is_reset_by_batch_always_begins_anew() -> None:
    made = stateful(stop=True, state_reset="batch")
    carry, _ = launched(made, indices=GOOD, lr=0.0)
    last, _ = launched(stateful(stop=True, state_reset="batch"), indices=GOOD[3:], lr=0.0)
    assert torch.equal(*(c.buffers["activations.0.1.state"] for c in (carry, last)))


def test_resetting_states_makes_them_forget_and_nothing_else() -> None:
    made = stateful(stop=True)
    carry, _ = launched(made)
    reset = made.reset_states(carry)
    assert reset.buffers["activations.0.1.state"].tolist() == [1.0] * 8
    assert same(reset._replace(buffers=carry.buffers), carry)
    assert carry.buffers["activations.0.1.state"].tolist() != [1.0] * 8


# --- launches


def test_a_launch_takes_about_a_tenth_of_a_second_and_never_less_than_one_update() -> None:
    made = engine()
    assert made.n_parameters == 4 * 8 + 8 + 3 * 8 + 8 * 2 + 2
    sizes = [made.updates_per_launch(n) for n in (1, 24, 2_000, 100_000, 10**9)]
    assert sizes == sorted(sizes, reverse=True)
    assert 50 <= sizes[0] <= 200
    assert sizes[-1] == 1


def test_a_launch_of_many_seeds_has_fewer_updates() -> None:
    made = engine()
    assert made.updates_per_launch(2_000, n_seeds=50) == made.updates_per_launch(100_000)
    assert made.updates_per_launch(2_000, n_seeds=50) < made.updates_per_launch(2_000)


# --- reduced precision, on a CPU for the logic


def scaled_engine(*, stop: bool = True) -> EagerEngine:
    return engine(name="sgd", precision=Precision("cpu", torch.float16), stop_on_nonfinite=stop)


def verdicts(
    made: EagerEngine, story: str, monkeypatch: pytest.MonkeyPatch, interval: int = 3
) -> tuple[list[float], Carry]:
    """Scales after a story of updates: good, overflow in the gradient, loss not finite."""
    monkeypatch.setattr("psann.training.engine.GROWTH_INTERVAL", interval)
    carry, scales = initial_carry(made), []
    for event in story:
        is_loss_finite = torch.tensor(event != "l")
        is_finite = torch.tensor(event == "g")
        is_accepted = is_finite & ~carry.is_frozen
        carry = made._after_verdict(carry, is_accepted, is_loss_finite, is_finite)
        scales.append(float(carry.scale) / INITIAL_SCALE)
    return scales, carry


def test_the_scale_halves_at_an_overflow_and_doubles_after_enough_good_updates(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scales, carry = verdicts(scaled_engine(), "oogggggogggg", monkeypatch)
    assert scales == [
        1 / 2,
        1 / 4,
        1 / 4,
        1 / 4,
        1 / 2,
        1 / 2,
        1 / 2,
        1 / 4,
        1 / 4,
        1 / 4,
        1 / 2,
        1 / 2,
    ]
    assert float(carry.good_streak) == 1
    assert not carry.is_frozen


def test_the_scale_moves_like_torchs_gradient_scaler(monkeypatch: pytest.MonkeyPatch) -> None:
    story = "oggogggggggoogggggg"
    scales, _ = verdicts(scaled_engine(), story, monkeypatch)
    scaler = torch.amp.GradScaler("cpu", init_scale=1.0, growth_interval=3)
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=0.0)
    expected = []
    for event in story:
        scaler.scale(parameter.sum()).backward()
        parameter.grad.fill_(1.0 if event == "g" else math.inf)
        scaler.step(optimizer)
        scaler.update()
        expected.append(scaler.get_scale())
    assert scales == expected


def test_a_loss_that_is_not_finite_is_no_matter_of_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    scales, carry = verdicts(scaled_engine(), "ggl", monkeypatch)
    assert scales == [1, 1, 1]
    assert float(carry.good_streak) == 0
    assert carry.is_frozen
    scales, carry = verdicts(scaled_engine(stop=False), "ggl", monkeypatch)
    assert scales == [1, 1, 1]
    assert not carry.is_frozen


def test_float16_updates_look_for_a_scale_and_then_learn() -> None:
    made = scaled_engine()
    first = initial_carry(made)._replace(scale=torch.tensor(2.0**22))
    carry, statistics = launched(made, indices=[GOOD[0]] * 12, carry=first)
    n_refused = int((~statistics.is_accepted).sum())
    assert 0 < n_refused < 12
    assert statistics.is_accepted.tolist() == [False] * n_refused + [True] * (12 - n_refused)
    assert statistics.is_loss_finite.all()
    assert float(carry.scale) == 2.0 ** (22 - n_refused)
    assert float(carry.optimizer.steps) == 12 - n_refused
    assert carry.weights.dtype == torch.float32
    assert statistics.loss[-1] < statistics.loss[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_reduced_gradients_are_the_full_ones_to_their_precision(dtype: torch.dtype) -> None:
    full, _ = launched(engine(name="sgd"), indices=batches(1), lr=1.0)
    made = engine(name="sgd", precision=Precision("cpu", dtype))
    carry, _ = launched(made, indices=batches(1), lr=1.0)
    first = initial_carry(made).weights
    error = (carry.weights - full.weights).norm() / (full.weights - first).norm()
    assert 0 < error < {torch.float16: 0.01, torch.bfloat16: 0.05}[dtype]
    assert float(carry.scale) == (INITIAL_SCALE if dtype is torch.float16 else 1.0)


# --- the same on a GPU

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


def cuda_run(dtype: torch.dtype | None, k: int = 30) -> tuple[Carry, LaunchStatistics]:
    device = torch.device("cuda", 0)
    data = rows()
    on_device = replace(data, X=data.X.to(device), y=data.y.to(device))
    made = engine(precision=Precision("cuda", dtype), device=device, clip_norm=1.0)
    indices = [index.to(device) for index in batches(k)]
    return launched(
        made,
        objective(on_device, input_noise=0.1),
        indices=indices,
        keys=update_keys(0, "test", epoch=1, n_updates=k).to(device),
    )


@CUDA
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16], ids=str)
def test_a_gpu_learns_what_a_cpu_learns(dtype: torch.dtype | None) -> None:
    carry, statistics = cuda_run(dtype)
    keys = update_keys(0, "test", epoch=1, n_updates=30)
    expected, reference = launched(
        engine(clip_norm=1.0), objective(input_noise=0.1), indices=batches(30), keys=keys
    )
    tolerance = {None: 1e-4, torch.float16: 0.02, torch.bfloat16: 0.1}[dtype]
    assert carry.weights.is_cuda
    assert statistics.is_accepted.all()
    np.testing.assert_allclose(statistics.loss, reference.loss, rtol=10 * tolerance, atol=tolerance)
    torch.testing.assert_close(
        carry.weights.cpu(), expected.weights, rtol=tolerance, atol=tolerance
    )


@CUDA
@pytest.mark.gpu
def test_on_a_gpu_an_overflow_backs_off_and_refused_updates_leave_no_trace() -> None:
    device = torch.device("cuda", 0)
    data = rows()
    on_device = replace(data, X=data.X.to(device), y=data.y.to(device))
    made = engine(precision=Precision("cuda", torch.float16), device=device)
    first = initial_carry(made)._replace(scale=torch.tensor(2.0**30, device=device))
    index = [GOOD[0].to(device)]
    carry, statistics = launched(made, objective(on_device), indices=index, carry=first)
    assert statistics.is_accepted.tolist() == [False]
    assert same(carry, first)
    assert float(carry.scale) == 2.0**29
    carry, statistics = launched(made, objective(on_device), indices=index * 20, carry=carry)
    assert statistics.is_accepted[-1]
    assert not same(carry, first)


# --- several seeds at once


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_each_seed_of_a_group_ends_where_it_would_end_alone(body: Callable[[], Network]) -> None:
    made, goal = engine(body()), objective(input_noise=0.1)
    carries = [initial_carry(made), made.restarted(initial_carry(made).weights * 0.5, {})]
    carries[1] = carries[1]._replace(buffers=carries[0].buffers)
    indices = [batches(3, seed=seed) for seed in (1, 2)]
    keys = [KEYS[:3], KEYS[3:6]]
    group = launched_together(made, carries, goal, indices=indices, keys=keys)
    for carry, index, key, (ended, statistics) in zip(carries, indices, keys, group, strict=True):
        alone, numbers = launched(made, goal, indices=index, keys=key, carry=carry)
        assert near(ended, alone)
        assert statistics.loss.tolist() == pytest.approx(numbers.loss.tolist(), rel=1e-5)
        assert statistics.grad_norm.tolist() == pytest.approx(numbers.grad_norm.tolist(), rel=1e-4)
        assert statistics.values.tolist() == pytest.approx(numbers.values.tolist(), rel=1e-4)
    assert not same(group[0][0], group[1][0])


def test_a_seed_that_diverges_leaves_the_others_of_its_group_alone() -> None:
    made = engine()
    goal = objective(replace(rows(), y=torch.where(torch.arange(24)[:, None] < 6, POISON, 0.0)))
    goal = replace(goal, loss=poisoned)
    bad, good = [torch.arange(6)] * 2, [torch.arange(6, 12)] * 2
    start = initial_carry(made)
    (refused, _), (moved, statistics) = launched_together(
        made, [start, start], goal, indices=[bad, good]
    )
    assert same(refused, start)
    assert statistics.is_accepted.all()
    assert near(moved, launched(made, goal, indices=good)[0])


def test_a_group_of_one_is_training_alone_bit_for_bit() -> None:
    made = engine()
    [(ended, statistics)] = launched_together(made, [initial_carry(made)], indices=[batches(3)])
    alone, numbers = launched(made, indices=batches(3))
    assert same(ended, alone)
    assert statistics.loss.tolist() == numbers.loss.tolist()


def test_every_seed_of_a_stateful_group_keeps_its_own_state() -> None:
    made = engine(dense(state=StateOptions(rho=0.5)), state_reset="none")
    first = initial_carry(made)
    moved, _ = launched(made, carry=first)
    indices = [batches(2, seed=1), batches(2, seed=2)]
    group = launched_together(made, [first, moved], indices=indices)
    for carry, index, (ended, _) in zip((first, moved), indices, group, strict=True):
        alone, _ = launched(made, indices=index, carry=carry)
        assert near(ended, alone)
    assert all(layer.staged is None for layer in made.network.modules() if hasattr(layer, "staged"))
