"""The generated files are fresh, and say something about every key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from psann._model_keys import config_keys
from psann.run.config.docs import (
    SCHEMA_FILE,
    TABLE_FILE,
    json_schema,
    key_table,
    write_files,
)
from psann.run.config.model import RunConfig

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("name", "text"), [(SCHEMA_FILE, json_schema), (TABLE_FILE, key_table)])
def test_generated_files_are_fresh(name: str, text: Callable[[], str]) -> None:
    assert (ROOT / name).read_text(encoding="utf-8") == text(), (
        f"{name} is out of date: run `python -m psann.run.config.docs` in the repository's root"
    )


def test_both_files_are_written(tmp_path: Path) -> None:
    assert write_files(tmp_path) == [tmp_path / SCHEMA_FILE, tmp_path / TABLE_FILE]
    assert (tmp_path / SCHEMA_FILE).read_text() == json_schema()
    assert (tmp_path / TABLE_FILE).read_text() == key_table()


def test_every_key_of_the_schema_is_described() -> None:
    schema = json.loads(json_schema())
    sections = [schema, *schema["$defs"].values()]
    assert len(sections) == 11
    for section in sections:
        assert section["additionalProperties"] is False
        assert section["description"]
        for name, field in section["properties"].items():
            assert field["description"].endswith("."), name


def test_the_schema_admits_a_schedule_by_name() -> None:
    schema = json.loads(json_schema())
    forms = schema["$defs"]["TrainingConfig"]["properties"]["lr_schedule"]["anyOf"]
    assert "cosine" in forms[0]["enum"]
    assert forms[1]["$ref"].endswith("LRScheduleOptions")


def test_every_key_has_a_row_with_a_meaning() -> None:
    rows = [line.split(" | ") for line in key_table().splitlines() if line.startswith("| `")]
    described = [row[0] for row in rows if len(row) == 4 and row[3].rstrip(" |").endswith(".")]
    assert sorted(described) == sorted(f"| `{path[-1]}`" for path in config_keys(RunConfig))
