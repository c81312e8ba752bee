"""Training on targets: batches of rows and the loss of their outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from psann._seed import hashed_normal, stream_generator
from psann.losses import LOSSES, Loss
from psann.training.engine import EagerEngine
from psann.training.history import Decision, FitResult
from psann.training.loop import (
    IndexTable,
    MonitorName,
    Phase,
    Validation,
    group_at_start,
    resolve_monitor,
    run_phase,
)
from psann.training.observers import Observer
from psann.training.options import TrainingOptions
from psann.training.state import SavedState, SeedStart, TrainState
from psann.training.work import Forward


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Inputs and targets on the device, row by row."""

    X: Tensor  # (N, F)
    y: Tensor  # (N, M)
    context: Tensor | None = None  # (N, C)
    weight: Tensor | None = None  # (N,) of mean 1


@dataclass(frozen=True, kw_only=True)
class RowObjective:
    """Loss of a batch of B rows, ``mean over rows and outputs of w_i loss(o, y)``.

    ``w_i`` is the weight of a row, 1 where there are none.
    """

    rows: Rows
    loss: Loss
    input_noise: float = 0.0

    @property
    def is_ours(self) -> bool:
        """Whether the loss is none of the user's."""
        return self.loss in LOSSES.values()

    def __call__(
        self, forward: Forward, index: Tensor, key: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Loss ``()`` and the loss of each row ``(B,)``."""
        x = self.rows.X[index]  # (B, F)
        if self.input_noise and key is not None:
            x = x + self.input_noise * hashed_normal(key, x.shape)
        per_row = _row_losses(forward(x, self._context(index), key), self.rows.y[index], self.loss)
        if self.rows.weight is not None:
            per_row = per_row * self.rows.weight[index]
        return per_row.mean(), per_row

    def place_of_nonfinite(self, forward: Forward, index: Tensor, key: Tensor | None) -> str:
        """Name the first of data, forward pass, loss and gradient that is not finite."""
        rows = self.rows
        series = [t[index] for t in (rows.X, rows.y, rows.context) if t is not None]
        if not all(t.isfinite().all() for t in series):
            return "the data of this update are not finite"
        if not forward(rows.X[index], self._context(index), key).isfinite().all():
            return "the forward pass gave outputs that are not finite"
        if not self(forward, index, key)[0].isfinite():
            return "the loss is not finite"
        return "the gradient is not finite"

    def _context(self, index: Tensor) -> Tensor | None:
        return None if self.rows.context is None else self.rows.context[index]


def _row_losses(outputs: Tensor, targets: Tensor, loss: Loss) -> Tensor:
    """Loss of each row ``(B,)``; outputs beyond the targets' width are not judged."""
    per_element = loss(outputs[:, : targets.shape[1]], targets)
    is_tensor = isinstance(per_element, Tensor)
    if not is_tensor or per_element.shape != targets.shape:
        got = f"shape {tuple(per_element.shape)}" if is_tensor else type(per_element).__name__
        raise ValueError(
            f"a loss must give one value per element, of shape {tuple(targets.shape)}; "
            f"got {got}. Do not average inside it."
        )
    if not per_element.is_floating_point():
        raise ValueError(
            "a loss must give real numbers, torch.float32 or torch.float64; got "
            f"{per_element.dtype}. Compute it from the outputs without another dtype."
        )
    return per_element.mean(dim=-1)


def row_table(n_rows: int, batch_size: int, *, stream: str, shuffle: bool) -> IndexTable:
    """Batches that cover the rows once per epoch; the last may be smaller.

    Parameters
    ----------
    n_rows, batch_size : int
        Rows of the series and of a batch.
    stream : str
        Where the order comes from, beside seed and epoch.
    shuffle : bool
        False keeps the rows in time order.
    """

    def table(seed: int, epoch: int) -> Sequence[NDArray[np.int64]]:
        order = np.arange(n_rows)
        if shuffle:
            order = stream_generator(seed, stream, epoch=epoch).permutation(n_rows)
        return np.split(order, range(batch_size, n_rows, batch_size))

    return table


def row_phase(
    name: str,
    rows: Rows,
    options: TrainingOptions,
    engine: EagerEngine,
    *,
    monitor: MonitorName | None = None,
    validate: Callable[[Forward], Validation] | None = None,
) -> tuple[Phase, Decision]:
    """A phase of training on targets, and whether its rows are shuffled, and why."""
    decision = shuffle_decision(name, options)
    phase = Phase(
        name=name,
        epochs=options.epochs,
        lr=options.lr,
        schedule=options.schedule,
        objective=RowObjective(rows=rows, loss=options.loss, input_noise=options.input_noise),
        index_table=row_table(
            len(rows.X),
            options.batch_size,
            stream=f"{name}.shuffle",
            shuffle=bool(decision.shuffle),
        ),
        rows_per_index=1,
        draws=options.input_noise > 0 or engine.network.dropout > 0,
        is_episodic=False,
        monitor=monitor,
        validate=validate,
        patience=options.patience,
        reset_states_each_epoch=options.state_reset == "epoch",
        max_skipped_updates=options.max_skipped_updates,
    )
    return phase, decision


def shuffle_decision(phase: str, options: TrainingOptions) -> Decision:
    """Whether rows are shuffled, and why: a state that lives on needs them in time order."""
    state_reset = options.state_reset if options.is_stateful else None
    if options.keeps_state:
        reason = f"stateful layers keep their state (state_reset={state_reset}), so rows in order"
        return Decision(phase=phase, shuffle=False, state_reset=state_reset, message=reason)
    reason = "rows in order, as configured"
    if options.shuffle:
        reason = "rows shuffled: none depends on another"
    return Decision(phase=phase, shuffle=options.shuffle, state_reset=state_reset, message=reason)


def rows_loss(forward: Forward, rows: Rows, loss: Loss) -> float:
    """Mean loss over all rows, by their weights, without gradient."""
    with torch.no_grad():
        outputs = forward(rows.X, rows.context, None)
        per_row = _row_losses(outputs, rows.y, loss)
        return float((per_row if rows.weight is None else per_row * rows.weight).mean())


def fit_supervised(
    engine: EagerEngine,
    train: Rows,
    validation: Rows | None,
    *,
    starts: Sequence[SeedStart],
    options: TrainingOptions,
    observers: Sequence[Observer],
    saved: Sequence[SavedState] = (),
) -> list[tuple[TrainState, FitResult]]:
    """Train on targets and choose the best epoch by the monitor.

    Parameters
    ----------
    engine : EagerEngine
        Runs the updates.
    train, validation : Rows
        Training rows, and those that judge an epoch.
    starts : sequence of SeedStart
        Where each seed begins.
    options : TrainingOptions
        How.
    observers : sequence of Observer
        Who watches.
    saved : sequence of SavedState
        Where an earlier start left off, by seed.

    Returns
    -------
    list of (TrainState, FitResult)
        By seed, where training ended (`state.best` is what to keep), and what happened.

    Raises
    ------
    ValueError
        If the monitor needs rows or rewards that there are not.
    DivergedError
        If a loss or gradient is not finite.
    """
    monitors: tuple[MonitorName, ...] = ("train_loss",)
    if validation is not None:
        monitors = ("val_loss", *monitors)
    monitor = None if options.is_pass else resolve_monitor(options.monitor, monitors)

    def validate(forward: Forward) -> Validation:
        assert validation is not None
        return Validation(loss=rows_loss(forward, validation, options.loss))

    phase, decision = row_phase(
        "supervised",
        train,
        options,
        engine,
        monitor=monitor,
        validate=None if validation is None else validate,
    )
    for observer in observers:
        observer.on_decision(decision)
    group = group_at_start(phase, engine, starts, saved)
    stopped = run_phase(phase, engine, group, observers)
    return [
        (state, state.result(stopped_early=has_stopped, decisions=[decision]))
        for state, has_stopped in zip(group, stopped, strict=True)
    ]
