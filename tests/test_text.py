"""Foreign text made harmless, and times as text."""

from __future__ import annotations

import hashlib
import json
import logging
import random
import string
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreign import FORMULAS
from psann._text import (
    clean,
    clock_text,
    csv_cell,
    escape_controls,
    labelled,
    mask_secrets,
    message_of,
    safe_cell,
    utc_text,
)
from thinning import slow, thinned

SECRET = "hunter2"
SECRETS: list[Any] = [
    {"password": SECRET},
    {"db_Password": SECRET},
    {"api_key": SECRET},
    {"apiKey": SECRET},
    {"X-API-KEY": SECRET},
    {"HF_TOKEN": SECRET},
    {"client_secret": {"value": SECRET}},
    {"credentials": [SECRET, SECRET]},
    {"sentry_dsn": SECRET},
    {"outer": [{"inner": {"token": SECRET}}]},
    ["--set", f"data.kwargs.password={SECRET}"],
    ["--set", f"data.kwargs.password=two words {SECRET}"],
    ["--set", f"data.kwargs={{token: {SECRET}, name: nyse_o}}"],
    ["--api-key", SECRET],
    [f"--token={SECRET}"],
    f"postgres://me:{SECRET}@db.example/prices",
    f"postgres://me:a/{SECRET}@b@db.example/prices",
    f"https://{SECRET}@example.org/repository.git",
    f"cannot read s3://key:{SECRET}@bucket/a.npz, tried twice",
    f'{{"user": "me", "secret": "{SECRET}"}}',
    f"{{'passwd': 'a \\'quoted\\' {SECRET}', 'n': 1}}",
    f"connect(user='me', password='{SECRET}', port=1)",
    f"Authorization: Bearer {SECRET}",
    f"line one\ntoken = {SECRET}\nline three",
    (f"AWS_SECRET_ACCESS_KEY={SECRET}",),
    f"tokens.csv: cannot be read with password={SECRET}",
    f"{{'token.json': '{SECRET}'}}",
]
HARMLESS: list[Any] = [
    {"password": None, "token": "", "secret": False, "seed": 3},
    {"y_key": "y_train", "monitor": "val_reward", "device": "cuda:0"},
    ["--config", "configs/hisso/nyse_o.yaml", "--set", "training.epochs=5", "--seed", "42"],
    "hisso.window must be a whole number of at least 2; got 1.",
    "https://www.rfc-editor.org/rfc/rfc4180",
    "see http://localhost:8080/runs and mail me at a@b.example",
    "pkg.mod:function",
    "note: api_keys.csv: is not ours: psann has not written it, and nothing vouches for it.",
    *(f"secret.{ending}: is damaged." for ending in ("onnx", "jsonl", "feather", "safetensors")),
    [1, 2.5, None, True],
]


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_formula_is_neutralised(text: str) -> None:
    cell = safe_cell(text)
    assert cell.lstrip()[0] in ("'", "\\")


@pytest.mark.parametrize("value", SECRETS, ids=str)
def test_secrets_are_masked_wherever_they_hide(value: Any) -> None:
    masked = json.dumps(mask_secrets(value))
    assert SECRET not in masked
    assert "***" in masked


@pytest.mark.parametrize("value", HARMLESS, ids=str)
def test_what_is_no_secret_stays_as_it_is(value: Any) -> None:
    assert mask_secrets(value) == value


# --- rates over corpora --------------------------------------------------------------------------

BASE62 = string.ascii_letters + string.digits
# How services make them: a form, the alphabet and the length of what is drawn.
FORMS = [
    ("AKIA{}", string.ascii_uppercase + string.digits, 16),
    ("ghp_{}", BASE62, 36),
    ("github_pat_{}", BASE62 + "_", 82),
    ("glpat-{}", BASE62 + "-_", 20),
    ("xoxb-{}", string.digits + "-" + BASE62, 50),
    ("hf_{}", BASE62, 34),
    ("npm_{}", BASE62, 36),
    ("pypi-AgEIcHlwaS5vcmc{}", BASE62 + "-_", 120),
    ("sk-{}", BASE62, 48),
    ("sk-ant-api03-{}", BASE62, 90),
    ("sk_live_{}", BASE62, 24),
    ("AIza{}", BASE62 + "-_", 35),
    ("ya29.{}", BASE62 + "-_", 100),
    ("SG.abcdefghijklmnop.{}", BASE62 + "-_", 43),
    ("dapi{}", "0123456789abcdef", 32),
    ("hvs.{}", BASE62, 90),
    ("12345678:AA{}", BASE62 + "-_", 33),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{}", BASE62 + "-_", 43),
    ("Bearer {}", BASE62, 40),
    ("Authorization: Basic {}=", BASE62, 24),
    ("https://x.blob.core.windows.net/c/a.npz?sv=2022&sig={}%3D", BASE62, 43),
    ("https://b.s3.amazonaws.com/a?X-Amz-Expires=60&X-Amz-Signature={}", "0123456789abcdef", 64),
    ("https://hooks.slack.com/services/T00/B00/{}", BASE62, 24),
    ("AccountName=a;AccountKey={}==;EndpointSuffix=x", BASE62 + "+/", 86),
    ("Server=db;Uid=me;Pwd={};Port=1", BASE62, 12),
    ("mysql://me:{}@db/prices", BASE62, 12),
    ("{{'session_key': '{}'}}", BASE62, 32),
    ("auth={}", "0123456789abcdef", 32),
    ("-----BEGIN RSA PRIVATE KEY-----\n{}\n-----END RSA PRIVATE KEY-----", BASE62 + "+/\n", 800),
    ("-----BEGIN OPENSSH PRIVATE KEY-----\n{}", BASE62 + "+/\n", 400),
]
AROUND = ["{}", "loader failed: {} was refused", "x\n{}\ny", '{{"a": "{}"}}']


def secret_corpus() -> Iterator[tuple[str, str]]:
    """Texts with a secret, and the part of each that is one."""
    draw = random.Random(0)
    for form, alphabet, length in FORMS:
        for k in range(40):
            secret = "".join(draw.choices(alphabet, k=length))
            yield AROUND[k % len(AROUND)].format(form.format(secret)), secret


def ordinary_corpus() -> Iterator[str]:
    """What a run, a message and the documentation say."""
    root = Path(__file__).resolve().parents[1]
    for folder, kinds in (("docs", "*.md"), ("configs", "*.yaml"), ("src", "*.py")):
        for path in sorted((root / folder).rglob(kinds)):
            yield from path.read_text().splitlines()
    draw = random.Random(1)
    for k in range(2000):
        digest = hashlib.sha256(bytes([k % 256, k // 256])).hexdigest()
        yield [
            f"sha256 {digest}",
            f'{{"config_sha256": "{digest}", "bytes": {k}}}',
            f"commit {digest[:40]}",
            f"run_id: {digest[:32]}",
            f"/data/prices/NYSE_{k}/Closing-2024-0{k % 9 + 1}.csv?adjusted=1",
            f"epoch {k}: val_reward_mean {draw.gauss(0, 1e-3)!r}",
            f"2025-10-28T09:05:{k % 60:02d}.250Z nyse_o-20251028T090507Z-{digest[:6]}",
            f"hisso.supervised.y_key: y_train_{k}, portfolio_prices_key: prices_test_2024",
            f"key={k}, keys: [a, b], monkey business, certainly, author: Smith, session 3 of 12",
            f"{digest[:8]}-{digest[8:12]}-4{digest[13:16]}-a{digest[17:20]}-{digest[20:32]}",
        ][k % 10]


def test_at_most_one_in_a_hundred_secrets_comes_through() -> None:
    through = [(text, secret) for text, secret in secret_corpus() if secret in clean(text)]
    through += [(t, s) for t, s in secret_corpus() if s.split()[0] in json.dumps(mask_secrets([t]))]
    assert len(through) <= 0.01 * len(list(secret_corpus())), through[:5]


@pytest.mark.parametrize("every", [5, slow(1)])
def test_at_most_one_in_two_hundred_ordinary_values_is_masked(every: int) -> None:
    texts = list(dict.fromkeys(ordinary_corpus()))  # an empty line says so once
    assert len(texts) > 20_000
    generated = texts[-2000::every]
    texts = texts[::every]
    masked = [text for text in texts if mask_secrets(text) != text]
    assert len(masked) <= 0.005 * len(texts), masked[:20]
    assert [text for text in generated if mask_secrets(text) != text] == []


WEAK_NAMES = ("session_key", "auth", "cookie", "signature", "jwt", "cert", "salt", "deploy-key")


def test_what_looks_drawn_is_masked_under_names_that_say_little_and_nothing_else_is() -> None:
    draw = random.Random(2)
    drawn = [
        {name: "".join(draw.choices(BASE62, k=draw.randrange(20, 64)))}
        for name in WEAK_NAMES
        for _ in range(50)
    ]
    through = [each for each in drawn if mask_secrets(each) == each]
    assert len(through) <= 0.01 * len(drawn), through
    ordinary = {
        "portfolio_prices_key": "prices_test_2024",
        "y_key": "y_train_supervised_targets",
        "key_file": "/data/prices/closing-of-2024.csv",
        "author": "Smith and Sons, 12 High Street",
        "session": 3,
        "keys": ["a", "b"],
        "certainly": None,
        "salt": "",
    }
    assert mask_secrets(ordinary) == ordinary


def test_a_private_key_is_masked_to_its_last_line_however_it_is_cut() -> None:
    key = ["-----BEGIN EC PRIVATE KEY-----", SECRET, SECRET + "x", "-----END EC PRIVATE KEY-----"]
    for value in ("\n".join(key), "\r\n".join(key[:3]), "\\n".join(key), key, key[:3]):
        assert SECRET not in json.dumps(mask_secrets(value))
    assert mask_secrets([*key, "after"])[-1] == "after"
    public = "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----"
    assert mask_secrets(public) == public


def test_what_stands_around_a_secret_stays_readable() -> None:
    assert (
        mask_secrets(f"connect(user='me', password='{SECRET}', port=1)")
        == "connect(user='me', password='***', port=1)"
    )
    assert mask_secrets(f"get https://me:{SECRET}@host/a") == "get https://***@host/a"
    assert mask_secrets(["--token", SECRET, "--seed", "1"]) == ["--token", "***", "--seed", "1"]


def test_masking_changes_no_argument() -> None:
    value = {"a": [{"password": SECRET}]}
    mask_secrets(value)
    assert value == {"a": [{"password": SECRET}]}


@pytest.mark.parametrize(
    "text",
    thinned(
        ["a" * 100_000 + " token", "a://" * 25_000, "a." * 50_000 + "token", "token" * 20_000],
        every=2,
    ),
    ids=lambda text: text[:8],
)
def test_masking_a_huge_text_takes_no_quadratic_time(text: str) -> None:
    start_s = time.process_time()  # of this process alone; what is quadratic takes minutes
    mask_secrets([text])
    assert time.process_time() - start_s < 60


def test_times_are_iso_8601_in_utc() -> None:
    assert utc_text(1_761_642_307.25) == "2025-10-28T09:05:07.250Z"


@pytest.mark.parametrize("code", [*range(0x20), 0x7F, 0x9B, 0x2028, 0x202E, 0x2069, 0xFEFF, 0xD800])
def test_controls_and_lone_surrogates_become_visible_escapes(code: int) -> None:
    escaped = escape_controls(f"a{chr(code)}b")
    assert escaped == f"a{ascii(chr(code))[1:-1]}b"
    assert escaped.isprintable()


def test_harmless_letters_of_any_script_stay() -> None:
    text = "é 中 🙂 £ ß ½"
    assert escape_controls(text) == clean(text) == safe_cell(text) == text


def test_cell_of_a_longer_text_than_csv_reads_is_cut_and_says_by_how_much() -> None:
    assert safe_cell("x" * 130_000) == "x" * 130_000
    assert safe_cell("x" * 130_001) == "x" * 130_000 + "... [1 more characters]"


def test_cells_of_values_read_back_and_are_no_formulas() -> None:
    assert [csv_cell(value) for value in (None, True, False, 3, 0.1, 1e-300)] == [
        *("", "true", "false", "3", "0.1", "1e-300"),
    ]
    assert float(csv_cell(1 / 3)) == 1 / 3
    assert csv_cell("=1+1") == "'=1+1"
    assert csv_cell({"password": "x"}) == '{"password": "***"}'


def test_clean_text_is_one_line_without_secrets() -> None:
    assert clean("two\nlines, password=abc") == "two\\nlines, password=***"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "00:00"), (59.4, "00:59"), (59.6, "01:00"), (3599.6, "1:00:00"), (90_061, "25:01:01")],
)
def test_durations_are_written_as_a_clock_does(seconds: float, text: str) -> None:
    assert clock_text(seconds) == text


def test_figure_that_is_not_there_leaves_no_name() -> None:
    assert (labelled("val", 0.123456), labelled("val", None)) == ("val 0.1235", "")


def test_message_whose_arguments_do_not_fit_its_format_is_told_all_the_same() -> None:
    def record(message: str, *args: object) -> logging.LogRecord:
        return logging.LogRecord("psann", logging.INFO, "", 0, message, args, None)

    assert message_of(record("%d rows", 3)) == "3 rows"
    assert message_of(record("%d rows", "x")) == "%d rows % ('x',) [bad format]"
    assert message_of(record("%(name)s", {"other": 1})) == "%(name)s % {'other': 1} [bad format]"
