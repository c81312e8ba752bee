"""Import targets: from a name in a configuration to an object, with the dangerous ones refused.

A configuration is code that its owner trusts: it may name classes and functions of the owner's
own modules. It may never name (1) Python's standard library and builtins, (2) the libraries that
psann stands on and the tools that install, run or unpickle things, (3) psann's inner modules,
neither directly nor through a module that happens to import them. All that a name can tell is
refused before anything is imported.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from psann.errors import ImportTargetError, did_you_mean

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?", re.ASCII)

_PYTHON = sys.stdlib_module_names | set(sys.builtin_module_names) | {"test"}

# They all hold entry points that execute, compile, fetch or unpickle what they are given
# (torch.load, torch.hub, numpy.f2py, joblib.load, sympy.sympify, pip), and none a reward or a
# loader with psann's contract; a list of the harmless rest could never be complete.
# fmt: off
_TOOLS = frozenset((
    "IPython", "_distutils_hack", "_pytest", "build", "cffi", "cloudpickle", "conda", "cython",
    "dask", "dill", "distutils", "filelock", "fsspec", "functorch", "hypothesis", "ipykernel",
    "jinja2", "joblib", "jsonpickle", "jupyter", "llvmlite", "matplotlib", "mpmath",
    "narwhals", "networkx", "notebook", "numba", "numexpr", "numpy", "pandas", "pexpect",
    "pip", "pkg_resources", "polars", "psutil", "pydantic", "pydantic_core", "pytest",
    "requests", "rich", "ruamel", "safetensors", "scipy", "setuptools", "sh", "sklearn",
    "sympy", "threadpoolctl", "torch", "torchgen", "typing_extensions", "urllib3", "wheel",
    "yaml",
))
# fmt: on

_OWN_MODULES = ("psann.datasets", "psann.estimators", "psann.hisso.rewards")


def import_object(target: str, *, who: str, only_import: Sequence[str] = ()) -> Any:
    """Import the class or function that a configuration names.

    Parameters
    ----------
    target : str
        `pkg.mod.Name`, `pkg.mod:Name`, or the bare name of a public class of psann.
    who : str
        What asks, as the user wrote it (`"data.loader"`); it begins every message.
    only_import : sequence of str
        Module prefixes outside of which nothing is imported, psann's own targets excepted;
        empty allows every module of the user.

    Returns
    -------
    Any
        The object; it can be called.

    Raises
    ------
    ImportTargetError
        If the target is malformed, forbidden, missing, or cannot be called.

    Notes
    -----
    An exception that a user's module raises while it is imported passes through unchanged,
    unless it is an `ImportError`.

    Examples
    --------
    >>> import_object("os.system", who="data.loader")
    Traceback (most recent call last):
    ...
    psann.errors.ImportTargetError: data.loader: 'os.system' belongs to Python itself...
    """
    if not _FORM.fullmatch(target):
        raise ImportTargetError(
            f"{who} must be an import path like pkg.mod.Name or pkg.mod:Name; got {target!r}."
        )
    if "." not in target and ":" not in target:
        target = f"psann.{target}"
    _refuse_by_name(target, who=who, only_import=only_import)
    found = _walk(target, who=who, only_import=only_import)
    if not callable(found):
        raise ImportTargetError(
            f"{who} must name a class or a function; {target!r} is a {type(found).__name__}."
        )
    return found


def check_is_there(target: str, *, who: str) -> None:
    """Look whether there is a module for a target, and import nothing; what else is wrong can wait.

    Raises
    ------
    ImportTargetError
        If there is none of the name that it begins with.
    """
    root = re.split("[.:]", target)[0]
    if root == target or not _FORM.fullmatch(target) or root in sys.modules:
        return
    if importlib.util.find_spec(root) is None:
        raise ImportTargetError(_missing(root, holder=None, target=target, who=who))


def _refuse_by_name(target: str, *, who: str, only_import: Sequence[str]) -> None:
    path = target.replace(":", ".")
    if any(part.startswith("__") for part in path.split(".")):
        raise ImportTargetError(
            f"{who}: {target!r} reaches into Python's inner names (__...__); "
            "name a class or a function."
        )
    _refuse_home(path, target=target, who=who)
    if _is_under(path, ["psann"]):
        _refuse_inner_psann(path, who=who)
    elif only_import and not _is_under(path, only_import):
        raise ImportTargetError(
            f"{who}: {target!r} is outside of --only-import {' '.join(only_import)}."
        )


def _refuse_inner_psann(path: str, *, who: str) -> None:
    public = importlib.import_module("psann").__all__
    names = path.split(".")[1:]
    is_private = any(name.startswith("_") for name in names)
    if not is_private and (names[0] in public or _is_under(path, _OWN_MODULES)):
        return
    raise ImportTargetError(
        f"{who}: {path!r} is no public part of psann.{did_you_mean(path[6:], public)} "
        f"Targets in psann are its public classes and what {', '.join(_OWN_MODULES)} hold."
    )


def _refuse_home(home: str, *, target: str, who: str) -> None:
    root = home.split(".")[0]
    if root in _PYTHON:
        belongs = "Python itself"
    elif root in _TOOLS:
        belongs = f"the library {root}"
    else:
        return
    raise ImportTargetError(
        f"{who}: {target!r} belongs to {belongs}, which a configuration may not call. "
        "Write a function in a module of your own and name that."
    )


def _walk(target: str, *, who: str, only_import: Sequence[str]) -> Any:
    """Follow the path from module to object, looking at what each step really is."""
    path = target.replace(":", ".").split(".")
    n_modules = len(target.split(":")[0].split(".")) if ":" in target else 1
    found: Any = _import_module(path[0], target=target, who=who)
    for place, name in enumerate(path[1:], start=1):
        _refuse_detour(found, target=target, who=who, only_import=only_import)
        if place >= n_modules and hasattr(found, name):
            found = getattr(found, name)
        elif isinstance(found, ModuleType) and (place < n_modules or ":" not in target):
            found = _import_module(".".join(path[: place + 1]), target=target, who=who)
        else:
            raise ImportTargetError(
                _missing(".".join(path[: place + 1]), holder=found, target=target, who=who)
            )
    home = _home(found)
    if home is not None:
        _refuse_home(home, target=target, who=who)
        if _is_under(home, ["psann"]) and not _is_under(home, _OWN_MODULES):
            raise ImportTargetError(f"{who}: {target!r} is an inner part of psann ({home}).")
    return found


def _home(found: Any) -> str | None:
    """Return the module that defined a function or class; None for an instance."""
    if isinstance(found, ModuleType):
        return found.__name__
    if isinstance(found, functools.partial):
        found = found.func
    if isinstance(found, type) or inspect.isroutine(found):
        # None: a method of a builtin type, such as the `get` of a dictionary.
        return found.__module__ or "builtins"
    return None


def _refuse_detour(step: Any, *, target: str, who: str, only_import: Sequence[str]) -> None:
    """Refuse a path that leads through a foreign module or through anything but containers."""
    if isinstance(step, ModuleType):
        home = step.__name__
        # A parent package of an allowed prefix is on the way, not a detour.
        is_on_the_way = any(_is_under(prefix, [home]) for prefix in only_import)
        if only_import and not (is_on_the_way or _is_under(home, [*only_import, "psann"])):
            raise ImportTargetError(
                f"{who}: {target!r} leads through {home}, "
                f"outside of --only-import {' '.join(only_import)}."
            )
    elif isinstance(step, type):
        home = step.__module__
    else:
        raise ImportTargetError(
            f"{who}: {target!r} leads through a {type(step).__name__}; "
            "a target is a class or a function of a module."
        )
    _refuse_home(home, target=target, who=who)


def _import_module(name: str, *, target: str, who: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            holder = sys.modules.get(name.rpartition(".")[0])
            raise ImportTargetError(_missing(name, holder=holder, target=target, who=who)) from None
        raise ImportTargetError(f"{who}: importing {name!r} failed: {error}.") from error


def _missing(name: str, *, holder: Any, target: str, who: str) -> str:
    parent, _, last = name.rpartition(".")
    if not parent:
        return (
            f"{who}: there is no module {name!r} for {target!r}. Start the command with "
            "python -m from the folder that holds it, or put that folder on PYTHONPATH."
        )
    known = [word for word in dir(holder) if not word.startswith("_")]
    return f"{who}: {target!r} does not exist: {parent} has no {last!r}.{did_you_mean(last, known)}"


def _is_under(path: str, prefixes: Sequence[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)
