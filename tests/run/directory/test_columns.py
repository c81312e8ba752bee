"""The columns of the log."""

from __future__ import annotations

from psann.run.directory.columns import (
    COLUMNS,
    DETERMINISTIC_COLUMNS,
    FLAG_COLUMNS,
    MONITOR_COLUMNS,
    TEXT_COLUMNS,
    WHOLE_COLUMNS,
)


def test_columns_are_those_of_version_one() -> None:
    assert " ".join(COLUMNS) == (
        "schema seq time_utc elapsed_s level event phase seed fold epoch update episodes "
        "train_loss val_loss reward_mean reward_std reward_min reward_max val_reward_mean turnover "
        "entropy grad_norm lr amp_scale skipped_updates shuffle state_reset data_s step_s val_s "
        "checkpoint_s episodes_per_s is_best message"
    )


def test_kinds_of_cells_are_told_of_columns_that_exist_and_of_each_once() -> None:
    kinds = [*TEXT_COLUMNS, *FLAG_COLUMNS, *WHOLE_COLUMNS]
    assert len(kinds) == len(set(kinds))
    assert set(kinds) <= set(COLUMNS)


def test_times_and_what_numbers_the_rows_differ_between_repetitions() -> None:
    living = "schema seq time_utc elapsed_s level data_s step_s val_s checkpoint_s episodes_per_s"
    assert set(COLUMNS) - set(DETERMINISTIC_COLUMNS) == {*living.split(), "message"}


def test_each_monitor_is_a_column_of_numbers() -> None:
    assert set(MONITOR_COLUMNS) == {"val_reward", "val_loss", "reward", "train_loss"}
    assert set(MONITOR_COLUMNS.values()) <= set(COLUMNS) - TEXT_COLUMNS - FLAG_COLUMNS
