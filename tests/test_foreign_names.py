"""Names of assets and runs appear as they are in every output, as commands to no library."""

from __future__ import annotations

import csv
import html
import io
import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from made_runs import made_run
from made_tables import prices, wide
from psann._npz import npz_bytes, read_npz
from psann.market import read_prices
from psann.market.drawing import draw
from psann.market.starter import starter_config
from psann.presentation.drawing import to_svg
from psann.run.directory.log import EventLog, log_event
from psann.run.directory.paths import RunPaths
from psann.run.directory.rows import parse_log
from psann.run.directory.storage import Storage
from psann.run.reading.export import export
from psann.run.reading.reading import read_run
from psann.run.report.page import write_report
from psann.scripts.hisso_runs import main

# Leading underscores hide labels, dollars begin formulas, and so on. None is longer than a legend
# shows, and each may be a directory's name.
NAMES = (
    *("_x", "__y", "$\\frac{1}{2}$", "a%s%d", "{x!r}", "\\textbf{b}", "[red]b[bold]", "<b>i&amp;"),
    *("`c` *d* _e_", "C:\\new\\table", "| p |"),
)
FEW = NAMES[:8]  # as many as one picture tells apart


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of assets with such names."""
    root = made_run(
        tmp_path_factory.mktemp("run") / "run", n_rows=20, n_epochs=3, n_assets=len(FEW)
    )
    path = root / "evaluation.npz"
    path.write_bytes(npz_bytes({**read_npz(path).arrays, "assets": np.array(FEW)}))
    return root


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that are called so."""
    folder = tmp_path_factory.mktemp("runs")
    first = made_run(folder / NAMES[0], n_rows=20, n_epochs=3)
    for name in NAMES[1:]:
        shutil.copytree(first, folder / name)
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A table of prices of such assets."""
    return wide(tmp_path / "prices.csv", prices(60, len(NAMES)), list(NAMES))


def named(folder: Path) -> list[tuple[str, object]]:
    return [(name, read_run(folder / name)) for name in NAMES]


def text_of_svg(svg: bytes | str) -> str:
    return "\n".join(ElementTree.fromstring(svg).itertext())


def page_of(path: Path) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "\n", path.read_text(encoding="utf-8")))


def lines_of_markdown(path: Path) -> str:
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", path.read_text(encoding="utf-8"))


# --- of assets -----------------------------------------------------------------------------------


def test_the_report_shows_assets_as_they_are_called(run: Path, tmp_path: Path) -> None:
    write_report([read_run(run)], tmp_path / "page.html", format="html")
    shown = {line.strip() for line in page_of(tmp_path / "page.html").splitlines()}
    assert set(FEW) <= shown


def test_the_picture_of_a_table_shows_assets_as_they_are_called(table: Path) -> None:
    image = to_svg(draw(read_prices(table)), label="prices")
    shown = {line.strip() for line in text_of_svg(image).splitlines()}
    # A long one is cut there.
    assert {name for name in NAMES if len(name) <= 13} <= shown


def test_the_legend_of_a_few_assets_leaves_none_out(tmp_path: Path) -> None:
    few = FEW[:5]
    figure = draw(read_prices(wide(tmp_path / "few.csv", prices(60, 5), list(few))))
    assert tuple(mark.label for mark in figure.panels[0].marks) == few


def test_a_starter_config_names_assets_as_they_are_called(table: Path) -> None:
    read = read_prices(table, assets=list(NAMES))
    config = yaml.safe_load(starter_config(read, source=str(table)))
    assert config["data"]["assets"] == list(NAMES)


def test_a_line_of_the_log_says_what_was_said(tmp_path: Path) -> None:
    logger = logging.Logger("psann.test", logging.DEBUG)
    with Storage(tmp_path / "run") as storage:
        log = EventLog(storage, RunPaths(tmp_path / "run").events)
        handler = logging.Handler()
        handler.emit = log.take  # type: ignore[method-assign]
        logger.addHandler(handler)
        for name in NAMES:
            log_event(logger, logging.INFO, "log", name)
        log.close()
    rows, problems = parse_log((tmp_path / "run" / "events.csv").read_bytes())
    assert (tuple(row["message"] for row in rows), problems) == (NAMES, [])


# --- of runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["ls", "compare"])
def test_tables_on_a_terminal_show_runs_as_they_are_called(
    runs: Path, command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    assert main([command, str(runs)]) == 0
    shown = capsys.readouterr().out
    assert [name for name in NAMES if name not in shown] == []


def test_listings_for_programs_hold_the_names(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ls", "--csv", str(runs)]) == 0
    table = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert {row["run"] for row in table} == set(NAMES)
    assert main(["ls", "--json", str(runs)]) == 0
    assert {row["run"] for row in json.loads(capsys.readouterr().out)} == set(NAMES)


def _from_csv(path: Path) -> set[str]:
    return {row["run"] for row in csv.DictReader(io.StringIO(path.read_bytes().decode()))}


def _from_parquet(path: Path) -> set[str]:
    from pyarrow import parquet

    return set(parquet.read_table(path)["run"].to_pylist())


@pytest.mark.parametrize(("to", "read"), [("csv", _from_csv), ("parquet", _from_parquet)])
def test_exported_tables_hold_the_names(
    runs: Path, tmp_path: Path, to: str, read: Callable[[Path], set[str]]
) -> None:
    export(named(runs), to=to, output=str(tmp_path))
    assert read(tmp_path / f"runs.{to}") == read(tmp_path / f"epochs.{to}") == set(NAMES)


@pytest.mark.slow  # seconds of drawing; tables are above, and curves in test_charts.py
def test_a_comparison_shows_runs_as_they_are_called(runs: Path, tmp_path: Path) -> None:
    views = [view for _, view in named(runs)[2:6]]
    write_report(views, tmp_path / "page.html", format="html")
    assert [name for name in NAMES[2:6] if name not in page_of(tmp_path / "page.html")] == []
    write_report(views, tmp_path / "page.md", format="markdown")
    assert [
        name for name in NAMES[2:6] if name not in lines_of_markdown(tmp_path / "page.md")
    ] == []
