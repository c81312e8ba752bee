"""Paths as people write them: `~` is a home, and what no shell has filled in is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path

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
