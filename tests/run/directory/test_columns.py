"""The columns of the log."""

from __future__ import annotations

from psann.run.directory.columns import COLUMNS


def test_columns_are_those_of_version_one() -> None:
    assert " ".join(COLUMNS) == (
        "schema seq time_utc elapsed_s level event phase seed fold epoch update episodes "
        "train_loss val_loss reward_mean reward_std reward_min reward_max val_reward_mean turnover "
        "entropy grad_norm lr amp_scale skipped_updates shuffle state_reset data_s step_s val_s "
        "checkpoint_s episodes_per_s is_best message"
    )
