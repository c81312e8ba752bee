"""Freed memory is kept for the next array, unless the user has arranged it otherwise."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from psann._allocator import keep_freed_memory

_OWN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
# 40 MB: more than the threshold up to which glibc keeps what is freed by itself.
_PAGES_PER_ARRAY, _N_ARRAYS = 10_000, 4
_SCRIPT = f"""
import resource, sys
from psann._allocator import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
def use():
    array = bytearray({_PAGES_PER_ARRAY * 4096})
    array[::4096] = b"1" * {_PAGES_PER_ARRAY}
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
use()
before = faults()
for _ in range({_N_ARRAYS}):
    use()
print(kept, faults() - before)
"""


def pages_of_arrays(how: str, **variables: str) -> tuple[str, int]:
    environment = {name: value for name, value in os.environ.items() if name not in _OWN}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, how],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    kept, pages = done.stdout.split()
    return kept, int(pages)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="an option of glibc")
def test_arrays_that_follow_one_another_share_their_pages() -> None:
    kept, pages = pages_of_arrays("keep")
    assert kept == "True" and pages < _PAGES_PER_ARRAY
    assert pages_of_arrays("leave")[1] > (_N_ARRAYS - 1) * _PAGES_PER_ARRAY


def test_what_the_user_has_arranged_stays() -> None:
    assert pages_of_arrays("keep", MALLOC_TRIM_THRESHOLD_="131072")[0] == "False"


@pytest.mark.parametrize(
    ("most", "asked"),
    [
        (2**25, [(-3, 2**30), (-3, 2**25), (-1, 2**30)]),  # the limit of `man mallopt`
        (0, [(-3, 2**30), (-3, 2**25)]),
    ],
)
def test_an_older_glibc_is_asked_for_less_and_nothing_else_where_it_refuses(
    most: int, asked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, int]] = []

    class Library:
        def mallopt(self, what: int, value: int) -> int:
            calls.append((what, value))
            return int(what == -1 or value <= most)

    for name in _OWN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("psann._allocator.ctypes.CDLL", lambda name: Library())
    assert keep_freed_memory() is (most > 0)
    assert calls == asked
