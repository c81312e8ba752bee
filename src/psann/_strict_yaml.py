"""Reading a configuration: YAML or JSON text to plain values, each with its line.

Only what JSON can say is accepted: mappings with text keys, lists, text, finite numbers, true,
false and null. YAML means its 1.2 core rules, so that `1e-3` is a number and `no` is text.
"""

from __future__ import annotations

import copy
import json
import math
import os
import re
from collections.abc import Iterator
from glob import escape, glob
from typing import Any, NamedTuple, NoReturn

import yaml

from psann._plain_files import read_given
from psann._tree import ConfigTree, Origins, Path
from psann.errors import ConfigError, reason_of

MAX_BYTES = 2**20
MAX_NODES = 10_000
MAX_DEPTH = 32

INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", re.ASCII)
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", re.ASCII)
WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL", "~", ""), None),
}

_JSON_TOKEN = re.compile(r'[{}\[\]]|"(?:[^"\\]|\\.)*"|[^\s,:{}\[\]"]+')


class _Event(NamedTuple):
    kind: str  # mapping, list, end, scalar, alias
    line: int
    value: Any = None
    anchor: str | None = None


def read_config_file(path: str | os.PathLike[str], data: bytes | None = None) -> ConfigTree:
    """Read a configuration file.

    Parameters
    ----------
    path : str or path-like
        A file named `*.json` is JSON, any other YAML; UTF-8, at most 1 MiB, 10 000 values
        (those that aliases repeat counted) and 32 levels.
    data : bytes, optional
        Its content, where that has been read already.

    Returns
    -------
    ConfigTree
        The values, with the lines as origins, and with the problems that did not stop the
        reading: duplicate keys, keys that are no text, numbers that are not finite.

    Raises
    ------
    ConfigError
        If the file cannot be read, is no mapping, or breaks the syntax or the limits.
    """
    source = os.path.basename(os.fspath(path))
    text = _text_of(os.fspath(path), _read(os.fspath(path)) if data is None else data)
    is_json = source.lower().endswith(".json")
    builder = _Builder(
        _json_events(text, source) if is_json else _yaml_events(text, source), source
    )
    values = builder.document()
    if values is None:
        raise ConfigError(f"{path}: the configuration is empty.")
    if not isinstance(values, dict):
        raise ConfigError(
            f"{path}: the configuration must be a mapping of keys; got {_kind(values)}."
        )
    places = {place: f"{source} line {line}" for place, line in builder.lines.items()}
    tree = ConfigTree(values, Origins(source=source, places=places))
    tree.problems = builder.problems
    return tree


def parse_value(text: str, *, source: str) -> Any:
    """Read one value in YAML syntax, as `--set` takes it.

    Parameters
    ----------
    source : str
        The option as the user wrote it; it begins every message.

    Returns
    -------
    Any
        Plain value; an empty text is null.

    Raises
    ------
    ConfigError
        If the text is no YAML value or breaks a limit.

    Examples
    --------
    >>> parse_value("{name: cosine, lr_min: 1e-5}", source="--set")
    {'name': 'cosine', 'lr_min': 1e-05}
    """
    builder = _Builder(_yaml_events(text, source), source)
    try:
        value = builder.document()
    except ConfigError as error:
        builder.problems = list(error.problems)
    if builder.problems:
        raise ConfigError(
            [text.replace(f"{source} line 1:", f"{source}:") for text in builder.problems]
        )
    return value


def _read(path: str) -> bytes:
    try:
        return read_given(path, MAX_BYTES + 1)
    except IsADirectoryError:
        held = min(glob(f"{escape(path)}/*.yaml"), default=None)
        cure = "" if held is None else f" Give a file that it holds, such as {held}."
        told = f"{path} is a folder; it must be a YAML or JSON file.{cure}"
        raise ConfigError(told) from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {reason_of(error)}.") from None


def _text_of(path: str, data: bytes) -> str:
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path} is larger than 1 MiB, too large for a configuration.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{path} line {line}: not UTF-8 (byte {data[error.start]:#04x}); "
            "save the file in the encoding UTF-8."
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise ConfigError(f"{path} line {line}: holds a NUL character; is this a text file?")
    return text


class _Builder:
    """Builds values from events, counting them, and notes lines and problems on the way."""

    def __init__(self, events: Iterator[_Event], source: str) -> None:
        self.lines: dict[Path, int] = {}
        self.problems: list[str] = []
        self._events = events
        self._source = source
        self._n_nodes = 0
        self._anchors: dict[str, tuple[Any, int]] = {}  # name -> value, nodes

    def document(self) -> Any:
        """Build the one document of the text; an empty text is None."""
        first = next(self._events, None)
        value = None if first is None else self._value(first, (), depth=1)
        next(self._events, None)  # to the end of the text: a second document is refused there
        return value

    def _value(self, event: _Event, path: Path, *, depth: int) -> Any:
        if event.kind == "alias":
            return self._alias(event)
        before = self._n_nodes
        self._count(1, event.line)
        if depth > MAX_DEPTH:
            self._stop(event.line, f"nested more than {MAX_DEPTH} levels deep")
        value: Any
        if event.kind == "mapping":
            value = self._mapping(path, depth=depth)
        elif event.kind == "list":
            value = self._list(path, depth=depth)
        else:
            value = self._checked(event, path)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._n_nodes - before)
        return value

    def _mapping(self, path: Path, *, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first_lines: dict[str, int] = {}
        while (key := next(self._events)).kind != "end":
            if key.kind == "scalar" and isinstance(key.value, str):
                self._note_key(key.value, first_lines, key.line, path)
            else:
                got = json.dumps(key.value) if key.kind == "scalar" else f"a {key.kind}"
                self._stop(
                    key.line,
                    f"a key of {_name(path)} must be text; got {got}. Put it in quotation marks",
                )
            values[key.value] = self._value(next(self._events), (*path, key.value), depth=depth + 1)
        return values

    def _note_key(self, key: str, first_lines: dict[str, int], line: int, path: Path) -> None:
        self._check_text(key, line)
        if key in first_lines:
            self._problem(
                line,
                f"{_name((*path, key))} is written twice (first in line {first_lines[key]}); "
                "keep one of them",
            )
        first_lines.setdefault(key, line)
        self.lines[(*path, key)] = line

    def _list(self, path: Path, *, depth: int) -> list[Any]:
        values: list[Any] = []
        while (event := next(self._events)).kind != "end":
            values.append(self._value(event, (*path, str(len(values))), depth=depth + 1))
        return values

    def _alias(self, event: _Event) -> Any:
        if event.value not in self._anchors:
            self._stop(event.line, f"the alias *{event.value} has no finished anchor before it")
        value, n_nodes = self._anchors[event.value]
        self._count(n_nodes, event.line)
        # A copy: a later change of one place must not show at the other.
        return copy.deepcopy(value)

    def _checked(self, event: _Event, path: Path) -> Any:
        if isinstance(event.value, float) and not math.isfinite(event.value):
            cure = ""
            if math.isinf(event.value):  # too large, so that text may have been meant
                cure = (
                    "; text that looks like one goes between quotation marks, which a shell must "
                    "be kept from: '...=\"12e4567\"'"
                )
            self._problem(event.line, f"{_name(path)} must be a finite number{cure}")
        elif isinstance(event.value, str):
            self._check_text(event.value, event.line)
        return event.value

    def _check_text(self, text: str, line: int) -> None:
        # Neither can be written to a file or be part of a path.
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            self._stop(line, "text holds a NUL character or half a surrogate pair")

    def _count(self, n_nodes: int, line: int) -> None:
        self._n_nodes += n_nodes
        if self._n_nodes > MAX_NODES:
            self._stop(line, f"more than {MAX_NODES} values, too many for a configuration")

    def _problem(self, line: int, message: str) -> None:
        self.problems.append(f"{self._source} line {line}: {message}.")

    def _stop(self, line: int, message: str) -> NoReturn:
        self._problem(line, message)
        raise ConfigError(self.problems)


def _yaml_events(text: str, source: str) -> Iterator[_Event]:
    n_documents = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            mark: Any = event.start_mark
            line = mark.line + 1
            if isinstance(event, yaml.DocumentStartEvent):
                n_documents += 1
                if n_documents > 1:
                    raise ConfigError(f"{source} line {line}: a second document (---) begins.")
            elif isinstance(event, yaml.NodeEvent):
                yield _yaml_node(event, line, source)
            elif isinstance(event, yaml.CollectionEndEvent):
                yield _Event("end", line)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source} line {mark.line + 1}" if mark else source
        raise ConfigError(f"{place}: this is no YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: this is no YAML: {str(error).splitlines()[0]}.") from None


def _yaml_node(event: Any, line: int, source: str) -> _Event:
    if isinstance(event, yaml.AliasEvent):
        return _Event("alias", line, event.anchor)
    if event.tag is not None:
        raise ConfigError(
            f"{source} line {line}: the tag {event.tag} is not accepted; write plain values, "
            "and text between quotation marks."
        )
    if isinstance(event, yaml.MappingStartEvent):
        return _Event("mapping", line, anchor=event.anchor)
    if isinstance(event, yaml.SequenceStartEvent):
        return _Event("list", line, anchor=event.anchor)
    if event.style is not None:
        return _Event("scalar", line, event.value, event.anchor)
    if event.value == "<<":
        raise ConfigError(
            f"{source} line {line}: merge keys (<<) are not accepted; write the keys out."
        )
    return _Event("scalar", line, _plain_scalar(event.value, line, source), event.anchor)


def _plain_scalar(text: str, line: int, source: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    if INTEGER.fullmatch(text):
        if len(text) > 1000:
            raise ConfigError(f"{source} line {line}: a number of {len(text)} digits.")
        return int(text, 0 if text[:2] in ("0o", "0x") else 10)
    if FLOAT.fullmatch(text):
        return float(text)
    if NOT_FINITE.fullmatch(text):
        return math.nan
    return text


def _json_events(text: str, source: str) -> Iterator[_Event]:
    """Check the syntax with the standard parser, then walk the tokens for their lines."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{source} line {error.lineno}: this is no JSON: {error.msg} (column {error.colno})."
        ) from None
    except RecursionError:
        raise ConfigError(f"{source}: nested more than {MAX_DEPTH} levels deep.") from None
    except ValueError:
        raise ConfigError(f"{source}: holds a number of thousands of digits.") from None
    line, counted = 1, 0
    for token in _JSON_TOKEN.finditer(text):
        line += text.count("\n", counted, token.start())
        counted = token.start()
        kind = {"{": "mapping", "[": "list", "}": "end", "]": "end"}.get(token[0])
        yield _Event(kind, line) if kind else _Event("scalar", line, json.loads(token[0]))


def _name(path: Path) -> str:
    return ".".join(path) or "the configuration"


def _kind(value: Any) -> str:
    return {list: "a list", str: "text", bool: "true or false"}.get(type(value), "a number")
