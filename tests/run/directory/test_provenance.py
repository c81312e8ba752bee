from __future__ import annotations

import json
from pathlib import Path

import pytest

from psann._origin import versions
from psann.errors import FileFormatError
from psann.run.directory.provenance import save_start, told_of_release
from psann.run.directory.storage import Storage


def test_each_start_adds_one_entry(tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    with Storage(tmp_path) as storage:
        for number in (1, 2, 3):
            save_start(storage, path, {"argv": [str(number)]})
    content = json.loads(path.read_bytes())
    assert content["schema_version"] == 1
    assert [start["argv"] for start in content["starts"]] == [["1"], ["2"], ["3"]]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema_version": 1, "starts": 3}', "\xff"])
def test_damaged_file_is_refused_and_kept(content: str, tmp_path: Path) -> None:
    path = tmp_path / "provenance.json"
    path.write_text(content, encoding="latin-1")
    with Storage(tmp_path) as storage, pytest.raises(FileFormatError, match=r"provenance\.json"):
        save_start(storage, path, {})
    assert path.read_text(encoding="latin-1") == content


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"psann": "9.9.0"}, f" The run is of psann 9.9.0; this is {versions()['psann']}."),
        (versions(), ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_run_of_another_release_is_said_to_be_one(
    told: object, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "provenance.json"
    assert told_of_release(path) == ""
    with Storage(tmp_path) as storage:
        save_start(storage, path, {"versions": told})
        save_start(storage, path, {"versions": versions()})
    assert told_of_release(path) == expected
