"""Pictures and table of docs/sine_units.md, from benchmarks/results/defaults.json and one fit.

OMP_NUM_THREADS=1 nice -n 10 .venv/bin/python benchmarks/sine_pictures.py
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import defaults
import numpy as np
from drawing import pyplot

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "sine_units.md"
BEGIN, END = "<!-- panel: generated, do not edit -->\n", "<!-- end of panel -->"
_LABELS = {
    "default": "psann, default",
    "told": "psann, all frequencies 1",
    "tanh": "MLPRegressor, tanh",
    "relu": "MLPRegressor, relu",
}
_COLOURS = {"default": "#1b6ca8", "told": "#9bbbd4", "tanh": "#c8553d", "relu": "#e0a458"}


def panel_table(tasks: dict[str, dict[str, Any]]) -> str:
    """R2 of every task, the best of each row in bold."""
    lines = ["| task | features | " + " | ".join(_LABELS.values()) + " |"]
    lines.append("|---|---|" + "---|" * len(_LABELS))
    for name, row in tasks.items():
        best = max(row[label] for label in _LABELS if label in row)
        cells = []
        for label in _LABELS:
            text = f"{row[label]:.3f}" if label in row else ""
            cells.append(f"**{text}**" if label in row and row[label] == best else text)
        lines.append(f"| {name} | {row['features']} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def filled(page: str, tasks: dict[str, dict[str, Any]]) -> str:
    """The page with its table made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + panel_table(tasks) + "\n" + END + after


def save(figure: Any, name: str) -> None:
    """Write one picture, the same bytes each time."""
    figure.savefig(DOCS / "images" / name, metadata={"Date": None}, bbox_inches="tight")
    pyplot("agg").close(figure)


def draw_panel(tasks: dict[str, dict[str, Any]]) -> None:
    figure, axes = pyplot("agg").subplots(figsize=(7.2, 4.8))
    places = np.arange(len(tasks))
    for step, label in enumerate(("default", "tanh", "relu")):
        values = [max(-0.25, row[label]) for row in tasks.values()]
        axes.barh(places + 0.27 * step, values, 0.25, label=_LABELS[label], color=_COLOURS[label])
    axes.set_yticks(places + 0.27, list(tasks))
    axes.invert_yaxis()
    axes.set_xlim(-0.27, 1.02)
    axes.set_xlabel("R2 of unseen rows (below -0.25 cut off)")
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3, fontsize=8, frameon=False)
    save(figure, "sine_panel.svg")


def draw_fits() -> None:
    (X, y), _ = defaults.TASKS["two fast sines"][1]()
    places = np.linspace(-1, 1, 1200)[:, None]
    figure, rows = pyplot("agg").subplots(3, 1, figsize=(7.2, 4.6), sharex=True, sharey=True)
    models = defaults.models(matters=False)
    for axes, (label, model) in zip(rows, models.items(), strict=True):
        axes.plot(X[:, 0], y, ".", color="0.7", markersize=3)
        axes.plot(places, model.fit(X, y).predict(places), color=_COLOURS[label], linewidth=1)
        axes.set_title(_LABELS[label], fontsize=9, loc="left")
    rows[-1].set_xlabel("x; 300 training rows of sin 30x + 0.5 sin 75x")
    figure.tight_layout()
    save(figure, "sine_fits.svg")


def main() -> None:
    warnings.simplefilter("ignore")
    pyplot("agg").rcParams["svg.hashsalt"] = "psann"
    tasks = json.loads(defaults.RESULT.read_bytes())["tasks"]
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tasks), encoding="utf-8")
    draw_panel(tasks)
    draw_fits()


if __name__ == "__main__":
    main()
