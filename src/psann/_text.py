"""Foreign text made harmless: one line, no secret, no formula, no control character; times too."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

# Python's csv module refuses cells of more than 131 072 characters; a longer text is cut.
_LONGEST_TEXT = 130_000
# The full-width forms are formulas to some spreadsheets too.
_FORMULA_STARTS = frozenset("=+-@＝＋－＠")
# The last rows turn the direction of writing, so that a text would not be what it seems.
_CONTROLS = [
    *(*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFEFF),
    *(0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),
]
_ESCAPES = {code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" for code in _CONTROLS}
_ESCAPES |= {ord("\n"): "\\n", ord("\r"): "\\r", ord("\t"): "\\t"}


# Not the record's own: `logging.addLevelName` may have put colours into it.
_LEVELS = {
    number: logging.getLevelName(number)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
}


def level_name(record: logging.LogRecord) -> str:
    """Name of the level, whatever the process calls it."""
    return _LEVELS.get(record.levelno, record.levelname)


def message_of(record: logging.LogRecord) -> str:
    """Message of a record, also of one whose arguments do not fit its format.

    Parameters
    ----------
    record : logging.LogRecord
        Any record: a user's reward may log below `psann` too.
    """
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError, IndexError):
        # A slip in somebody's logging call is no reason to lose a run.
        return f"{record.msg} % {record.args!r} [bad format]"


def escape_controls(text: str) -> str:
    r"""Write control characters, line ends and lone surrogates as visible escapes.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        One line that can be encoded and printed.

    Examples
    --------
    >>> print(escape_controls("two" + chr(10) + "lines"))
    two\nlines
    """
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode("utf-8")


@functools.lru_cache(maxsize=64)  # most texts are said again in the next row
def safe_cell(text: str) -> str:
    """Make a text safe for a table: one line, no secret, no formula, not too long.

    Parameters
    ----------
    text : str
        Any text.

    Returns
    -------
    str
        At most 130 000 characters and a note on how many were cut.

    Examples
    --------
    >>> safe_cell("=1+1")
    "'=1+1"
    """
    text = escape_controls(mask_secrets(text))
    if text.lstrip()[:1] in _FORMULA_STARTS:
        text = f"'{text}"
    if len(text) > _LONGEST_TEXT:
        text = f"{text[:_LONGEST_TEXT]}... [{len(text) - _LONGEST_TEXT} more characters]"
    return text


MASK = "***"
# Every repetition has a bound: a text of 100 kB must not cost quadratic time.
_WORDS = (
    r"(?:pass(?:word|wd|phrase)|token|secret|api[_-]?key|access[_-]?key|private[_-]?key"
    r"|account[_-]?key|credential|authorization|(?<![a-z])dsn|(?<![a-z])pwd(?==))"
)
_SECRET_KEY = re.compile(_WORDS, re.IGNORECASE)
_SECRET_FLAG = re.compile(rf"--?[\w.-]{{0,200}}?{_WORDS}[\w.-]{{0,64}}", re.IGNORECASE)
# `--set data.kwargs.password=two words`: the value of a whole argument ends where the line does.
# This and the next are compiled where there is a secret, by the first call.
_ARGUMENT = rf"(?i)\A((?:--?)?[\w.\[\]-]{{0,200}}?{_WORDS}[\w.\[\]-]{{0,64}}=)[^\n]+"
# `password=x`, `"token": "x"` and `secret: two words` inside a longer text; after `tokens.csv: `
# a sentence follows.
_FILE = (
    r"(?:(?<=\.(?:gz|md|pq|py))|(?<=\.(?:csv|npy|npz|png|pt2|svg|tar|tsv|txt|yml))"
    r"|(?<=\.(?:html|json|onnx|yaml))|(?<=\.(?:arrow|jsonl))|(?<=\.(?:feather|parquet))"
    r"|(?<=\.safetensors))"
)
_ASSIGNMENT = (
    rf"""(?i)({_WORDS}[\w.-]{{0,64}}(?!{_FILE}:\ )["']?\s{{0,8}}(?:(=)|:)\s{{0,8}})"""
    r"""("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?(2)[^\s,;&)}\]]+|[^,;&)}\]\n]+))"""
)
# A password may hold `/` and `@`, so it reaches to the last `@`; a bare user name holds neither.
_URL = re.compile(
    r"""([a-z][a-z0-9+.-]{0,30}://)"""
    r"""(?:[^\s/@:"'<>]{0,256}:[^\s"'<>]{0,512}|[^\s/@:"'<>]{1,256})@""",
    re.IGNORECASE,
)
# What gives a secret away by itself: the forms of tokens that services document, and their like.
_SHAPES = re.compile(
    r"""(?<![A-Za-z0-9])(?:"""
    r"""(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])"""  # Amazon
    r"""|gh[opsru]_[A-Za-z0-9]{30,255}|github_pat_\w{22,255}|gl(?:pat|ptt|dt|rt)-[\w-]{20,255}"""
    r"""|xox[abeoprs]-[\w-]{10,255}|hf_[A-Za-z0-9]{30,255}|npm_[A-Za-z0-9]{36}|pypi-[\w-]{40,400}"""
    r"""|sk-[A-Za-z0-9_-]{0,16}[A-Za-z0-9]{20,255}|[rs]k_(?:live|test)_[A-Za-z0-9]{16,255}"""
    r"""|AIza[\w-]{35}|ya29\.[\w-]{20,400}|SG\.[\w-]{16,64}\.[\w-]{16,64}|dop_v1_[a-f0-9]{64}"""
    r"""|dapi[a-f0-9]{32}|hv[bs]\.[\w-]{20,255}|dckr_pat_[\w-]{20,255}|\d{8,10}:AA[\w-]{32,35}"""
    r"""|AGE-SECRET-KEY-1[0-9A-Z]{50,64}|eyJ[\w-]{8,4000}\.eyJ[\w-]{8,4000}\.[\w-]{0,4000}"""
    r""")"""
    r"""|-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"""
    r"""(?:.{0,100000}?-----END [A-Z0-9 ]{0,40}-----|.{0,100000})""",
    re.DOTALL,
)
# `Bearer 1a2b...`, `?sig=...`, and the path of a web hook: what goes before them stays.
_AFTER = re.compile(
    r"""(\b(?:bearer|basic)\s{1,8}(?=[^\s,;"']{0,255}[\d=]))[^\s,;"']{8,4000}"""
    r"""|([?&](?:sig|signature|hmac|auth|x-(?:amz|goog)-(?:signature|credential|security-token))=)"""
    r"""[^&\s"'#]{1,4000}"""
    r"""|(https://(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/)[\w/-]{8,255}""",
    re.IGNORECASE,
)
# Names that say little, whose values are secrets where they look drawn at random.
_WEAK_WORDS = r"(?:key|auth|cert|salt|session|cookie|signature|cred|jwt|(?<![a-z])pat(?![a-z]))"
_WEAK_KEY = re.compile(_WEAK_WORDS, re.IGNORECASE)
_WEAK_ASSIGNMENT = re.compile(
    rf"""({_WEAK_WORDS}[\w.-]{{0,64}}["']?\s{{0,8}}[=:]\s{{0,8}}["']?)([\w+/=.~-]{{16,4000}})""",
    re.IGNORECASE,
)


def _looks_random(text: str) -> bool:
    """Whether capitals, small letters and digits follow each other as if they were drawn."""
    kinds = [(letter.isdigit(), letter.isupper()) for letter in text]
    n_changes = sum(left != right for left, right in itertools.pairwise(kinds))
    return len(text) >= 16 and " " not in text and n_changes >= len(text) / 4


def mask_secrets(value: Any) -> Any:
    """Replace secrets by `***` in anything made of mappings, sequences and texts.

    Masked are values under keys, and after `key=`, `key:` or a command-line flag, whose name
    contains password, passwd, passphrase, token, secret, api key, access key, private key,
    account key, credential, authorization or dsn; what looks drawn at random under a name with key,
    auth, cert, salt, session, cookie or signature; the user part of `scheme://user:password@host`;
    and wherever they stand the tokens of the usual services, what follows `Bearer`, signatures in
    addresses, and private keys with all their lines.

    Parameters
    ----------
    value : Any
        What will be written; it is not changed.

    Returns
    -------
    Any
        The same with masks; tuples become lists.

    Examples
    --------
    >>> mask_secrets(["--set", "data.kwargs.password=x", {"url": "postgres://me:pw@db/prices"}])
    ['--set', 'data.kwargs.password=***', {'url': 'postgres://***@db/prices'}]
    """
    if isinstance(value, str):
        return _mask_text(value)
    if value is None or isinstance(value, int | float):  # most of a record, and quick to tell
        return value
    if isinstance(value, Mapping):
        return {
            key: MASK if _is_secret(key, item) else mask_secrets(item)
            for key, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        follows = [False] + [
            isinstance(item, str) and _SECRET_FLAG.fullmatch(item) is not None for item in value
        ]
        return [
            MASK if is_value and isinstance(item, str) else mask_secrets(item)
            for is_value, item in zip(follows, _whole_keys(value), strict=False)
        ]
    return value


def _whole_keys(items: Sequence[Any]) -> Iterator[Any]:
    """The items, where one begins a private key with all to its end as part of it."""
    is_inside = False
    for item in items:
        begins = isinstance(item, str) and "PRIVATE KEY" in item and "-----BEGIN" in item
        yield MASK if is_inside and isinstance(item, str) else item
        is_inside = (is_inside or begins) and not (isinstance(item, str) and "-----END" in item)


def _is_secret(key: Any, item: Any) -> bool:
    if item is None or isinstance(item, bool) or item == "":
        return False
    names_one, may_name_one = _names_secret(str(key))
    return names_one or (may_name_one and isinstance(item, str) and _looks_random(item))


# A record is written again and again: the same names, and mostly the same texts.
@functools.lru_cache(maxsize=4096)
def _names_secret(key: str) -> tuple[bool, bool]:
    return _SECRET_KEY.search(key) is not None, _WEAK_KEY.search(key) is not None


@functools.lru_cache(maxsize=2048)
def _mask_text(text: str) -> str:
    text = _SHAPES.sub(MASK, _URL.sub(rf"\1{MASK}@", text))
    text = _AFTER.sub(lambda found: f"{next(filter(None, found.groups()))}{MASK}", text)
    text = _WEAK_ASSIGNMENT.sub(_mask_random, text)
    if _SECRET_KEY.search(text) is None:
        return text
    text = re.sub(_ARGUMENT, rf"\1{MASK}", text)
    return re.sub(_ASSIGNMENT, _mask_assignment, text)


def _mask_random(match: re.Match[str]) -> str:
    return f"{match[1]}{MASK}" if _looks_random(match[2]) else match[0]


def _mask_assignment(match: re.Match[str]) -> str:
    quote = match[3][0] if match[3][0] in "\"'" else ""
    return f"{match[1]}{quote}{MASK}{quote}"


def utc_text(timestamp: float) -> str:
    """Write a time as ISO 8601 in UTC with milliseconds.

    Parameters
    ----------
    timestamp : float
        Seconds since 1970.

    Examples
    --------
    >>> utc_text(0.0625)
    '1970-01-01T00:00:00.062Z'
    """
    time_utc = datetime.fromtimestamp(timestamp, UTC)
    return time_utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_of(text: str | None) -> float | None:
    """Read a time of `utc_text`, in seconds since 1970; None of what is none.

    Examples
    --------
    >>> seconds_of("1970-01-01T00:00:00.062Z"), seconds_of("yesterday")
    (0.062, None)
    """
    try:
        return None if text is None else datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def shortened(text: str, most: int) -> str:
    """A text of so many letters at most.

    Examples
    --------
    >>> shortened("buy and hold", 12), shortened("buy and hold", 8)
    ('buy and hold', 'buy and…')
    """
    return text if len(text) <= most else f"{text[: most - 1]}…"


def labelled(label: str, value: float | None) -> str:
    """Write a figure behind its name; nothing where there is none."""
    return "" if value is None else f"{label} {value:.4g}"


def clock_text(seconds: float) -> str:
    """Write a duration as a clock does.

    Examples
    --------
    >>> clock_text(75), clock_text(4000)
    ('01:15', '1:06:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def clean(text: str) -> str:
    r"""Make any text one harmless line.

    Examples
    --------
    >>> print(clean("red" + chr(27) + "[31m, token=abc"))
    red\x1b[31m, token=***
    """
    return escape_controls(mask_secrets(text))


def csv_cell(value: Any) -> str:
    """Write a value as a cell: numbers read back to the same bits, no text is a formula.

    Parameters
    ----------
    value : Any
        What JSON holds.
    """
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return safe_cell(value)
    return safe_cell(json.dumps(value))


def csv_text(names: Sequence[str], rows: Iterable[Mapping[str, object]]) -> str:
    """Write a table as CSV, a column for each name; what a row lacks is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([safe_cell(name) for name in names])
    writer.writerows([csv_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()
