"""Foreign text made harmless, and times as text."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from foreign import FORMULAS
from psann._text import mask_secrets, safe_cell, utc_text


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_formula_is_neutralised(text: str) -> None:
    cell = safe_cell(text)
    assert cell.lstrip()[0] in ("'", "\\")


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
]


HARMLESS: list[Any] = [
    {"password": None, "token": "", "secret": False, "seed": 3},
    {"y_key": "y_train", "monitor": "val_reward", "device": "cuda:0"},
    ["--config", "configs/hisso/nyse_o.yaml", "--set", "training.epochs=5", "--seed", "42"],
    "hisso.window must be a whole number of at least 2; got 1.",
    "https://www.rfc-editor.org/rfc/rfc4180",
    "see http://localhost:8080/runs and mail me at a@b.example",
    "pkg.mod:function",
    [1, 2.5, None, True],
]


@pytest.mark.parametrize("value", SECRETS, ids=str)
def test_secrets_are_masked_wherever_they_hide(value: Any) -> None:
    masked = json.dumps(mask_secrets(value))
    assert SECRET not in masked
    assert "***" in masked


@pytest.mark.parametrize("value", HARMLESS, ids=str)
def test_what_is_no_secret_stays_as_it_is(value: Any) -> None:
    assert mask_secrets(value) == value


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
    ["a" * 100_000 + " token", "token" * 20_000, "a://" * 25_000, "a." * 50_000 + "token"],
    ids=lambda text: text[:8],
)
def test_masking_a_huge_text_takes_no_quadratic_time(text: str) -> None:
    start_s = time.process_time()
    mask_secrets([text])
    assert time.process_time() - start_s < 5


def test_times_are_iso_8601_in_utc() -> None:
    assert utc_text(1_761_642_307.25) == "2025-10-28T09:05:07.250Z"
