"""Paths as people write them."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from psann._paths import given_path


def test_a_tilde_is_a_home_and_other_paths_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert given_path("~/runs") == Path("/home/me/runs")
    me = pwd.getpwuid(os.getuid())
    assert given_path(f"~{me.pw_name}/runs") == Path(me.pw_dir, "runs")
    assert given_path("a/~b") == Path("a/~b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got an empty one"),
        ("  ", "got an empty one"),
        ("$SCRATCH/runs", r"leave \$SCRATCH as it is"),
        ("a/${SCRATCH}/runs", r"leave \$\{SCRATCH\} as it is"),
        ("~nobody-here/runs", "nobody is called 'nobody-here' here"),
    ],
)
def test_what_nothing_has_filled_in_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        given_path(text)


def test_a_file_that_is_really_called_so_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("$HOME", "~nobody-here"):
        Path(name).touch()
        assert given_path(name) == Path(name)
