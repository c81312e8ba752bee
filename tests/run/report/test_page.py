"""The files: valid, self-contained, small, the same every time, and harmless."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import html5lib
import numpy as np
import pytest

from made_runs import HOSTILE, made_run
from psann._npz import npz_bytes
from psann.errors import UsageError
from psann.run.reading.archive import pack, unpack
from psann.run.reading.reading import read_run
from psann.run.report.page import write_report
from psann.run.verification.verify import verify_run
from thinning import thinned
from trials import finished


def html_of(*roots: Path) -> str:
    output = roots[0].parent / "report.html"
    (written,) = write_report([read_run(root) for root in roots], output)
    return written.read_text(encoding="utf-8")


def elements_of(page: str) -> list[str]:
    """Parse without mercy and list the elements."""
    tree = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False).parse(page)
    return [element.tag for element in tree.iter() if isinstance(element.tag, str)]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_run(tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose series are written by others."""
    return made_run(tmp_path_factory.mktemp("hostile") / "run", n_rows=9, n_epochs=1)


@pytest.fixture(scope="module")
def page(plain: Path) -> str:
    return html_of(plain)


def test_page_is_valid_and_has_all_its_figures(page: str) -> None:
    elements = elements_of(page)
    assert elements.count("figure") == elements.count("figcaption") == 3
    assert "table" in elements


def test_verdict_wealth_and_weights_come_before_the_tables_and_details_are_folded(
    page: str,
) -> None:
    titles = re.findall(r"<h2>([^<]*)</h2>", page)
    assert titles[:3] == ["Summary", "Wealth and weights", "Result beside the baselines"]
    folded = re.findall(r"<details>\s*<summary><h2>([^<]*)</h2>", page)
    assert folded == ["All figures", "Training and time", "Configuration", "Provenance"]


def test_no_plot_of_the_page_has_more_than_five_lines_nor_two_of_one_colour(page: str) -> None:
    plots = re.findall(r'<div class="plot".*?</svg>', page)
    assert plots
    for plot in plots:
        pens = re.findall(r"stroke:var\(--(\w+)\);stroke-width:([\d.]+)", plot)
        colours = [name for name, _ in pens if name not in ("rule", "muted")]
        assert len(colours) <= 5
        assert len(set(colours)) == len(colours)


def test_page_of_one_run_is_small(page: str) -> None:
    assert len(page.encode()) < 150_000


def test_page_asks_nothing_of_scripts_or_the_network(page: str) -> None:
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!#|data:,")', page)
    assert "url(" not in page
    assert not re.findall(r"https?://[^\"' ]*", page)
    assert "default-src 'none'" in page


def test_ids_are_unique_and_links_have_targets(page: str) -> None:
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)


def test_hostile_texts_inject_nothing(plain: Path, page: str, tmp_path: Path) -> None:
    root = made_run(
        tmp_path / "run", text=HOSTILE, run_name=HOSTILE, error=HOSTILE, status="failed"
    )
    hostile = html_of(root)
    assert set(elements_of(hostile)) == set(elements_of(page)) | {"pre"}
    for name in ("script", "img", "b"):
        assert f"<{name}>" not in hostile
    assert "49" not in re.findall(r"\{\{ (.*?) \}\}", hostile)
    assert "{{ 7*7 }}" in hostile
    assert not set(hostile) & set("\x00\x1b\u2028\u202e\ufffe")


HUGE = [1.0, 5e-324, 1e308, np.inf, np.nan, 0.0, -1.0]


@pytest.mark.parametrize(
    ("n_assets", "wealth"),
    thinned(
        itertools.product(
            (0, 1, 9), ([], [1.0], [0.0] * 3, [np.nan] * 3, [np.inf] * 3, HUGE, [1.0, 2.0])
        )
    ),
)
def test_series_of_a_stranger_may_hold_anything(
    hostile_run: Path, wealth: list[float], n_assets: int
) -> None:
    n_rows = len(wealth)
    net = np.array([wealth, wealth[::-1]])
    cells = np.resize(np.array([np.nan, np.inf, 0.5, -1e30, 0.0]), (n_rows, n_assets))
    arrays = {"names": np.array(["policy", "uniform"]), "net": net, "gross": net}
    arrays |= {"allocations": cells.astype(np.float32), "time": np.resize([1e308, -1e308], n_rows)}
    arrays["active"] = np.resize(np.array([1, 0, -1, -2, 9], dtype=np.int8), (n_rows, n_assets))
    (hostile_run / "evaluation.npz").write_bytes(npz_bytes(arrays))
    arrays["fold"] = np.arange(n_rows) // 2
    (hostile_run / "walk_forward.npz").write_bytes(npz_bytes(arrays))
    elements_of(html_of(hostile_run))


def test_moved_run_gives_the_same_bytes(plain: Path, page: str, tmp_path: Path) -> None:
    moved = shutil.copytree(plain, tmp_path / "elsewhere" / "run")
    assert html_of(moved) == page
    assert str(plain.parent) not in page


@pytest.mark.slow
def test_another_process_gives_the_same_bytes(plain: Path, page: str, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    command = [sys.executable, "-m", "psann.scripts.hisso_runs", "report", str(plain)]
    subprocess.run([*command, "-o", str(output)], check=True, capture_output=True)
    assert output.read_text(encoding="utf-8") == page


@pytest.fixture(scope="module")
def hostile_document(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    folder = tmp_path_factory.mktemp("document")
    root = made_run(folder / "run", text=HOSTILE, run_name=HOSTILE)
    return tuple(write_report([read_run(root)], folder / "a b.md", format="markdown"))


def test_markdown_has_its_pictures_beside_it(hostile_document: tuple[Path, ...]) -> None:
    report, *pictures = hostile_document
    named = re.findall(r"!\[[^\]]*\]\((a%20b-figures/[\w.-]*)\)", report.read_text("utf-8"))
    assert len(named) == len(pictures) == 3
    for name in named:
        data = (report.parent / name.replace("%20", " ")).read_bytes()
        assert ElementTree.fromstring(data).tag == "{http://www.w3.org/2000/svg}svg"


def test_hostile_texts_are_no_markup_in_markdown(hostile_document: tuple[Path, ...]) -> None:
    for line in hostile_document[0].read_text(encoding="utf-8").split("\n"):
        if line.startswith("!["):
            continue
        bare = re.sub(r"\\[\\`*_\[\]<>|~$&]", "", line)
        assert not set(bare) & set("<[`$")
        if line.startswith("| "):
            assert bare.count("|") in (3, 4, 6, 11)


@pytest.mark.slow
def test_markdown_is_the_same_every_time(plain: Path, tmp_path: Path) -> None:
    first = write_report([read_run(plain)], tmp_path / "report.md", format="markdown")
    before = [path.read_bytes() for path in first]
    second = write_report([read_run(plain)], tmp_path / "report.md", format="markdown")
    assert [path.read_bytes() for path in second] == before


def test_packed_moved_and_unpacked_run_gives_the_same_report(tmp_path: Path) -> None:
    original = finished(tmp_path / "here", "training.epochs=2").root
    archive = tmp_path / "run.tar.gz"
    pack(original, archive)
    unpack(archive, tmp_path / "there")
    copy = tmp_path / "there" / "run"
    assert not verify_run(copy).errors
    assert html_of(copy) == html_of(original)


def test_output_in_a_run_directory_is_refused(plain: Path) -> None:
    with pytest.raises(UsageError, match="-o must lie outside of"):
        write_report([read_run(plain)], plain / "report.html")
    assert not (plain / "report.html").exists()


def test_output_that_is_a_directory_is_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="-o must be a file"):
        write_report([read_run(plain)], tmp_path)


def test_markdown_needs_a_place_for_its_pictures(plain: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UsageError, match=r"must be a file for a report in markdown.*--format html"):
        write_report([read_run(plain)], tmp_path / "pipe", format="markdown")


def test_report_without_runs_or_of_another_format_is_refused(plain: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one run"):
        write_report([], tmp_path / "x.html")
    with pytest.raises(UsageError, match="must be one of html, markdown; got 'pdf'"):
        write_report([read_run(plain)], tmp_path / "x", format="pdf")
