"""Runs that a stranger sent: texts that want to draw, run or inject; records of other versions."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from psann._yaml_text import to_yaml
from psann.run.directory.paths import RunPaths
from trials import metrics_of

FORMULAS = [
    *("=1+1", "+1", "-1+2", "@SUM(A1)", "=cmd|' /C calc'!A0", '=HYPERLINK("http://x","y")'),
    *(" =1+1", "\t=1+1", "\r=1+1", "\n=1+1", "＝1+1", "＋1", "－1", "＠x", "--=1", '="a,b"'),
]
# Texts that some reader takes for a number, a time, a flag, nothing, a delimiter or markup.
LOOKALIKES = [
    *("12:30", "1_000", "0b11", "0o17", "0x1f", "1e5", "12e4567", "007", "1,5", "1;5", "1|5"),
    *("NA", "nan", "None", "null", "~", "true", "No", "y", "inf", ".inf", "2026-01-01", "1.0"),
    *('"', '""', "'", '"a","b"', "a,b", "a\\tb", "\\", "a\\", "  a  ", "#a", "# a", "1. a"),
    *("*a*", "_a_", "`a`", "[a](b)", "![a](b)", "<b>", "&amp;", "&lt;", "a | b", "$x$", "~~a~~"),
    *("%", "{a: b}", "[a, b]", "...", "日本", "größe", "🙂", "a\u00a0b", "http://x/y?z=1"),
]
# Rich's markup, terminal escapes (7 and 8 bit, a title, a clear), HTML, quotes, a line end of
# Unicode, text turned round, a formula, a form feed.
HOSTILE = (
    "=1+1[bold red]x[/] \x1b[2J\x1b]0;title\x07\x9b31m<script>alert(1)</script>\"'`"
    "{{ 7*7 }}\u2028\u202eabc\x0c\x00\r\nnext"
)
# A directory may be called so; `/` and NUL it cannot hold.
HOSTILE_NAME = "=1+1[red]x[] \x1b[2J<img src=x>\"'\u2028\u202e"
# None of these may reach a terminal.
DRAWING = ("\x1b[2J", "\x1b]", "\x07", "\x9b", "\u2028", "\u202e", "\x0c", "\x00", "\r\n")


def change(paths: RunPaths, **fields: Any) -> None:
    """Give `metrics.json` other values, at once as a run does it."""
    new = paths.root / "metrics.new"
    new.write_text(json.dumps({**metrics_of(paths), **fields}))
    new.rename(paths.metrics)


def hostile(paths: RunPaths, folder: Path) -> RunPaths:
    """A copy of a run under a hostile name, with hostile texts wherever a text may be."""
    copy = RunPaths(folder / HOSTILE_NAME)
    shutil.copytree(paths.root, copy.root)
    metrics = metrics_of(paths)
    texts = {name: HOSTILE for name in ("device", "monitor", "phase", "run_name", "data_sha256")}
    figures = {HOSTILE: HOSTILE, "sharpe": HOSTILE, "annual_log_growth": [HOSTILE]}
    change(
        copy,
        **texts,
        status="failed",
        error=f"Traceback:\n{HOSTILE}\n{HOSTILE}",
        portfolio_metrics={**metrics["portfolio_metrics"], **figures},
        baselines={HOSTILE: {HOSTILE: 1.0}, "uniform": HOSTILE},
        hardware={HOSTILE: HOSTILE, "device_name": HOSTILE},
        versus_uniform={HOSTILE: 1.0, "growth": HOSTILE, "low": [[]]},
        per_seed=[HOSTILE, {"seed": HOSTILE, "portfolio_metrics": [HOSTILE]}, {}],
        spread={"x": {"y": HOSTILE}},
        ensemble={"portfolio_metrics": HOSTILE},
        timing={HOSTILE: 1.0, "step_s": HOSTILE},
        parent={"run_id": HOSTILE},
        artefacts={HOSTILE_NAME: {"bytes": HOSTILE, "sha256": HOSTILE}},
    )
    config = {HOSTILE.replace("\x00", ""): HOSTILE.replace("\x00", ""), "seed": {HOSTILE[:20]: 1}}
    copy.config_resolved.write_text(to_yaml(config))
    starts = [{"argv": [HOSTILE], "machine": {"host": HOSTILE}, "versions": {HOSTILE: HOSTILE}}]
    copy.provenance.write_text(json.dumps({"schema_version": 1, "starts": starts}))
    return copy


def of_another_version(paths: RunPaths, folder: Path) -> RunPaths:
    """A copy of a run as a psann to come may write it."""
    copy = RunPaths(folder / "other-version")
    shutil.copytree(paths.root, copy.root)
    change(copy, schema_version=9, colour="red", seed="forty-two", timing=[1, 2], best={"a": 1})
    copy.events.write_bytes(copy.events.read_bytes().replace(b",turnover,", b",unrest,", 1))
    return copy
