"""The columns of the log."""

from __future__ import annotations

import re
from pathlib import Path

import psann
from psann.run.directory.columns import (
    COLUMNS,
    DETERMINISTIC_COLUMNS,
    EVENTS,
    LATER_COLUMNS,
    MEANINGS,
    MONITOR_COLUMNS,
    columns_of,
    header_of,
    kind_of,
)


def test_columns_are_those_of_version_one_and_later_ones() -> None:
    assert {"val_turnover"} == LATER_COLUMNS
    assert " ".join(name for name in COLUMNS if name not in LATER_COLUMNS) == (
        "schema seq time_utc elapsed_s level event phase seed fold epoch update episodes "
        "train_loss val_loss reward_mean reward_std reward_min reward_max val_reward_mean turnover "
        "entropy grad_norm lr amp_scale skipped_updates shuffle state_reset data_s step_s val_s "
        "checkpoint_s episodes_per_s is_best message"
    )


def test_every_event_is_written_by_something_and_told_in_the_docs() -> None:
    calls = r'log_event\(\s*[\w.]+,\s*[\w.]+,\s*"(\w+)"|level, event = [\w.]+, "(\w+)"'
    sources = [path.read_text() for path in Path(psann.__file__).parent.rglob("*.py")]
    written = {"".join(names) for source in sources for names in re.findall(calls, source)}
    assert written == set(EVENTS)
    assert MEANINGS["event"].endswith(", ".join(EVENTS))


def test_each_column_is_of_a_kind_and_has_a_meaning() -> None:
    assert {kind_of(name) for name in COLUMNS} == {"text", "flag", "whole", "number"}
    assert all(MEANINGS[name] for name in COLUMNS)


def test_a_header_of_an_earlier_release_is_known_and_a_foreign_one_is_not() -> None:
    earlier = tuple(name for name in COLUMNS if name not in LATER_COLUMNS)
    assert columns_of(header_of(earlier)) == earlier
    assert columns_of(header_of(COLUMNS)) == COLUMNS
    for foreign in (COLUMNS[::-1], COLUMNS[:-1], (*COLUMNS, "colour"), ("seq", *COLUMNS)):
        assert columns_of(header_of(foreign)) is None


def test_times_and_what_numbers_the_rows_differ_between_repetitions() -> None:
    living = "schema seq time_utc elapsed_s level data_s step_s val_s checkpoint_s episodes_per_s"
    assert set(COLUMNS) - set(DETERMINISTIC_COLUMNS) == {*living.split(), "message"}


def test_each_monitor_is_a_column_of_numbers() -> None:
    assert set(MONITOR_COLUMNS) == {"val_reward", "val_loss", "reward", "train_loss"}
    assert {kind_of(column) for column in MONITOR_COLUMNS.values()} == {"number"}
