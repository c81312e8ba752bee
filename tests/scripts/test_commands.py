"""What a subcommand writes is harmless, whoever wrote the run."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import pytest

from psann.scripts import commands


def test_messages_neither_draw_nor_leak(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    commands.tell("red \x1b[31m token=abc\nsecond", file=stream)
    assert "\x1b" not in stream.getvalue()
    assert "abc" not in stream.getvalue()


def test_a_directory_without_runs_is_listed_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(
        path=tmp_path, where=None, sort=None, reverse=False, json=False, csv=False
    )
    assert commands.ls(options) == commands.EXIT_CLEAN
    assert capsys.readouterr().out == "no runs\n"


def test_a_run_that_is_unknown_is_a_finding(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = argparse.Namespace(run=tmp_path, watch=False, every=2.0)
    assert commands.status(options) == commands.EXIT_FINDINGS
    assert "unknown" in capsys.readouterr().out
