"""Every block of `docs/acting.md` does what it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from acting_runs import ActingRuns
from pages import PAGES, block, blocks, missing_lines
from psann import load_policy
from psann.run.acting.weights_file import read_weights

PAGE = PAGES["acting.md"].read_text()
BLOCKS = blocks("acting.md")
COMMANDS = [each.text for each in BLOCKS if each.kind == "" and each.text.startswith("hisso-runs")]
PYTHON = [each.text for each in BLOCKS if each.kind == "python"]
(CRON,) = [each.text for each in BLOCKS if each.kind == "cron"]
WRITTEN = block("acting.md", "weights.csv: 1 row")
TRADES = block("acting.md", "asset  price")
JUDGED = block("acting.md", "58 moves from")


@pytest.fixture
def folder(acting_runs: ActingRuns, tmp_path: Path) -> Path:
    shutil.copytree(acting_runs("prices"), tmp_path / "runs" / "own")
    shutil.copy(acting_runs.prices, tmp_path / "prices.csv")
    (tmp_path / "held.csv").write_text("asset,shares\nAAA,10\ncash,5000\n")
    return tmp_path


def _done(command: list[str], folder: Path) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_page_does_what_it_says_from_its_beginning_to_its_end(folder: Path) -> None:
    told = [_done(["sh", "-c", command], folder) for command in COMMANDS]
    assert told[0].startswith(WRITTEN.text.strip())
    assert "0 errors, 0 notes" in told[1]
    assert missing_lines(TRADES, told[2]) == []
    assert "policy.pt2" in told[3]
    assert missing_lines(JUDGED, told[4]) == []
    before = (folder / "own.jsonl").read_bytes()
    script = "\n".join([*PYTHON[:2], "assert weights.values.shape[1] == 3"])
    _done([sys.executable, "-c", script], folder)
    alone = "\n".join(
        [
            "import sys; sys.modules['psann'] = None",
            PYTHON[2],
            "open('today.json', 'w').write(json.dumps(today))",
        ]
    )
    _done([sys.executable, "-c", alone], folder)
    today = json.loads((folder / "today.json").read_text())
    weights = read_weights(folder / "weights.csv")
    assert list(today) == list(weights.assets)
    assert np.abs(np.array(list(today.values())) - weights.values[-1]).max() < 1e-6
    line = CRON.split("&& ", 1)[1]
    assert CRON.startswith("30 22 * * 1-5  cd ")
    _done(["sh", "-c", line], folder)
    assert (folder / "own.jsonl").read_bytes() == before  # no row has come since


def test_the_program_s_example_has_ten_lines_and_nothing_of_psann() -> None:
    lines = [line for line in PYTHON[2].splitlines() if line.strip()]
    assert len(lines) <= 11  # with three imports
    assert "import psann" not in PYTHON[2]
    assert "from psann" not in PYTHON[2]


def test_the_page_shows_the_options_that_there_are(
    acting_runs: ActingRuns, capsys: pytest.CaptureFixture[str]
) -> None:
    from psann.scripts.hisso_runs import main

    with pytest.raises(SystemExit):
        main(["act", "--help"])
    known = capsys.readouterr().out
    shown = set(re.findall(r"--[a-z][a-z-]+", PAGE)) - {"--to", "--weights", "--finish"}
    assert all(option in known for option in shown)
    assert load_policy(acting_runs("prices")).recipe.history == 20
