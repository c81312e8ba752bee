"""The work of an update is told from its shapes."""

from __future__ import annotations

from psann.training.work import work_s


def test_an_updates_seconds_are_those_of_a_forward_pass_and_two_backward() -> None:
    # 1,000 multiply-adds of each of 200 rows, three times, of two thousand million in a second.
    assert work_s(1_000, 200) == 3 * 1_000 * 200 / 2e9
