"""Which processes are alive; what follows for a run is in test_liveness and test_lock."""

from __future__ import annotations

import os
import time

import pytest

from psann._machine import boot_id, booted_at, is_alive, is_of_this_boot, this_process


def test_a_process_is_alive_until_it_ends_though_nobody_waits_for_it() -> None:
    stay, leave = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(leave)
        os.read(stay, 1)
        os._exit(0)
    assert is_alive(child)
    os.close(leave)
    while is_alive(child):
        time.sleep(0.001)
    os.kill(child, 0)  # its number is still taken
    os.waitpid(child, 0)
    assert not is_alive(child)
    os.close(stay)


def test_a_process_did_not_live_before_it_began() -> None:
    assert is_alive(os.getpid(), time.time())
    assert not is_alive(os.getpid(), booted_at() - 10.0)


def test_a_boot_has_one_identity_and_a_time_in_the_past() -> None:
    assert boot_id() == boot_id()
    assert 0 <= booted_at() < time.time()


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"boot_id": "another"}])
def test_a_process_is_of_this_boot_if_machine_and_boot_are_the_same(
    other: dict[str, object],
) -> None:
    here = this_process()
    assert here["pid"] == os.getpid() and is_of_this_boot(here)
    assert not is_of_this_boot({**here, **other}) and not is_of_this_boot({})
