"""Updates that were refused: how many may be, and where the first bad number came from."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from psann.errors import DivergedError
from psann.training.draws import Draws
from psann.training.engine import EagerEngine
from psann.training.precision import MAX_OVERFLOWS_IN_A_ROW
from psann.training.state import TrainState
from psann.training.statistics import LaunchStatistics
from psann.training.work import Objective


def count_refused(
    engine: EagerEngine,
    state: TrainState,
    statistics: LaunchStatistics,
    *,
    objective: Objective,
    draws: Draws,
    slot: int,
    lr: float,
    max_skipped_updates: int,
) -> None:
    """Count the refused updates of a launch that a seed began in this state.

    Parameters
    ----------
    engine : EagerEngine
        Ran them.
    state : TrainState
        Its counters move.
    statistics : LaunchStatistics
        What the launch left.
    objective, draws, lr
        As the launch was given them.
    slot : int
        Place of the seed in the draws.
    max_skipped_updates : int
        Refused updates that may be skipped; 0 stops at the first.

    Raises
    ------
    DivergedError
        At the first that is one too many, with the place of the first number that is not finite.
    """
    if statistics.is_accepted.all():
        state.refused_in_a_row = 0
        return
    is_bad_step = statistics.is_loss_finite & np.isfinite(statistics.grad_norm)
    is_fatal = ~statistics.is_accepted
    if engine.precision.is_scaled:
        is_fatal = ~statistics.is_loss_finite | is_bad_step
    for k, is_accepted in enumerate(statistics.is_accepted):
        if is_accepted:
            state.refused_in_a_row = 0
            continue
        state.skipped_updates += 1
        state.refused_in_a_row += 1
        if is_fatal[k] and not max_skipped_updates:
            place = f"a step at learning rate {lr:g} leads to weights that are not finite"
            cure = "Lower the learning rate, check the data, or set on_nonfinite to skip."
            if not is_bad_step[k]:
                place = _place_of_nonfinite(engine, state, objective, *draws.of_update(k, slot))
                if state.epoch == state.updates_in_epoch == k == 0:
                    cure = _CURE_OF_THE_FIRST
            raise DivergedError(
                f"Training diverged in {_where(state, k)}: {place}. The weights are those "
                f"before that update. {cure}"
            )
        if max_skipped_updates and state.skipped_updates > max_skipped_updates:
            raise DivergedError(
                f"{state.skipped_updates} updates were not finite by {_where(state, k)}, "
                f"more than the {max_skipped_updates} that may be skipped. Lower the "
                "learning rate, check the data, or raise max_skipped_updates."
            )
        if engine.precision.is_scaled and state.refused_in_a_row == MAX_OVERFLOWS_IN_A_ROW:
            raise DivergedError(
                f"{MAX_OVERFLOWS_IN_A_ROW} float16 updates in a row overflowed by "
                f"{_where(state, k)}. Use amp_dtype bfloat16, or a lower learning rate."
            )


# No learning rate is to blame. The gradient of what torch.where leaves out is 0 times infinity.
_CURE_OF_THE_FIRST = (
    "It is the first, before any step: check the data, or in a reward or loss of your own the "
    "logarithms, roots and divisions, those that torch.where leaves out included."
)


def _place_of_nonfinite(
    engine: EagerEngine,
    state: TrainState,
    objective: Objective,
    index: Tensor,
    key: Tensor | None,
) -> str:
    """Repeat a refused update's forward pass, as it was computed, to see where it broke."""
    forward = engine.forward(state.carry.weights, state.carry.buffers)
    with torch.no_grad(), engine.precision.autocast():
        return objective.place_of_nonfinite(forward, index, key)


def _where(state: TrainState, k: int) -> str:
    update = state.updates_in_epoch + k + 1
    return f"{phase_name(state)}, epoch {state.epoch + 1}, update {update}"


def phase_name(state: TrainState) -> str:
    """The phase, and the seed where there are several."""
    of_seed = f" of seed {state.seed}" if len(state.group) > 1 else ""
    return f"phase {state.phase}{of_seed}"
