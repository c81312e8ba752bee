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
    >>> path_from(Path("/work/configs"), Path("/work/data/prices.csv"))
    '../data/prices.csv'
    """
    here = os.path.realpath(folder)
    # A link that is the file itself keeps its name.
    there = os.path.realpath(path if path.is_dir() else path.parent)
    there = there if path.is_dir() else os.path.join(there, path.name)
    if Path(here).drive != Path(there).drive:
        return str(path.absolute())
    near = Path(os.path.relpath(there, here)).as_posix()
    common = os.path.commonpath([here, there])
    is_far = near.split("/").count("..") > _MOST_UP or (
        ".." in near and common == Path(here).anchor
    )
    is_odd = near.startswith("~") or "$" in near
    return str(path.absolute()) if is_far or is_odd else near
