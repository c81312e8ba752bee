"""The page in a real browser: silent, offline, readable on a phone and on a wide screen, on paper.

Look at it yourself as well: `PSANN_SCREENSHOTS=folder python -m pytest -m slow <this file>`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from browser import Tab, browser_tab
from made_runs import HOSTILE, made_run
from psann._npz import npz_bytes
from psann.run.reading.reading import read_run
from psann.run.report.page import write_report

pytestmark = pytest.mark.slow

# Whatever sticks out of its box and cannot be scrolled to, texts of a chart that
# touch or are too small to read, and tables that go on unseen.
_FAULTS = """(() => {
  const faults = [];
  const page = document.documentElement;
  if (page.scrollWidth > innerWidth) faults.push(`the page is ${page.scrollWidth} wide`);
  for (const box of document.body.querySelectorAll("*:not(svg, svg *)")) {
    const scrolls = getComputedStyle(box).overflowX !== "visible";
    if (!scrolls && box.clientWidth && box.scrollWidth > box.clientWidth + 1)
      faults.push(`${box.tagName}.${box.className}: ${box.textContent.slice(0, 60)}`);
  }
  for (const chart of document.querySelectorAll("figure .chart")) {
    const frame = chart.getBoundingClientRect();
    if (frame.width < 200 || frame.height < 60) faults.push(`a chart of ${frame.width} px`);
    const texts = [...chart.querySelectorAll("i, p, li span")].filter((e) => e.textContent);
    const boxes = texts.map((text) => [text.textContent, text.getBoundingClientRect()]);
    for (const text of texts)
      if (parseFloat(getComputedStyle(text).fontSize) < 11)
        faults.push(`${text.textContent} is small`);
    boxes.forEach(([name, a], place) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 ||
          a.top < frame.top - 1 || a.bottom > frame.bottom + 1)
        faults.push(`${name} sticks out of its chart`);
      for (const [other, b] of boxes.slice(place + 1)) {
        const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
        const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
        if (across > 1 && down > 4) faults.push(`${name} and ${other} overlap`);
      }
    });
  }
  for (const box of document.querySelectorAll(".scroll")) {
    const hint = getComputedStyle(box, "::before").content;
    if (box.scrollWidth > box.clientWidth + 1 && !hint.includes("scroll sideways"))
      faults.push(`no hint beside ${box.textContent.slice(0, 60)}`);
  }
  return faults;
})()"""


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    with browser_tab() as tab:
        yield tab


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    roots = {
        "plain": made_run(folder / "plain", n_rows=1131, n_assets=36),
        "seeds": made_run(folder / "seeds", tracks=3),
        "changing": _changing(folder / "changing"),
        "hostile": made_run(
            folder / "hostile", text=HOSTILE, run_name=HOSTILE, error=HOSTILE, status="failed"
        ),
        "long": made_run(folder / "long", text="x" * 300, n_epochs=1, run_name="n" * 100),
        "empty": folder / "empty",
    }
    roots["empty"].mkdir()
    several = [folder / name for name in ("plain", "seeds", "hostile", "empty")]
    chosen = {**{name: [root] for name, root in roots.items()}, "several": several}
    return {
        name: write_report([read_run(root) for root in paths], folder / f"{name}.html")[0]
        for name, paths in chosen.items()
    }


def _changing(root: Path) -> Path:
    """Dates, a universe that changes, folds, and placebos."""
    placebo = {"n": 2, "growth": 0.3, "share_as_good": 0.0, "growths": [-0.1, 0.05]}
    judged = {"split": "test", "first": "2019-01-02", "last": "2021-06-30", "benchmark": "SPX"}
    made_run(root, n_rows=600, n_assets=30, placebo=placebo, judged=judged)
    series = dict(np.load(root / "evaluation.npz"))
    days = np.arange("2019-01-02", "2021-06-30", dtype="M8[D]")
    series["time"] = days[: len(days) // 600 * 600][-600:].astype("M8[us]")
    late = np.arange(600)[:, None] >= 20 * np.arange(30)
    series["active"] = late.astype(np.int8)
    (root / "evaluation.npz").write_bytes(npz_bytes(series))
    series["fold"] = np.repeat([1, 2, 3], 200)
    (root / "walk_forward.npz").write_bytes(npz_bytes(series))
    return root


@pytest.mark.parametrize(
    "name", ["plain", "seeds", "changing", "hostile", "long", "empty", "several"]
)
@pytest.mark.parametrize("width", [400, 800, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_page_is_silent_offline_and_fits(
    tab: Tab, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    tab.said.clear()
    tab.requested.clear()
    tab.open(pages[name], width=width, dark=dark)
    tab.ask("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    faults = tab.ask(_FAULTS)
    _keep(f"{name}-{width}-{'dark' if dark else 'light'}.png", tab.screenshot())
    assert faults == []
    assert tab.said == []
    assert [url for url in tab.requested if url != "data:,"] == [pages[name].as_uri()]


def test_dark_page_has_dark_paper_and_figures_that_follow(tab: Tab, pages: dict[str, Path]) -> None:
    colours = []
    for dark in (False, True):
        tab.open(pages["plain"], width=800, dark=dark)
        ink = "getComputedStyle(document.querySelector('.chart .plot i')).color"
        paper = "getComputedStyle(document.body).backgroundColor"
        colours.append((tab.ask(paper), tab.ask(ink)))
    assert colours == [
        ("rgb(255, 255, 255)", "rgb(89, 99, 110)"),
        ("rgb(13, 17, 23)", "rgb(154, 164, 175)"),
    ]


def test_shapes_stretch_with_the_page_and_texts_and_pens_do_not(
    tab: Tab, pages: dict[str, Path]
) -> None:
    sizes = []
    for width in (400, 800):
        tab.open(pages["plain"], width=width)
        plot = tab.ask("document.querySelector('.plot svg').getBoundingClientRect().width")
        font = tab.ask("getComputedStyle(document.querySelector('.plot i')).fontSize")
        effect = "getComputedStyle(document.querySelector('.plot path')).vectorEffect"
        sizes.append((plot, font, tab.ask(effect)))
    (narrow, font, pen), (wide, other_font, _) = sizes
    assert 250 < narrow < wide
    assert (font, pen) == (other_font, "non-scaling-stroke")


def test_paper_shows_what_the_screen_folds(tab: Tab, pages: dict[str, Path]) -> None:
    tab.open(pages["plain"], width=800, dark=True)
    pdf = tab.pdf()
    _keep("plain.pdf", pdf)
    assert pdf.startswith(b"%PDF")
    tab.send("Emulation.setEmulatedMedia", media="print")
    height = tab.ask("document.querySelector('details table').getBoundingClientRect().height")
    assert height > 100
    assert tab.ask("getComputedStyle(document.body).color") == "rgb(31, 35, 40)"


def _keep(name: str, data: bytes) -> None:
    folder = os.environ.get("PSANN_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_bytes(data)
