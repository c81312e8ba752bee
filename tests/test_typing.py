"""Kinds of arrays have one name each."""

from __future__ import annotations

import re
from pathlib import Path

import psann


def test_no_file_names_a_kind_of_array_that_has_a_name_already() -> None:
    files = sorted(Path(psann.__file__).parent.rglob("*.py"))
    spelled = r"NDArray\[(Any|np\.(float64|bool_|datetime64|intp|floating\[Any\]))\]"
    assert [file.name for file in files if re.search(spelled, file.read_text())] == ["_typing.py"]
