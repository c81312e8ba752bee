"""Open files that foreign code can neither inherit nor exchange."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from faults import exit_code_of, in_child
from psann._descriptor import Descriptor, open_high


def test_no_file_takes_the_place_of_a_standard_stream(tmp_path: Path) -> None:
    def work() -> int:
        for number in (0, 1, 2):
            os.close(number)
        fd = open_high(tmp_path / "a", os.O_WRONLY | os.O_CREAT, 0o600)
        return int(not (fd > 2 and not os.get_inheritable(fd)))

    assert exit_code_of(in_child(work)) == 0


def test_a_number_that_is_another_file_s_by_now_is_refused_and_left_open(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    number = os.open(first, os.O_WRONLY | os.O_CREAT)
    ours = Descriptor(number)
    assert ours.fd == number
    os.close(number)
    with pytest.raises(OSError, match=re.escape("closed descriptors that it did not open")):
        _ = ours.fd
    theirs = os.open(second, os.O_WRONLY | os.O_CREAT)
    assert theirs == number
    with pytest.raises(OSError, match="no longer open"):
        _ = ours.fd
    assert ours.let_go() == -1
    os.close(theirs)  # still theirs to close


def test_a_forked_process_loses_it_and_the_parent_does_not(tmp_path: Path) -> None:
    number = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
    ours = Descriptor(number)

    def work() -> int:
        try:
            os.fstat(number)
        except OSError:
            return 0
        return 1

    assert exit_code_of(in_child(work)) == 0
    assert ours.let_go() == number
    os.close(number)
    assert Descriptor().let_go() == -1
