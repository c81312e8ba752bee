"""What reading a table found out: what stops it, what is said, and the lines that settle it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from psann.errors import DataError

MOST = 5  # of one kind of mistake, so that a broken file does not print itself


@dataclass
class Findings:
    """Collector of one reading: it goes on after a mistake, so that all are told at once."""

    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def ask(self, problem: str, *cures: Mapping[str, object], cure: str = "") -> None:
        """Keep a problem with what settles it: options to paste, any one of them, or words.

        Words that go on in lower case are the condition of the options.
        """
        pasted = "Say " + " or ".join(f"`{paste(options)}`" for options in cures) if cures else ""
        end = " " if pasted and cure[:1].islower() else ". " if pasted else ""
        self.problems.append(f"{problem} {pasted}{end}{cure}".rstrip())

    def ask_of_many(
        self, problems: list[str], *cures: Mapping[str, object], cure: str = ""
    ) -> None:
        """Keep the first few problems of one kind, the last with the cure and the total number."""
        *others, last = problems[:MOST] or [""]
        self.problems += others
        if last:
            more = len(problems) - MOST
            rest = f" There are {more} more like it." if more > 0 else ""
            self.ask(last + rest, *cures, cure=cure)

    def say(self, note: str) -> None:
        """Keep a note, once."""
        if note not in self.notes:
            self.notes.append(note)

    def stop(self) -> None:
        """Raise all problems, if there are any.

        Raises
        ------
        DataError
            With one sentence or two for each problem.
        """
        if self.problems:
            raise DataError(list(dict.fromkeys(self.problems)))


def paste(options: Mapping[str, object]) -> str:
    """Write options as one line of YAML, as they stand in a config's `data` block.

    Examples
    --------
    >>> paste({"price": "Close", "format": {"date": "%d/%m/%Y"}})
    "price: Close, format: {date: '%d/%m/%Y'}"
    """
    import yaml

    line = yaml.safe_dump(
        dict(options), default_flow_style=True, sort_keys=False, allow_unicode=True, width=10**9
    )
    return line.strip().removeprefix("{").removesuffix("}")
