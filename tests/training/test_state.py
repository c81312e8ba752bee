"""Where training stands: what a phase begins with, and what it gives back."""

from __future__ import annotations

import torch

from psann.nn.state import StateOptions
from psann.training.history import Decision
from psann.training.state import Best, TrainState
from tiny_training import at_start, dense, engine, phase, run


def start() -> TrainState:
    made = engine(dense(state=StateOptions()))
    return at_start(phase(name="hisso"), made)


def test_a_phase_begins_at_the_networks_weights_with_nothing_done() -> None:
    state, network = start(), dense(state=StateOptions())
    assert (state.epoch, state.update, state.episodes, state.skipped_updates) == (0, 0, 0, 0)
    assert state.best is None
    assert state.history == []
    for name, tensor in network.state_dict().items():
        assert torch.equal(state.tensors(best=False)[name], tensor)


def test_two_phases_share_no_lists() -> None:
    first, second = start(), start()
    first.tally.losses.append(1.0)
    first.history.append(None)  # type: ignore[arg-type]
    assert second.tally.losses == second.history == []


def test_the_best_tensors_are_those_of_the_best_epoch_and_fit_the_network() -> None:
    state = start()
    best = Best(
        value=1.0,
        epoch=2,
        weights=2 * state.carry.weights,
        buffers={name: tensor + 1 for name, tensor in state.carry.buffers.items()},
    )
    state.best = best
    network = dense(state=StateOptions())
    first = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network.load_state_dict(state.tensors(best=True))
    for name, tensor in network.state_dict().items():
        moved = first[name] + 1 if name.endswith(".state") else 2 * first[name]
        assert torch.equal(tensor, moved), name
    network.load_state_dict(state.tensors(best=False))
    assert torch.equal(network.head.weight, first["head.weight"])


def test_without_a_best_epoch_the_last_one_is_given() -> None:
    state = start()
    assert torch.equal(*(state.tensors(best=b)["head.weight"] for b in (True, False)))
    state.epoch = 2
    assert state.best_epoch == 2


def test_the_result_is_what_happened() -> None:
    state, stopped_early = run(phase(epochs=2))
    decision = Decision(phase="supervised", message="rows in order")
    result = state.result(stopped_early=stopped_early, decisions=[decision])
    assert (result.monitor, result.epochs_done, result.stopped_early) == ("train_loss", 2, False)
    assert (result.best_epoch, result.best_value) == (state.best.epoch, state.best.value)
    assert result.history == state.history
    assert result.history is not state.history
    assert result.decisions == [decision]
