"""`fit` and `predict` give the same bits whatever a caller or reward has set, and leave it so."""

from __future__ import annotations

import locale
import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
import torch
from torch import Tensor

import meddling
import trials
from faults import exit_code_of, in_child
from psann import PSANNRegressor
from psann._numerics import FOREIGN, import_foreign, pinned_numbers
from psann._process import put_back
from thinning import slow, thinned

RNG = np.random.default_rng(0)
X, PRICES = RNG.normal(size=(40, 3)), np.exp(RNG.normal(scale=0.1, size=(40, 2)).cumsum(0))
Y = X[:, 0] ** 2
PLACES = ("before", "between", "reward", "loss")
BLOCKS: dict[str, Callable[[], Any]] = {
    "inference mode": torch.inference_mode,
    "device block": lambda: torch.device("meta"),
    "autocast block": lambda: torch.autocast("cpu"),
    "no_grad block": torch.no_grad,
}


def fitted(place: str, meddle: Callable[[], object]) -> Any:
    """A fit, with meddling in its reward or loss."""

    def meddling_reward(actions: Tensor, context: Tensor, *, transition_penalty: float) -> Tensor:
        rewards = trials.log_growth(actions, context, transition_penalty=transition_penalty)
        meddle()
        return rewards

    def meddling_loss(outputs: Tensor, targets: Tensor) -> Tensor:
        losses = (outputs - targets).square()
        meddle()
        return losses

    sizes: Any = {"hidden_layers": 1, "hidden_units": 4, "scaler": "standard", "random_state": 1}
    if place == "loss":
        return PSANNRegressor(**sizes, epochs=2, threads=1, loss=meddling_loss).fit(X, Y)
    hisso = {"window": 6, "batch_episodes": 2, "updates_per_epoch": 2, "reward": meddling_reward}
    rows = {"X": X[:30], "prices": PRICES[:30]}
    later = {"X": X[30:], "prices": PRICES[30:]}
    return PSANNRegressor(**sizes, epochs=2, threads=1).fit(
        **rows, validation_data=later, hisso=hisso
    )


def bits_of(estimator: Any) -> list[bytes]:
    tensors = [t.numpy().tobytes() for t in estimator.network_.state_dict().values()]
    return [*tensors, estimator.predict(X).tobytes()]


@contextmanager
def restored() -> Iterator[None]:
    """Undo in silence what a test changes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with put_back(FOREIGN, who="the test"):
            yield


@pytest.fixture(scope="module")
def plain() -> dict[str, list[bytes]]:
    return {place: bits_of(fitted(place, lambda: None)) for place in PLACES}


@pytest.mark.parametrize(("name", "place"), thinned(product(meddling.OF_NUMBERS, PLACES), every=3))
def test_fit_and_predict_depend_on_no_setting_and_leave_it(
    name: str, place: str, plain: dict[str, list[bytes]]
) -> None:
    meddle = meddling.MEDDLERS[name]
    with restored():
        if place == "between":
            fitted(place, lambda: None)
        if place in ("before", "between"):
            meddle()
        was = [setting.get() for setting in FOREIGN]
        bits = bits_of(fitted(place, meddle if place in ("reward", "loss") else lambda: None))
        assert [setting.get() for setting in FOREIGN] == was
    assert bits == plain[place]


def relied_on() -> list[Any]:
    """What the next line of a caller relies on, seen by other means than psann's."""
    os.umask(umask := os.umask(0))
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU)
    are_open = [Path(f"/proc/self/fd/{number}").exists() for number in range(3)]
    filters = [each for each in warnings.filters if each[2] is Warning]
    numbers = [torch.get_default_dtype(), torch.get_num_threads(), sklearn.get_config()]
    return [umask, *map(signal.getsignal, signals), are_open, filters, *numbers, np.geterr()]


def lent() -> list[Any]:
    """What is a caller's own to arrange."""
    root = logging.getLogger()
    log = [root.level, root.handlers[:], logging.root.manager.disable, logging.getLevelName(10)]
    streams = [sys.stdin, sys.stdout, sys.stderr]
    places = [os.getcwd(), dict(os.environ), locale.setlocale(locale.LC_ALL)]
    return [*log, *streams, *places, multiprocessing.get_start_method(allow_none=True)]


OF_PROCESSES = [name for name in meddling.MEDDLERS if name not in meddling.OF_NUMBERS]


@pytest.mark.parametrize("place", ["before", "reward"])
@pytest.mark.parametrize(
    "names",
    [
        *(",".join(OF_PROCESSES[number::2]) for number in range(2)),
        # Each alone; and all, with deterministic algorithms, which bring torch's compiler.
        *(slow(name) for name in (*OF_PROCESSES, "everything")),
    ],
)
def test_fit_and_predict_depend_on_nothing_that_a_process_has_one_of_and_leave_it(
    names: str, place: str, plain: dict[str, list[bytes]]
) -> None:
    """Of a reward's own changes only those are left that the next line may rely on."""
    is_before = place == "before"
    meddlers = iter([lambda: meddling.meddle(names)])

    def once() -> None:
        next(meddlers, lambda: None)()

    def work() -> int:
        warnings.resetwarnings()  # of the suite, in which each is an error
        warnings.simplefilter("ignore")
        if is_before:
            once()
        was = [*relied_on(), *(lent() if is_before else [])]
        bits = bits_of(fitted(place, once))
        is_left = [*relied_on(), *(lent() if is_before else [])] == was
        return 2 * (bits != plain[place]) + (not is_left)

    assert exit_code_of(in_child(work)) == 0


@pytest.mark.parametrize("name", BLOCKS)
def test_fit_and_predict_work_inside_of_blocks_of_torch(
    name: str, plain: dict[str, list[bytes]]
) -> None:
    with BLOCKS[name]():
        estimator = fitted("before", lambda: None)
        assert estimator.predict(X).tobytes() == plain["before"][-1]
    assert bits_of(estimator) == plain["before"]


def test_a_reward_that_changes_a_setting_is_told_once_by_name() -> None:
    with pytest.warns(UserWarning, match=r"meddling_reward changed torch's default dtype") as seen:
        fitted("reward", lambda: torch.set_default_dtype(torch.float64))
    assert torch.get_default_dtype() is torch.float32
    assert len(seen) == 1


def test_settings_come_back_when_the_block_fails() -> None:
    with restored():
        torch.set_default_dtype(torch.float64)
        with pytest.raises(KeyError), pinned_numbers():
            assert torch.get_default_dtype() is torch.float32
            raise KeyError
        assert torch.get_default_dtype() is torch.float64


def test_what_a_module_changes_while_it_is_imported_is_put_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "meddling_at_import", raising=False)
    monkeypatch.setenv(meddling.WITH, "torch dtype")
    with pytest.warns(UserWarning, match="importing meddling_at_import.market changed torch's de"):
        found = import_foreign("meddling_at_import.market", who="data.loader")
    assert found is trials.market
    assert torch.get_default_dtype() == torch.float32
