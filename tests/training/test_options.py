"""Resolved options, and the engine that is built from them."""

from __future__ import annotations

import pytest
import torch

from psann.training.compiled import CompiledEngine
from psann.training.engine_choice import EngineChoice
from psann.training.optimizer import Optimizer
from psann.training.options import build_engine
from psann.training.precision import Precision
from tiny_training import dense, training_options


@pytest.mark.parametrize(
    ("is_stateful", "state_reset", "keeps_state"),
    [
        (True, "none", True),
        (True, "epoch", True),
        (True, "batch", False),
        (False, "none", False),
        (False, "epoch", False),
    ],
)
def test_a_state_is_kept_where_there_is_one_that_outlives_a_batch(
    is_stateful: bool, state_reset: str, keeps_state: bool
) -> None:
    given = training_options(is_stateful=is_stateful, state_reset=state_reset)
    assert given.keeps_state == keeps_state


@pytest.mark.parametrize(("max_skipped_updates", "stops"), [(0, True), (5, False)])
def test_the_engine_is_built_as_the_options_say(max_skipped_updates: int, stops: bool) -> None:
    given = training_options(
        max_skipped_updates=max_skipped_updates,
        state_reset="epoch",
        optimizer=Optimizer(name="sgd", weight_decay=0.1, clip_norm=2.0),
        precision=Precision("cpu", torch.bfloat16),
    )
    network = dense()
    choice = EngineChoice(name="compiled", reason="a test", least_updates=7)
    made = build_engine(network, given, choice, epoch_offset=3)
    assert isinstance(made, CompiledEngine)
    assert made.least_updates == 7
    assert made.network is network
    assert made.optimizer == given.optimizer
    assert made.precision == given.precision
    assert made.state_reset == "epoch"
    assert made.stop_on_nonfinite == stops
    assert made.epoch_offset == 3
    assert made.device == torch.device("cpu")
