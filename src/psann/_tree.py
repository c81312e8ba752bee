"""A configuration before it is checked: plain values, and where each of them came from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str, ...]

MISSING: Any = object()
"""What `ConfigTree.get` gives for a path that nothing was written at; null is a value."""


@dataclass(frozen=True)
class Origins:
    """Where each value was written; it is no part of what a configuration says, so all are equal.

    `places` maps a path to `"nyse_o.yaml line 12"` or `"--seed"`; `source` stands for the rest.
    """

    source: str = field(default="config", compare=False)
    places: dict[Path, str] = field(default_factory=dict, compare=False)

    def where(self, path: Path) -> str:
        """Return the place of a path, else of its nearest known parent, else the source."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.places:
                return self.places[path[:length]]
        return self.source


def changes(was: Mapping[str, str], now: Mapping[str, str], *, free: Collection[str]) -> list[str]:
    """Say in a clause of each dotted key that differs what it was and is.

    Parameters
    ----------
    free : collection of str
        Keys that may differ, with all below them.

    Examples
    --------
    >>> changes({"lr": "0.1", "a.b": "1"}, {"lr": "0.2"}, free=["a"])
    ['lr was 0.1 when this run began and is now 0.2']
    """
    return [
        f"{key} was {was.get(key, 'absent')} when this run began and is now "
        f"{now.get(key, 'absent')}"
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
        and not any(key == each or key.startswith(f"{each}.") for each in free)
    ]


class ConfigTree:
    """Nested mappings of plain values, with the origin of each path, and what is wrong so far.

    Parameters
    ----------
    values : dict
        The values; the tree owns and changes them.
    origins : Origins
        Where they were written; the tree keeps it up to date.
    """

    def __init__(self, values: dict[str, Any], origins: Origins) -> None:
        self.values = values
        self.origins = origins
        self.problems: list[str] = []
        self.notes: list[str] = []

    def where(self, path: Path) -> str:
        """Return where a path was written."""
        return self.origins.where(path)

    def refuse(self, path: Path, message: str) -> None:
        """Record a problem of one path, for the report of all problems."""
        self.problems.append(f"{self.where(path)}: {'.'.join(path)} {message}.")

    def get(self, path: Path) -> Any:
        """Return the value at a path, or `MISSING`."""
        found: Any = self.values
        for key in path:
            if not isinstance(found, dict) or key not in found:
                return MISSING
            found = found[key]
        return found

    def set(self, path: Path, value: Any, *, origin: str) -> None:
        """Write a value, making the mappings above it; what was there is gone."""
        parent, places = self.values, self.origins.places
        for depth, key in enumerate(path[:-1], 1):
            if not isinstance(parent.get(key), dict):
                parent[key] = {}
                places[path[:depth]] = origin
            parent = parent[key]
        parent[path[-1]] = value
        for known in [key for key in places if key[: len(path)] == path]:
            del places[known]
        places[path] = origin

    def pop(self, path: Path) -> Any:
        """Take a value out, with the mappings above it that are empty then; or `MISSING`."""
        value = self.get(path)
        if value is not MISSING:
            parent = self.get(path[:-1])
            del parent[path[-1]]
            if not parent and path[:-1]:
                self.pop(path[:-1])
        return value

    def dotted(self) -> dict[str, str]:
        """Every leaf by its dotted path, as JSON."""
        leaves = self.leaves()
        return {".".join(path): json.dumps(value, sort_keys=True) for path, value in leaves}

    def leaves(self, *, whole: Path = ()) -> Iterator[tuple[Path, Any]]:
        """Yield every value that is no mapping, or is empty, or lies at the path `whole`."""
        yield from _leaves(self.values, (), whole)


def _leaves(value: Any, path: Path, whole: Path) -> Iterator[tuple[Path, Any]]:
    if isinstance(value, dict) and (value or not path) and (path != whole or not path):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key), whole)
    else:
        yield path, value
