"""The site of the documentation: built strictly, then opened in a real browser."""

from __future__ import annotations

import html
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import psann
from browser import Tab, browser_tab

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every page; `make docs` runs the notebook besides."""
    folder = tmp_path_factory.mktemp("site")
    build = [
        sys.executable,
        "-m",
        "sphinx",
        "-b",
        "html",
        "-W",
        "-q",
        "-D",
        "nb_execution_mode=off",
    ]
    done = subprocess.run([*build, str(DOCS), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser_tab() as opened:
        yield opened


def test_every_page_is_quiet_asks_for_nothing_and_fits_a_telephone(site: Path, tab: Tab) -> None:
    pages = sorted(site.rglob("*.html"))
    assert {page.stem for page in DOCS.glob("*.md")} <= {page.stem for page in pages}
    for page in pages:
        tab.said.clear()
        tab.requested.clear()
        tab.open(page, width=400)
        assert tab.said == [], page
        assert {url.partition(":")[0] for url in tab.requested} <= {"file", "data"}, page
        assert tab.ask("document.documentElement.scrollWidth") <= 400, page


def test_search_finds_a_page_by_a_word_on_it(site: Path, tab: Tab) -> None:
    tab.open(site / "search.html", width=800)
    tab.ask('Search.performSearch("survivorship")')
    found = (
        "[...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'))"
    )
    deadline_s = time.monotonic() + 600
    while not any("own_prices" in link for link in tab.ask(found)):
        assert time.monotonic() < deadline_s, tab.ask(found)
        time.sleep(0.05)


def test_the_reference_has_every_public_object(site: Path) -> None:
    pages = "".join(
        page.read_text(encoding="utf-8") for page in (site / "reference").glob("*.html")
    )
    told = set(re.findall(r'id="(psann\.[\w.]+)"', html.unescape(pages)))
    names = {f"psann.{name}" for name in psann.__all__ if not name.startswith("_")}
    for part in ("market", "metrics", "nn", "run"):
        module = getattr(__import__(f"psann.{part}"), part)
        names |= {f"psann.{part}.{name}" for name in module.__all__}
    assert names <= told, names - told


def test_a_link_to_nowhere_or_an_object_without_docstring_ends_the_build(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text((DOCS / "conf.py").read_text(encoding="utf-8"))
    (tmp_path / "_static").mkdir()
    for text, problem in (
        ("[there](nowhere.md)", "nowhere.md"),
        ("```{eval-rst}\n.. autofunction:: psann._undescribed.nothing\n```", "has no docstring"),
    ):
        (tmp_path / "index.md").write_text(f"# Title\n\n{text}\n")
        code = (
            "import sys, types, psann; from sphinx.cmd.build import main\n"
            "module = types.ModuleType('psann._undescribed')\n"
            "exec('def nothing(): pass', module.__dict__)\n"
            "sys.modules[module.__name__] = psann._undescribed = module\n"
            "sys.exit(main(['-b', 'html', '-W', '-q', *sys.argv[1:]]))"
        )
        build = [sys.executable, "-c", code, str(tmp_path), str(tmp_path / "out")]
        done = subprocess.run(build, capture_output=True, text=True)
        assert done.returncode != 0
        assert problem in done.stderr
