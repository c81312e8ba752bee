"""The conditions of `--where`: what they mean, and that nothing else is accepted."""

from __future__ import annotations

import pytest

from psann._conditions import parse_condition
from psann.errors import UsageError

RUN = {
    "val_reward_mean": 0.5,
    "device": "cuda:0",
    "seed": 2,
    "config.training.lr": 0.01,
    "resume_exact": True,
    "monitor": None,
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("val_reward_mean > 0", True),
        ("val_reward_mean>0 and device=='cpu'", False),
        ("val_reward_mean>0 or device=='cpu'", True),
        ("not seed == 2", False),
        ("0 < val_reward_mean <= 0.5", True),
        ("0 < val_reward_mean < 0.5", False),
        ("config.training.lr >= 0.01", True),
        ("seed in (1, 2)", True),
        ("seed not in [1, 2]", False),
        ("'cuda' in device", True),
        ("seed != 3", True),
        ("val_reward_mean > -1e-3", True),
        ("resume_exact", True),
        ("resume_exact == true and monitor == null", True),
        ("resume_exact == false", False),
        ("monitor == None", True),
        (" (seed==2) ", True),
        # What is missing or of another type is neither smaller nor larger.
        ("monitor > 0", False),
        ("monitor <= 0", False),
        ("device > 0", False),
        ("absent < 1", False),
        ("absent == null", True),
        ("'x' in seed", False),
    ],
)
def test_condition_means_what_it_says(text: str, holds: bool) -> None:
    assert parse_condition(text).holds(RUN) is holds


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "'a'.upper == 1",
        "seed + 1 > 2",
        "9**9**9 > 1",
        "[x for x in device]",
        "lambda: 1",
        "seed if seed else 1",
        "f'{seed}'",
        "device[0] == 'c'",
        "(seed := 3)",
        "seed is None",
        "b'x' == 1",
        "1j == 1",
        "-'a' == 1",
        "seed in (device, 1)",
        "{'a': 1}",
        "... == 1",
    ],
)
def test_anything_beyond_the_small_language_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is none of them"):
        parse_condition(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is none"),
        ("seed ==", "must be a condition"),
        ("seed = 2", "must be a condition"),
        ("seed\0", "must be a condition"),
        ("x" * 2001, "at most 2000 characters; got 2001"),
        ("(" * 1500, "must be a condition"),
    ],
)
def test_text_that_is_no_condition_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_condition(text)


@pytest.mark.parametrize("depth", [2, 90, 450])
def test_deep_condition_is_right_or_refused(depth: int) -> None:
    try:
        assert parse_condition("not " * depth + "seed").holds({"seed": 1})
    except UsageError as error:
        assert "must be a condition" in str(error) or "too deeply" in str(error)


def test_odd_escapes_are_no_warning() -> None:
    assert parse_condition(r"device == '\d' or 1in (1, 2)").holds(RUN)


def test_name_that_no_run_has_is_told_with_the_nearest() -> None:
    condition = parse_condition("val_rewad_mean > 0 and colour == 1")
    assert condition.names == {"val_rewad_mean", "colour"}
    with pytest.raises(UsageError) as caught:
        condition.check_names(RUN)
    assert len(caught.value.problems) == 2
    assert "Did you mean 'val_reward_mean'?" in str(caught.value)
    parse_condition("seed == 1").check_names(RUN)
