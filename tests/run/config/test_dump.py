"""Writing YAML; that it reads back equal is tested with the reader."""

from __future__ import annotations

import pytest

from psann.run.config.dump import to_yaml


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-05, "1.0e-05"),
        (0.1, "0.1"),
        (3, "3"),
        (True, "true"),
        (None, "null"),
        ("cosine", "cosine"),
        ("no", "no"),
        ("1e-3", "'1e-3'"),
        ("0o17", "'0o17'"),
        ("true", "'true'"),
        ("~", "'~'"),
        ("", "''"),
        (".inf", "'.inf'"),
        ("<<", "'<<'"),
        ("2020-01-01", "2020-01-01"),
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
