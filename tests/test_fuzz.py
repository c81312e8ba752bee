"""Readers fed with what nobody has written do what their documentation says, within their means."""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz import READERS, fresh, judge, sound
from thinning import slow

FOUND = sorted(Path(__file__).with_name("fuzzed").iterdir())


@pytest.mark.parametrize("n", [10, slow(2000)])
@pytest.mark.parametrize("name", READERS)
def test_a_reader_refuses_as_documented_whatever_is_made_of_sound_files(
    name: str, n: int, tmp_path: Path
) -> None:
    fresh(name, n, seed=n, folder=tmp_path)


@pytest.mark.parametrize("path", FOUND, ids=lambda path: path.stem)
def test_what_was_found_once_stays_mended(path: Path, tmp_path: Path) -> None:
    name = path.stem.partition("-")[0]
    READERS[name].read(sound(name)[0], tmp_path)  # whatever is imported late is imported now
    judge(READERS[name], path.read_bytes(), tmp_path)
