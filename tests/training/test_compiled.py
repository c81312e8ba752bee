"""Compiled updates are the eager ones: values, gradients, and everything around them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from draws import normal
from psann._seed import update_keys
from psann.hisso.objective import EpisodeObjective, Series
from psann.hisso.rewards import REWARDS, resolve_reward
from psann.hisso.transforms import TRANSFORMS
from psann.losses import LOSSES, mse
from psann.nn.dense import DenseNetwork
from psann.nn.network import Network
from psann.nn.residual import ResidualNetwork
from psann.nn.state import StateOptions
from psann.nn.units import UnitOptions
from psann.nn.wave_resnet import WaveOptions, WaveResNet
from psann.training.carry import Carry
from psann.training.compiled import CompiledEngine, Program, UpdateCall, compile_s
from psann.training.engine import EagerEngine
from psann.training.optimizer import Optimizer, OptimizerState
from psann.training.precision import Precision
from psann.training.statistics import LaunchStatistics
from psann.training.work import PhaseWork
from tiny_training import (
    batches,
    dense,
    engine,
    initial_carry,
    launched_together,
    near,
    objective,
    rows,
    same,
    stacks_of,
)

KEYS = update_keys(0, "test", epoch=1, n_updates=20)
WORK = PhaseWork(phase="supervised", planned_updates=100, index_size=6, rows_per_update=6)


def compiled(network: Network | None = None, **options: Any) -> CompiledEngine:
    """A compiled engine like the eager one of `tiny_training`, ready to launch."""
    least, work = options.pop("least_updates", 0), options.pop("work", WORK)
    like = engine(network, **options)
    made = CompiledEngine(
        like.network,
        least_updates=least,
        optimizer=like.optimizer,
        precision=like.precision,
        state_reset=like.state_reset,
        stop_on_nonfinite=like.stop_on_nonfinite,
        epoch_offset=0,
        device=like.device,
    )
    made.begin(work)
    return made


def launched(
    made: EagerEngine, indices: list[Tensor], **how: Any
) -> tuple[Carry, LaunchStatistics]:
    given = {"objective": objective(), "keys": None, "lr": 0.01, **how}
    return made.launch(given.pop("carry", initial_carry(made)), stacks=stacks_of(indices), **given)


@pytest.fixture
def interpreted(monkeypatch: pytest.MonkeyPatch) -> list[UpdateCall]:
    """Programs that are the updates themselves: everything but the compiler, and in no time."""
    built: list[UpdateCall] = []

    def build(self: CompiledEngine, call: UpdateCall) -> Program:
        built.append(call)
        return call.of

    monkeypatch.setattr(CompiledEngine, "_build", build)
    return built


@pytest.fixture
def only_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """The traced graph as it is, run operation by operation."""
    monkeypatch.setattr("torch._inductor.compile", lambda graph, inputs, options: graph)


# --- with the compiler


def test_compiled_updates_are_the_eager_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psann.training.compiled._UPDATES_PER_CALL", 1)
    made, goal = compiled(weight_decay=0.1, clip_norm=0.5), objective(input_noise=0.1)
    alone, numbers = launched(engine(weight_decay=0.1, clip_norm=0.5), batches(20), objective=goal,
                              keys=KEYS)  # fmt: skip
    ended, statistics = launched(made, batches(20), objective=goal, keys=KEYS)
    assert made.notes == []
    assert made.runs_as == "compiled"
    assert near(ended, alone, 1e-4)
    np.testing.assert_allclose(statistics.loss, numbers.loss, rtol=1e-5)
    np.testing.assert_allclose(statistics.values, numbers.values, rtol=1e-3, atol=1e-6)


# --- calls of several updates


@pytest.mark.parametrize("n_updates", [1, 4, 6])
@pytest.mark.parametrize("state_reset", ["batch", "none"])
def test_a_launch_of_any_length_is_made_of_whole_calls(
    n_updates: int, state_reset: Any, interpreted: list[UpdateCall]
) -> None:
    body = {"state": StateOptions(rho=0.5)}
    made = compiled(dense(**body), state_reset=state_reset)
    like = engine(dense(**body), state_reset=state_reset)
    ended, statistics = launched(made, batches(n_updates), keys=KEYS[:n_updates])
    alone, numbers = launched(like, batches(n_updates), keys=KEYS[:n_updates])
    assert len(interpreted) == 1
    assert near(ended, alone, 1e-6)  # not bit for bit: the learning rate is a float32
    for name in ("loss", "grad_norm", "is_accepted", "is_loss_finite", "values"):
        ours, theirs = getattr(statistics, name), getattr(numbers, name)
        np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_large_updates_are_called_one_by_one(interpreted: list[UpdateCall]) -> None:
    work = WORK._replace(rows_per_update=10**6)
    launched(compiled(work=work), batches(2))
    assert [call.arguments[-2].shape for call in interpreted] == [(1, 6)]


def test_a_shorter_last_batch_runs_eagerly(interpreted: list[UpdateCall]) -> None:
    indices = [*batches(5), torch.arange(3)]
    ended, statistics = launched(compiled(), indices, keys=KEYS[:6])
    alone, _ = launched(engine(), indices, keys=KEYS[:6])
    assert near(ended, alone, 1e-5)
    assert statistics.n_values.tolist() == [6, 6, 6, 6, 6, 3]
    assert len(interpreted) == 1


def test_launches_are_whole_numbers_of_calls() -> None:
    made = compiled()
    assert made.updates_per_launch(6) == engine().updates_per_launch(6) // 4 * 4 > 0
    assert made.updates_per_launch(10**9) == 1
    # Calls are of as many updates however many seeds there are.
    assert made.updates_per_launch(6, n_seeds=10**9) == 4


def test_seeds_fill_the_slots_of_few_programs(interpreted: list[UpdateCall]) -> None:
    made = compiled()
    assert [made.group_slots(n) for n in range(1, 10)] == [1, 2, 3, 4, 6, 6, 8, 8, 12]
    carries = [initial_carry(made)] * 5
    indices = [batches(3, seed=seed) for seed in range(5)]
    group = launched_together(made, carries, indices=indices)
    assert len(group) == 5
    for index, (ended, statistics) in zip(indices, group, strict=True):
        assert near(ended, launched(engine(), index)[0])
        assert len(statistics.loss) == 3
    launched_together(made, carries[:4], indices=indices[:4])
    launched_together(made, [*carries, carries[0]], indices=[*indices, batches(3)])
    assert len(interpreted) == 2


# --- what changes between two calls is no part of a program


@pytest.mark.usefixtures("only_traced")
def test_warm_ups_learning_rate_and_decay_move_without_a_new_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = WaveOptions(hidden_layers=2, hidden_units=8, w0_warmup_epochs=5)

    def wave() -> Network:
        return WaveResNet(4, 2, options=options, rng=np.random.default_rng(0))

    monkeypatch.setattr("psann.training.compiled._UPDATES_PER_CALL", 1)
    made, like = compiled(wave(), weight_decay=0.1), engine(wave(), weight_decay=0.1)
    ours, theirs = initial_carry(made), initial_carry(like)
    for epoch, lr in ((1, 0.1), (2, 0.01), (6, 0.03)):
        for each in (made, like):
            each.set_epoch(epoch)
        ours, _ = launched(made, batches(2), carry=ours, lr=lr)
        theirs, _ = launched(like, batches(2), carry=theirs, lr=lr)
        assert near(ours, theirs, 1e-4), epoch
    assert made.notes == []
    assert len(made._programs) == 1
    assert isinstance(made.network.hidden_w0, float)


def test_a_growing_network_has_a_program_for_every_depth(interpreted: list[UpdateCall]) -> None:
    options = WaveOptions(
        hidden_layers=3, hidden_units=8, progressive_depth_initial=1, progressive_depth_interval=1
    )
    made = compiled(WaveResNet(4, 2, options=options, rng=np.random.default_rng(0)))
    for epoch in (1, 2, 3, 3):
        made.set_epoch(epoch)
        launched(made, batches(1))
    assert len(interpreted) == 3


@pytest.mark.usefixtures("only_traced")
def test_the_series_is_read_where_it_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psann.training.compiled._UPDATES_PER_CALL", 1)
    made, data = compiled(), rows()
    goal = objective(data)
    first, _ = launched(made, batches(1), objective=goal)
    data.X.mul_(2.0)
    again, _ = launched(made, batches(1), objective=goal)
    assert near(again, launched(engine(), batches(1), objective=goal)[0])
    assert not same(first, again)


# --- what cannot be compiled


def through_numpy(outputs: Tensor, targets: Tensor) -> Tensor:
    return mse(outputs, targets) * float(np.mean(outputs.detach().numpy()) < 1e9)


def by_branch(outputs: Tensor, targets: Tensor) -> Tensor:
    return mse(outputs, targets) if outputs.sum() < 1e9 else outputs


@pytest.mark.parametrize("loss", [through_numpy, by_branch])
def test_a_loss_that_leaves_torch_runs_eagerly_and_the_user_is_told(loss: Any) -> None:
    made, goal = compiled(), objective(loss=loss)
    with pytest.warns(UserWarning, match="run on the eager engine, for they cannot be compiled: "):
        ended, _ = launched(made, batches(6), objective=goal)
    assert same(ended, launched(engine(), batches(6), objective=goal)[0])
    assert made.runs_as == "eager"
    assert [note.phase for note in made.notes] == ["supervised"]
    launched(made, batches(6), objective=goal)
    assert len(made.notes) == 1


def test_a_program_that_gives_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(self: CompiledEngine, call: UpdateCall) -> Program:
        return lambda arguments: [t * 1.5 if t.is_floating_point() else t for t in
                                  call.of(arguments)]  # fmt: skip

    monkeypatch.setattr(CompiledEngine, "_build", wrong)
    made = compiled()
    with pytest.warns(UserWarning, match="its results are not those of the eager update"):
        ended, _ = launched(made, batches(6))
    assert same(ended, launched(engine(), batches(6))[0])


def test_a_users_own_mistake_is_told_as_by_the_eager_engine() -> None:
    def detached(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs.detach() - targets).square()

    with (
        pytest.warns(UserWarning, match="cannot be compiled"),
        pytest.raises(ValueError, match="the loss does not depend on the network's outputs"),
    ):
        launched(compiled(), batches(1), objective=objective(loss=detached))


def test_what_will_be_silent_for_long_is_told_before_it_begins_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    told_before: list[str] = []

    def compile_(graph: Any, inputs: Any, options: Any) -> Any:
        told_before.extend(told)
        return graph

    monkeypatch.setattr("torch._inductor.compile", compile_)
    monkeypatch.setattr("psann.training.compiled._UPDATES_PER_CALL", 1)
    made = compiled()
    made.tell = lambda note: told.append(note.message)
    launched(made, batches(8))
    expected = f"compiling the update of phase supervised, about {compile_s(made.network):.0f} s"
    assert told_before == [f"{expected}, once"]
    assert told == told_before


def test_a_phase_too_short_to_pay_runs_eagerly(interpreted: list[UpdateCall]) -> None:
    made = compiled(least_updates=101)
    launched(made, batches(2))
    assert interpreted == []
    assert made.notes[0].message == (
        "100 updates of phase supervised run on the eager engine: compiled would pay from 101 on"
    )


# --- every network, reward and transform


def bodies(n_in: int, n_out: int, width: int) -> dict[str, Network]:
    rng, units = np.random.default_rng(0), UnitOptions()
    how: dict[str, Any] = {"hidden_layers": 2, "hidden_units": width, "units": units, "rng": rng}
    wave = {"hidden_layers": 2, "hidden_units": width, "hidden_w0": 1.5}
    stateful = {**how, "units": UnitOptions(state=StateOptions(rho=0.5))}
    return {
        "dense": DenseNetwork(n_in, n_out, w0=1.0, **how),
        "residual": ResidualNetwork(n_in, n_out, w0=1.5, residual_alpha_init=0.3, **how),
        "stateful": DenseNetwork(n_in, n_out, w0=1.0, **stateful),
        "wave": WaveResNet(n_in, n_out, options=WaveOptions(**wave), rng=rng),
        "wave, weight norm": WaveResNet(
            n_in, n_out, options=WaveOptions(**wave, norm="weight", dropout=0.1), rng=rng
        ),
    }


BODIES = tuple(bodies(2, 2, 2))
# All but one take nothing beyond moves; `excess` takes a benchmark, too.
WITHOUT_MORE = sorted(set(REWARDS) - {"excess"})


def episodes_agree(
    body: str,
    reward: str,
    transform: str,
    *,
    sizes: tuple[int, int, int, int] = (3, 8, 7, 2),
    n_updates: int = 20,
    n_seeds: int = 1,
) -> None:
    """Compare float64 weights after some updates on episodes, compiled and eager."""
    n_assets, width, window, n_episodes = sizes
    is_drawn = "norm" in body
    market = torch.exp(0.05 * normal(30, n_assets, seed=1, dtype=torch.float64).cumsum(0))
    goal = EpisodeObjective(
        series=Series(X=normal(30, 4, dtype=torch.float64), reward_context=market),
        window=window,
        transform=TRANSFORMS[transform],
        reward=resolve_reward(reward),
        transition_penalty=0.01,
        input_noise=0.1 if is_drawn else 0.0,
        shares_rows=not is_drawn and body != "stateful" and window * n_episodes >= 30,
    )
    vars(goal)["_reward_context"] = market  # training computes it in float32
    starts = np.random.default_rng(2).integers(0, 30 - window + 1, (n_seeds, n_updates, n_episodes))
    indices = [list(torch.from_numpy(table)) for table in starts]
    keys = [KEYS[:n_updates]] * n_seeds if is_drawn else None
    ended = []
    for kind in (EagerEngine, CompiledEngine):
        network = bodies(4, n_assets + TRANSFORMS[transform].extra_outputs, width)[body]
        made = kind(
            network,
            optimizer=Optimizer(name="adamw", weight_decay=0.01, clip_norm=1.0),
            precision=Precision("cpu"),
            state_reset="none",
            stop_on_nonfinite=True,
            epoch_offset=0,
            device=torch.device("cpu"),
        )
        made.begin(PhaseWork("hisso", 100, n_episodes, n_episodes * window))
        made.decayed = made.decayed.double()
        if isinstance(made, CompiledEngine):
            made.lr = made.lr.double()
        carry = initial_carry(made)
        weights = carry.weights.double()
        carry = carry._replace(
            weights=weights,
            optimizer=OptimizerState.fresh(weights),
            buffers={name: buffer.double() for name, buffer in carry.buffers.items()},
        )
        group = launched_together(
            made, [carry] * n_seeds, goal, indices=indices, keys=keys, lr=0.003
        )
        assert made.notes == []
        assert all(statistics.is_accepted.all() for _, statistics in group)
        ended.append([each for each, _ in group])
    for theirs, ours in zip(*ended, strict=True):
        assert near(ours, theirs, 1e-5 if is_drawn else 1e-9)  # what is drawn is float32


@pytest.mark.slow
@pytest.mark.usefixtures("only_traced")
@pytest.mark.parametrize("transform", TRANSFORMS)
# `excess` needs an array by name, as the rewards of test_own_actions.py do.
@pytest.mark.parametrize("reward", sorted(set(WITHOUT_MORE) - {"finance"}))
def test_every_traced_network_reward_and_transform_is_the_eager_one(
    reward: str, transform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if transform == "identity" and reward != "negative_mse":
        return  # rewards of weights refuse it
    monkeypatch.setattr("psann.training.compiled._UPDATES_PER_CALL", 1)
    for body in BODIES:
        episodes_agree(body, reward, transform, n_updates=2)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "reward", "transform", "n_seeds"),
    [
        ("dense", "portfolio", "softmax", 1),
        ("stateful", "sortino", "tanh", 1),
        ("wave", "mean_variance", "softmax", 3),
        # The compiler takes half a minute for each.
        pytest.param("dense", "max_drawdown", "long_short", 3, marks=pytest.mark.chaos),
        pytest.param("residual", "sharpe", "softmax_cash", 1, marks=pytest.mark.chaos),
        pytest.param("wave, weight norm", "negative_mse", "identity", 1, marks=pytest.mark.chaos),
    ],
)
def test_twenty_compiled_updates_are_twenty_eager_ones(
    body: str, reward: str, transform: str, n_seeds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Four updates in a call take the compiler three times as long: one case is enough.
    per_call = 4 if (body, n_seeds) == ("dense", 1) else 1
    monkeypatch.setattr("psann.training.compiled._UPDATES_PER_CALL", per_call)
    episodes_agree(body, reward, transform, n_seeds=n_seeds)


@pytest.mark.slow
@pytest.mark.usefixtures("only_traced")
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_traced_updates_are_the_eager_ones_at_any_size(data: st.DataObject) -> None:
    sizes = (
        data.draw(st.integers(1, 5), "assets"),
        data.draw(st.integers(1, 9), "width"),
        data.draw(st.integers(3, 20), "window"),
        data.draw(st.integers(1, 6), "episodes"),
    )
    body, reward = data.draw(st.sampled_from(BODIES)), data.draw(st.sampled_from(WITHOUT_MORE))
    transform = data.draw(st.sampled_from(sorted(set(TRANSFORMS) - {"identity"})))
    n_seeds = data.draw(st.sampled_from([1, 2]))
    episodes_agree(body, reward, transform, sizes=sizes, n_updates=5, n_seeds=n_seeds)


@pytest.mark.slow
@pytest.mark.usefixtures("only_traced")
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_can_be_traced(loss: str) -> None:
    made, goal = compiled(), objective(replace(rows()), loss=LOSSES[loss])
    ended, _ = launched(made, batches(5), objective=goal)
    assert made.notes == []
    assert near(ended, launched(engine(), batches(5), objective=goal)[0])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
