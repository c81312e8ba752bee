"""Kinds of arrays have one name each."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

import psann
from psann._typing import is_number, is_whole


def test_no_file_names_a_kind_of_array_that_has_a_name_already() -> None:
    files = sorted(Path(psann.__file__).parent.rglob("*.py"))
    spelled = r"NDArray\[(Any|np\.(float64|bool_|datetime64|intp|floating\[Any\]))\]"
    assert [file.name for file in files if re.search(spelled, file.read_text())] == ["_typing.py"]


def test_true_is_no_number_and_half_is_no_whole_one() -> None:
    assert [is_whole(value) for value in (0, np.int64(3), -1, 0.5, True, "1", None)] == [
        *(True, True),
        *[False] * 5,
    ]
    assert [is_number(value) for value in (0, 0.5, True, "1", None)] == [True, True, *[False] * 3]
    assert is_whole(2, 2) and not is_whole(1, 2)
