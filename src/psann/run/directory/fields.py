"""What `metrics.json` must look like by itself: every field of its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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


SCHEMA_VERSION = 1
STATUSES = (
    "running",
    "completed",
    "early_stopped",
    "preempted",
    "interrupted",
    "diverged",
    "failed",
)
FIELDS = {
    "schema_version": "version of this table, a whole number",
    "status": "running, completed, early_stopped, preempted, interrupted, diverged or failed",
    "mode": "train, fine_tune or evaluate",
    "phase": "what the run is doing or did last",
    "run_id": "identity of the run, kept when it is resumed or moved",
    "run_name": "name of the run directory when the run began",
    "seed": "the seed in force; of several, the first",
    "monitor": "the quantity that chooses the best epoch",
    "monitor_value": "its value at the best epoch; of several seeds the mean, as for all figures",
    "epoch": "epochs done in the present phase",
    "epochs_total": "epochs planned in the present phase",
    "best_epoch": "epoch of the weights in best; 0 is the untrained candidate",
    "temperature": "what the outputs of the weights in best are divided by; null if not chosen",
    "train_loss": "mean over the updates of the best epoch of what the run minimises",
    "val_loss": "validation loss of the weights in best",
    "test_loss": "test loss of the weights in best",
    "reward_mean": "mean reward of the best epoch's training episodes",
    "reward_std": "their population standard deviation",
    "val_reward_mean": "reward per step over the validation span, weights in best",
    "test_reward_mean": "reward per step over the test span, weights in best",
    "episodes": "episodes sampled in the whole run",
    "transition_penalty": "cost per unit of traded weight in the training reward",
    "min_improvement": "what an epoch had to gain over epoch 0 to be kept",
    "trans_cost": "cost per unit of traded weight in validation and test figures",
    "throughput_eps_per_sec": "episodes per second of training",
    "device": "device that computed, as torch names it",
    "duration_seconds": "wall time of all starts up to this version of the file",
    "started_utc": "when the process began",
    "updated_utc": "when a value last changed",
    "finished_utc": "when the run ended; null while it runs",
    "heartbeat": "when the process was last alive to write this file",
    "best": "path, sha256 and epoch of the best estimator",
    "last": "path and epoch of the newest resume state",
    "resumes": "how often the run was resumed",
    "resume_exact": "whether every resume continued bit for bit; null without one",
    "resume_differences": "why a resume could not be exact",
    "portfolio_metrics": "of the actions of the weights in best on the evaluation prices",
    "portfolio_metrics_delay_1": "the same actions executed one row later",
    "baselines": "the same figures by baseline, on the same dates at the same cost",
    "versus_uniform": "annual log growth over 1/N, with a 95 % bootstrap interval",
    "versus_uniform_delay_1": "the same for the actions executed one row later",
    "deflated_sharpe": "probability that the true Sharpe ratio beats n_trials lucky ones",
    "n_trials": "candidates that this run compared to choose the policy; null in mode evaluate",
    "walk_forward": "figures of the folds' actions as one sequence; null if not asked for",
    "placebo": "growth over 1/N of trainings on shuffled moves; null if not asked for",
    "per_seed": "the figures of each of several seeds, in their order; null for a single one",
    "spread": "standard deviation (ddof=1) over the seeds of each figure; null for a single one",
    "ensemble": "figures of the mean of the seeds' actions; null for a single one",
    "timing": "seconds by kind of work",
    "hardware": "device name, cores, threads, engine, memory",
    "parent": "run id and sha256 of the estimator that training began from",
    "config_sha256": "digest of the configuration",
    "data_sha256": "digest of the data",
    "nonfinite": "names of the fields that are null because their value was not finite",
    "artefacts": "bytes and sha256 of each file, in the final version",
    "error": "full stack trace of what ended the run",
}
# Identity, times and machine: everything else is the same in every repetition of a run.
FIELDS_OF_THE_START = frozenset(
    {
        *("run_id", "run_name", "started_utc", "updated_utc", "finished_utc", "heartbeat"),
        *("duration_seconds", "throughput_eps_per_sec", "resumes", "resume_exact"),
        *("resume_differences", "timing", "hardware", "artefacts", "last"),
    }
)
