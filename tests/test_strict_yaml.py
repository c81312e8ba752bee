"""Reading YAML and JSON: what is accepted, and how the rest is refused."""

from __future__ import annotations

import json
import time
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psann._strict_yaml import parse_value, read_config_file
from psann._yaml_text import to_yaml
from psann.errors import ConfigError
from thinning import thinned

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def _read(tmp_path: Path, text: str | bytes, name: str = "run.yaml") -> object:
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    tree = read_config_file(file)
    if tree.problems:
        raise ConfigError(tree.problems)
    return tree.values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("5", 5),
        ("-5", -5),
        ("007", 7),
        ("0x1f", 31),
        ("0o17", 15),
        (".5", 0.5),
        ("5.", 5.0),
        ("1.0e-05", 1e-05),
        ("+1E3", 1000.0),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("'1e-3'", "1e-3"),
        ("1e-3x", "1e-3x"),
        ("[1, a, {b: 2}]", [1, "a", {"b": 2}]),
        ("{name: cosine, lr_min: 1e-5}", {"name": "cosine", "lr_min": 1e-05}),
        ("[&x {a: 1}, *x]", [{"a": 1}, {"a": 1}]),
    ],
)
def test_plain_values_follow_yaml_1_2(text: str, value: object) -> None:
    found = parse_value(text, source="--set")
    assert found == value
    assert type(found) is type(value)


@settings(max_examples=25)
@given(st.dictionaries(st.text("abc<=~1.-", min_size=1), PLAIN, min_size=1, max_size=4))
def test_what_is_written_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, object]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    for name, text in (("a.yaml", to_yaml(values)), ("a.json", json.dumps(values))):
        found = _read(folder, text, name)
        assert found == values
        assert json.dumps(found) == json.dumps(values)  # 1 is not true, 1.0 is not 1


def test_every_key_knows_its_line(tmp_path: Path) -> None:
    yaml_text = "a: 1\nb:\n  c: [1,\n    {d: 2}]\n  e: x\n"
    json_text = '{"a": 1,\n"b": {\n "c": [1,\n {"d": "}\\"{"}],\n "e": "x"}}'
    for name, text in (("run.yaml", yaml_text), ("run.json", json_text)):
        (tmp_path / name).write_text(text)
        tree = read_config_file(tmp_path / name)
        assert tree.where(("a",)) == f"{name} line 1"
        assert tree.where(("b", "c")) == f"{name} line 3"
        assert tree.where(("b", "c", "1", "d")) == f"{name} line 4"
        assert tree.where(("b", "e")) == f"{name} line 5"
        assert tree.where(("b", "e", "unknown")) == f"{name} line 5"
        assert tree.where(("z",)) == name


def test_an_alias_is_a_copy(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text("a: &x {b: 1}\nc: *x\n")
    tree = read_config_file(tmp_path / "run.yaml")
    tree.set(("a", "b"), 2, origin="test")
    assert tree.values == {"a": {"b": 2}, "c": {"b": 1}}


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path: Path) -> None:
    for name, text in (("run.yaml", "\ufeffa: 1\r\nb: 2\r\n"), ("run.json", '\ufeff{"a":1,"b":2}')):
        assert _read(tmp_path, text, name) == {"a": 1, "b": 2}


BAD_YAML = {
    "empty": ("", "the configuration is empty"),
    "only a comment": ("# nothing\n", "the configuration is empty"),
    "a list": ("- a\n", "must be a mapping of keys; got a list"),
    "a word": ("hello", "must be a mapping of keys; got text"),
    "a number": ("3", "must be a mapping of keys; got a number"),
    "open bracket": ("a: 1\nb: [1", "line 2: this is no YAML"),
    "tab": ("a: 1\n\tb: 2", "line 2: this is no YAML"),
    "bad indentation": ("a:\n   b: 1\n  c: 2\n", "line 3: this is no YAML"),
    "control character": ("a: \x07", "this is no YAML"),
    "duplicate key": ("a: 1\nb: 2\na: 3\n", "line 3: a is written twice (first in line 1)"),
    "nested duplicate": ("a: {b: 1, c: 2,\n b: 3}", "line 2: a.b is written twice"),
    "number as key": ("a: 1\n2: b", "line 2: a key of the configuration must be text; got 2"),
    "truth as key": ("a: {true: b}", "a key of a must be text; got true"),
    "null as key": ("a:\n  ~: b", "line 2: a key of a must be text; got null"),
    "mapping as key": ("{a: 1}: b", "a key of the configuration must be text; got a mapping"),
    "list as key": ("? [a]\n: b", "must be text; got a list"),
    "python tag": ("a: 1\nb: !!python/object/apply:os.system [ls]", "line 2: the tag"),
    "text tag": ("a: !!str 3", "line 1: the tag"),
    "own tag": ("a: !mine 3", "line 1: the tag !mine"),
    "merge key": ("a: &x {b: 1}\nc:\n  <<: *x\n", "line 3: merge keys"),
    "unknown alias": ("a: *x", "line 1: the alias *x has no finished anchor"),
    "alias within itself": ("a: &x [*x]", "line 1: the alias *x has no finished anchor"),
    "infinity": ("a: 1\nb: -.inf", "line 2: b must be a finite number"),
    "nan": ("a: [1, .nan]", "line 1: a.1 must be a finite number"),
    "overflow": ("a: 1e999", "line 1: a must be a finite number"),
    "second document": ("a: 1\n---\nb: 2\n", "line 2: a second document"),
    "escaped nul": ('a: "\\0"', "line 1: text holds a NUL character"),
    "half a surrogate": ('a: "\\ud800"', "line 1: text holds a NUL character or half"),
    "many digits": ("a: " + "9" * 1001, "line 1: a number of 1001 digits"),
    "33 levels": ("a: " + "[" * 33 + "]" * 33, "line 1: nested more than 32 levels"),
    "100 000 levels": ("[" * 100_000, "line 1: nested more than 32 levels"),
    "10 001 values": ("a: [" + "1," * 9_999 + "]", "more than 10000 values"),
    "laughs": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(
            f"{name}: &{name} [{', '.join([f'*{last}'] * 10)}]\n"
            for last, name in zip("abcdef", "bcdefg", strict=True)
        ),
        "line 4: more than 10000 values",
    ),
}
BAD_JSON = {
    "trailing comma": ('{"a": 1,\n}', "this is no JSON"),
    "second line": ('{"a": 1,\n"b" 2}', "line 2: this is no JSON"),
    "empty file": ("", "this is no JSON"),
    "an array": ("[1]", "must be a mapping of keys; got a list"),
    "duplicate": ('{"a": 1,\n"a": 2}', "line 2: a is written twice (first in line 1)"),
    "NaN": ('{"a": NaN}', "line 1: a must be a finite number"),
    "Infinity": ('{"a": [-Infinity]}', "line 1: a.0 must be a finite number"),
    "huge": ('{"a": 1e999}', "line 1: a must be a finite number"),
    "deep": ("[" * 100_000 + "]" * 100_000, "nested more than 32 levels"),
    "digits": ('{"a": ' + "9" * 5000 + "}", "thousands of digits"),
    "surrogate": ('{"a": "\\ud800"}', "text holds"),
    "many": ('{"a": [' + "1," * 10_000 + "1]}", "more than 10000 values"),
}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [("run.yaml", *case) for case in BAD_YAML.values()]
    + [("run.json", *case) for case in BAD_JSON.values()],
    ids=[*BAD_YAML, *(f"json {name}" for name in BAD_JSON)],
)
def test_bad_text_is_refused_with_its_line(
    tmp_path: Path, name: str, text: str, message: str
) -> None:
    began = time.process_time()  # of this process alone; a bomb would take hours
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, text, name)
    assert message in str(caught.value)
    assert name in str(caught.value)
    assert time.process_time() - began < 60


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"a: 1\nb: \xe9\n", "line 2: not UTF-8 (byte 0xe9)"),
        ("a: 1".encode("utf-16"), "line 1: not UTF-8 (byte 0xff)"),
        (b"a: 1\nb: \0", "line 2: holds a NUL character"),
        (b"#" * (2**20 + 1), "larger than 1 MiB"),
    ],
)
def test_bad_bytes_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _read(tmp_path, data)
    assert message in str(caught.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_config_file(tmp_path / "absent.yaml")
    (tmp_path / "b.yaml").touch()
    (tmp_path / "a.yaml").write_text("seed: 3\n")
    cure = rf"is a folder; .*\. Give a file that it holds, such as {tmp_path}/a\.yaml\.$"
    assert read_config_file(str(tmp_path / "a.yaml")).values == {"seed": 3}
    with pytest.raises(ConfigError, match=cure):
        read_config_file(tmp_path)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config_file("a\0b")


def test_limits_are_inclusive(tmp_path: Path) -> None:
    assert _read(tmp_path, "a: " + "[" * 31 + "]" * 31)
    assert _read(tmp_path, "a: [" + "1," * 9_998 + "]")
    assert _read(tmp_path, b"a: 1\n" + b"#" * (2**20 - 5)) == {"a": 1}


def test_a_bad_value_on_the_command_line_names_the_option() -> None:
    with pytest.raises(ConfigError, match=r"^--set a=\[: this is no YAML"):
        parse_value("[", source="--set a=[")
    with pytest.raises(
        ConfigError, match=r"^--set a=\.inf: the configuration must be a finite number"
    ):
        parse_value(".inf", source="--set a=.inf")


def test_a_text_that_looks_like_a_number_beyond_all_range_is_told_how_to_quote() -> None:
    with pytest.raises(ConfigError, match="must be a finite number; text that looks") as caught:
        parse_value("12e4567", source="--set data.kwargs.sha=12e4567")
    cure = str(caught.value).partition("'...=")[2].partition("'")[0]
    assert parse_value(cure, source="--set") == "12e4567"


@pytest.mark.parametrize(
    ("n_letters", "name"),
    thinned(product([*range(10), 510, 4095, 4096, 8192, 16_384], ["c.yaml", "c.json"]), every=3),
)
def test_nothing_may_follow_the_one_document(name: str, n_letters: int) -> None:
    """At every alignment, and about the sizes in which texts are read."""
    whole = b'{"a": "' + b"x" * n_letters + b'"}\n'
    assert read_config_file(name, whole + b"\n \n").values == {"a": "x" * n_letters}
    for rest in (b"---\nb: 1\n", b"{}", b'{"b": 1}', b"...\n---\n", b"]", b"b: 1\n", b"x"):
        for blanks in range(5):
            with pytest.raises(ConfigError):
                read_config_file(name, whole + b"\n" * blanks + rest)
