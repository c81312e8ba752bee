"""Partial fits: what they cannot do, and what one leaves for the next beside the weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from psann.hisso.options import HISSOOptions
from psann.nn.network import Network
from psann.training.carry import WeightLayout
from psann.training.optimizer import OptimizerState
from psann.training.schedules import LRScheduleOptions
from psann.training.state import SavedState, TrainState

_PREFIX = "stream."
_SCALES = ("scale", "good_streak")
_NOTHING = torch.zeros(0, dtype=torch.float64)
# Of an epoch that is not under way.
_BETWEEN: dict[str, Any] = {
    **{"monitor": None, "best": None, "history": []},
    **{"updates_in_epoch": 0, "stale_epochs": 0},
}
_TALLY = {f"tally.{name}": _NOTHING for name in ("losses", "grad_norms", "values")}
# Options of HISSO that need validation rows or come before the episodes, and their value without.
_NOT_OF_A_PASS: dict[str, Any] = {
    **{"supervised": False, "refit": False, "temperature_scaling": False},
    **{"min_improvement": 0.0, "min_significance": 0.0},
}


class Counters(BaseModel):
    """How far a stream is."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    phase: Literal["supervised", "hisso"]
    epoch: int = Field(ge=1)
    """Passes since it began."""
    update: int = Field(ge=0)
    episodes: int = Field(ge=0)
    skipped_updates: int = Field(ge=0)
    refused_in_a_row: int = Field(ge=0)


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Where a stream of partial fits stands: counters, optimiser, and the loss of every pass."""

    counters: Counters
    tensors: dict[str, Tensor]
    """Optimiser and gradient scale, by the names of `SavedState`."""
    losses: Sequence[float | None]

    @classmethod
    def of(cls, state: TrainState, *, before: Sequence[float | None]) -> Self:
        """After a pass, with the losses of those before it."""
        saved = state.state_dict()
        return cls(
            counters=Counters(**{name: saved.values[name] for name in Counters.model_fields}),
            tensors={
                name: tensor
                for name, tensor in saved.tensors.items()
                if name.startswith("optimizer.") or name in _SCALES
            },
            losses=[*before, *(record.train_loss for record in state.history)],
        )

    def saved(self, network: Network, *, seed: int) -> SavedState:
        """What the loops go on from, with the weights and states that the network has now."""
        buffers = {f"buffers.{name}": buffer for name, buffer in network.named_buffers()}
        return SavedState(
            values={**_BETWEEN, **self.counters.model_dump(), "seed": seed},
            tensors={**_TALLY, **self.tensors, **buffers, "weights": _weights_of(network)},
        )

    def in_file(self) -> dict[str, Tensor]:
        """Its tensors as an estimator file names them; NaN for a pass without a finite loss."""
        losses = [math.nan if loss is None else loss for loss in self.losses]
        tensors = {**self.tensors, "losses": torch.tensor(losses, dtype=torch.float64)}
        return {f"{_PREFIX}{name}": tensor for name, tensor in tensors.items()}

    @classmethod
    def from_file(
        cls, counters: Counters, tensors: Mapping[str, Tensor], *, network: Network
    ) -> Self:
        """What `in_file` wrote of a stream of this network.

        Raises
        ------
        ValueError
            If the tensors are not those of such a stream.
        """
        found = {
            name.removeprefix(_PREFIX): tensor
            for name, tensor in tensors.items()
            if name.startswith(_PREFIX)
        }
        losses = found.pop("losses", torch.zeros(()))
        fresh = OptimizerState.fresh(_weights_of(network))._asdict()
        wanted = {f"optimizer.{name}": tensor for name, tensor in fresh.items()}
        wanted |= dict.fromkeys(_SCALES, torch.zeros(()))
        if _outline(found) != _outline(wanted):
            raise ValueError("the optimiser of its stream does not fit the network")
        if losses.dtype != torch.float64 or losses.ndim != 1 or len(losses) < counters.epoch:
            raise ValueError("its stream must have one loss for each pass")
        plain = [None if math.isnan(loss) else loss for loss in losses.tolist()]
        return cls(counters=counters, tensors=found, losses=plain)


def _weights_of(network: Network) -> Tensor:
    return WeightLayout.of(network).flatten(dict(network.named_parameters()))


def _outline(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: (tensor.shape, tensor.dtype) for name, tensor in tensors.items()}


def inherited(options: HISSOOptions | None) -> HISSOOptions | None:
    """Options of an earlier fit, without those that only a whole fit can do."""
    return None if options is None else options.model_copy(update=_NOT_OF_A_PASS)


def pass_problems(
    schedule: LRScheduleOptions, scalers: Mapping[str, Any], hisso: HISSOOptions | None
) -> list[str]:
    """What a partial fit cannot do, one sentence each.

    Parameters
    ----------
    schedule : LRScheduleOptions
        Of the learning rate.
    scalers : mapping
        Transformers, their names or None, by the name of the parameter.
    hisso : HISSOOptions or None
        How episodes are trained on.
    """
    problems = []
    if schedule.has_end:
        problems.append(
            f"lr_schedule {schedule.name} falls to a last epoch, which partial_fit does not know. "
            "Write constant or step."
        )
    problems += [
        f"{name} {type(scaler).__name__} has no partial_fit, by which it would learn from new "
        "rows. Write standard, minmax or None."
        for name, scaler in scalers.items()
        if not (scaler is None or isinstance(scaler, str) or hasattr(scaler, "partial_fit"))
    ]
    problems += [
        f"hisso.{name} is no part of partial_fit, which is one pass without validation rows. "
        f"Remove it, or call fit."
        for name, without in _NOT_OF_A_PASS.items()
        if hisso is not None and getattr(hisso, name) != without
    ]
    return problems
