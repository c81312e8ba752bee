"""Errors carry all problems; misspelt words find their neighbours."""

from __future__ import annotations

import ast
import errno
import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psann.errors import (
    ConfigError,
    TrainingInterrupted,
    did_you_mean,
    file_and_reason,
    nearest,
    reason_of,
    unavailable,
)
from source_tree import SRC, trees

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


def test_what_the_system_says_is_told_in_words_with_the_file_where_none_is_named() -> None:
    try:
        os.open("x" * 300, os.O_RDONLY)
    except OSError as caught:
        error = caught
    assert reason_of(error) == os.strerror(errno.ENAMETOOLONG)
    assert file_and_reason(error) == f"{reason_of(error)} ({'x' * 300})"
    for own in (OSError("it is closed"), ConfigError("one")):  # of no file, or not the system's
        assert file_and_reason(own) == reason_of(own) == str(own)


def _told_raw(tree: ast.Module) -> Iterator[int]:
    """Lines where an error that may be the system's is put into a text as it is."""
    for handler in ast.walk(tree):
        if not isinstance(handler, ast.ExceptHandler) or handler.type is None:
            continue
        kinds = ast.unparse(handler.type)
        if "OSError" in kinds and "pyarrow" not in kinds:  # which has words of its own
            for each in ast.walk(handler):
                is_text = ast.unparse(each) == f"str({handler.name})"
                if isinstance(each, ast.FormattedValue):
                    is_text = ast.unparse(each.value) == handler.name
                if is_text:
                    yield each.lineno


def test_no_message_has_the_number_of_an_error_of_the_system() -> None:
    examples = "try: f()\nexcept OSError as e: g(f'no: {e}')\nexcept (A, OSError) as b: g(str(b))"
    assert list(_told_raw(ast.parse(examples))) == [2, 3]
    found = {str(path.relative_to(SRC)): [*_told_raw(tree)] for path, tree in trees().items()}
    assert {path: lines for path, lines in found.items() if lines} == {}


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
