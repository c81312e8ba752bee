"""A recording does what its function does, with whatever lies in the tensors that it reads."""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from ctypes import c_float
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode
from torch.utils._python_dispatch import _get_current_dispatch_mode, is_in_torch_dispatch_mode
from torch.utils.flop_counter import FlopCounterMode

from psann.training.recorded import Recorded, Recording, Recordings, recorded

Function = Callable[[Tensor, Tensor], Sequence[Tensor]]


def gradient(x: Tensor, y: Tensor) -> Sequence[Tensor]:
    leaf = x.detach().requires_grad_()
    loss = torch.softmax(leaf @ y, -1).var(-1).sum() + leaf[:, 1:].abs().mean()
    return [loss, *torch.autograd.grad(loss, [leaf])]


def in_place(x: Tensor, y: Tensor) -> Sequence[Tensor]:
    summed = torch.zeros(3)
    summed += x[0]
    summed.mul_(2.0)
    return [summed.clone(), summed + 1.0]


def of_several_outputs(x: Tensor, y: Tensor) -> Sequence[Tensor]:
    return [*x.sort(dim=-1), *y.cummax(dim=0), *torch.var_mean(x, dim=0)]


def of_parts(x: Tensor, y: Tensor) -> Sequence[Tensor]:
    left, right = x.split([1, 2], dim=1)
    return [torch.cat([right, left * 2.0], dim=1), torch.stack(y.unbind())]


def of_another_kind(x: Tensor, y: Tensor) -> Sequence[Tensor]:
    double = x.double()
    return [double.exp(), (x > 0).to(x.dtype), torch.where(x > y.T, x, 0.0), x.argmax(dim=-1)]


def of_its_rows(x: Tensor, y: Tensor) -> Sequence[Tensor]:
    rows = x[0].abs().long().clamp(0, 1)
    return [x[rows], x.index_select(0, rows), torch.ones(2, 3) * x + torch.arange(3.0)]


def given_as_they_are(x: Tensor, y: Tensor) -> Sequence[Tensor]:
    return [x, y.T, torch.ones(2), torch.zeros_like(x)]


@pytest.mark.parametrize(
    "function",
    [
        gradient,
        in_place,
        of_several_outputs,
        of_parts,
        of_another_kind,
        of_its_rows,
        given_as_they_are,
    ],
)
def test_what_is_recorded_is_done_again_to_the_last_bit(function: Function) -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.zeros(2, 3), torch.zeros(3, 2)
    recording = Recording(lambda: function(x, y))
    for _ in range(3):
        for place in (x, y):
            place.copy_(3.0 * torch.randn(place.shape, generator=generator))
        recording.run()
        expected = function(x, y)
        for found, each in zip(recording.outputs, expected, strict=True):
            assert found.dtype == each.dtype and torch.equal(found, each)


def test_what_does_not_depend_on_anything_is_done_only_once() -> None:
    x = torch.ones(3)

    def function() -> list[Tensor]:
        return [x * (torch.arange(3.0).exp() + torch.zeros_like(x)).view(3)]

    assert len(Recording(function)._operations) == 1


def test_memory_that_nobody_reads_any_more_is_used_again() -> None:
    x, memory = torch.ones(100), set()

    def function() -> list[Tensor]:
        y = x
        for _ in range(10):
            y = (y + 1.0).sin() * y  # three at a time
        return [y]

    recording = Recording(function)
    for run in recording._operations:
        memory.add(run.keywords["out"].data_ptr())  # type: ignore[attr-defined]
    assert len(recording._operations) == 30 and len(memory) <= 4
    x.fill_(0.5)
    recording.run()
    assert torch.equal(recording.outputs[0], function()[0])


def test_a_function_that_looks_at_a_number_is_not_recorded() -> None:
    x = torch.ones(3)
    with pytest.raises(ValueError, match="reads a number"):
        Recording(lambda: [x * (2.0 if x.sum() > 1.0 else 1.0)])


@pytest.mark.parametrize("read", [Tensor.tolist, Tensor.numpy, np.asarray, np.from_dlpack], ids=str)
def test_a_function_that_looks_at_memory_is_not_recorded(read: Callable[[Tensor], Any]) -> None:
    x = torch.ones(3)
    with pytest.raises(ValueError, match="reads numbers"):
        Recording(lambda: [x * float(read(x)[0])])


@pytest.mark.parametrize(
    "taken", [lambda x: x[x > 0], lambda x: x.nonzero()], ids=["by a mask", "nonzero"]
)
def test_a_function_that_takes_as_much_as_numbers_say_is_not_recorded(
    taken: Callable[[Tensor], Tensor],
) -> None:
    x = torch.ones(3)
    with pytest.raises(ValueError, match="as much as numbers say"):
        Recording(lambda: [taken(x)])


def test_a_function_that_draws_is_not_recorded() -> None:
    x = torch.ones(3)
    with pytest.raises(ValueError, match="draws"):
        Recording(lambda: [x * torch.rand(3)])


def test_a_function_that_changes_what_it_reads_is_not_recorded() -> None:
    x = torch.ones(3)
    with pytest.raises(ValueError, match="changes what lies outside"):
        Recording(lambda: [x.add_(1.0)])


def test_a_recording_keeps_no_graph_of_gradients() -> None:
    x = torch.ones(2, 3)
    recording = Recording(lambda: gradient(x, torch.ones(3, 2)))
    assert all(output.grad_fn is None for output in recording.outputs)
    assert not any(output.requires_grad for output in recording.outputs)


def test_a_recording_that_is_dropped_leaves_nothing_to_the_collector() -> None:
    x, y = torch.ones(2, 3), torch.ones(3, 2)
    gc.collect()
    gc.disable()
    try:
        Recording(lambda: gradient(x, y))
        assert gc.collect() == 0
    finally:
        gc.enable()


def doubled(x: Tensor) -> list[Tensor]:
    return [2.0 * x]


def test_what_is_recorded_of_a_kind_is_used_until_the_next_phase() -> None:
    made: list[Recorded | None] = []

    def record(within: Any) -> Recorded | None:
        made.append(recorded(doubled, [torch.ones(2)], [torch.zeros(2)], within=within))
        return made[-1]

    recordings = Recordings()
    assert recordings.get("kind", record) is None  # before any phase
    recordings.begin(goes_on=True)
    found = recordings.get("kind", record)
    assert found is not None and found is made[0] and recordings.get("kind", record) is found
    assert found(torch.tensor([3.0, 4.0]))[0].tolist() == [6.0, 8.0]
    assert recordings.get("another", record) is made[1]
    recordings.begin(goes_on=True)
    assert recordings.get("kind", record) is made[2]


def test_of_what_is_recorded_the_two_that_were_used_last_are_kept() -> None:
    recordings, asked = Recordings(), []
    recordings.begin(goes_on=True)

    def of(kind: str) -> Recorded | None:
        def record(within: Any) -> Recorded | None:
            asked.append(kind)
            return recorded(doubled, [torch.ones(2)], within=within)

        return recordings.get(kind, record)

    for kind in "abab" + "acaca" + "b":
        assert of(kind) is not None
    assert asked == ["a", "b", "c", "b"]


def test_after_one_that_fails_nothing_more_is_recorded() -> None:
    recordings = Recordings()
    recordings.begin(goes_on=True)
    kept = recordings.get("kind", lambda within: recorded(doubled, [torch.ones(2)]))
    assert recordings.get("another", lambda within: None) is None
    assert recordings.get("a third", lambda within: recorded(doubled, [torch.ones(2)])) is None
    assert kept is not None and recordings.get("kind", lambda within: None) is kept


def test_a_recording_that_has_something_of_one_example_is_refused() -> None:
    number = torch.ones(2)

    def baked(x: Tensor) -> list[Tensor]:
        return [x + c_float.from_address(x.data_ptr()).value]  # of which nothing tells

    assert recorded(baked, [number]) is not None
    assert recorded(baked, [number], [2 * number]) is None


class Calls(TorchFunctionMode):
    """Somebody who hears of every call."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@contextlib.contextmanager
def hook() -> Iterator[None]:
    handle = register_module_forward_hook(lambda module, given, outputs: None)
    try:
        yield
    finally:
        handle.remove()


def ones_doubled(within: Any) -> Recorded | None:
    return recorded(doubled, [torch.ones(2)], within=within)


@pytest.mark.parametrize(
    "watching",
    [torch.autograd.profiler.profile, lambda: FlopCounterMode(display=False), Calls, hook],
    ids=["profiler", "flops", "calls", "hook"],
)
def test_who_watches_sees_updates_afresh(
    watching: Callable[[], contextlib.AbstractContextManager[object]],
) -> None:
    recordings = Recordings()
    recordings.begin(goes_on=True)
    with watching():
        assert recordings.get("kind", ones_doubled) is None
    with torch.device("cpu"):  # which is a mode of torch's own
        assert recordings.get("kind", ones_doubled) is not None
    with watching():
        assert recordings.get("kind", ones_doubled) is None


def test_threads_that_record_at_once_leave_no_mode_behind() -> None:
    class Slow(threading.Thread):
        found: Recording | None = None

        def run(self) -> None:
            def function() -> list[Tensor]:
                time.sleep(0.01)
                return [torch.ones(2) * 2.0]

            self.found = Recording(function)

    threads = [Slow(), Slow()]
    for thread in threads:
        thread.start()
        time.sleep(0.005)
    for thread in threads:
        thread.join()
    assert all(thread.found is not None for thread in threads)
    assert not is_in_torch_dispatch_mode()


def test_ctrl_c_at_any_step_of_recording_leaves_no_mode_behind() -> None:
    x, n_interrupted, is_watched = torch.ones(2, 3), 0, False
    while not is_watched:
        left = n_interrupted

        def interrupt(frame: Any, event: str, given: Any) -> None:
            nonlocal left, is_watched
            is_watched = is_watched or frame.f_code.co_name == "_to_be_run"
            left -= 1
            if left < 0 and not is_watched:
                raise KeyboardInterrupt

        with contextlib.suppress(KeyboardInterrupt):
            sys.setprofile(interrupt)
            Recording(lambda: gradient(x, x.T))
        sys.setprofile(None)
        n_interrupted += 1
        assert _get_current_function_mode() is _get_current_dispatch_mode() is None
        assert not is_in_torch_dispatch_mode()
    assert n_interrupted > 100
