"""A finding is told with the name of its column where there is one."""

from __future__ import annotations

import dataclasses

import pytest

from psann.plausibility.finding import Finding, label_of


def test_a_column_is_called_by_its_number_and_its_own_name() -> None:
    assert label_of(3, None) == "3"
    assert label_of(1, ["ibm", "ge"]) == "1 ('ge')"


def test_a_finding_cannot_be_changed() -> None:
    finding = Finding(name="stale", message="...", row=3)
    assert finding.column is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        finding.row = 4  # type: ignore[misc]
