"""Foreign text is written so that nothing can be made of it."""

from __future__ import annotations

import pytest

from made_runs import HOSTILE
from psann.presentation.content import Section, number, printable, printable_block, setting
from thinning import slow


@pytest.mark.parametrize("step", [1500, slow(300)])
def test_any_character_becomes_printable(step: int) -> None:
    every = "".join(map(chr, range(0x110000)))
    for start in range(0, len(every), step):
        text = printable(every[start : start + 300]).split("... (")[0]
        text.encode("utf-8")
        assert text.isprintable() or not set(text) & set("\x00\x1b\r\n\u2028\u2029\u202e\ufffe")


def test_hostile_text_is_one_line_with_visible_escapes() -> None:
    text = printable(HOSTILE)
    for escape in ("\\u2028", "\\u202e", "\\ufffe", "\\x00", "\\x1b", "\\U0001ffff", "\\n"):
        assert escape in text


def test_long_text_is_cut_and_says_so() -> None:
    assert printable("x" * 1000).endswith("x... (600 more characters)")


def test_of_a_long_traceback_the_end_is_kept() -> None:
    block = printable_block("first\n" + "x\n" * 20_000 + "ValueError: the reason\n")
    assert block.startswith("(20,029 characters before)") or "characters before" in block
    assert block.endswith("ValueError: the reason")
    assert "first" not in block


@pytest.mark.parametrize(
    ("value", "written"),
    [(True, "true"), (None, "null"), ("null", "null"), ({"a": 1e-5}, '{"a": 1e-05}')],
)
def test_settings_are_written_as_in_the_file(value: object, written: str) -> None:
    assert setting(value) == written


def test_section_of_nothing_is_empty() -> None:
    assert Section(title="x").is_empty
    assert not Section(title="x", warnings=("y",)).is_empty


@pytest.mark.parametrize("form", [".2%", "+.4f", ",.2f", ".4g", "+.3f"])
@pytest.mark.parametrize("value", [1.5e92, -1.5e92, 1e9, 1e300])
def test_a_number_of_many_digits_is_written_by_its_size(form: str, value: float) -> None:
    text = number(value, form)
    assert len(text) <= 10
    assert float(text) == pytest.approx(value, rel=1e-2)
