"""Each word is explained where it stands first, and only there."""

from __future__ import annotations

import pytest

from psann.presentation.content import Section, Table
from psann.presentation.terms import explained
from psann.run.reading.strategies import STRATEGIES


def terms_of(*sections: Section) -> list[list[str]]:
    return [[term for term, _ in section.terms] for section in explained(sections)]


def test_a_term_is_explained_in_the_first_section_that_has_it() -> None:
    first = Section(title="a", sentences=("Better than 1/N.",))
    rows = (("1/N", "2"), ("EG 0.05", "3"))
    second = Section(title="b", tables=(Table(columns=("strategy", "drawdown"), rows=rows),))
    assert terms_of(first, second) == [["1/N"], ["drawdown", "EG"]]


def test_what_is_folded_explains_nothing_and_uses_no_explanation_up() -> None:
    folded = Section(title="a", sentences=("1/N",), is_folded=True)
    assert terms_of(folded, Section(title="b", sentences=("1/N",))) == [[], ["1/N"]]


def test_words_that_only_look_alike_are_not_explained() -> None:
    assert terms_of(Section(title="a", sentences=("EGGS, arrow, bpm",))) == [[]]


@pytest.mark.parametrize("name", [n for n in STRATEGIES.values() if n.strip() != "policy"])
def test_every_strategy_of_the_table_is_explained(name: str) -> None:
    plain = {"the seeds as one policy", "benchmark"}
    if name in plain or "cost" in name:
        return  # said in the words of the language
    (terms,) = terms_of(Section(title="a", tables=(Table(columns=("",), rows=((name,),)),)))
    assert terms


@pytest.mark.parametrize(
    ("sentence", "term"),
    [
        ("above the luckiest of 13 candidates", "luckiest of"),
        ("net of 10 bp per unit", "bp"),
        ("+0.3 per year over 1/N, 95 % interval -1 ... 2", "95 % interval"),
        ("Walk-forward, 4 folds: ...", "walk-forward"),
        ("Placebo: 0 of 6 trainings", "placebo"),
        ("Sharpe ratio 2.5 +- 0.9 per year", "Sharpe ratio"),
        ("policy, 1 row late", "one row later"),
        ("log growth of +0.150", "log growth"),
    ],
)
def test_what_sentences_say_is_explained(sentence: str, term: str) -> None:
    (terms,) = terms_of(Section(title="a", sentences=(sentence,)))
    assert term in terms
