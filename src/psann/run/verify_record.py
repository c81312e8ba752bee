"""What `metrics.json` must look like by itself: every field of its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psann.run.record import FIELDS, SCHEMA_VERSION, STATUSES

_TEXT, _COUNT, _NUMBER = (str,), (int,), (int, float)
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("status", "mode", "phase", "run_id", "run_name", "monitor"), _TEXT),
    **dict.fromkeys(("device", "started_utc", "updated_utc", "finished_utc", "heartbeat"), _TEXT),
    **dict.fromkeys(("config_sha256", "data_sha256", "error"), _TEXT),
    **dict.fromkeys(("schema_version", "seed", "epoch", "epochs_total"), _COUNT),
    **dict.fromkeys(("best_epoch", "episodes", "resumes", "n_trials"), _COUNT),
    **dict.fromkeys(("versus_uniform", "versus_uniform_delay_1", "baselines"), (dict,)),
    **dict.fromkeys(("walk_forward", "placebo"), (dict,)),
    "deflated_sharpe": _NUMBER,
    **dict.fromkeys(("monitor_value", "train_loss", "val_loss", "test_loss"), _NUMBER),
    **dict.fromkeys(("reward_mean", "reward_std", "val_reward_mean"), _NUMBER),
    **dict.fromkeys(("test_reward_mean", "transition_penalty", "trans_cost"), _NUMBER),
    **dict.fromkeys(("min_improvement", "temperature"), _NUMBER),
    **dict.fromkeys(("throughput_eps_per_sec", "duration_seconds"), _NUMBER),
    **dict.fromkeys(("best", "last", "portfolio_metrics", "timing", "hardware"), (dict,)),
    **dict.fromkeys(("parent", "artefacts"), (dict,)),
    **dict.fromkeys(("spread", "ensemble"), (dict,)),
    **dict.fromkeys(("nonfinite", "resume_differences", "per_seed"), (list,)),
    "resume_exact": (bool,),
}
_NEVER_NULL = (
    *("schema_version", "status", "run_id", "run_name", "started_utc", "updated_utc"),
    *("heartbeat", "duration_seconds", "nonfinite"),
)


def problems_of_record(metrics: Mapping[str, Any]) -> list[str]:
    """What is wrong with the fields of `metrics.json`, each by itself and together.

    Parameters
    ----------
    metrics : mapping
        The whole object.

    Returns
    -------
    list of str
        One phrase per problem; empty if every field is there, of its type, and fits the status.
    """
    if metrics.get("schema_version") != SCHEMA_VERSION:
        version = metrics.get("schema_version")
        return [f"must be of schema version {SCHEMA_VERSION}; it has {version!r}"]
    problems = [f"lacks the field {name}" for name in FIELDS if name not in metrics]
    problems += [f"has the unknown field {name!r}" for name in metrics if name not in FIELDS]
    if problems:
        return problems
    problems += [f"{name} must not be null" for name in _NEVER_NULL if metrics[name] is None]
    problems += _problems_of_kind(metrics)
    problems += _problems_of_seeds(metrics["per_seed"], metrics["ensemble"])
    status = metrics["status"]
    if status not in STATUSES:
        problems.append(f"status must be one of {', '.join(STATUSES)}; got {str(status)[:80]!r}")
    if (metrics["finished_utc"] is None) is not (status == "running"):
        problems.append("finished_utc must be null exactly while the status is running")
    if (metrics["error"] is not None) is not (status in ("failed", "diverged")):
        problems.append(
            f"error must be given exactly for a run that failed; the status is {status}"
        )
    return problems


def _problems_of_kind(values: Mapping[str, Any], where: str = "") -> list[str]:
    return [
        f"{where}{name} must be {' or '.join(kind.__name__ for kind in kinds)}; "
        f"got {str(values[name])[:80]!r}"
        for name, kinds in _KINDS.items()
        if name in values and not is_of_its_kind(name, values[name])
    ]


def _problems_of_seeds(per_seed: Any, ensemble: Any) -> list[str]:
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


def is_of_its_kind(name: str, value: Any) -> bool:
    """Whether a value of `metrics.json` is null or of the type that its field has.

    Parameters
    ----------
    name : str
        One of `FIELDS`.
    value : Any
        Anything that JSON holds.
    """
    kinds = _KINDS.get(name)
    if value is None or kinds is None:
        return True
    return isinstance(value, kinds) and isinstance(value, bool) is (kinds == (bool,))
