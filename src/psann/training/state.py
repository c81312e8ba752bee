"""Where training stands: what an interrupted phase needs to go on, bit for bit.

Randomness needs no place here: every draw is a function of seed, stream, epoch and update.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from psann.nn.network import Network
from psann.training.carry import MEMORY, Carry, WeightLayout
from psann.training.engine import EagerEngine
from psann.training.history import Decision, EpochRecord, FitResult
from psann.training.optimizer import OptimizerState


@dataclass(frozen=True, kw_only=True)
class SavedState:
    """A `TrainState` as a file can hold it: JSON values, and tensors on the CPU."""

    values: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def phase(self) -> str:
        """The phase that was under way."""
        return str(self.values["phase"])

    @property
    def engine(self) -> str:
        """The engine that ran it."""
        return str(self.values["engine"])


@dataclass(frozen=True, kw_only=True)
class SeedStart:
    """Where one seed begins; all that it draws afterwards is a function of the seed."""

    seed: int
    weights: Tensor  # (P,)
    buffers: dict[str, Tensor]

    @classmethod
    def of(cls, network: Network, *, seed: int, engine: EagerEngine) -> SeedStart:
        """The weights and buffers of a network, on the engine's device."""
        return cls(
            seed=seed,
            weights=engine.layout.flatten(dict(network.named_parameters())).to(engine.device),
            buffers={
                name: buffer.detach().clone().to(engine.device)
                for name, buffer in network.named_buffers()
            },
        )


_COUNTERS = (
    "phase",
    "monitor",
    "epoch",
    "updates_in_epoch",
    "update",
    "episodes",
    "skipped_updates",
    "refused_in_a_row",
    "stale_epochs",
)


@dataclass(frozen=True, kw_only=True)
class Best:
    """The best monitored epoch so far."""

    value: float
    epoch: int
    weights: Tensor  # (P,)
    buffers: dict[str, Tensor]
    temperature: float | None = None
    """What its outputs have been divided by since; None before that was chosen."""


@dataclass(kw_only=True)
class Tally:
    """Sums over the updates of the epoch that is under way."""

    losses: list[float] = field(default_factory=list)
    grad_norms: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class TrainState:
    """One seed's phase in progress: `epoch` counts finished epochs, `update` all updates of it."""

    phase: str
    seed: int
    epochs_total: int
    monitor: str | None
    layout: WeightLayout
    carry: Carry
    engine: str = "eager"
    """Engine of the fit; one that goes on stays with it."""
    epoch: int = 0
    updates_in_epoch: int = 0
    update: int = 0
    episodes: int = 0
    skipped_updates: int = 0
    refused_in_a_row: int = 0
    stale_epochs: int = 0
    best: Best | None = None
    tally: Tally = field(default_factory=Tally)
    history: list[EpochRecord] = field(default_factory=list)
    group: Sequence[TrainState] = field(default=(), repr=False, compare=False)
    """The states of all seeds that train together, this one among them."""

    def __post_init__(self) -> None:
        self.group = self.group or (self,)

    @classmethod
    def at_start(
        cls,
        phase: str,
        *,
        epochs_total: int,
        monitor: str | None,
        engine: EagerEngine,
        start: SeedStart,
    ) -> TrainState:
        """Before the first update of a seed, alone in its group."""
        return cls(
            phase=phase,
            seed=start.seed,
            epochs_total=epochs_total,
            monitor=monitor,
            layout=engine.layout,
            carry=engine.restarted(start.weights, start.buffers),
            engine=engine.name,
        )

    @property
    def closes_epoch(self) -> bool:
        """Whether this is the last seed of the group that is told of its latest epoch."""
        # A seed that stopped earlier has fewer epochs.
        return [state for state in self.group if state.epoch == self.epoch][-1] is self

    def tensors(self, *, best: bool) -> dict[str, Tensor]:
        """Parameters and buffers by name, of the best epoch so far or of this moment."""
        source: Carry | Best = self.best if best and self.best is not None else self.carry
        own = {name: tensor for name, tensor in source.buffers.items() if name != MEMORY}
        return {**self.layout.unflatten(source.weights), **own}

    def state_dict(self) -> SavedState:
        """Everything that `load_state_dict` needs to go on as if nothing had happened."""
        values: dict[str, Any] = {name: getattr(self, name) for name in ("seed", *_COUNTERS)}
        values["history"] = [_as_plain(record) for record in self.history]
        tensors = {f"tally.{name}": _numbers(v) for name, v in asdict(self.tally).items()}
        carry = self.carry
        tensors |= {f"optimizer.{name}": t for name, t in carry.optimizer._asdict().items()}
        tensors |= {"weights": carry.weights, "scale": carry.scale}
        tensors |= {"good_streak": carry.good_streak}
        tensors |= {f"buffers.{name}": t for name, t in carry.buffers.items()}
        values["engine"] = self.engine
        values["best"] = None
        if self.best is not None:
            values["best"] = {
                "value": self.best.value.hex(),
                "epoch": self.best.epoch,
                "temperature": self.best.temperature,
            }
            tensors["best.weights"] = self.best.weights
            tensors |= {f"best.buffers.{name}": t for name, t in self.best.buffers.items()}
        return SavedState(
            values=values, tensors={name: t.detach().cpu() for name, t in tensors.items()}
        )

    def load_state_dict(self, saved: SavedState) -> None:
        """Go on where `state_dict` was taken, on this state's own device.

        Parameters
        ----------
        saved : SavedState
            Of the same phase of the same network and seed.

        Raises
        ------
        KeyError, ValueError, RuntimeError
            If it belongs to another network or seed.
        """
        values = saved.values
        if values["seed"] != self.seed:
            raise ValueError(
                f"the saved state is of seed {values['seed']}; this training has seed "
                f"{self.seed}. Go on with the same seeds, in the same order."
            )
        tensors = {name: t.to(self.carry.weights.device) for name, t in saved.tensors.items()}
        for name in _COUNTERS:
            setattr(self, name, values[name])
        self.history = [_from_plain(record) for record in values["history"]]
        self.tally = Tally(
            **{name: saved.tensors[f"tally.{name}"].tolist() for name in asdict(Tally())}
        )
        names = OptimizerState._fields
        self.carry = self.carry._replace(
            weights=_fitting(tensors["weights"], self.carry.weights),
            optimizer=OptimizerState(*(tensors[f"optimizer.{name}"] for name in names)),
            buffers={name: tensors[f"buffers.{name}"] for name in self.carry.buffers},
            scale=tensors["scale"],
            good_streak=tensors["good_streak"],
        )
        self.best = None
        if (best := values["best"]) is not None:
            self.best = Best(
                value=float.fromhex(best["value"]),
                epoch=best["epoch"],
                temperature=best["temperature"],
                weights=_fitting(tensors["best.weights"], self.carry.weights),
                buffers={name: tensors[f"best.buffers.{name}"] for name in self.carry.buffers},
            )

    def result(self, *, stopped_early: bool, decisions: Sequence[Decision]) -> FitResult:
        """What the phase did, as plain values."""
        return FitResult(
            monitor=self.monitor,
            best_epoch=self.best_epoch,
            best_value=None if self.best is None else self.best.value,
            temperature=None if self.best is None else self.best.temperature,
            epochs_done=self.epoch,
            stopped_early=stopped_early,
            episodes=self.episodes,
            skipped_updates=self.skipped_updates,
            history=list(self.history),
            decisions=list(decisions),
        )

    @property
    def best_epoch(self) -> int:
        """Epoch of the best weights; the last finished one where nothing is monitored."""
        return self.epoch if self.best is None else self.best.epoch


def _numbers(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def _fitting(tensor: Tensor, like: Tensor) -> Tensor:
    if tensor.shape != like.shape or tensor.dtype != like.dtype:
        raise ValueError(
            f"the saved state has {tensor.numel()} weights; this network has {like.numel()}"
        )
    return tensor


def _as_plain(record: EpochRecord) -> dict[str, Any]:
    # Hexadecimal floats: NaN has no place in JSON, and no digit may be lost. Field by field,
    # because asdict copies every value deeply, which a long history feels.
    values = {name: getattr(record, name) for name in EpochRecord.__dataclass_fields__}
    return {k: v.hex() if isinstance(v, float) else v for k, v in values.items()}


def _from_plain(plain: dict[str, Any]) -> EpochRecord:
    fields: dict[str, Any] = {
        name: float.fromhex(value) if isinstance(value, str) and name != "phase" else value
        for name, value in plain.items()
    }
    return EpochRecord(**fields)
