"""Writing plain values as YAML that `psann._strict_yaml` reads back unchanged."""

from __future__ import annotations

import re
from typing import Any

import yaml

from psann._strict_yaml import FLOAT, INTEGER, NOT_FINITE, WORDS


class _Dumper(yaml.SafeDumper):
    """PyYAML's writer: its own rules (YAML 1.1) and ours (1.2) for what text must be quoted."""


class _QuickDumper(yaml.CSafeDumper if yaml.__with_libyaml__ else yaml.SafeDumper):  # type: ignore[misc]
    """The same rules in front of libyaml, in a third of the time."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    # Unicode's line ends come back as blanks from every style but this one, which escapes them.
    style = '"' if any(letter in value for letter in "\x85\u2028\u2029\ufeff") else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _is_plain(value: Any) -> bool:
    """Whether libyaml writes the same bytes: what is not printable ASCII it folds otherwise."""
    if isinstance(value, dict):
        return all(key and _is_plain(key) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not isinstance(value, str) or (value.isascii() and value.isprintable())


def _anchored(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{pattern})\Z", re.ASCII)


for _dumper in (_Dumper, _QuickDumper):
    _dumper.add_representer(str, _text)
for _tag, _pattern in (
    ("bool", _anchored("|".join(word for word, value in WORDS.items() if value is not None))),
    ("bool", _anchored("[yYnN]")),  # to YAML 1.1, though not to PyYAML
    (
        "null",
        _anchored("|".join(re.escape(word) for word, value in WORDS.items() if value is None)),
    ),
    ("int", _anchored(INTEGER.pattern)),
    ("float", _anchored(f"{FLOAT.pattern}|{NOT_FINITE.pattern}")),
    ("merge", _anchored("<<")),
):
    for _dumper in (_Dumper, _QuickDumper):
        _dumper.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _pattern, None)


def to_yaml(values: dict[str, Any]) -> str:
    """Write nested plain values, in the order that they have.

    Parameters
    ----------
    values : dict
        Mappings with text keys, lists, text, finite numbers, booleans and None.

    Returns
    -------
    str
        YAML text that ends with a newline.

    Examples
    --------
    >>> print(to_yaml({"lr": 1e-05, "name": "1e-05"}), end="")
    lr: 1.0e-05
    name: '1e-05'
    """
    dumper = _QuickDumper if _is_plain(values) else _Dumper
    text: str = yaml.dump(
        values, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text
