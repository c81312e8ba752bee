"""What the runs of this folder are held to, made once."""

from __future__ import annotations

from typing import Any

import pytest

from faults import SETTINGS, n_calls, unhurt


@pytest.fixture(scope="session")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The result of a run that nothing happens to; to be read only."""
    return unhurt(tmp_path_factory.mktemp("unhurt"), *SETTINGS)


@pytest.fixture(scope="session")
def total(tmp_path_factory: pytest.TempPathFactory) -> int:
    """How many calls such a run makes."""
    return n_calls(tmp_path_factory.mktemp("counted"), *SETTINGS)
