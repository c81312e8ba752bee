"""Settings of torch, NumPy and scikit-learn that numbers depend on: pinned while we compute.

Whatever a caller, a loader or a reward has set, `fit` and `predict` give the same bits, and leave
the settings as they were.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from psann._imports import import_object
from psann._process import RELIED_ON, Setting, put_back

_P = ParamSpec("_P")
_T = TypeVar("_T")

_SMALLEST = 2.2250738585072014e-308  # half of it is a number only where denormals are kept
_SKLEARN = {"assume_finite": False, "transform_output": "default", "array_api_dispatch": False}
_NUMPY = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def _autocasts() -> tuple[bool, ...]:
    return tuple(torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda"))


def _set_autocasts(are_enabled: tuple[bool, ...]) -> None:
    for kind, is_enabled in zip(("cpu", "cuda"), are_enabled, strict=True):
        torch.set_autocast_enabled(kind, is_enabled)


def _sklearn() -> dict[str, object]:
    # What lies below the estimators does without it; not loaded, it is as it comes.
    if (sklearn := sys.modules.get("sklearn")) is None:
        return dict(_SKLEARN)
    config = sklearn.get_config()
    return {name: config[name] for name in _SKLEARN}


def _set_sklearn(values: dict[str, object]) -> None:
    sys.modules["sklearn"].set_config(**values)


# With the value that is in force while we compute. The device is pinned by a block of its own.
_PINNED_TORCH = (
    (
        Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype),
        torch.float32,
    ),
    (Setting("torch's grad mode", torch.is_grad_enabled, torch.set_grad_enabled), True),
    (
        Setting(
            "torch's matmul precision",
            torch.get_float32_matmul_precision,
            torch.set_float32_matmul_precision,
        ),
        "highest",
    ),
    (Setting("torch's autocast", _autocasts, _set_autocasts), (False, False)),
    (
        Setting(
            "torch's anomaly detection", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly
        ),
        False,
    ),
    (
        Setting(
            "the flushing of denormals", lambda: _SMALLEST / 2.0 == 0.0, torch.set_flush_denormal
        ),
        False,
    ),
)
_PINNED = (
    *_PINNED_TORCH,
    (Setting("scikit-learn's configuration", _sklearn, _set_sklearn), _SKLEARN),
    (Setting("NumPy's error handling", np.geterr, lambda values: np.seterr(**values)), _NUMPY),
)
_VALUES: list[object] = [value for _, value in _PINNED]
_OF_TORCH = (
    *(setting for setting, _ in _PINNED_TORCH),
    Setting("torch's default device", lambda: torch.empty(()).device, torch.set_default_device),
    Setting("torch's number of threads", torch.get_num_threads, torch.set_num_threads),
    Setting(
        "torch's choice of deterministic algorithms",
        torch.get_deterministic_debug_mode,
        torch.set_deterministic_debug_mode,
    ),
)
FOREIGN = (*RELIED_ON, *_OF_TORCH, *(setting for setting, _ in _PINNED[len(_PINNED_TORCH) :]))
"""Settings that foreign code may leave changed."""


def _now() -> list[object]:
    return [setting.get() for setting, _ in _PINNED]


def _set_all(values: list[object]) -> None:
    for (setting, _), value in zip(_PINNED, values, strict=True):
        if setting.get() != value:
            setting.set(value)


def import_foreign(target: str, *, who: str) -> Any:
    """What `import_object` finds, with all put back that its module leaves changed."""
    with put_back(FOREIGN, who=f"importing {target}"):
        return import_object(target, who=who)


@contextmanager
def pinned_numbers() -> Iterator[None]:
    """Compute as in a fresh process inside of the block; afterwards all is as it was."""
    before = _now()
    with _plain_tensors():
        try:
            if before != _VALUES:
                _set_all(_VALUES)
            yield
        finally:
            if _now() != before:
                _set_all(before)


def _plain_tensors() -> AbstractContextManager[object]:
    """A block in which tensors are made on the CPU, and may be trained."""
    is_inferring = torch.is_inference_mode_enabled()
    is_elsewhere = torch.empty(()).device.type != "cpu"
    if not (is_inferring or is_elsewhere):
        return nullcontext()
    blocks = ExitStack()
    if is_inferring:
        blocks.enter_context(torch.inference_mode(False))
    if is_elsewhere:
        blocks.enter_context(torch.device("cpu"))
    return blocks


def guarded(function: Callable[_P, _T], *, who: str) -> Callable[_P, _T]:
    """A function of the user's that leaves every setting as it was.

    Parameters
    ----------
    who : str
        Whose function it is, for the one warning of each setting that it changes.
    """
    told: set[str] = set()

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        with put_back(FOREIGN, who=who, told=told):
            return function(*args, **kwargs)

    return call
