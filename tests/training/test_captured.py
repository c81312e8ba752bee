"""Captured updates are the eager ones; what needs a card is marked gpu."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from psann._seed import update_keys
from psann.training.captured import CapturedEngine
from psann.training.carry import Carry
from psann.training.compiled import Program
from psann.training.precision import Precision
from psann.training.supervised import RowObjective, Rows
from psann.training.work import PhaseWork
from tiny_training import (
    POISON,
    batches,
    dense,
    engine,
    initial_carry,
    near,
    objective,
    poisoned,
    rows,
    same,
    stacks_of,
)

KEYS = update_keys(0, "test", epoch=1, n_updates=20)
WORK = PhaseWork(phase="supervised", planned_updates=100, index_size=6, rows_per_update=6)


def captured(work: PhaseWork = WORK, **options: Any) -> CapturedEngine:
    like = engine(**options)
    made = CapturedEngine(
        like.network,
        optimizer=like.optimizer,
        precision=like.precision,
        state_reset=like.state_reset,
        stop_on_nonfinite=like.stop_on_nonfinite,
        epoch_offset=0,
        device=like.device,
    )
    made.begin(work)
    return made


class FakeGraph:
    """Repeats what was recorded, from and to the same tensors, as a CUDA graph does."""

    def __init__(self, run: Program, inputs: list[Tensor]) -> None:
        self.run, self.inputs = run, inputs
        self.outputs = [output.clone() for output in run(inputs)]
        self.n_replays = 0

    def replay(self) -> None:
        self.n_replays += 1
        for place, output in zip(self.outputs, self.run(self.inputs), strict=True):
            place.copy_(output)


@pytest.fixture
def graphs(monkeypatch: pytest.MonkeyPatch) -> list[FakeGraph]:
    made: list[FakeGraph] = []

    def capture(self: CapturedEngine, run: Program, inputs: list[Tensor]) -> Any:
        made.append(FakeGraph(run, inputs))
        return made[-1], made[-1].outputs

    monkeypatch.setattr(CapturedEngine, "_capture", capture)
    return made


def test_replays_are_the_eager_updates(graphs: list[FakeGraph]) -> None:
    made, goal = captured(weight_decay=0.1), objective(input_noise=0.1)
    first = initial_carry(made)
    ours, _ = made.launch(first, goal, stacks=stacks_of(batches(10)), keys=KEYS[:10], lr=0.01)
    # A carry that was returned is not overwritten by what comes after it.
    kept = ours.weights.clone()
    again, _ = made.launch(ours, goal, stacks=stacks_of(batches(4)), keys=KEYS[:4], lr=0.02)
    assert torch.equal(ours.weights, kept)
    like = engine(weight_decay=0.1)
    theirs, _ = like.launch(first, goal, stacks=stacks_of(batches(10)), keys=KEYS[:10], lr=0.01)
    theirs, _ = like.launch(theirs, goal, stacks=stacks_of(batches(4)), keys=KEYS[:4], lr=0.02)
    assert near(again, theirs, 1e-5)
    assert [graph.n_replays for graph in graphs] == [2 + 3 + 1]  # 2 to check, 10 = 4 + 4 + 2, 4
    assert made.runs_as == "captured"


def test_a_refused_update_leaves_no_trace_in_a_replay(graphs: list[FakeGraph]) -> None:
    data = rows()
    data.y[:6] = POISON
    goal = objective(data, loss=poisoned)
    made = captured()
    first = initial_carry(made)
    ended, statistics = made.launch(
        first, goal, stacks=stacks_of([torch.arange(6), *batches(3)]), keys=None, lr=0.01
    )
    assert same(ended, first)
    assert not statistics.is_accepted.any()
    assert len(graphs) == 1


def test_a_long_phase_captures_the_compiled_program(
    graphs: list[FakeGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled: list[Sequence[Any]] = []

    def compile_graph(graph: Any, inputs: Any, options: Any) -> Any:
        compiled.append(inputs)
        return graph

    monkeypatch.setattr("torch._inductor.compile", compile_graph)
    made = captured(WORK._replace(planned_updates=100_000))
    ended, _ = made.launch(
        initial_carry(made), objective(), stacks=stacks_of(batches(4)), keys=None, lr=0.01
    )
    assert len(compiled) == len(graphs) == 1
    like = engine()
    theirs, _ = like.launch(
        initial_carry(like), objective(), stacks=stacks_of(batches(4)), keys=None, lr=0.01
    )
    assert near(ended, theirs, 1e-5)


@pytest.mark.parametrize("error", [RuntimeError("capturing: 700"), AttributeError("no CUDAGraph")])
def test_a_capture_that_fails_leaves_the_eager_updates_and_one_line(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def capture(self: CapturedEngine, run: Program, inputs: list[Tensor]) -> Any:
        raise error

    monkeypatch.setattr(CapturedEngine, "_capture", capture)
    made, like = captured(), engine()
    ours, theirs = initial_carry(made), initial_carry(like)
    with pytest.warns(UserWarning, match="cannot be captured") as warned:
        for _ in range(2):
            ours, _ = made.launch(
                ours, objective(), stacks=stacks_of(batches(6)), keys=None, lr=0.01
            )
    assert len(warned) == 1
    for _ in range(2):
        theirs, _ = like.launch(
            theirs, objective(), stacks=stacks_of(batches(6)), keys=None, lr=0.01
        )
    assert same(ours, theirs)
    assert made.runs_as == "eager"
    [note] = made.notes
    assert str(error) in note.message


# --- on a card


@pytest.fixture
def card() -> Iterator[torch.device]:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    yield torch.device("cuda", 0)


def on(device: torch.device, data: Rows) -> RowObjective:
    return objective(Rows(X=data.X.to(device), y=data.y.to(device)), input_noise=0.1)


def ends(made: Any, goal: RowObjective, device: torch.device, n_updates: int = 20) -> Carry:
    indices = [index.to(device) for index in batches(n_updates)]
    keys = KEYS[:n_updates].to(device)
    return made.launch(initial_carry(made), goal, stacks=stacks_of(indices), keys=keys, lr=0.01)[0]


@pytest.mark.gpu
@pytest.mark.parametrize("planned", [100, 100_000])
@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_twenty_captured_updates_are_twenty_eager_ones(
    card: torch.device, dtype: torch.dtype | None, planned: int
) -> None:
    how: dict[str, Any] = {"device": card, "precision": Precision("cuda", dtype)}
    made = captured(WORK._replace(planned_updates=planned), network=dense(), **how)
    ended = ends(made, on(card, rows()), card)
    assert made.notes == []
    assert near(ended, ends(engine(dense(), **how), on(card, rows()), card),
                1e-4 if dtype is None else 3e-2)  # fmt: skip


@pytest.mark.gpu
def test_captured_float16_updates_look_for_a_scale(card: torch.device) -> None:
    how: dict[str, Any] = {"device": card, "precision": Precision("cuda", torch.float16)}
    made, like, goal = captured(**how), engine(**how), on(card, rows())
    first = initial_carry(made)._replace(scale=torch.tensor(2.0**30, device=card))
    indices = [index.to(card) for index in batches(20)]
    ours, statistics = made.launch(first, goal, stacks=stacks_of(indices), keys=None, lr=0.01)
    theirs, numbers = like.launch(first, goal, stacks=stacks_of(indices), keys=None, lr=0.01)
    assert statistics.is_accepted.tolist() == numbers.is_accepted.tolist()
    assert not statistics.is_accepted[0]
    assert statistics.is_accepted[-1]
    assert ours.scale == theirs.scale


@pytest.mark.gpu
def test_captured_training_resumes_bit_for_bit(card: torch.device) -> None:
    goal = on(card, rows())
    indices = [index.to(card) for index in batches(16)]
    keys = KEYS[:16].to(card)
    whole = captured(device=card)
    expected, _ = whole.launch(
        initial_carry(whole), goal, stacks=stacks_of(indices), keys=keys, lr=0.01
    )
    half, _ = whole.launch(
        initial_carry(whole), goal, stacks=stacks_of(indices[:8]), keys=keys[:8], lr=0.01
    )
    resumed, _ = captured(device=card).launch(
        half, goal, stacks=stacks_of(indices[8:]), keys=keys[8:], lr=0.01
    )
    assert same(resumed, expected)


@pytest.mark.gpu
@pytest.mark.filterwarnings("default")
def test_host_and_device_meet_twice_in_a_launch(card: torch.device) -> None:
    made, goal = captured(device=card), on(card, rows())
    indices = [index.to(card) for index in batches(16)]
    carry, _ = made.launch(initial_carry(made), goal, stacks=stacks_of(indices), keys=None, lr=0.01)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with pytest.warns(UserWarning, match="synchroniz") as caught:
            made.launch(carry, goal, stacks=stacks_of(indices), keys=None, lr=0.01)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len([w for w in caught if "synchroniz" in str(w.message)]) == 2  # numbers and values
