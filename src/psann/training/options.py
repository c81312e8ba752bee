"""How a fit goes about its work, resolved: what the loops read instead of an estimator."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from psann.losses import Loss
from psann.nn.network import Network
from psann.training.engine import EagerEngine, StateReset
from psann.training.engine_choice import ENGINES, EngineChoice
from psann.training.loop import MonitorName
from psann.training.optimizer import Optimizer
from psann.training.precision import Precision
from psann.training.schedules import LRScheduleOptions


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Everything about training that is not about episodes; see the estimators' docstrings."""

    epochs: int
    batch_size: int
    lr: float
    schedule: LRScheduleOptions
    optimizer: Optimizer
    loss: Loss
    patience: int | None
    monitor: MonitorName | None
    input_noise: float
    shuffle: bool
    state_reset: StateReset
    is_stateful: bool
    max_skipped_updates: int
    precision: Precision
    device: torch.device
    is_pass: bool = False
    """Whether this is one pass over the newest rows of a stream, of which the last weights stay."""

    @property
    def keeps_state(self) -> bool:
        """Whether rows must come in order, because a state is carried from batch to batch."""
        return self.is_stateful and self.state_reset in ("epoch", "none")


def build_engine(
    network: Network, options: TrainingOptions, choice: EngineChoice, *, epoch_offset: int
) -> EagerEngine:
    """The engine of a fit: one for all of its phases."""
    own = {} if choice.name == "eager" else {"least_updates": choice.least_updates}
    return ENGINES[choice.name](
        network,
        **own,
        optimizer=options.optimizer,
        precision=options.precision,
        state_reset=options.state_reset,
        stop_on_nonfinite=options.max_skipped_updates == 0,
        epoch_offset=epoch_offset,
        device=options.device,
    )
