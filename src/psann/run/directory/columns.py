"""The columns of `events.csv`: one row each, from which everything that handles them derives.

The log's writer and its readers, the checks of `verify`, exports and the table in
`docs/artefacts.md` follow from the rows; an epoch's columns are the fields of its record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCHEMA_VERSION = 1
EVENTS = (
    "run_start",
    "data",
    "config",
    "decision",
    "epoch",
    "checkpoint",
    "evaluation",
    "log",
    "signal",
    "resume",
    "error",
    "run_end",
)
Kind = Literal["text", "flag", "whole", "number"]


@dataclass(frozen=True)
class Column:
    """What there is to know of a column."""

    name: str
    kind: Kind
    meaning: str
    is_of_the_start: bool = False
    """Whether it is a time, or of what a start logs besides: other in every repetition."""
    is_later: bool = False
    """Whether logs of earlier releases lack it."""


_ROWS = (
    Column("schema", "whole", "version of this table", is_of_the_start=True),
    Column("seq", "whole", "number of the row, from 1", is_of_the_start=True),
    Column("time_utc", "text", "when it was written", is_of_the_start=True),
    Column("elapsed_s", "number", "seconds since the start began", is_of_the_start=True),
    Column("level", "text", "of Python's logging", is_of_the_start=True),
    Column("event", "text", f"what the row tells of: {', '.join(EVENTS)}"),
    Column("phase", "text", "warm_start, the main phase, refit, or of a fold or placebo"),
    Column("seed", "whole", "seed that is trained; empty for all"),
    Column("fold", "whole", "number of the fold or placebo; empty in the main training"),
    Column("epoch", "whole", "epochs done in the phase"),
    Column("update", "whole", "optimiser updates done in the phase"),
    Column("episodes", "whole", "episodes sampled so far"),
    Column("train_loss", "number", "mean over the epoch's updates of what is minimised"),
    Column("val_loss", "number", "loss on the validation rows"),
    Column("reward_mean", "number", "mean reward of the epoch's training episodes"),
    Column("reward_std", "number", "their population standard deviation"),
    Column("reward_min", "number", "the least of them"),
    Column("reward_max", "number", "the largest of them"),
    Column("val_reward_mean", "number", "reward per step over the validation span"),
    Column("turnover", "number", "mean change of the targets per row of the validation span"),
    Column(
        "val_turnover",
        "number",
        "mean weight traded per row of the validation span, from what prices left to the target",
        is_later=True,
    ),
    Column("entropy", "number", "mean entropy of the weights on the validation rows"),
    Column("grad_norm", "number", "mean norm of the gradient before clipping"),
    Column("lr", "number", "learning rate"),
    Column("amp_scale", "number", "gradient scale of mixed precision"),
    Column("skipped_updates", "whole", "updates skipped because a value was not finite"),
    Column("shuffle", "flag", "whether rows are drawn in random order"),
    Column("state_reset", "text", "when the state of a stateful network is reset"),
    Column("data_s", "number", "seconds of drawing and transfer", is_of_the_start=True),
    Column("step_s", "number", "seconds of updates", is_of_the_start=True),
    Column("val_s", "number", "seconds of validation", is_of_the_start=True),
    Column("checkpoint_s", "number", "seconds of writing", is_of_the_start=True),
    Column("episodes_per_s", "number", "episodes per second", is_of_the_start=True),
    Column("is_best", "flag", "whether the monitor was never better"),
    Column("message", "text", "in words", is_of_the_start=True),
)
COLUMNS = tuple(column.name for column in _ROWS)
MEANINGS = {column.name: column.meaning for column in _ROWS}
_KINDS: dict[str, Kind] = {column.name: column.kind for column in _ROWS}
LATER_COLUMNS = frozenset(column.name for column in _ROWS if column.is_later)
DETERMINISTIC_COLUMNS = tuple(column.name for column in _ROWS if not column.is_of_the_start)
MONITOR_COLUMNS = {
    "val_reward": "val_reward_mean",
    "val_loss": "val_loss",
    "reward": "reward_mean",
    "train_loss": "train_loss",
}
"""Where the log has the quantity that chooses the best epoch, by its name."""


def sign_of(monitor: str | None) -> float:
    """1 for rewards, of which more is better, and -1 for losses.

    Examples
    --------
    >>> sign_of("val_reward"), sign_of("train_loss")
    (1.0, -1.0)
    """
    return 1.0 if (monitor or "").endswith("reward") else -1.0


def kind_of(name: str) -> Kind:
    """How the cells of a column read; those of a column that this version lacks are texts.

    Examples
    --------
    >>> kind_of("lr"), kind_of("of_the_future")
    ('number', 'text')
    """
    return _KINDS.get(name, "text")


def columns_of(header: bytes) -> tuple[str, ...] | None:
    """The columns of a log by its first line; None if no release of this version wrote it.

    Examples
    --------
    >>> columns_of(header_of(COLUMNS)) == COLUMNS, columns_of(b"a,b")
    (True, None)
    """
    found = tuple(header.decode("utf-8", "replace").split(","))
    wanted = tuple(name for name in COLUMNS if name in found or name not in LATER_COLUMNS)
    return found if found == wanted else None


def header_of(columns: tuple[str, ...]) -> bytes:
    """The first line of a log, without its line end."""
    return ",".join(columns).encode()
