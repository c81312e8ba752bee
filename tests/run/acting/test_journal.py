"""A journal is appended to, never rewritten, and every change of it shows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from acting_runs import NOW, ActingRuns
from psann._file_lock import take_lock
from psann.errors import FileFormatError, UsageError
from psann.run.acting.journal import append, keep, read_journal
from psann.run.acting.policy import Policy


@pytest.fixture(scope="module")
def policy(acting_runs: ActingRuns) -> Policy:
    return acting_runs.policy("prices")


@pytest.fixture(scope="module")
def table(acting_runs: ActingRuns) -> pd.DataFrame:
    return acting_runs.table()


def test_rows_that_came_are_appended_and_the_rest_stays_to_the_byte(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "j.jsonl"
    early, whole = policy.act(table.iloc[:-10]), policy.act(table)
    keep(path, early, now=NOW)
    before = path.read_bytes()
    journal, differences = keep(path, whole, now=NOW.replace(month=6))
    assert path.read_bytes().startswith(before)
    assert [each.label for each in journal.said] == whole.labels
    assert np.array_equal(journal.values, whole.values)
    assert {each.said_utc for each in journal.said[-10:]} == {"2022-06-01T12:00:00Z"}
    assert {each.said_utc for each in journal.said[:-10]} == {"2022-03-01T12:00:00Z"}
    assert differences == []
    same = path.read_bytes()
    keep(path, whole, now=NOW)
    assert path.read_bytes() == same


def test_revised_data_change_nothing_that_was_said_and_are_told(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "j.jsonl"
    said, _ = keep(path, policy.act(table), now=NOW)
    revised = table.copy()
    revised.iloc[-5, 0] *= 1.05
    now, differences = keep(path, policy.act(revised), now=NOW)
    assert np.array_equal(now.values, said.values)
    assert len(differences) >= 1
    assert f"of {table.index[-5].date()} the policy would say something else" in differences[0]


def test_a_line_that_was_changed_taken_out_or_torn_shows(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "j.jsonl"
    keep(path, policy.act(table), now=NOW)
    whole = path.read_bytes()
    lines = whole.split(b"\n")
    changed = json.loads(lines[3])
    changed["weights"][0] += 0.01
    for content in (
        b"\n".join([*lines[:3], json.dumps(changed).encode(), *lines[4:]]),
        b"\n".join([*lines[:3], *lines[4:]]),
        b"\n".join([*lines[:3], lines[4], lines[3], *lines[5:]]),
        whole[:-20],
        whole + b"{}\n",
        b"no journal\n",
    ):
        path.write_bytes(content)
        with pytest.raises(FileFormatError, match=r"must be as it was written; .*, line \d+"):
            read_journal(path)
    path.write_bytes(whole)
    assert read_journal(path) is not None


def test_a_journal_of_another_policy_is_not_gone_on_with(
    acting_runs: ActingRuns, policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "j.jsonl"
    keep(path, policy.act(table), now=NOW)
    other = acting_runs.policy("long_short").act(table)
    with pytest.raises(UsageError, match=r"must be of this run and policy; .* another run_id"):
        keep(path, other, now=NOW)


def test_rows_without_dates_have_no_journal(acting_runs: ActingRuns, tmp_path: Path) -> None:
    weights = acting_runs.policy("loader").act()
    with pytest.raises(UsageError, match="needs rows with dates"):
        keep(tmp_path / "j.jsonl", weights, now=NOW)
    assert not (tmp_path / "j.jsonl").exists()


def test_a_judgement_is_a_line_that_the_next_one_follows(
    policy: Policy, table: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "j.jsonl"
    journal, _ = keep(path, policy.act(table.iloc[:-1]), now=NOW)
    append(path, [{"kind": "judged", "growth": 0.1}], before=journal.last_sha256)
    again, _ = keep(path, policy.act(table), now=NOW)
    assert len(again.said) == len(journal.said) + 1
    append(path, [], before="")
    assert read_journal(path) == again


def test_a_journal_that_another_command_has_written_to_meanwhile_is_left_as_it_is(
    tmp_path: Path,
) -> None:
    path = tmp_path / "journal.jsonl"
    append(path, [{"kind": "journal"}], before="")
    for before in ("", "0" * 64):
        with pytest.raises(UsageError, match="one command at a time"):
            append(path, [{"kind": "said"}], before=before)
    assert path.read_text() == '{"kind":"journal","before":""}\n'


def test_a_journal_that_another_command_is_writing_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with path.open("ab") as other:
        take_lock(other.fileno())
        with pytest.raises(UsageError, match="one command at a time"):
            append(path, [{"kind": "journal"}], before="")
    assert path.read_bytes() == b""
    append(path, [{"kind": "journal"}], before="")
    assert path.read_bytes() != b""
