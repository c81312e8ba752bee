"""A function of tensors as the operations of torch that it took, to be gone through again.

Of an update of a small network most is not arithmetic but Python, the bookkeeping of autograd, and
asking for memory. A recording has each operation with its arguments at hand, in memory that it
keeps: what it gives is what the function would give, to the last bit, for the operations are the
same.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, UntypedStorage
from torch._C import (
    _len_torch_dispatch_stack,
    _len_torch_function_stack,
    _pop_torch_dispatch_stack,
    _pop_torch_function_stack,
    _push_on_torch_dispatch_stack,
    _push_on_torch_function_stack,
)
from torch.autograd import _profiler_enabled  # type: ignore[attr-defined]
from torch.nn.modules.module import _has_any_global_hook
from torch.overrides import TorchFunctionMode, _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

_T = TypeVar("_T")

# They look at memory below all operations.
_READING = (Tensor.tolist, Tensor.numpy, Tensor.__array__, Tensor.__dlpack__)
# Of an epoch, whose last update may be smaller; of fewer seeds or less depth none comes back.
_MOST_KEPT = 2


class Operation(NamedTuple):
    """An operation of torch's library with what it took and gave."""

    overload: Any  # torch._ops.OpOverload
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    outputs: Any  # tensors, or a number

    def within(self, memory: Mapping[int, UntypedStorage]) -> Operation:
        """The same in other memory, by the number of its own, and without autograd's marks."""
        return Operation(self.overload, *(_moved(each, memory) for each in self[1:]))

    @property
    def writes(self) -> list[Tensor]:
        """Tensors that it changes in place."""
        taken = self.overload._schema.arguments
        given = {
            **{e.name: v for e, v in zip(taken, self.arguments, strict=False)},
            **self.keywords,
        }
        changed = [e.name for e in taken if e.alias_info is not None and e.alias_info.is_write]
        return list(_tensors([given.get(name) for name in changed]))

    @property
    def reads(self) -> list[Tensor]:
        """Tensors among its arguments."""
        return list(_tensors([*self.arguments, *self.keywords.values()]))

    @property
    def has_masks(self) -> bool:
        """Whether it is told by truth values what to take."""
        return any(each.dtype in (torch.bool, torch.uint8) for each in _tensors(self.arguments[1:]))


class Recording:
    """What a function does with the tensors that it reads, each time anew.

    Parameters
    ----------
    function : callable
        Takes nothing and gives tensors. It does the same whatever the tensors hold that it reads:
        it looks at none of their numbers, and draws none.

    Raises
    ------
    ValueError
        If the function does otherwise.
    """

    def __init__(self, function: Callable[[], Sequence[Tensor]]) -> None:
        outputs, recorded = _watched(function)
        self.outputs = [output.detach() for output in outputs]
        """Where each run leaves what the function gives."""
        with torch.inference_mode():
            operations = list(_to_be_run(recorded))
            own = _shared(operations, [_memory(output) for output in self.outputs])
            self._operations = [_replayed(each.within(own)) for each in operations]

    def run(self) -> None:
        """Go through the operations, whose outputs come to lie where they lay before."""
        with torch.inference_mode():
            for operation in self._operations:
                operation()


class Recorded:
    """A function from tensors to tensors, recorded, and run on whatever it is given.

    Parameters
    ----------
    function : callable
        As of a `Recording`, but of tensors.
    arguments : sequence of torch.Tensor
        Such as it is given.
    """

    def __init__(
        self, function: Callable[..., Sequence[Tensor]], arguments: Sequence[Tensor]
    ) -> None:
        self.places = [argument.clone() for argument in arguments]
        """Where the arguments are read."""
        self._recording = Recording(lambda: function(*self.places))

    def __call__(self, *arguments: Tensor) -> list[Tensor]:
        """What the function gives, which lies where that of the next call will."""
        for place, given in zip(self.places, arguments, strict=True):
            place.copy_(given)
        self._recording.run()
        return self._recording.outputs


def recorded(
    function: Callable[..., Sequence[Tensor]],
    *examples: Sequence[Tensor],
    within: AbstractContextManager[object] | None = None,
) -> Recorded | None:
    """Record a function by the first of some examples, if that can be done.

    It is not where it fails, or where a recording does not give what the function gives of all
    examples, to the last bit: what it had of one alone would not be seen.

    Parameters
    ----------
    function, examples
        As of a `Recorded`.
    within : context manager, optional
        Around what is recorded.
    """
    expected = [_bits(function(*each)) for each in examples]
    try:
        with within or nullcontext():
            found = Recorded(function, examples[0])
        return found if [_bits(found(*each)) for each in examples] == expected else None
    except (LookupError, MemoryError, RuntimeError, TypeError, ValueError):
        return None


def _bits(outputs: Sequence[Tensor]) -> list[bytes]:
    return [output.numpy().tobytes() for output in outputs]


class Recordings:
    """What is recorded in a phase, until something cannot be.

    Parameters
    ----------
    within : callable, optional
        Makes a context around what is recorded.
    """

    def __init__(self, within: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        self._within = within
        self._kept: dict[Hashable, Any] = {}
        self.goes_on = False
        """Whether more is to be recorded."""

    def begin(self, *, goes_on: bool) -> None:
        """Forget everything, and record from now on or not."""
        self._kept.clear()
        self.goes_on = goes_on

    def get(
        self, kind: Hashable, record: Callable[[AbstractContextManager[object]], _T | None]
    ) -> _T | None:
        """What was recorded of a kind, or is now; who watches is to see what it is made of."""
        if _is_watched():
            return None
        found: _T | None = self._kept.pop(kind, None)
        if found is None and self.goes_on:
            found = record(self._within())
            self.goes_on = found is not None
        if found is not None:
            self._kept[kind] = found
        if len(self._kept) > _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        return found


def _is_watched() -> bool:
    """Whether a profiler, a mode or a hook of somebody is there for every operation."""
    modes = [m for m in _get_current_function_mode_stack() if not isinstance(m, DeviceContext)]
    is_in_mode = bool(modes) or _get_current_dispatch_mode() is not None
    return is_in_mode or bool(_profiler_enabled() or _has_any_global_hook())


def _watched(function: Callable[[], _T]) -> tuple[_T, list[Operation]]:
    """What a function gives, and the operations that it took."""
    recorder = _Recorder()
    n_calls, n_operations = _len_torch_function_stack(), _len_torch_dispatch_stack()

    def leave() -> None:
        while _len_torch_dispatch_stack() > n_operations:
            _pop_torch_dispatch_stack(None)
        while _len_torch_function_stack() > n_calls:
            _pop_torch_function_stack()

    # No with: Ctrl-C on its way in or out would leave a mode in force for good, and two threads at
    # once torch's word that there is one, after which torch.compile compiles nothing.
    try:
        try:
            _push_on_torch_function_stack(_NoReading())
            _push_on_torch_dispatch_stack(recorder)
            return function(), recorder.operations
        finally:
            leave()
    except KeyboardInterrupt as error:
        # A block of torch's that was left halfway puts our mode back when it is let go of: now.
        raise error.with_traceback(None) from None
    finally:
        leave()  # again, where Ctrl-C came before it was done


class _NoReading(TorchFunctionMode):
    """Refuses what no operation would tell of."""

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func in _READING:
            raise ValueError(f"{func.__name__} reads numbers")
        return func(*args, **(kwargs or {}))


class _Recorder(TorchDispatchMode):
    """Writes down every operation below autograd, those of a backward pass among them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # to skip it would import it, which takes a second

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        self.operations.append(Operation(func, args, kwargs or {}, outputs))
        return outputs


def _to_be_run(operations: Sequence[Operation]) -> Iterator[Operation]:
    """Those that have to be gone through again: no views, and nothing that is always the same."""
    written = {_memory(tensor) for each in operations for tensor in each.writes}
    made: set[int] = set()
    settled: set[int] = set()  # memory that holds the same after every run
    for each in operations:
        name, tags = each.overload._schema.name, each.overload.tags
        if torch.Tag.nondeterministic_seeded in tags:
            raise ValueError(f"{each.overload} draws")
        if torch.Tag.dynamic_output_shape in tags and (name != "aten::index" or each.has_masks):
            raise ValueError(f"{each.overload} gives as much as numbers say")
        of_shape = name.startswith("aten::new_") or name.endswith("_like")
        read = set() if of_shape else {_memory(tensor) for tensor in each.reads}
        given = {_memory(tensor) for tensor in _tensors(each.outputs)}
        if each.writes:
            if not {_memory(tensor) for tensor in each.writes} <= made:
                raise ValueError(f"{each.overload} changes what lies outside of the function")
            yield each
        elif not given:
            raise ValueError(f"{each.overload} reads a number")
        elif given <= read:
            continue  # a view
        else:
            made |= given
            if read <= settled and not given & written:
                settled |= given
            elif "empty" not in name:
                yield each


def _shared(operations: Sequence[Operation], kept: Sequence[int]) -> dict[int, UntypedStorage]:
    """Memory for what operations leave: that of what nobody reads any more, still in the cache."""
    touched = [set(map(_memory, (*each.reads, *_tensors(each.outputs)))) for each in operations]
    last = {number: k for k, numbers in enumerate(touched) for number in numbers}
    found: dict[int, UntypedStorage] = {}
    free: dict[int, list[UntypedStorage]] = {}  # by size
    for k, each in enumerate(operations):
        for tensor in _tensors(each.outputs):
            number, own = _memory(tensor), tensor.untyped_storage()
            if number not in found and number not in kept:
                found[number] = free[own.nbytes()].pop() if free.get(own.nbytes()) else own
        for number in touched[k] & found.keys():
            if last[number] == k:
                free.setdefault(found[number].nbytes(), []).append(found[number])
    return found


def _replayed(operation: Operation) -> Callable[[], object]:
    """The operation again, into the memory of its outputs, after having run once."""
    overload, arguments, keywords, outputs = operation
    if operation.writes:
        run = functools.partial(overload, *arguments, **keywords)
        run()
        return run
    places = outputs if isinstance(outputs, list | tuple) else [outputs]
    name = overload._schema.name.partition("::")[2].partition(".")[0]
    for function, names in _with_places(overload, name, len(places)):
        run = functools.partial(
            function, *arguments, **keywords, **dict(zip(names, places, strict=True))
        )
        try:
            run()
        except (RuntimeError, TypeError):  # none of this form
            continue
        return run

    def anew() -> None:
        found = overload(*arguments, **keywords)
        for place, each in zip(_tensors(outputs), _tensors(found), strict=True):
            place.copy_(each)

    anew()
    return anew


def _with_places(
    overload: Any, name: str, n: int
) -> Iterator[tuple[Callable[..., Any], list[str]]]:
    """Forms of an operation that take the memory of their outputs, the quickest first."""
    if n == 1 and hasattr(torch, name):
        yield getattr(torch, name), ["out"]
    packet = getattr(getattr(torch.ops, overload.namespace), name)
    taken = [(each.name, str(each.type)) for each in overload._schema.arguments]
    for form in packet.overloads():
        other = getattr(packet, form)
        places = [each.name for each in other._schema.arguments if each.is_out]
        others = [(e.name, str(e.type)) for e in other._schema.arguments if not e.is_out]
        if len(places) == n and others == taken:
            yield other, places


def _memory(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        yield from itertools.chain.from_iterable(map(_tensors, value))


# Not inside of another, where what calls itself would keep the memory until the collector comes.
def _moved(value: Any, memory: Mapping[int, UntypedStorage]) -> Any:
    if isinstance(value, Tensor):
        place = torch.empty(0, dtype=value.dtype)
        own = memory.get(_memory(value), value.untyped_storage())
        return place.set_(own, value.storage_offset(), value.shape, value.stride())
    if isinstance(value, list | tuple):
        return type(value)(_moved(each, memory) for each in value)
    if isinstance(value, Mapping):
        return {key: _moved(each, memory) for key, each in value.items()}
    return value
