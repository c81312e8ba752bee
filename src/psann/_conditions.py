"""The conditions of `hisso-runs ls --where`: a small language that is read, never executed.

Python's grammar, of which only these are allowed: comparisons, `in`, `and`, `or`, `not`,
brackets, dotted names, and constants. A value that is missing or of another type is neither
smaller nor larger than anything.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from psann.errors import UsageError, did_you_mean

_MAX_LENGTH = 2000
_WORDS = {"true": True, "false": False, "null": None}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, place: item in place,
    ast.NotIn: lambda item, place: item not in place,
}

_Read = Callable[[Mapping[str, Any]], Any]


@dataclass(frozen=True)
class Condition:
    """A condition on values by dotted name."""

    names: frozenset[str]
    """The names that it asks for."""
    _read: _Read

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether it is true of these values; a name that they lack is null."""
        return bool(self._read(values))

    def check_names(self, known: Iterable[str]) -> None:
        """Refuse names that no run has.

        Raises
        ------
        UsageError
            One sentence for each unknown name.
        """
        known = set(known)
        unknown = sorted(self.names - known)
        if unknown:
            raise UsageError(
                [
                    f"--where must name fields of metrics.json or keys of config; no run has "
                    f"{name!r}.{did_you_mean(name, known)}"
                    for name in unknown
                ]
            )


def parse_condition(text: str) -> Condition:
    """Read a condition.

    Parameters
    ----------
    text : str
        Such as `val_reward_mean > 0 and device == "cpu"`; at most 2000 characters.

    Returns
    -------
    Condition
        What it asks for, ready to be held against values.

    Raises
    ------
    UsageError
        If the text is no condition, or is anything beyond the small language.

    Examples
    --------
    >>> condition = parse_condition('seed in (1, 2) and not training.lr > 0.1')
    >>> condition.holds({"seed": 2, "training.lr": 0.01}), sorted(condition.names)
    (True, ['seed', 'training.lr'])
    """
    if len(text) > _MAX_LENGTH:
        raise UsageError(f"--where must have at most {_MAX_LENGTH} characters; got {len(text)}.")
    try:
        with warnings.catch_warnings():  # Python's advice on style is not the user's business
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
    except SyntaxError as error:
        place = f" at character {error.offset}" if error.offset else ""
        raise UsageError(
            f"--where must be a condition such as 'val_reward_mean>0 and device==\"cpu\"'; "
            f"{text[:200]!r} is none{place}."
        ) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise UsageError(f"--where must be a condition; this text is none: {error}.") from None
    names: set[str] = set()
    try:
        read = _reader(tree.body, names)
    except RecursionError:
        raise UsageError("--where is nested too deeply; write a simpler condition.") from None
    return Condition(frozenset(names), read)


def _reader(node: ast.expr, names: set[str]) -> _Read:
    match node:
        case ast.BoolOp(op=op, values=values):
            reads = [_reader(value, names) for value in values]
            decide = all if isinstance(op, ast.And) else any
            return lambda fields: decide(read(fields) for read in reads)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            negated = _reader(operand, names)
            return lambda fields: not negated(fields)
        case ast.Compare(left=left, ops=ops, comparators=right) if _all_known(ops):
            operands = [_reader(value, names) for value in (left, *right)]
            tests = [_COMPARISONS[type(op)] for op in ops]
            return lambda fields: _compare([read(fields) for read in operands], tests)
        case ast.Name() | ast.Attribute():
            return _name_reader(node, names)
    constant = _constant(node)
    return lambda fields: constant


def _all_known(ops: list[ast.cmpop]) -> bool:
    return all(type(op) in _COMPARISONS for op in ops)


def _compare(values: list[Any], tests: list[Callable[[Any, Any], bool]]) -> bool:
    try:
        return all(
            test(left, right) for left, right, test in zip(values, values[1:], tests, strict=False)
        )
    except TypeError:  # null, or text beside a number
        return False


def _name_reader(node: ast.expr, names: set[str]) -> _Read:
    parts: list[str] = []
    inner = node
    while isinstance(inner, ast.Attribute):
        parts.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name):
        raise _refused(node)
    name = ".".join([inner.id, *reversed(parts)])
    if name in _WORDS:
        word = _WORDS[name]
        return lambda fields: word
    names.add(name)
    return lambda fields: fields.get(name)


def _constant(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return tuple(_constant(element) for element in elements)
    raise _refused(node)


def _refused(node: ast.expr) -> UsageError:
    return UsageError(
        "--where knows comparisons, in, and, or, not, names and constants; "
        f"{ast.unparse(node)[:80]!r} is none of them."
    )
