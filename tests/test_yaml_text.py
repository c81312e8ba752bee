"""Writing YAML; that it reads back equal is tested with the reader."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from psann import _yaml_text
from psann._strict_yaml import read_config_file
from psann._yaml_text import to_yaml


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "1.0e-05"),
        (0.1, "0.1"),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        ("cosine", "cosine"),
        ("no", "'no'"),
        ("1e-3", "'1e-3'"),
        ("0o17", "'0o17'"),
        ("true", "'true'"),
        ("~", "'~'"),
        ("", "''"),
        (".inf", "'.inf'"),
        ("<<", "'<<'"),
        ("2020-01-01", "'2020-01-01'"),
        ("a\u2028b", '"a\\Lb"'),
        ("é", "é"),
        ({}, "{}"),
        ([], "[]"),
    ],
)
def test_text_stands_in_quotation_marks_only_where_it_must(value: object, text: str) -> None:
    assert to_yaml({"a": value}) == f"a: {text}\n"


def test_the_order_of_the_keys_is_kept() -> None:
    assert to_yaml({"b": {"z": 1, "a": 2}, "a": [1]}) == "b:\n  z: 1\n  a: 2\na:\n- 1\n"


TEXTS = (
    *("12:30", "1_000", "0b11", "0o17", "017", "0x1F", "1e3", "12e4567", "+12", ".5", ".inf"),
    *("yes", "no", "On", "off", "y", "N", "true", "null", "~", "", "=", "<<", "-", "2020-01-01"),
    *("- a", "a: b", "#", "é", "two\nlines", " padded ", "2001-12-14t21:59:43.10-05:00"),
)


def test_readers_of_yaml_1_1_and_1_2_read_every_text_and_number_the_same(tmp_path: Path) -> None:
    numbers = [1e-5, 0.1, 1e22, 1.0, 3, -2, 10**30, 1e-300, True, None]
    values = {"texts": list(TEXTS), "numbers": numbers, "keys": dict.fromkeys(TEXTS, 1)}
    text = to_yaml(values)
    assert repr(yaml.safe_load(text)) == repr(values)
    file = tmp_path / "a.yaml"
    file.write_text(text)
    assert repr(read_config_file(file).values) == repr(values)
    # To YAML 1.1 these are flags, though PyYAML does not know it.
    assert [each for each in ("y", "N") if f"- {each}\n" in text] == []


def _drawn(rng: random.Random, depth: int = 0) -> Any:
    """Nested values; texts of what YAML quotes and folds, to beyond the width of a line."""
    kind = rng.random() if depth < 3 else 1.0
    if kind < 0.3:
        return {_text(rng) + "k": _drawn(rng, depth + 1) for _ in range(3)}
    if kind < 0.5:
        return [_drawn(rng, depth + 1) for _ in range(3)]
    return rng.choice([None, True, -3, 1e-5, -0.0, 1e16, rng.choice(TEXTS), *[_text(rng)] * 5])


def _text(rng: random.Random) -> str:
    letters = [chr(code) for code in range(32, 127)] + list("  :-#'\"ab") * 4
    return "".join(rng.choices(letters, k=rng.choice([1, 3, 8, 60, 79, 81, 150, 300])))


def test_which_writer_is_taken_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(0)
    shared = [_text(rng)]
    documents = [{"a": _drawn(rng)} for _ in range(60)] + [{"a": shared, "b": {"c": shared}}]
    documents += [{"a": text} for text in TEXTS] + [{text: 1} for text in TEXTS]
    found = [to_yaml(document) for document in documents]
    monkeypatch.setattr(_yaml_text, "_QuickDumper", _yaml_text._Dumper)
    assert found == [to_yaml(document) for document in documents]
