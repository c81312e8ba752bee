"""What the runs of this folder are held to, made once."""

from __future__ import annotations

from typing import Any

import pytest

from faults import SETTINGS, counted


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], int]:
    return counted(tmp_path_factory.mktemp("unhurt"), *SETTINGS)


@pytest.fixture(scope="session")
def expected(whole: tuple[dict[str, Any], int]) -> dict[str, Any]:
    """The result of a run that nothing happens to; to be read only."""
    return whole[0]


@pytest.fixture(scope="session")
def total(whole: tuple[dict[str, Any], int]) -> int:
    """How many calls such a run makes."""
    return whole[1]
