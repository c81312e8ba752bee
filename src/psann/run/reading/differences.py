"""Where runs differ: in what was asked, under what circumstances, and in what was found."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psann.presentation.content import conjoined
from psann.run.reading.quantities import Quantity
from psann.run.reading.reading import RunView, flat
from psann.run.reading.sameness import bit_differences

ABSENT = "(not there)"
"""Value of a configuration key that a run does not have."""
_SEED = "seed"
# A file is what it holds: its path is another on another machine.
_FILES = {
    **{f"data.{name}": f"recorded.{name}_sha256" for name in ("npz", "prices", "universe")},
    "init_from": "recorded.init_from_sha256",
}


@dataclass(frozen=True)
class Difference:
    """A key in which runs differ."""

    key: str
    values: tuple[Any, ...]
    """One per run, in their order."""


@dataclass(frozen=True)
class Group:
    """Runs of one configuration, the seed aside, on the same data."""

    runs: tuple[RunView, ...]

    @property
    def seeds(self) -> tuple[Any, ...]:
        """The seeds, each once."""
        return tuple(dict.fromkeys(run.metrics["seed"] for run in self.runs))

    @property
    def of_seeds(self) -> tuple[RunView, ...]:
        """The first run of each seed."""
        found: dict[Any, RunView] = {}
        for run in self.runs:
            found.setdefault(run.metrics["seed"], run)
        return tuple(found.values())

    def values(self, quantity: Quantity) -> list[float]:
        """One value for each seed that has one: a seed that was run twice is no second draw."""
        found: dict[Any, float] = {}
        for run in self.runs:
            if (value := quantity.of(run)) is not None:
                found.setdefault(run.metrics["seed"], value)
        return [*found.values()]

    def mean(self, quantity: Quantity) -> float | None:
        """Mean over the seeds; None without any value."""
        values = self.values(quantity)
        return math.fsum(values) / len(values) if values else None

    def spread(self, quantity: Quantity) -> float | None:
        """Sample standard deviation (n - 1) over the seeds; None for fewer than two."""
        values = self.values(quantity)
        mean = self.mean(quantity)
        if mean is None or len(values) < 2:
            return None
        return math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1))


def config_differences(runs: Sequence[RunView]) -> tuple[Difference, ...]:
    """Keys of the configuration whose effective values are not the same in all runs.

    Parameters
    ----------
    runs : sequence of RunView
        Two or more; one whose configuration cannot be read is left out (its values are `ABSENT`).

    Returns
    -------
    tuple of Difference
        In the order of the keys. What `recorded` tells is no setting; a data file is the same
        under any path while its digest is.
    """
    settings = _settings(runs)
    known = [values for values in settings if values]
    keys = dict.fromkeys(key for values in known for key in values)
    above = {key[:place] for key in keys for place, sign in enumerate(key) if sign == "."}
    return tuple(
        Difference(key, tuple(values.get(key, ABSENT) for values in settings))
        for key in keys
        if len({_text(values.get(key, ABSENT)) for values in known}) > 1
        # The keys of a section that one run leaves out say so already.
        and not (key in above and all(values.get(key) is None for values in known))
    )


def circumstances(runs: Sequence[RunView]) -> tuple[Difference, ...]:
    """What else may make runs differ: data, code, versions, device, as far as that is known."""
    facts = [_facts(run) for run in runs]
    keys = dict.fromkeys(key for values in facts for key in values)
    found = (Difference(key, tuple(values.get(key) for values in facts)) for key in keys)
    return tuple(each for each in found if len({*map(_text, each.values)} - {_text(None)}) > 1)


def group_by_config(runs: Sequence[RunView]) -> tuple[Group, ...]:
    """Gather runs that differ in nothing but their seed.

    Parameters
    ----------
    runs : sequence of RunView
        Any runs; one whose configuration cannot be read is alone.

    Returns
    -------
    tuple of Group
        In the order of their first runs.
    """
    groups: dict[str, list[RunView]] = {}
    for number, (run, of_run) in enumerate(zip(runs, _settings(runs), strict=True)):
        settings = {key: value for key, value in of_run.items() if key != _SEED}
        key = _text([settings, run.metrics["data_sha256"]]) if settings else str(number)
        groups.setdefault(key, []).append(run)
    return tuple(Group(tuple(members)) for members in groups.values())


def verdict(
    runs: Sequence[RunView],
    found: Sequence[Difference],
    around: Sequence[Difference],
    name_of: Callable[[RunView], str],
) -> list[str]:
    """Say in sentences in what runs differ.

    Parameters
    ----------
    runs : sequence of RunView
        Two or more.
    found, around : sequence of Difference
        What `config_differences` and `circumstances` say of them.

    Returns
    -------
    list of str
        First what differs in the configurations, then what else, then whether the results do.
    """
    unread = [name_of(run) for run in runs if not run.config]
    sentences = [f"No configuration of {conjoined(unread)} can be read."] if unread else []
    what = "two runs" if len(runs) == 2 else f"{len(runs)} runs"
    if len(found) == 1:
        sentences.append(f"The {what} differ in one key: {found[0].key}.")
    elif found:
        sentences.append(f"The {what} differ in {len(found)} keys.")
    elif len(unread) < len(runs) - 1:
        sentences.append("The configurations are the same.")
    if around:
        keys = ", ".join(each.key for each in around)
        sentences.append(
            f"Other circumstances: {keys} {'differs' if len(around) == 1 else 'differ'}."
        )
    if not found:
        sentences.append(_sameness(runs, name_of))
    return sentences


def _sameness(runs: Sequence[RunView], name_of: Callable[[RunView], str]) -> str:
    for run in runs[1:]:
        if found := bit_differences(runs[0], run):
            names = f"{name_of(runs[0])} and {name_of(run)}"
            return f"The results differ; {names} first in {found[0]}."
    return "The runs are identical: same results to the last bit, times aside."


def _settings(runs: Sequence[RunView]) -> list[dict[str, object]]:
    """Each configuration by dotted key, without what a run only recorded."""
    found = [flat(run.config) for run in runs]
    for key, digest in _FILES.items():
        named = [values for values in found if values.get(key) is not None]
        if all(values.get(digest) is not None for values in named):  # else of an earlier release
            for values in named:
                values[key] = f"file with sha256 {values[digest]}"
    # A mapping without keys sets nothing.
    return [
        {key: v for key, v in values.items() if not key.startswith("recorded.") and v != {}}
        for values in found
    ]


def _facts(run: RunView) -> dict[str, object]:
    start: Mapping[str, object] = run.starts[-1] if run.starts else {}
    versions, hardware = _mapping(start.get("versions")), _mapping(run.metrics["hardware"])
    return {
        "data (sha256)": run.metrics["data_sha256"],
        "code (git commit)": _mapping(start.get("git")).get("commit"),
        **{f"version of {name}": version for name, version in versions.items()},
        "device": hardware.get("device_name"),
        "threads": hardware.get("threads"),
        "engine": hardware.get("engine"),
    }


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
