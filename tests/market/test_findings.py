"""How problems, cures and notes are kept."""

from __future__ import annotations

import pytest

from psann.errors import DataError, listed
from psann.market.findings import Findings, paste


def test_all_problems_are_raised_together_and_once() -> None:
    findings = Findings()
    findings.stop()
    findings.ask("One.", {"price": "Close"})
    findings.ask("Two.", {"price": "A"}, {"price": "B"}, cure="if it is.")
    findings.ask("Two.", {"price": "A"}, {"price": "B"}, cure="if it is.")
    findings.ask("Three.", cure="Mend it.")
    with pytest.raises(DataError) as caught:
        findings.stop()
    assert caught.value.problems == (
        "One. Say `price: Close`.",
        "Two. Say `price: A` or `price: B` if it is.",
        "Three. Mend it.",
    )


@pytest.mark.parametrize(
    ("n", "last"),
    [(0, None), (1, "p0. Cure."), (5, "p4. Cure."), (7, "p4. There are 2 more like it. Cure.")],
)
def test_of_many_mistakes_of_a_kind_the_first_five_are_told(n: int, last: str | None) -> None:
    findings = Findings()
    findings.ask_of_many([f"p{k}." for k in range(n)], cure="Cure.")
    assert len(findings.problems) == min(n, 5)
    assert findings.problems[-1:] == ([] if last is None else [last])


def test_a_note_is_kept_once() -> None:
    findings = Findings()
    findings.say("a")
    findings.say("a")
    assert findings.notes == ["a"]


def test_what_yaml_would_take_for_something_else_is_quoted() -> None:
    assert paste({"assets": ["NO", "0700", "A"]}) == "assets: ['NO', '0700', A]"
    assert listed([]) == ""
