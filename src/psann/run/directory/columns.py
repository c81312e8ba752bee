"""The columns of `events.csv`."""

from __future__ import annotations

SCHEMA_VERSION = 1
EVENTS = (
    "run_start",
    "data",
    "config",
    "decision",
    "warm_start",
    "epoch",
    "checkpoint",
    "evaluation",
    "log",
    "signal",
    "resume",
    "rollback",
    "error",
    "run_end",
)
COLUMNS = (
    *("schema", "seq", "time_utc", "elapsed_s", "level", "event", "phase", "seed", "fold"),
    *("epoch", "update", "episodes", "train_loss", "val_loss", "reward_mean", "reward_std"),
    *("reward_min", "reward_max", "val_reward_mean", "turnover", "entropy", "grad_norm", "lr"),
    *("amp_scale", "skipped_updates", "shuffle", "state_reset", "data_s", "step_s", "val_s"),
    *("checkpoint_s", "episodes_per_s", "is_best", "message"),
)
# Times, and what numbers the rows: everything else is the same in every repetition of a run.
_OF_THE_START = frozenset({"schema", "seq", "time_utc", "level", "message"})
DETERMINISTIC_COLUMNS = tuple(
    name for name in COLUMNS if name not in _OF_THE_START and not name.endswith("_s")
)
HEADER = ",".join(COLUMNS).encode() + b"\r\n"
TEXT_COLUMNS = frozenset({"time_utc", "level", "event", "phase", "state_reset", "message"})
FLAG_COLUMNS = frozenset({"shuffle", "is_best"})
MONITOR_COLUMNS = {
    "val_reward": "val_reward_mean",
    "val_loss": "val_loss",
    "reward": "reward_mean",
    "train_loss": "train_loss",
}
# `metrics.json` holds these of the best epoch just as its row does.
_FIGURES = ("train_loss", "reward_mean", "reward_std")
WHOLE_COLUMNS = frozenset(
    {"schema", "seq", "seed", "fold", "epoch", "update", "episodes", "skipped_updates"}
)
