"""Errors carry all problems; misspelt words find their neighbours."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psann.errors import ConfigError, TrainingInterrupted, did_you_mean, nearest, unavailable

WORDS = ["window", "reward", "lr", "lr_min", "batch_size", "batch_episodes"]


def test_an_error_says_all_its_problems() -> None:
    assert ConfigError("one").problems == ("one",)
    error = ConfigError(["one", "two"])
    assert error.problems == ("one", "two")
    assert str(error) == "one\ntwo"


def test_an_interruption_knows_what_it_owes() -> None:
    error = TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)
    assert (error.reason, error.status, error.exit_code) == ("SIGTERM", "preempted", 143)
    assert str(error) == "Training was stopped by SIGTERM."


@pytest.mark.parametrize(
    ("word", "guess"),
    [
        ("windw", "window"),
        ("windoww", "window"),
        ("qindow", "window"),
        ("wnidow", "window"),
        ("Window", "window"),
        ("rewrad", "reward"),
        ("l", "lr"),
        ("r", "lr"),
        ("rl", "lr"),
        ("batch_siez", "batch_size"),
        ("batchsize", "batch_size"),
        ("zebra", None),
        ("x", None),
        ("", None),
    ],
)
def test_the_nearest_word_is_found_if_it_is_near(word: str, guess: str | None) -> None:
    assert nearest(word, WORDS) == guess
    assert did_you_mean(word, WORDS) == (f" Did you mean {guess!r}?" if guess else "")


def test_a_library_that_does_not_fit_is_not_called_missing() -> None:
    missing = ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow")
    assert unavailable(missing, install="X") == "pyarrow is not installed. Install it with: X"
    unfit = ImportError("pyarrow requires NumPy 2.0 or newer, found 1.26.4\nmore")
    assert unavailable(unfit, install="X") == (
        "what is installed cannot be imported: pyarrow requires NumPy 2.0 or newer, found 1.26.4. "
        "Install what fits with: X"
    )


def test_a_long_text_is_compared_with_no_word() -> None:
    begun = time.process_time()
    assert nearest("x" * 10**6, ["window", "reward"]) is None  # letter by letter: 10 s
    assert time.process_time() - begun < 1.0


def test_of_two_near_words_the_one_with_the_same_first_letter_wins() -> None:
    assert nearest("bat", ["cat", "bad", "mat"]) == "bad"


@given(st.sampled_from(WORDS), st.data())
def test_a_word_is_nearest_to_itself(word: str, data: st.DataObject) -> None:
    others = data.draw(st.lists(st.sampled_from(WORDS), max_size=5))
    assert nearest(word, [*others, word]) == word


def test_nothing_is_near_to_nothing() -> None:
    assert nearest("window", []) is None
