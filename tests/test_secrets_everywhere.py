"""A secret that a run holds, of whatever version or origin, comes out of no command."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_runs import made_run
from psann.scripts.hisso_runs import main

TOKEN = "ghp_" + "a1B2c3D4e5F6" * 3


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return made_run(folder / "run", n_rows=20, n_epochs=3, text=f" {TOKEN}", error=f"E: {TOKEN}")


@pytest.mark.parametrize(
    "command",
    [
        ["ls"],
        ["ls", "--csv"],
        ["ls", "--json"],
        ["show"],
        ["show", "--json"],
        ["status"],
        ["verify"],
    ],
    ids=" ".join,
)
def test_no_line_on_a_console_holds_it(
    run: Path, command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    main([*command, str(run)])
    out, err = capsys.readouterr()
    assert TOKEN not in out + err


@pytest.mark.parametrize(
    "command",
    [
        ["report", "-o", "page.html"],
        pytest.param(["report", "-o", "page.md"], marks=pytest.mark.slow),
        *(["export", "--to", to, "-o", "out"] for to in ("csv", "parquet", "tensorboard")),
    ],
    ids=" ".join,
)
def test_no_file_that_is_made_of_the_run_holds_it(
    run: Path, command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*command, str(run)]) == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files
    assert [path.name for path in files if TOKEN.encode() in path.read_bytes()] == []
