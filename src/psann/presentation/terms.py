"""What the words of a report mean, told where each stands first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from psann.presentation.content import Section

# Word as a reader finds it -> where to look for it, and what it means.
_TERMS: dict[str, tuple[str, str]] = {
    "row": (r"\brows?\b", "one step of the data, such as a day."),
    "1/N": (
        r"\b1/N\b",
        "equal parts of all assets, made equal again at every row: what needs no skill.",
    ),
    "bp": (r"\bbp\b", "basis point, a hundredth of a percent of what is bought or sold."),
    "log growth": (
        r"log growth|per year over 1/N",
        "natural logarithm of the growth of wealth, per year; unlike percentages it adds up over "
        "the years. +0.100 is +10.5 % a year, +0.693 doubles the wealth; 0.100 over 1/N leaves "
        "10.5 % more than 1/N after a year.",
    ),
    "95 % interval": (
        r"95 % interval",
        "where the difference lies if chance is taken into account; if 0 is within, nothing is "
        "shown.",
    ),
    "Sharpe ratio": (
        r"Sharpe",
        "mean return above that of cash over its standard deviation, per year; above 1 is rare. "
        "A sentence on one run tells its standard error after +-.",
    ),
    "luckiest of": (
        r"luckiest of|deflated",
        "who tries many candidates finds a good one by luck. A deflated probability is that of "
        "being better than the best of so many without skill (Bailey and Lopez de Prado 2014).",
    ),
    "drawdown": (r"drawdown", "fall below the highest wealth so far."),
    "one row later": (
        r"one row (?:later|earlier)|rows? late",
        "delay: the same decisions executed so many rows after they were made. A result that is "
        "gone one row later could not have been had by whoever needs time to trade.",
    ),
    "walk-forward": (
        r"[Ww]alk-forward",
        "trained anew on ever later rows, each time judged on those that follow, the fold.",
    ),
    "placebo": (
        r"[Pp]lacebo",
        "the same training on moves in a random order, where there is nothing to learn.",
    ),
    "buy and hold": (r"buy and hold", "equal parts at the first row, then never traded."),
    "best training asset": (
        r"best training asset",
        "all in the asset that grew most on the training rows.",
    ),
    "BCRP": (
        r"BCRP",
        "best constantly rebalanced portfolio (Cover 1991): of all fixed weights those that would "
        "have grown most, of the past on the rows before, in hindsight on the judged rows.",
    ),
    "inverse volatility": (r"inverse volatility", "the less an asset moves, the more of it."),
    "minimum variance": (r"minimum variance", "the weights that would have moved least of late."),
    "risk parity": (r"risk parity", "every asset adds the same part of the risk."),
    "EG": (
        r"\bEG\b",
        "exponentiated gradient (Helmbold et al. 1998): a little more of what has just risen.",
    ),
    "PAMR": (
        r"\bPAMR\b",
        "passive aggressive mean reversion (Li et al. 2012): more of what has just fallen.",
    ),
    "OLMAR": (
        r"\bOLMAR\b",
        "online moving average reversion (Li and Hoi 2012): more of what lies below its recent "
        "mean.",
    ),
}


def explained(sections: Iterable[Section]) -> Iterator[Section]:
    """Give each section the terms that stand in it and in none before."""
    waiting = dict(_TERMS)
    for section in sections:
        if section.is_folded:
            yield section
            continue
        text = "\n".join(_texts(section))
        found = [term for term, (pattern, _) in waiting.items() if re.search(pattern, text)]
        told = tuple((term, waiting.pop(term)[1]) for term in found)
        yield replace(section, terms=told)


def _texts(section: Section) -> Iterator[str]:
    yield from section.sentences
    for table in section.tables:
        yield table.note
        yield from table.columns
        yield from (row[0] for row in table.rows)
    for picture in section.pictures:
        yield picture.title
        yield picture.caption
        for panel in picture.figure.panels:
            yield panel.title
