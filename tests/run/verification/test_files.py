"""Verification looks at plain files only, and holds each against what lists say of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from psann.run.directory.paths import RunPaths
from psann.run.verification.files import RunFiles

DATA = b"abc"
ENTRY = {"bytes": 3, "sha256": hashlib.sha256(DATA).hexdigest()}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "a").write_bytes(DATA)
    return tmp_path


def told(files: RunFiles) -> list[str]:
    return [str(finding) for finding in files.findings]


def test_files_are_known_by_their_path_from_the_run(root: Path) -> None:
    files = RunFiles(RunPaths(root))
    assert files.sizes == {"checkpoints/a": 3}
    assert files.read("checkpoints/a") == DATA
    assert (files.read("none"), told(files)) == (None, [])


def test_links_and_pipes_are_errors_and_are_not_opened(root: Path) -> None:
    (root / "link").symlink_to(root / "checkpoints")
    os.mkfifo(root / "pipe")
    files = RunFiles(RunPaths(root))
    assert told(files) == [
        "error: link: is a symbolic link; a run directory holds plain files only.",
        "error: pipe: is no file; a run directory holds plain files only.",
    ]
    assert files.read("pipe") is None


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("checkpoints/a", ENTRY, None),
        ("checkpoints/a", {**ENTRY, "bytes": 4}, "the list lists: it has 3 bytes, not 4."),
        ("checkpoints/a", {**ENTRY, "sha256": "0" * 64}, "the list lists: another sha256."),
        ("b", ENTRY, "b: is missing; the list lists it."),
        ("left", ENTRY, None),
    ],
)
def test_a_file_is_held_against_its_entry(
    name: str, entry: dict[str, object], message: str | None, root: Path
) -> None:
    files = RunFiles(RunPaths(root))
    files.left_out = frozenset({"left"})
    files.hold(name, entry, by="the list", tell=files.note)
    found = told(files)
    assert found == [] if message is None else found[0].endswith(message)


def test_a_file_that_is_no_strict_json_is_an_error(root: Path) -> None:
    (root / "x.json").write_text('{"a": 1, "a": 2}')
    files = RunFiles(RunPaths(root))
    assert files.json("x.json") is None
    assert told(files) == ["error: x.json: is not strict JSON: a key occurs twice."]
