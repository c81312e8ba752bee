"""The fields of `metrics.json`: one row each, from which everything that handles them derives.

A row gives name, type and null, and its `Field` says what it means and how a reader sees it. From
the rows follow the first record, the checks of `verify`, the listing, the means over seeds, the
tables of `compare` and the report, and the table in `docs/artefacts.md`.

Annotations are values here: as texts, each would be compiled when a command starts.
"""

import enum
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, TypedDict

from psann.run.directory.groups import (
    Figures,
    Groups,
    Judged,
    Placebo,
    SeedFigures,
    Spread,
    Versus,
    WalkForward,
)

SCHEMA_VERSION = 1
OVER = ("completed", "early_stopped", "pruned", "ruined")
"""Statuses of a run that got to its end, unless there is an error."""
STATUSES = ("running", *OVER, "preempted", "interrupted", "diverged", "failed")


class Trait(enum.Flag):
    """What holds of some fields only."""

    NEVER_NULL = enum.auto()
    LATER = enum.auto()
    """Runs of earlier releases lack it: it reads as null then."""
    OF_THE_START = enum.auto()
    """Of identity, time or machine, and other in every repetition of a run."""
    OF_THE_EPOCH = enum.auto()
    """A figure of the best epoch, as its row of the log has it."""
    JUDGED = enum.auto()
    """Computed anew from the kept weights at the end."""


NONE = Trait(0)
NEVER_NULL, LATER, OF_THE_START = Trait.NEVER_NULL, Trait.LATER, Trait.OF_THE_START
OF_THE_EPOCH, JUDGED = Trait.OF_THE_EPOCH, Trait.JUDGED


@dataclass(frozen=True)
class Shown:
    """How a number stands in a table."""

    label: str
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    """Empty where neither is better."""
    form: str = ".4g"
    head: str = ""
    """Heading in the listing, which has room for few; empty for those that it leaves out."""
    rank: int = 100
    """Place in a table, the most telling first."""


@dataclass(frozen=True)
class Field:
    """What there is to know of a field besides its type."""

    meaning: str
    traits: Trait = NONE
    shown: Shown | None = None
    """None for what no table of numbers has."""


def _loss(label: str, rank: int, head: str) -> Shown:
    return Shown(label=label, better="lower", rank=rank, head=head)


def _reward(label: str, rank: int, head: str) -> Shown:
    return Shown(label=label, unit="per row", better="higher", rank=rank, head=head)


class Record(TypedDict):
    """`metrics.json`; every field is there from the first write, null until it is known."""

    schema_version: Annotated[
        int | None, Field("version of this table, a whole number", NEVER_NULL)
    ]
    status: Annotated[
        str | None, Field(f"{', '.join(STATUSES[:-1])} or {STATUSES[-1]}", NEVER_NULL)
    ]
    mode: Annotated[str | None, Field("train, fine_tune or evaluate")]
    phase: Annotated[str | None, Field("what the run is doing or did last")]
    run_id: Annotated[
        str | None,
        Field("identity of the run, kept when it is resumed or moved", NEVER_NULL | OF_THE_START),
    ]
    run_name: Annotated[
        str | None, Field("name of the run directory when the run began", NEVER_NULL | OF_THE_START)
    ]
    seed: Annotated[int | None, Field("the seed in force; of several, the first")]
    monitor: Annotated[str | None, Field("the quantity that chooses the best epoch")]
    monitor_value: Annotated[
        float | None,
        Field("its value at the best epoch; of several seeds the mean, as for all figures"),
    ]
    epoch: Annotated[int | None, Field("epochs done in the present phase")]
    epochs_total: Annotated[int | None, Field("epochs planned in the present phase")]
    best_epoch: Annotated[
        int | None,
        Field(
            "epoch of the weights in best; 0 is the untrained candidate; null in mode evaluate, "
            "where parent has it",
            shown=Shown(label="best epoch", form=",.0f", head="best epoch", rank=50),
        ),
    ]
    temperature: Annotated[
        float | None,
        Field(
            "what the outputs of the weights in best are divided by; null if not chosen",
            shown=Shown(label="temperature", form=".3g", rank=51),
        ),
    ]
    train_loss: Annotated[
        float | None,
        Field(
            "mean over the updates of the best epoch of what the run minimises",
            OF_THE_EPOCH,
            _loss("training loss", 4, "train loss"),
        ),
    ]
    val_loss: Annotated[
        float | None,
        Field(
            "validation loss of the weights in best",
            OF_THE_EPOCH | JUDGED,
            _loss("validation loss", 5, "val loss"),
        ),
    ]
    test_loss: Annotated[
        float | None,
        Field("test loss of the weights in best", JUDGED, _loss("test loss", 6, "test loss")),
    ]
    reward_mean: Annotated[
        float | None,
        Field(
            "mean reward of the best epoch's training episodes",
            OF_THE_EPOCH,
            _reward("training reward", 3, "train reward"),
        ),
    ]
    reward_std: Annotated[float | None, Field("their population standard deviation", OF_THE_EPOCH)]
    val_reward_mean: Annotated[
        float | None,
        Field(
            "reward per step over the validation span, weights in best",
            OF_THE_EPOCH | JUDGED,
            _reward("validation reward", 1, "val reward"),
        ),
    ]
    test_reward_mean: Annotated[
        float | None,
        Field(
            "reward per step over the test span, weights in best",
            JUDGED,
            _reward("test reward", 2, "test reward"),
        ),
    ]
    val_turnover: Annotated[
        float | None,
        Field(
            "mean weight traded per row of the validation span in the best epoch",
            LATER | OF_THE_EPOCH,
            Shown("traded weight, validation", "per row", "lower", ".4f", "val traded", rank=7),
        ),
    ]
    episodes: Annotated[
        int | None,
        Field(
            "episodes sampled in the whole run; null in mode evaluate, which samples none",
            shown=Shown(label="episodes", form=",.0f", rank=52),
        ),
    ]
    delay: Annotated[
        int | None, Field("rows between the decision of an action and its execution", LATER)
    ]
    transition_penalty: Annotated[
        float | None, Field("cost per unit of traded weight in the training reward")
    ]
    min_improvement: Annotated[
        float | None, Field("what an epoch had to gain over epoch 0 to be kept")
    ]
    min_significance: Annotated[
        float | None,
        Field(
            "standard errors by which an epoch had to beat epoch 0 to be kept; 0 for none", LATER
        ),
    ]
    trans_cost: Annotated[
        float | None, Field("cost per unit of traded weight in validation and test figures")
    ]
    throughput_eps_per_sec: Annotated[
        float | None,
        Field(
            "episodes per second of training",
            OF_THE_START,
            Shown(label="throughput", unit="episodes/s", better="higher", form=",.0f", rank=54),
        ),
    ]
    device: Annotated[str | None, Field("device that computed, as torch names it")]
    duration_seconds: Annotated[
        float | None,
        Field(
            "wall time of all starts up to this version of the file",
            NEVER_NULL | OF_THE_START,
            Shown(
                label="duration", unit="s", better="lower", form=",.1f", head="duration", rank=53
            ),
        ),
    ]
    started_utc: Annotated[str | None, Field("when the process began", NEVER_NULL | OF_THE_START)]
    updated_utc: Annotated[
        str | None, Field("when a value last changed", NEVER_NULL | OF_THE_START)
    ]
    finished_utc: Annotated[
        str | None, Field("when the run ended; null while it runs", OF_THE_START)
    ]
    heartbeat: Annotated[
        str | None,
        Field("when the process was last alive to write this file", NEVER_NULL | OF_THE_START),
    ]
    best: Annotated[
        Mapping[str, object] | None, Field("path, sha256 and epoch of the best estimator")
    ]
    last: Annotated[
        Mapping[str, object] | None,
        Field("path and epoch of the newest resume state", OF_THE_START),
    ]
    resumes: Annotated[int | None, Field("how often the run was resumed", OF_THE_START)]
    resume_exact: Annotated[
        bool | None,
        Field("whether every resume continued bit for bit; null without one", OF_THE_START),
    ]
    resume_differences: Annotated[
        list[str] | None, Field("why a resume could not be exact", OF_THE_START)
    ]
    portfolio_metrics: Annotated[
        Figures | None, Field("of the actions of the weights in best on the evaluation prices")
    ]
    portfolio_metrics_delay_1: Annotated[
        Figures | None, Field("the same actions executed one row later")
    ]
    portfolio_metrics_cost_2: Annotated[
        Figures | None, Field("of the same trades at twice the cost", LATER)
    ]
    portfolio_metrics_cost_3: Annotated[
        Figures | None, Field("of the same trades at three times the cost", LATER)
    ]
    portfolio_metrics_advance_1: Annotated[
        Figures | None,
        Field("the same actions executed one row earlier; null where delay is 0", LATER),
    ]
    baselines: Annotated[
        Mapping[str, Figures] | None,
        Field("the same figures by baseline, on the same dates at the same cost"),
    ]
    versus_uniform: Annotated[
        Versus | None, Field("annual log growth over 1/N, with a 95 % interval")
    ]
    versus_uniform_delay_1: Annotated[
        Versus | None, Field("the same for the actions executed one row later")
    ]
    versus_uniform_advance_1: Annotated[
        Versus | None, Field("the same for the actions executed one row earlier", LATER)
    ]
    deflated_sharpe: Annotated[
        float | None, Field("probability that the true Sharpe ratio beats n_trials lucky ones")
    ]
    deflated_skill: Annotated[
        float | None,
        Field("the same of the returns over those of 1/N, so that no market counts", LATER),
    ]
    judged: Annotated[Judged | None, Field("the rows that portfolio figures are of", LATER)]
    ruined_at: Annotated[
        int | None,
        Field("row of those at which nothing was left of the wealth; null if never", LATER),
    ]
    ends: Annotated[
        Mapping[str, object] | None,
        Field(
            "log growth per year of policy and 1/N were the moves after last prices 0, or -1", LATER
        ),
    ]
    n_trials: Annotated[
        int | None,
        Field("candidates compared to choose the policy, by this run and those it began from"),
    ]
    train_figures_of: Annotated[
        str | None,
        Field(
            "what train_loss and rewards are of: best_epoch, its updates and episodes; or, where "
            "that has none, kept_weights, over consecutive episodes of the training rows",
            LATER,
        ),
    ]
    cautions: Annotated[
        list[str] | None,
        Field(
            "of the training, by name: best_is_the_last, never_moved, single_updates, "
            "edge_temperature, every_epoch_ruined, ruined_in_training",
            LATER,
        ),
    ]
    doubts: Annotated[
        list[str] | None, Field("what is hard to believe of the data, in sentences", LATER)
    ]
    spans: Annotated[
        Mapping[str, object] | None,
        Field("first and last date and rows of each split of `data.prices`", LATER),
    ]
    walk_forward: Annotated[
        WalkForward | None,
        Field("figures of the folds' actions as one sequence; null if not asked for"),
    ]
    placebo: Annotated[
        Placebo | None,
        Field("growth over 1/N of trainings on shuffled moves; null if not asked for"),
    ]
    per_seed: Annotated[
        list[SeedFigures] | None,
        Field("the figures of each of several seeds, in their order; null for a single one"),
    ]
    spread: Annotated[
        Spread | None,
        Field("standard deviation (ddof=1) over the seeds of each figure; null for a single one"),
    ]
    ensemble: Annotated[
        SeedFigures | None,
        Field("figures of the mean of the seeds' actions; null for a single one"),
    ]
    timing: Annotated[Groups | None, Field("seconds by kind of work", OF_THE_START)]
    hardware: Annotated[
        Mapping[str, object] | None,
        Field("device name, cores, threads, engine, memory", OF_THE_START),
    ]
    parent: Annotated[
        Mapping[str, object] | None,
        Field(
            "run id, sha256, n_trials and best epoch of the estimator that the run began from, the "
            "last date of the rows of the same assets that trained or chose it, and its validation "
            "loss where targets are trained on"
        ),
    ]
    config_sha256: Annotated[str | None, Field("digest of the configuration")]
    data_sha256: Annotated[str | None, Field("digest of the data")]
    nonfinite: Annotated[
        list[str] | None,
        Field("names of the fields that are null because their value was not finite", NEVER_NULL),
    ]
    artefacts: Annotated[
        Mapping[str, object] | None,
        Field("bytes and sha256 of each file, in the final version", OF_THE_START),
    ]
    error: Annotated[str | None, Field("full stack trace of what ended the run")]


def _kinds(annotation: object) -> tuple[type, ...]:
    """The types that a JSON value of a field may have, null aside."""
    (kind,) = (each for each in typing.get_args(annotation) if each is not types.NoneType)
    origin = typing.get_origin(kind) or kind
    if origin is float:
        return (int, float)
    if origin in (int, str, bool, list):
        return (origin,)
    return (dict,)


_ROWS = {
    name: typing.get_args(annotation)
    for name, annotation in typing.get_type_hints(Record, include_extras=True).items()
}
FIELDS: dict[str, Field] = {name: row[1] for name, row in _ROWS.items()}
"""Every field in the order of the file."""
_KINDS = {name: _kinds(row[0]) for name, row in _ROWS.items()}
FIELDS_OF_THE_START = frozenset(k for k, each in FIELDS.items() if OF_THE_START in each.traits)
EPOCH_FIGURES = tuple(name for name, each in FIELDS.items() if OF_THE_EPOCH in each.traits)
"""What the record has of the best epoch."""
LOGGED_FIGURES = tuple(name for name in EPOCH_FIGURES if JUDGED not in FIELDS[name].traits)
"""Of those, what stays as the row of that epoch has it."""
OF_PORTFOLIO = (
    *("portfolio_metrics", "portfolio_metrics_delay_1", "portfolio_metrics_advance_1"),
    *("versus_uniform", "versus_uniform_delay_1", "versus_uniform_advance_1", "baselines"),
    *("deflated_sharpe", "deflated_skill", "ruined_at", "ends"),
    *("portfolio_metrics_cost_2", "portfolio_metrics_cost_3"),
)
"""What is judged on the evaluation prices."""
OF_TEST_ROWS = ("test_loss", "test_reward_mean", "walk_forward", "placebo")
"""What is null where test rows are withheld; so is what is `OF_PORTFOLIO`, if that is of them."""


def got_to_its_end(record: Record) -> bool:
    """Whether a run did all that it was to do, and no error came after."""
    return record["status"] in OVER and record["error"] is None


def trials_before(record: Record) -> int | None:
    """Candidates that the run it began from had compared; None where that is not known."""
    n_trials = (record["parent"] or {}).get("n_trials")
    return n_trials if isinstance(n_trials, int) else None


def has_mean(name: str) -> bool:
    """Whether a field of several seeds is told as its mean: a count or a name is not.

    Examples
    --------
    >>> has_mean("val_loss"), has_mean("portfolio_metrics"), has_mean("best_epoch")
    (True, True, False)
    """
    return float in kinds_of(name) or dict in kinds_of(name)


def kinds_of(name: str) -> tuple[type, ...]:
    """The types that a value of a field may have, null aside; none for what is no field."""
    return _KINDS.get(name, ())


def is_of_its_kind(name: str, value: object) -> bool:
    """Whether a value of `metrics.json` is null or of the type that its field has.

    Parameters
    ----------
    name : str
        One of `FIELDS`; anything else may be of any type.
    """
    kinds = kinds_of(name)
    if value is None or not kinds:
        return True
    return isinstance(value, kinds) and isinstance(value, bool) is (kinds == (bool,))
