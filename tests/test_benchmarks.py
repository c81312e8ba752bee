"""The page on performance says what the measurements say; the series of the cases are sound."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch):
    def load(name: str) -> ModuleType:
        monkeypatch.syspath_prepend(str(BENCHMARKS))
        return importlib.import_module(name)

    return load


def test_the_tables_of_the_page_are_those_of_the_results(load) -> None:
    """Regenerate them with `python benchmarks/plots.py`."""
    plots = load("plots")
    page = plots.PAGE.read_text()
    assert plots.filled(page, plots.results()) == page


def test_every_picture_of_the_page_is_there() -> None:
    page = (BENCHMARKS.parent / "docs" / "performance.md").read_text()
    names = [line.partition("](")[2].rstrip(")") for line in page.splitlines() if "![" in line]
    assert names and all((BENCHMARKS.parent / "docs" / name).is_file() for name in names)


def test_the_series_of_every_case_are_finite_and_begin_with_the_prices(load) -> None:
    cases = load("cases")
    for case in cases.CASES.values():
        X, prices = cases.series(case)
        assert X.shape == (case.n_rows, case.n_features) and np.isfinite(X).all()
        assert (prices > 0).all() and np.array_equal(X[:, : case.n_assets], prices)


def test_a_meter_measures_what_comes_after_the_warm_up(load, monkeypatch) -> None:
    worker = load("worker")
    clock = iter(np.arange(0.0, 10.0, 0.25))
    monkeypatch.setattr(worker.time, "process_time", lambda: float(next(clock)))
    meter = worker.Meter(warm_s=0.5, measure_s=1.0)
    with pytest.raises(worker.EnoughError):
        for update in range(100):
            meter.tick(10 * update)
    result = meter.result()
    assert (result["updates"], result["cpu_s"]) == (40, 1.0)
