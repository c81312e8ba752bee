from __future__ import annotations

import os
import signal
import threading

import pytest

from psann._process import RELIED_ON, put_back
from psann._signals import StopRequest, stop_requests
from psann.errors import TrainingInterrupted

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]
SIGNALS += [signal.SIGUSR2, signal.SIGXCPU]


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_stops_at_the_next_check_with_its_name(number: signal.Signals) -> None:
    with stop_requests() as request:
        request.check()
        send(number)
        with pytest.raises(TrainingInterrupted, match=f"stopped by {number.name}") as caught:
            request.check()
    is_interrupt = number == signal.SIGINT
    assert caught.value.exit_code == (130 if is_interrupt else 143)
    assert caught.value.status == ("interrupted" if is_interrupt else "preempted")


def test_exit_code_of_preemption_can_be_chosen_and_leaves_ctrl_c_alone() -> None:
    with stop_requests(preempt_exit_code=99) as request:
        send(signal.SIGTERM)
        with pytest.raises(TrainingInterrupted) as caught:
            request.check()
    assert caught.value.exit_code == 99
    with stop_requests(preempt_exit_code=99) as request:
        send(signal.SIGINT)
        with pytest.raises(TrainingInterrupted) as caught:
            request.check()
    assert caught.value.exit_code == 130


@pytest.mark.parametrize("number", SIGNALS)
def test_inside_of_at_once_a_signal_stops_where_it_comes(number: signal.Signals) -> None:
    with stop_requests() as request:
        with pytest.raises(TrainingInterrupted, match=number.name), request.at_once():
            send(number)
            pytest.fail("went on")
        with pytest.raises(TrainingInterrupted):
            request.check()


def test_a_signal_that_user_code_swallowed_stops_at_the_end_of_at_once() -> None:
    def load() -> None:
        with pytest.raises(TrainingInterrupted):
            send(signal.SIGTERM)

    with stop_requests() as request, pytest.raises(TrainingInterrupted), request.at_once():
        load()


def test_a_signal_that_foreign_code_ignores_is_lost_within_its_call_and_no_longer() -> None:
    with stop_requests() as stop:
        for theirs in (signal.SIG_IGN, lambda number, frame: None):
            told = pytest.warns(UserWarning, match="x changed a signal handler")
            with told, put_back(RELIED_ON, who="x"):
                signal.signal(signal.SIGTERM, theirs)
                signal.raise_signal(signal.SIGTERM)
            stop.check()
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(TrainingInterrupted, match="SIGTERM"):
            stop.check()


def test_after_at_once_a_signal_waits_for_the_next_check() -> None:
    with stop_requests() as request:
        with request.at_once():
            pass
        send(signal.SIGTERM)
        with pytest.raises(TrainingInterrupted):
            request.check()


def test_second_ctrl_c_leaves_at_once() -> None:
    with stop_requests():
        send(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            send(signal.SIGINT)


def test_second_sigterm_changes_nothing() -> None:
    with stop_requests() as request:
        send(signal.SIGTERM)
        send(signal.SIGTERM)
        send(signal.SIGINT)
        with pytest.raises(TrainingInterrupted) as caught:
            request.check()
    assert (caught.value.reason, caught.value.exit_code) == ("SIGTERM", 143)


def test_time_limit_stops_once_it_has_passed() -> None:
    time_s = [100.0]
    request = StopRequest(max_time_minutes=1.5, clock=lambda: time_s[0])
    request.check()
    time_s[0] = 189.9
    request.check()
    time_s[0] = 190.0
    with pytest.raises(TrainingInterrupted, match=r"the time limit of 1\.5 minutes") as caught:
        request.check()
    assert (caught.value.status, caught.value.exit_code) == ("preempted", 143)


def test_every_check_after_a_request_stops() -> None:
    with stop_requests() as request:
        send(signal.SIGUSR1)
        for _ in range(2):
            with pytest.raises(TrainingInterrupted):
                request.check()


def test_old_handlers_are_back_after_the_block_however_it_ends() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with pytest.raises(RuntimeError), stop_requests():
        assert [signal.getsignal(number) for number in SIGNALS] != before
        raise RuntimeError
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_ignored_signal_stays_ignored_as_nohup_asks() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requests() as request:
            send(signal.SIGHUP)
            request.check()
            assert request.reason is None
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_outside_the_main_thread_only_the_time_limit_works() -> None:
    seen: list[object] = []
    before = [signal.getsignal(number) for number in SIGNALS]

    def work() -> None:
        with stop_requests(max_time_minutes=0.0) as request:
            seen.append([signal.getsignal(number) for number in SIGNALS])
            try:
                request.check()
            except TrainingInterrupted as error:
                seen.append(error.status)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before, "preempted"]


@pytest.mark.parametrize("number", [signal.SIGUSR2, signal.SIGXCPU])
def test_signals_that_are_left_out_keep_their_meaning(number: signal.Signals) -> None:
    seen = []
    before = signal.signal(number, lambda number, frame: seen.append(number))
    try:
        with stop_requests(preempt_signals=[signal.SIGTERM]) as request:
            send(number)
            request.check()
            send(signal.SIGTERM)
            with pytest.raises(TrainingInterrupted, match="SIGTERM"):
                request.check()
    finally:
        signal.signal(number, before)
    assert seen == [number]
