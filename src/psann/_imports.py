"""Import targets: from a name to an object, by one policy, with the dangerous ones refused.

Whoever may name a target runs code. psann's public parts are for everyone. A configuration may name
its owner's modules: those outside installed distributions, or installed editable. All else that is
installed, and every name that came from a file, must be named again by who gives the command. Never
to be had are Python itself, psann's inner modules, and what lies in a run directory, neither
directly nor through a module that happens to import them. All that a name can tell is refused
before anything is imported.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from psann.errors import ImportTargetError, did_you_mean

_FORM = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*)?", re.ASCII)
# distutils left Python in 3.12; where setuptools is installed it is there all the same.
_PYTHON = sys.stdlib_module_names | set(sys.builtin_module_names) | {"distutils", "test"}
_PYTHON_FOLDER = Path(os.__file__).resolve().parent
_OWN_MODULES = (
    *("psann.battery", "psann.datasets", "psann.estimators", "psann.hisso.rewards"),
    "psann.market",
)
# Of a source: names that it does not mention may come into being all the same.
_MAY_HAVE_MORE = re.compile(
    r"import\s*\*|\b(__dict__|__getattr__|__path__|eval|exec|globals|locals|modules|setattr|vars)\b"
)
# Two of these, so that a project may have a metrics.json of its own.
_RUN_FILES = ("metrics.json", "events.csv", "config_resolved.yaml", "provenance.json")


@dataclass(frozen=True, kw_only=True)
class ImportPolicy:
    """What may be imported by name, on whose word."""

    only: tuple[str, ...] = ()
    """Prefixes outside of which nothing is imported, psann's own aside; empty narrows nothing."""
    allow: tuple[str, ...] = ()
    """Prefixes of installed modules, and of those that files name, that may be imported too."""
    is_of_a_file: bool = False
    """Whether the configuration itself came from somewhere, as that of a run directory does."""

    @contextmanager
    def in_force(self) -> Iterator[None]:
        """Hold for every import by name until the end of the block."""
        token = _IN_FORCE.set(self)
        try:
            yield
        finally:
            _IN_FORCE.reset(token)


OF_THE_USER = ImportPolicy()
_IN_FORCE = ContextVar("import policy", default=OF_THE_USER)


class NamedInFile(str):
    """A text that came from a file: as a target, it needs to be named again.

    Parameters
    ----------
    allow : sequence of str
        Prefixes that who read the file allowed.
    """

    allow: tuple[str, ...]

    def __new__(cls, text: str, *, allow: Sequence[str] = ()) -> NamedInFile:
        self = super().__new__(cls, text)
        self.allow = tuple(allow)
        return self


def named_in_file(plain: Any, *, allow: Sequence[str] = ()) -> Any:
    """Mark every text that could be a target, in anything made of mappings, lists and texts.

    Examples
    --------
    >>> type(named_in_file({"loss": "mine.loss"})["loss"]).__name__
    'NamedInFile'
    """
    if isinstance(plain, dict):
        return {key: named_in_file(item, allow=allow) for key, item in plain.items()}
    if isinstance(plain, list):
        return [named_in_file(item, allow=allow) for item in plain]
    is_target = isinstance(plain, str) and ("." in plain or ":" in plain)
    return NamedInFile(plain, allow=allow) if is_target else plain


def import_object(target: str, *, who: str) -> Any:
    """Import the class or function that a name stands for, if the policy in force allows it.

    Parameters
    ----------
    target : str
        `pkg.mod.Name`, `pkg.mod:Name`, or the bare name of a public class of psann.
    who : str
        What asks, as the user wrote it (`"data.loader"`); it begins every message.

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
    found = _Search(target, who=who).found()
    if not callable(found):
        raise ImportTargetError(
            f"{who} must name a class or a function; {target!r} is a {type(found).__name__}."
        )
    return found


class _Search:
    """The way from one target to its object, with the policy that holds for it."""

    def __init__(self, target: str, *, who: str) -> None:
        policy = _IN_FORCE.get()
        self._is_of_a_file = policy.is_of_a_file or isinstance(target, NamedInFile)
        self._only = policy.only
        self._allowed = (*policy.only, *policy.allow, *getattr(target, "allow", ()))
        self._target = str(target) if "." in target or ":" in target else f"psann.{target}"
        self._path = self._target.replace(":", ".").split(".")
        self._who = who

    def found(self) -> Any:
        """Follow the path from module to object, looking at what each step really is."""
        self._check_name()
        path, target = self._path, self._target
        n_modules = len(target.split(":")[0].split(".")) if ":" in target else 1
        found: Any = self._import(path[0])
        for place, name in enumerate(path[1:], start=1):
            self._check_step(found)
            if place >= n_modules and hasattr(found, name):
                found = getattr(found, name)
            elif isinstance(found, ModuleType) and (place < n_modules or ":" not in target):
                found = self._import(".".join(path[: place + 1]))
            else:
                self._refuse_missing(".".join(path[: place + 1]), known=dir(found))
        home = _home(found)
        if home is not None:
            self._check_home(home)
            if _is_under(home, ["psann"]) and not _is_under(home, _OWN_MODULES):
                self._refuse(f"is an inner part of psann ({home}).")
        return found

    def look(self) -> None:
        """Refuse what is not there for sure, by the files of its modules; nothing is imported."""
        self._check_name()
        name = self._path[0]
        known = sys.modules.get(name)
        spec = _spec_of(name) if known is None else known.__spec__
        if spec is None and known is None:
            self._refuse_missing(name, known=())
        for part in self._path[1:]:
            if spec is None:
                return
            name = f"{name}.{part}"
            inner = PathFinder.find_spec(name, spec.submodule_search_locations or [])
            if inner is None:
                source = _source_of(spec)
                if source is not None and not _may_have(part, source):
                    self._refuse_missing(name, known=re.findall(r"(?:def|class) (\w+)", source))
                return
            spec = inner

    def _check_name(self) -> None:
        path = ".".join(self._path)
        if any(part.startswith("__") for part in self._path):
            self._refuse("reaches into Python's inner names (__...__); name a class or a function.")
        if _is_under(path, ["psann"]):
            _refuse_inner_psann(path, who=self._who)
            return
        if not _is_under(path, self._allowed):
            if self._only:
                self._refuse(f"is outside of --only-import {' '.join(self._only)}.")
            if self._is_of_a_file and self._path[0] not in _PYTHON:
                self._refuse(
                    "was named by a file, which is not enough to run it. If you trust it, name "
                    f"it again: --allow-import {self._path[0]} for a command, "
                    f"load(..., allow=({self._path[0]!r},)) in Python."
                )
        self._check_home(path)

    def _check_home(self, home: str) -> None:
        """Refuse what neither the user nor psann wrote, by the place it is imported from."""
        root = home.split(".")[0]
        if root == "psann":
            return
        places = () if root in _PYTHON else _places(root)
        if root in _PYTHON or any(place.parent == _PYTHON_FOLDER for place in places):
            self._refuse(
                "belongs to Python itself, which no target may call. Write a function in a module "
                "of your own and name that."
            )
        if any(map(_is_in_a_run, places)):
            self._refuse(f"lies in a run directory ({places[0]}), which holds results, not code.")
        if any(map(_is_installed, places)) and not _is_under(root, self._allowed_roots()):
            self._refuse(
                f"belongs to the library {root}. Write a function in a module of your own and name "
                f"that, or add --allow-import {root} if it may be called."
            )

    def _allowed_roots(self) -> list[str]:
        return [prefix.split(".")[0] for prefix in self._allowed]

    def _check_step(self, step: Any) -> None:
        """Refuse a path that leads through a foreign module or through anything but containers."""
        if isinstance(step, ModuleType):
            home = step.__name__
            # A parent package of an allowed prefix is on the way, not a detour.
            is_on_the_way = any(_is_under(prefix, [home]) for prefix in self._allowed)
            if self._only and not (is_on_the_way or _is_under(home, [*self._allowed, "psann"])):
                self._refuse(
                    f"leads through {home}, outside of --only-import {' '.join(self._only)}."
                )
        elif isinstance(step, type):
            home = step.__module__
        else:
            self._refuse(
                f"leads through a {type(step).__name__}; a target is a class or a function of a "
                "module."
            )
        self._check_home(home)

    def _import(self, name: str) -> ModuleType:
        try:
            return importlib.import_module(name)
        except ImportError as error:
            if isinstance(error, ModuleNotFoundError) and error.name == name:
                self._refuse_missing(name, known=dir(sys.modules.get(name.rpartition(".")[0])))
            raise ImportTargetError(f"{self._who}: importing {name!r} failed: {error}.") from error

    def _refuse_missing(self, name: str, *, known: Iterable[str]) -> NoReturn:
        """Say that there is no such module, or nothing of this name in what holds it."""
        parent, _, last = name.rpartition(".")
        if not parent:
            raise ImportTargetError(
                f"{self._who}: there is no module {name!r} for {self._target!r}. Start the command "
                "with python -m from the folder that holds it, or put that folder on PYTHONPATH."
            ) from None
        public = [word for word in known if not word.startswith("_")]
        self._refuse(f"does not exist: {parent} has no {last!r}.{did_you_mean(last, public)}")

    def _refuse(self, what: str) -> NoReturn:
        raise ImportTargetError(f"{self._who}: {self._target!r} {what}") from None


def check_is_there(target: str, *, who: str) -> None:
    """Look whether a target may be and is there, and import nothing; what else is wrong can wait.

    Raises
    ------
    ImportTargetError
        If it is forbidden, or has no module, or the source of its module never mentions the name.
    """
    if _FORM.fullmatch(target):
        _Search(target, who=who).look()


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


def _spec_of(root: str) -> ModuleSpec | None:
    """Where a top-level module would come from."""
    # The path first: finders that others have put in may act on a mere question, as that of
    # setuptools does, which takes one for pip as a sign to leave distutils alone.
    return PathFinder.find_spec(root) or importlib.util.find_spec(root)


def _source_of(spec: ModuleSpec) -> str | None:
    """The text of a module; None where it has none."""
    try:
        source: str | None = spec.loader.get_source(spec.name)  # type: ignore[union-attr]
    except (AttributeError, ImportError, SyntaxError, UnicodeDecodeError):
        return None
    return source


def _may_have(name: str, source: str) -> bool:
    """Whether a module mentions a name, or may get some that it does not mention."""
    return bool(re.search(rf"\b{name}\b", source) or _MAY_HAVE_MORE.search(source))


def _places(root: str) -> tuple[Path, ...]:
    """Files or folders that a top-level module is, or would be, imported from; it is not yet."""
    try:
        spec = _spec_of(root)
    except ValueError:  # a module that some code has made in memory
        return ()
    if spec is None:
        return ()
    found = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
    return tuple(Path(place).resolve() for place in found)


def _is_installed(place: Path) -> bool:
    """Whether a distribution brought a module, editable ones aside: those stay where they are."""
    is_in_site = not {"site-packages", "dist-packages"}.isdisjoint(place.parts)
    # pip install --target leaves its records beside the modules.
    return is_in_site or any(place.parent.glob("*.dist-info"))


def _is_in_a_run(place: Path) -> bool:
    folders = (place, *place.parents)
    return any(sum((folder / name).is_file() for name in _RUN_FILES) > 1 for folder in folders)


def _is_under(path: str, prefixes: Sequence[str]) -> bool:
    return any(path == prefix or path.startswith(f"{prefix}.") for prefix in prefixes)
