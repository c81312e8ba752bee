"""`sweep.yaml`: which configuration, which keys of it, how they are searched; read and checked."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from psann._digest import sha256_of
from psann._model_problems import in_order_of_the_file, readable_problems
from psann._models import StrictModel
from psann._paths import given_path
from psann._strict_yaml import read_config_file
from psann._tree import ConfigTree
from psann.errors import ConfigError, counted
from psann.run.config.changes import config_keys
from psann.run.config.load import checked, config_sha256
from psann.run.config.model import RunConfig
from psann.run.sweep.space import Dimension, Interval, dimension, grid, share

MOST_TRIALS = 10_000
_MOST_CHECKED = 64
# Key, with all below it, and what would be different: values of trials must be comparable.
_FORBIDDEN = {
    "seed": "would choose the luckiest seed; training.seeds trains several in every trial",
    "training.seeds": "would take means over other seeds; give it in the run's configuration",
    "training.monitor": "would measure trials by different quantities",
    "data": "would measure trials on different rows",
    "evaluation": "would judge trials on different terms",
    "device": "says where to compute, not what",
    "mode": "would make trials of different kinds",
    "init_from": "would make trials of different kinds",
    "recorded": "is what psann writes",
    "hisso.enabled": "would measure trials by different quantities",
    "hisso.reward": "would measure trials by different quantities",
    "hisso.context_extractor": "would measure trials by different quantities",
    "hisso.delay": "would judge trials on different terms",
    "hisso.temperature_scaling": "acts after the epoch whose value counts, and changes no value",
    "hisso.refit": "would compare weights that have seen the validation rows with others",
}
_PENALTY = "hisso.transition_penalty"
_PENALTY_WITHOUT_COST = (
    "is also the cost at which trials are judged while evaluation.trans_cost is null; give that in "
    "the run's configuration"
)


class PruneOptions(StrictModel):
    """When a trial that lags behind the others is stopped."""

    by: Literal["median", "asha"]
    """median stops what is worse than half of the trials at the same epoch, asha what is not among
    the best third at epochs that grow by threes."""
    from_epoch: int = Field(ge=1)
    """Epoch before which nobody is stopped: validation is noisy early."""


class SweepFile(StrictModel):
    """What a file `sweep.yaml` says."""

    config: str
    """Configuration of the runs, relative to this file."""
    search: Literal["grid", "random", "tpe"]
    """grid tries every combination, random and tpe as many trials as are asked for."""
    trials: int | None = Field(default=None, ge=1, le=MOST_TRIALS)
    """Trials of random and tpe; grid knows its own."""
    prune: PruneOptions | None = None
    """When trials are stopped early; null trains each to its end."""
    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Of the search: what is drawn is a function of it."""
    space: dict[str, Any]
    """Key of the configuration -> `{log: [a, b]}`, `{range: [a, b]}`, `{int: [a, b]}`, choices."""


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep that is sure to be possible, as far as configurations tell."""

    file: SweepFile
    config_path: Path
    """The configuration of its runs, absolute."""
    base: RunConfig
    space: Mapping[str, Dimension]
    n_trials: int
    """Trials that are planned."""

    @property
    def is_order_dependent(self) -> bool:
        """Whether what is tried depends on which trial ended first."""
        return self.file.search == "tpe" or self.file.prune is not None

    @property
    def sha256(self) -> str:
        """Digest of what a trial is a function of, and of nothing else: not of their number."""
        values = self.file.model_dump(mode="json", exclude={"config", "trials"})
        text = json.dumps([values, config_sha256(self.base)], separators=(",", ":"))
        return sha256_of(text.encode())

    def point(self, number: int) -> dict[str, object]:
        """What trial `number` of a grid or a random search sets, by key."""
        if self.file.search == "grid":
            return grid(self.space)[number]
        seed = self.file.seed
        return {key: each.at(share(seed, key, number)) for key, each in self.space.items()}

    def resolved(self) -> dict[str, Any]:
        """What `sweep.yaml` of a sweep's folder says, with all defaults."""
        return {**self.file.model_dump(mode="json"), "config": str(self.config_path)}


def load_sweep(path: Path) -> Sweep:
    """Read and check a sweep; every trial that is known is held against the rules of a run.

    Raises
    ------
    ConfigError
        With every problem found, each with its line.
    """
    tree = read_config_file(path)
    try:
        file = SweepFile.model_validate_json(json.dumps(tree.values), strict=True)
    except ValidationError as error:
        problems = readable_problems(error, model=SweepFile, tree=tree)
        if isinstance(given := tree.values.get("space"), dict):
            _space(given, tree.values.get("search"), tree)
        raise ConfigError(in_order_of_the_file([*tree.problems, *problems])) from None
    space = _space(file.space, file.search, tree)
    n_trials = _n_trials(file, space, tree)
    config_path = Path(os.path.abspath(path.absolute().parent / given_path(file.config)))
    if tree.problems:
        raise ConfigError(in_order_of_the_file(tree.problems))
    run = read_config_file(config_path)
    base = checked(copy.deepcopy(run), config_path)
    sweep = Sweep(file=file, config_path=config_path, base=base, space=space, n_trials=n_trials)
    if base.mode == "evaluate":
        tree.refuse(("config",), "must be of a run that trains; its mode is evaluate")
    _check_trials(sweep, run, tree)
    if tree.problems:
        raise ConfigError(in_order_of_the_file(tree.problems))
    return sweep


def overrides_of(values: Mapping[str, object], base: RunConfig) -> tuple[str, ...]:
    """What a trial is told by `--set`: its values, and that the test rows stay shut.

    Folds and placebos, which judge test rows too, are left to the chosen run.
    """
    shut = ["evaluation.withhold_test=true"]
    if base.evaluation.walk_forward is not None:
        shut.append("evaluation.walk_forward=null")
    if base.evaluation.placebo:
        shut.append("evaluation.placebo=0")
    return (*(f"{key}={json.dumps(value)}" for key, value in values.items()), *shut)


def _space(given: Mapping[str, Any], search: object, tree: ConfigTree) -> dict[str, Dimension]:
    space: dict[str, Dimension] = {}
    if not given:
        tree.refuse(("space",), "must name at least one key")
    for key, value in given.items():
        path = ("space", key)
        try:
            space[key] = dimension(value)
        except ValueError as error:
            tree.refuse(path, str(error))
            continue
        if reason := _reason_against(key):
            tree.refuse(path, reason)
        if search == "grid" and isinstance(space[key], Interval):
            tree.refuse(path, "must be a list of choices where search is grid")
        if above := next((other for other in given if key.startswith(f"{other}.")), None):
            tree.refuse(path, f"lies within {above}, which sets it too")
    return space


def _reason_against(key: str) -> str | None:
    """Why a key may not be varied."""
    for forbidden, reason in _FORBIDDEN.items():
        if key == forbidden or key.startswith(f"{forbidden}."):
            return f"must not be varied: it {reason}"
        if forbidden.startswith(f"{key}."):
            return f"must not be varied as a whole: {forbidden} is part of it"
    return None


def _n_trials(file: SweepFile, space: Mapping[str, Dimension], tree: ConfigTree) -> int:
    if file.search != "grid":
        if file.trials is None:
            tree.refuse(("trials",), f"must say how many where search is {file.search}")
        return file.trials or 0
    if file.trials is not None:
        tree.refuse(("trials",), "has no effect where search is grid: remove it")
    n_trials = 1
    for each in space.values():
        n_trials *= len(each.corners)
    if n_trials > MOST_TRIALS:
        most = counted(MOST_TRIALS, "trial")
        tree.refuse(("space",), f"must make at most {most}; it makes {n_trials:,}")
        return 0
    return n_trials


def _check_trials(sweep: Sweep, run: ConfigTree, tree: ConfigTree) -> None:
    """Refuse what no run could be told, and what turns a forbidden key by another name."""
    told: set[str] = set()
    for values in _examples(sweep):
        found = _problems_of(values, sweep, run)
        if not found:
            continue
        alone = {key: _problems_of({key: value}, sweep, run) for key, value in values.items()}
        if not any(alone.values()):
            setting = ", ".join(f"{key}={json.dumps(value)}" for key, value in values.items())
            _refuse(("space",), f"with {setting}: ", found, tree, told)
        for key, problems in alone.items():
            before = f"with {key}={json.dumps(values[key])}: "
            _refuse(("space", key), before, problems, tree, told)


def _refuse(
    path: tuple[str, ...], before: str, problems: Sequence[str], tree: ConfigTree, told: set[str]
) -> None:
    for problem in problems:
        if problem not in told:
            told.add(problem)
            tree.problems.append(f"{tree.where(path)}: {before}{problem}")


def _problems_of(values: Mapping[str, object], sweep: Sweep, run: ConfigTree) -> list[str]:
    """What is wrong with some values: what a run would say, and what they change besides."""
    overrides = overrides_of(values, sweep.base)
    try:
        config = checked(copy.deepcopy(run), sweep.config_path, overrides=overrides)
    except ConfigError as error:
        return [text.partition(": ")[2] for text in error.problems]
    was, now = config_keys(sweep.base), config_keys(config)
    changed = sorted(key for key in was.keys() | now.keys() if was.get(key) != now.get(key))
    wrong = [
        f"{key} {reason}."
        for key in changed
        if not key.startswith("evaluation.") and (reason := _reason_against(key))
    ]
    if _PENALTY in changed and sweep.base.evaluation.trans_cost is None:
        wrong.append(f"{_PENALTY} {_PENALTY_WITHOUT_COST}.")
    return wrong


def _examples(sweep: Sweep) -> Iterator[dict[str, object]]:
    """Every trial where they are few and known, else each value by itself."""
    if sweep.file.search != "tpe" and sweep.n_trials <= _MOST_CHECKED:
        yield from (sweep.point(number) for number in range(sweep.n_trials))
        return
    for key, each in sweep.space.items():
        yield from ({key: value} for value in each.corners)
