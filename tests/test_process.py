"""What a process has one of: noticed, told once, put back; whole runs are in test_foreign_code."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

import meddling
from faults import exit_code_of, in_child
from psann._process import LENT, RELIED_ON, fill_standard_descriptors, put_back

SETTINGS = (*RELIED_ON, *LENT)


def test_every_setting_is_put_back_and_named_whatever_ends_the_block() -> None:
    def work() -> int:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            before = [setting.get() for setting in SETTINGS]
            with pytest.raises(KeyError), put_back(SETTINGS, who="x"):
                meddling.meddle("everything")
                raise KeyError
            assert [setting.get() for setting in SETTINGS] == before
        named = [str(warning.message) for warning in seen if "x changed" in str(warning.message)]
        return int(not (len(named) == 1 and all(each.name in named[0] for each in SETTINGS)))

    assert exit_code_of(in_child(work)) == 0


def test_nothing_is_told_of_a_block_that_changes_nothing() -> None:
    with put_back(SETTINGS, who="x"):
        pass


def test_what_was_told_before_is_put_back_in_silence() -> None:
    umask, told = os.umask(0o022), set[str]()
    try:
        expected = pytest.warns(UserWarning, match="x changed the umask")
        with expected, put_back(RELIED_ON, who="x", told=told):
            os.umask(0o077)
        with put_back(RELIED_ON, who="x", told=told):
            os.umask(0o077)
        assert os.umask(0o022) == 0o022
    finally:
        os.umask(umask)


def test_a_narrow_filter_of_a_library_stays() -> None:
    with warnings.catch_warnings():
        with put_back(RELIED_ON, who="x"):
            warnings.filterwarnings("ignore", message="a very special warning")
        warnings.warn("a very special warning", stacklevel=1)


def test_the_null_device_takes_the_place_of_streams_that_are_closed(tmp_path: Path) -> None:
    def work() -> int:
        os.close(0)
        os.close(2)
        fill_standard_descriptors()
        fd = os.open(tmp_path / "a", os.O_WRONLY | os.O_CREAT)
        os.write(2, b"a library complains")
        return int(not (fd > 2 and (tmp_path / "a").stat().st_size == 0))

    assert exit_code_of(in_child(work)) == 0


def test_what_libraries_of_ours_leave_is_not_blamed_on_anybody() -> None:
    code = """
import os, sys, warnings
from psann._process import LENT, put_back
warnings.simplefilter("error")
with put_back(LENT, who="nobody"):
    os.environ["_TORCHINDUCTOR_PYOBJECT_TENSOR_DATA_PTR"] = "1"
    import sklearn
    import multiprocessing
    usual = multiprocessing.get_start_method()
with put_back(LENT, who="nobody"):
    multiprocessing.set_start_method(usual, force=True)
try:
    with put_back(LENT, who="somebody"):
        multiprocessing.set_start_method("spawn", force=True)
except UserWarning as told:
    sys.exit(0 if "start method" in str(told) else 1)
sys.exit(2)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
