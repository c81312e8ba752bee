"""What `metrics.json` must look like by itself: every field of its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psann.run.directory.fields import (
    FIELDS,
    LATER,
    NEVER_NULL,
    OF_PORTFOLIO,
    OF_TEST_ROWS,
    SCHEMA_VERSION,
    STATUSES,
    is_of_its_kind,
    kinds_of,
)

_MAX_ITEMS = 10_000  # ten times as many as there may be seeds


def problems_of_record(metrics: Mapping[str, object]) -> list[str]:
    """What is wrong with the fields of `metrics.json`, each by itself and together.

    Returns
    -------
    list of str
        One phrase per problem; empty if every field is there, of its type, and fits the status.
    """
    if metrics.get("schema_version") != SCHEMA_VERSION:
        version = metrics.get("schema_version")
        return [f"must be of schema version {SCHEMA_VERSION}; it has {version!r:.80}"]
    problems = [
        f"lacks the field {name}"
        for name, each in FIELDS.items()
        if name not in metrics and LATER not in each.traits
    ]
    problems += [f"has the unknown field {name!r}" for name in metrics if name not in FIELDS]
    if problems:
        return problems
    problems += [
        f"{name} must have at most {_MAX_ITEMS:,} items; it has {len(value):,}"
        for name, value in metrics.items()
        if name != "artefacts" and isinstance(value, dict | list) and len(value) > _MAX_ITEMS
    ]
    never_null = [name for name, each in FIELDS.items() if NEVER_NULL in each.traits]
    problems += [f"{name} must not be null" for name in never_null if metrics[name] is None]
    problems += _problems_of_kind(metrics)
    problems += _problems_of_seeds(metrics.get("per_seed"), metrics.get("ensemble"))
    status = metrics["status"]
    if status not in STATUSES:
        problems.append(f"status must be one of {', '.join(STATUSES)}; got {str(status)[:80]!r}")
    if (metrics["finished_utc"] is None) is not (status == "running"):
        problems.append("finished_utc must be null exactly while the status is running")
    has_failed = status in ("failed", "diverged")
    if status != "ruined" and (metrics["error"] is not None) is not has_failed:
        problems.append(
            f"error must be given exactly for a run that failed; the status is {status}"
        )
    return problems


def problems_of_withheld(metrics: Mapping[str, Any], *, judges_test: bool) -> list[str]:
    """What a record has that it must not: figures of test rows that are withheld.

    Parameters
    ----------
    judges_test : bool
        Whether the portfolio figures would be of the test rows.
    """
    names = (*OF_TEST_ROWS, *OF_PORTFOLIO) if judges_test else OF_TEST_ROWS
    owners = {"": metrics, "ensemble.": metrics["ensemble"] or {}}
    owners |= {f"per_seed.{k}.": each for k, each in enumerate(metrics["per_seed"] or ())}
    return [
        f"{where}{name} must be null: evaluation.withhold_test leaves the test rows shut"
        for where, owner in owners.items()
        for name in names
        if owner.get(name) is not None
    ]


def _problems_of_kind(values: Mapping[str, object], where: str = "") -> list[str]:
    return [
        f"{where}{name} must be {' or '.join(kind.__name__ for kind in kinds_of(name))}; "
        f"got {str(values[name])[:80]!r}"
        for name in FIELDS
        if name in values and not is_of_its_kind(name, values[name])
    ]


def _problems_of_seeds(per_seed: object, ensemble: object) -> list[str]:
    """Each of several seeds, and their ensemble, has fields of the kinds that the run has."""
    problems = []
    if isinstance(ensemble, dict):
        problems += _problems_of_kind(ensemble, "ensemble.")
    if not isinstance(per_seed, list):
        return problems
    if len(per_seed) < 2:
        problems.append(f"per_seed must be null or tell of several seeds; it has {len(per_seed)}")
    for number, entry in enumerate(per_seed):
        if isinstance(entry, dict) and entry.get("seed") is not None:
            problems += _problems_of_kind(entry, f"per_seed.{number}.")
        else:
            got = str(entry)[:80]
            problems.append(f"per_seed.{number} must be the figures of a seed; got {got!r}")
    return problems
