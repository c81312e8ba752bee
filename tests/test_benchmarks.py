"""The page on performance says what the measurements say; the series of the cases are sound."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from psann.nn import sine

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
    assert not re.search(r"\([^)|\n]*\|", page)  # no cell breaks off within brackets


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


PANEL = BENCHMARKS / "results" / "defaults.json"
SINE_PAGE = BENCHMARKS.parent / "docs" / "sine_units.md"


def test_the_default_is_nowhere_far_behind_and_far_ahead_where_frequencies_matter() -> None:
    """Measure again with `python benchmarks/defaults.py`."""
    tasks = json.loads(PANEL.read_bytes())["tasks"]
    assert len(tasks) >= 12
    fast = [row for row in tasks.values() if row["frequencies matter"]]
    assert len(fast) >= 4
    for row in fast:
        assert row["default"] > max(row["tanh"], row["relu"]) + 0.2
    for name, row in tasks.items():
        assert row["default"] >= max(row["tanh"], row["relu"]) - 0.02, name


def test_the_bounds_that_are_shipped_are_those_that_validation_rows_chose() -> None:
    """Choose again with `python benchmarks/defaults.py --settle`."""
    settled = json.loads(PANEL.with_name("defaults_settled.json").read_bytes())
    means = settled["mean R2 on validation rows"]
    shipped = ", ".join(f"{getattr(sine, name):g}" for name in settled["bounds"])
    assert len(means) == 27 and max(means, key=means.__getitem__) == shipped
    assert f"{means[shipped]:.3f}" in SINE_PAGE.read_text()


def test_the_page_on_sine_units_has_the_results_and_its_pictures(load) -> None:
    """Regenerate them with `python benchmarks/sine_pictures.py`."""
    pictures, defaults = load("sine_pictures"), load("defaults")
    page, tasks = SINE_PAGE.read_text(), json.loads(PANEL.read_bytes())["tasks"]
    assert list(tasks) == list(defaults.TASKS)
    assert pictures.filled(page, tasks) == page
    for name in ("sine_fits.svg", "sine_panel.svg"):
        assert f"](images/{name})" in page
        assert (SINE_PAGE.parent / "images" / name).read_text().startswith("<?xml")


def test_the_tasks_of_the_panel_are_finite_and_hold_out_what_they_judge_on(load) -> None:
    for name, (_, make) in load("defaults").TASKS.items():
        (X, y), (X_test, y_test) = make()
        assert np.isfinite(X).all() and np.isfinite(y).all(), name
        assert X.shape == (len(y), X_test.shape[1]) and len(X_test) == len(y_test) > 4
        assert not {tuple(row) for row in X} & {tuple(row) for row in X_test}, name


@pytest.mark.parametrize(
    ("epochs", "least"), [(3, -1.0), pytest.param(200, 0.99, marks=pytest.mark.slow)]
)
def test_the_example_of_the_page_on_sine_units_runs(epochs: int, least: float) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", SINE_PAGE.read_text(), flags=re.DOTALL)
    names: dict = {}
    exec(block.replace("random_state=0", f"random_state=0, epochs={epochs}"), names)
    assert names["r2"] > least
