"""Every sentence of the source that tells what to do, found by reading the source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from source_tree import SRC, trees

HERE = Path(__file__).resolve().parent
# Tables of what Python says; that of runs asks for runs, and `test_cures.py` names it.
ROOMS = tuple(
    import_module(file.stem)
    for file in sorted(HERE.glob("cures_of_*.py"))
    if file.stem != "cures_of_runs"
)

_VERBS = (
    *("Add", "Adjust", "Average", "Call", "Change", "Check", "Choose", "Complete", "Compute"),
    *("Convert", "Copy", "Correct", "Count", "Cut", "Delete", "Drop", "Exchange", "Fetch", "Fill"),
    *(
        "Give",
        "Install",
        "Judge",
        "Keep",
        "Leave",
        "List",
        "Lower",
        "Make",
        "Move",
        "Name",
        "Order",
    ),
    *("Pass", "Put", "Raise", "Remove", "Rename", "Rescale", "Reshape", "Restore", "Return"),
    *("Save", "Say", "Set", "Shorten", "Sort", "Start", "Take", "Train", "Turn", "Use", "Wait"),
    *("Widen", "Write"),
)
_ANY = "|".join(f"{verb}|{verb.lower()}" for verb in _VERBS)
_CURE = re.compile(rf"(?:^|[.;:?)] |, or )(?:[Oo]r |[Dd]o not )?(?:{_ANY})\b")
# Told beforehand, not of what went wrong.
_NO_MESSAGES = ("scripts/", "run/config/docs.py", "run/directory/fields.py")


@dataclass(frozen=True)
class Message:
    """A text of the source; what is filled in is `{}`."""

    file: str
    line: int
    text: str


def of_rooms(table: str) -> dict[str, Any]:
    """The rows of the rooms that have a table of their own, joined."""
    return {key: row for room in ROOMS for key, row in vars(room).get(table, {}).items()}


def none_of_rooms() -> tuple[str, ...]:
    return tuple(text for room in ROOMS for text in vars(room).get("NONE", ()))


@cache
def texts() -> tuple[Message, ...]:
    """All texts of the source but its documentation."""
    return tuple(
        Message(path.relative_to(SRC).as_posix(), *each)
        for path, tree in trees().items()
        for each in _texts(tree)
    )


def messages() -> list[Message]:
    """Those that tell what to do."""
    return [
        each
        for each in texts()
        if not each.file.startswith(_NO_MESSAGES)
        and _CURE.search(each.text)
        and " " in each.text.strip()
    ]


def _texts(node: ast.AST) -> Iterator[tuple[int, str]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant):
            continue  # what documents code
        if (text := _text(inner)) is not None:
            yield inner.lineno, text  # type: ignore[attr-defined]
        else:
            yield from _texts(inner)


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(v.value) if isinstance(v, ast.Constant) else "{}" for v in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = (_text(node.left), _text(node.right))
        return None if parts == (None, None) else "".join(part or "{}" for part in parts)
    return None
