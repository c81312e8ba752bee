"""Weights with their digest."""

from __future__ import annotations

import numpy as np
import pytest

from acting_runs import ActingRuns
from psann.run.acting.weights import weights_sha256


def test_the_digest_is_of_dates_assets_and_every_bit() -> None:
    values = np.array([[0.25, 0.75]])
    digest = weights_sha256(["2020-01-02"], ["A", "B"], values)
    assert digest == weights_sha256(["2020-01-02"], ("A", "B"), values.copy())
    assert digest != weights_sha256(["2020-01-03"], ["A", "B"], values)
    assert digest != weights_sha256(["2020-01-02"], ["B", "A"], values)
    assert digest != weights_sha256(["2020-01-02"], ["A", "B"], np.nextafter(values, 1))


def test_the_newest_rows_have_a_digest_of_their_own(acting_runs: ActingRuns) -> None:
    whole = acting_runs.policy("prices").act()
    last = whole.last()
    assert (len(last), last.labels) == (1, whole.labels[-1:])
    assert np.array_equal(last.values[0], whole.values[-1])
    assert last.provenance.weights_sha256 == weights_sha256(last.labels, last.assets, last.values)
    assert last.provenance.weights_sha256 != whole.provenance.weights_sha256
    assert last.provenance.run_id == whole.provenance.run_id


def test_weights_are_read_only_and_a_session_shows_what_they_are(acting_runs: ActingRuns) -> None:
    policy = acting_runs.policy("prices")
    weights = policy.act()
    for array in (weights.rows, weights.values, weights.quotes):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = array[1]
    shown, names = repr(weights), ", ".join(weights.assets)
    assert f"{weights.labels[0]} to {weights.labels[-1]}, of " in shown and names in shown
    assert repr(policy).startswith(f"<Policy of run {policy.kept.run_name}, 1 estimator, of ")
