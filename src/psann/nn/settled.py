"""A network's arithmetic in double precision, prepared once for many passes over a few rows."""

from __future__ import annotations

from collections.abc import ValuesView
from dataclasses import dataclass
from operator import is_
from types import MethodType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from psann.nn.host_pass import HostPass, host_pass
from psann.nn.sine import SineParam
from psann.nn.state import FeatureState

# What belongs to a module beside its attributes, and changes without one of them being set.
_HOOKS = ("_forward_hooks", "_forward_pre_hooks")
_REGISTERS = ("_parameters", "_buffers", "_modules", *_HOOKS)
# Others are not NumPy's.
_WATCHED_KINDS = {torch.float32, torch.float64, torch.int64, torch.bool}


@dataclass(frozen=True, kw_only=True)
class InDouble:
    """What a network computes, in float64, by a module of its own."""

    module: nn.Module
    device: torch.device
    on_host: HostPass | None
    """The same up to rounding, sooner on one thread; None where only the module knows."""


def in_double(network: nn.Module) -> InDouble:
    """A module that computes in float64 what a network would, and leaves the network alone.

    It is kept as long as the network lives and nothing of it has changed: no attribute, hook or
    part of any of its modules, and no bit of a tensor, however it was written. On a card, where to
    look would take longer than to prepare, it is prepared each time.

    Parameters
    ----------
    network : nn.Module
        Read only.

    Returns
    -------
    InDouble
        For any number of threads, without gradients. States stay what they are.
    """
    kept = _KEPT.get(network)
    if kept is None or not kept.is_of_now():
        kept = _Kept.of(network)
        if kept.is_watched:
            _KEPT[network] = kept
    return kept.made


@dataclass(frozen=True, kw_only=True)
class _Watched:
    """A tensor in memory, and the bytes that it had."""

    tensor: Tensor
    place: tuple[int, torch.Size, tuple[int, ...]]
    view: Any  # an array of the same memory
    bytes: bytes

    @classmethod
    def of(cls, tensor: Tensor) -> _Watched:
        view = tensor.detach().numpy()
        return cls(tensor=tensor, place=_place(tensor), view=view, bytes=view.tobytes())

    def is_of_now(self) -> bool:
        return self.place == _place(self.tensor) and bool(self.view.tobytes() == self.bytes)


def _place(tensor: Tensor) -> tuple[int, torch.Size, tuple[int, ...]]:
    return tensor.data_ptr(), tensor.shape, tensor.stride()


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """What was prepared of a network, which it does not hold, and what it was prepared from."""

    made: InDouble
    views: list[ValuesView[Any]]  # of dictionaries, as they are at any time
    parts: list[Any]
    tensors: list[_Watched]
    is_watched: bool

    @classmethod
    def of(cls, network: nn.Module) -> _Kept:
        owned = [vars(module) for module in network.modules()]
        views = [each.values() for own in owned for each in (own, *(own[r] for r in _REGISTERS))]
        tensors = [*network.parameters(), *network.buffers()]
        is_watched = all(
            t.device.type == "cpu" and t.dtype in _WATCHED_KINDS and t.layout == torch.strided
            for t in tensors
        ) and not any(own[hooks] for own in owned for hooks in _HOOKS)  # they may hold the network
        # Before the network is read, so that what is changed meanwhile is seen next time.
        watched = [_Watched.of(t) for t in tensors] if is_watched else []
        parts = _values(views)
        with torch.no_grad():
            module = _double(network, {})
        on_host = host_pass(module) if is_watched else None
        made = InDouble(module=module, device=tensors[0].device, on_host=on_host)
        return cls(made=made, views=views, parts=parts, tensors=watched, is_watched=is_watched)

    def is_of_now(self) -> bool:
        now = _values(self.views)
        return (
            len(now) == len(self.parts)
            and all(map(is_, now, self.parts))
            and all(tensor.is_of_now() for tensor in self.tensors)
        )


def _values(views: list[ValuesView[Any]]) -> list[Any]:
    values: list[Any] = []
    for view in views:
        values += view
    return values


_KEPT: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def _double(module: nn.Module, made: dict[nn.Module, nn.Module]) -> nn.Module:
    """A copy of a module with tensors and parts of its own, and all else shared."""
    if module in made:
        return made[module]
    copy = made[module] = object.__new__(type(module))
    own = vars(copy)
    own.update(vars(module))
    for register in ("_parameters", "_buffers"):
        own[register] = {
            name: None if tensor is None else tensor.detach().double()
            for name, tensor in own[register].items()
        }
    own["_modules"] = {
        name: None if part is None else _double(part, made)
        for name, part in own["_modules"].items()
    }
    for name, value in vars(module).items():
        if isinstance(value, MethodType) and value.__self__ is module:
            own[name] = MethodType(value.__func__, copy)
    for register in ("_parameters", "_buffers", "_modules"):
        own.update(own[register])  # found at once, instead of by Module.__getattr__
    if not any(own[name] for name in _HOOKS):
        made[module] = _settled(copy)
    return made[module]


def _settled(module: nn.Module) -> nn.Module:
    """What does the same as a module while its tensors stay, in fewer steps."""
    # No subclass: it may do something else.
    if type(module) is SineParam or type(module) is FeatureState:
        return module.settled()
    if type(module) is nn.Sequential:
        parts = [part for part in module if type(part) is not nn.Identity]
        if len(parts) == 1:
            return parts[0]
    return module
