"""Paths as people write them: `~` is a home, and what no shell has filled in is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

_MOST_UP = 2
_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")


def given_path(text: str) -> Path:
    """The path that a person wrote, with `~` and `~user` in front as their home.

    Raises
    ------
    ValueError
        If it is empty, or holds a variable or a user that nothing has filled in; a file that is
        really called so is taken.

    Examples
    --------
    >>> given_path("runs/first").as_posix()
    'runs/first'
    """
    if not text.strip():
        raise ValueError("must be a path; got an empty one")
    path = os.path.expanduser(text)
    if os.path.lexists(path):
        return Path(path)
    if variable := _VARIABLE.search(path):
        raise ValueError(
            f"must be a path with every variable filled in; got {text!r}. A configuration and text "
            f"in single quotes leave {variable[0]} as it is, an unset one is empty: write the "
            "path out"
        )
    if path.startswith("~"):
        user = path.split("/")[0][1:]
        raise ValueError(f"must be a path; got {text!r}, and nobody is called {user!r} here")
    return Path(path)


def path_from(folder: Path, path: Path) -> str:
    """Name a file or folder as seen from a folder, so that both can move together.

    Relative where it lies in that folder, below it, or at most two folders up, short of the root;
    else absolute, as is what `given_path` would not take as it stands.

    Parameters
    ----------
    folder, path : Path
        Where a link stands for a folder, the folder it leads to counts, as it does for `..`.

    Examples
    --------
    >>> path_from(Path("/home/me/configs"), Path("/home/me/data/prices.csv"))
    '../data/prices.csv'
    """
    here, there = folder.resolve(), path.resolve()
    if not path.is_dir():  # a link that is the file itself keeps its name
        there = path.parent.resolve() / path.name
    shared = [here, *(up for up in here.parents[:_MOST_UP] if up.name)]
    if not any(map(there.is_relative_to, shared)):
        return str(path.absolute())
    near = Path(os.path.relpath(there, here)).as_posix()
    return str(path.absolute()) if near.startswith("~") or "$" in near else near
