"""What a valid configuration names: classes, functions and files, found and checked at once.

This is the second phase of checking: it imports, so that it takes its time; no data are read.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psann._imports import check_is_there
from psann._model_problems import in_order_of_the_file
from psann._plain_files import IS_ABSENT, what_is
from psann._published import CHECKPOINT_ANSWER
from psann.errors import ConfigError, DataError, ImportTargetError, did_you_mean
from psann.market.block import FILE_KEYS
from psann.run.config.canonical import TRAINING_PARAMETERS
from psann.run.config.model import RunConfig
from psann.run.directory.paths import RunPaths, hint_of_run

if TYPE_CHECKING:
    from psann.estimators._base import BasePSANNRegressor

# What training itself passes to a reward, so that a configuration may not.
_REWARD_SETTINGS = ("transition_penalty", "initial", "cash", "carry")


@dataclass(frozen=True, kw_only=True)
class ResolvedTargets:
    """The objects and files behind the names of a configuration."""

    estimator_class: type[BasePSANNRegressor]
    loader: Callable[..., Any] | None
    """None when the data come from an archive."""
    estimator_file: Path | None
    """The file behind `init_from`: itself, or the best estimator of a run directory."""
    estimator_file_sha256: str | None
    seed_files: tuple[Path, ...] = ()
    """The best estimator of each of several seeds, where a run's are evaluated."""


def check_targets(config: RunConfig) -> ResolvedTargets:
    """Import what a configuration names and check the arguments given for it.

    Raises
    ------
    ConfigError
        With every problem: targets that are forbidden, missing or of the wrong kind, arguments
        that their signatures do not have, files that are missing or have changed since their
        digest was recorded.
    """
    search = _Search(config)
    targets = ResolvedTargets(
        estimator_class=search.estimator_class(),
        loader=search.loader(),
        estimator_file=(file := search.estimator_file()),
        estimator_file_sha256=search.digest([file] if file else [], "init_from"),
        seed_files=search.seed_files(),
    )
    search.check_reward()
    search.check_context_extractor()
    search.check_archive()
    search.check_tables()
    if search.problems:
        raise ConfigError(in_order_of_the_file(search.problems))
    return targets


def check_modules(config: RunConfig) -> None:
    """Look whether the targets are there, before anything as slow as torch is loaded.

    Raises
    ------
    ConfigError
        With every target that is forbidden, or not there for sure.
    """
    reward = config.hisso.reward
    targets = {
        ("estimator", "target"): config.estimator.target,
        ("data", "loader"): config.data.loader,
        ("hisso", "reward"): reward["target"] if isinstance(reward, dict) else reward,
        ("hisso", "context_extractor"): config.hisso.context_extractor,
    }
    problems: list[str] = []
    for path, target in targets.items():
        try:
            # A bare reward is a word of psann's own table, which needs torch.
            if isinstance(target, str) and ("." in target or ":" in target or path[0] != "hisso"):
                check_is_there(target, who=config.who(*path))
        except ImportTargetError as error:
            problems += error.problems
    if problems:
        raise ConfigError(in_order_of_the_file(problems))


def estimator_arguments(config: RunConfig) -> dict[str, Any]:
    """The constructor's arguments: `estimator.params`, and what `training` and others hold."""
    return {
        **config.estimator.params,
        **{name: getattr(config.training, name) for name in TRAINING_PARAMETERS},
        "device": config.device,
        "random_state": config.seed,
    }


class _Search:
    """Looks for one target after the other, and collects what is wrong."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.problems: list[str] = []

    def estimator_class(self) -> Any:
        path = ("estimator", "target")
        found = self._import(self.config.estimator.target, path)
        if found is None:
            return None
        from psann.estimators._base import BasePSANNRegressor

        if not (isinstance(found, type) and issubclass(found, BasePSANNRegressor)):
            self._refuse(
                path,
                "must name an estimator class: psann.PSANNRegressor, psann.ResPSANNRegressor, "
                "psann.WaveResNetRegressor, psann.AssetwiseRegressor, or a subclass of one",
            )
            return None
        params = self.config.estimator.params
        from_run = estimator_arguments(self.config).keys() - params.keys()
        if not self._check_keywords(found, ("estimator", "params"), params, taken=from_run):
            self._check_parameters(found)
        return found

    def _check_parameters(self, found: type[BasePSANNRegressor]) -> None:
        arguments = estimator_arguments(self.config)
        missing = arguments.keys() - (_parameters(found) or {}).keys()
        if missing:
            self._refuse(
                ("estimator", "target"),
                f"names {found.__name__}, whose constructor must also take "
                f"{', '.join(sorted(missing))}: every run sets them",
            )
            return
        loss = arguments.get("loss")
        is_path = isinstance(loss, str) and ("." in loss or ":" in loss)
        if is_path:
            self._import(loss, ("estimator", "params", "loss"))
        for problem in found(**arguments).parameter_problems(imports=not is_path):
            self._refuse(("estimator", "params"), f"do not fit: {problem.rstrip('.')}")

    def loader(self) -> Any:
        data = self.config.data
        if data.prices is not None:
            from psann.market.loading import load_prices

            return load_prices
        found = self._import(data.loader, ("data", "loader"))
        if found is not None:
            self._check_keywords(found, ("data", "kwargs"), data.kwargs)
        return found

    def check_reward(self) -> None:
        from psann.hisso.rewards import REWARDS, takes_context

        inputs = self.config.hisso.reward_inputs
        spec = self.config.hisso.reward or ("portfolio" if inputs else None)
        path: tuple[str, ...] = ("hisso", "reward")
        kwargs: Mapping[str, Any] = {}
        if isinstance(spec, dict):
            path, kwargs, spec = (*path, "target"), spec.get("kwargs", {}), spec["target"]
        if not isinstance(spec, str):
            return
        if "." not in spec and ":" not in spec and spec not in REWARDS:
            names = ", ".join(sorted(REWARDS))
            self._refuse(
                path,
                f"must be one of {names}, or pkg.mod:function; got {spec!r}",
                did_you_mean(spec, REWARDS),
            )
            return
        found = REWARDS.get(spec) or self._import(spec, path)
        if found is None:
            return
        has_context = takes_context(_parameters(found) or {}, inputs)
        taken, n_positional = (*_REWARD_SETTINGS, *inputs), 1 + has_context
        where = ("hisso", "reward", "kwargs")
        if not self._check_keywords(found, where, kwargs, taken=taken, n_positional=n_positional):
            keywords = {**kwargs, "transition_penalty": 0.0, **dict.fromkeys(inputs)}
            named = " and ".join(["transition_penalty", *inputs])
            what = f"actions{' and context' * has_context}, and the keyword {named}"
            self._check_call(found, path, n_positional=n_positional, keywords=keywords, what=what)

    def check_context_extractor(self) -> None:
        path = ("hisso", "context_extractor")
        spec = self.config.hisso.context_extractor
        found = self._import(spec if isinstance(spec, str) else None, path)
        if found is not None:
            self._check_call(found, path, n_positional=1, keywords={}, what="the windows X")

    def estimator_file(self) -> Path | None:
        if self.config.init_from is None:
            return None
        given = Path(self.config.init_from)
        # Not `Path.is_file`, which raises where a folder may not be entered.
        file = RunPaths(given).best if os.path.isdir(given) else given
        if os.path.isfile(file):
            return file
        what = f"{file} {(found := what_is(file))}"
        if file != given and found == IS_ABSENT:
            what = f"{given} holds no checkpoints/best.safetensors"
            if os.path.isfile(published := file.with_suffix(".pt")):
                what = f"{published} {CHECKPOINT_ANSWER}"
        message = f"must be a run directory or an estimator file; {what}"
        self._refuse(("init_from",), message, hint_of_run(given))
        return None

    def seed_files(self) -> tuple[Path, ...]:
        config = self.config
        if config.mode != "evaluate" or config.init_from is None or config.training.seeds == 1:
            return ()
        best = RunPaths(Path(config.init_from)).best
        files = tuple(RunPaths.of_seed(best, seed) for seed in config.seeds)
        missing = next((file for file in files if not file.is_file()), None)
        if missing is None:
            return files
        self._refuse(
            ("training", "seeds"),
            f"is {config.training.seeds}, so that the {config.seeds_in_words} of the run in "
            f"init_from are evaluated, but there is no {missing}. Give seed and training.seeds as "
            "that run had them, or training.seeds: 1 for its best estimator",
        )
        return ()

    def check_archive(self) -> None:
        if self.config.data.npz is None:
            return
        file = Path(self.config.data.npz)
        if not os.path.isfile(file):
            self._refuse(("data", "npz"), f"must be a NumPy archive; {file} {what_is(file)}")
        elif self.config.recorded.npz_sha256 is not None:
            self.digest([file], "npz")

    def check_tables(self) -> None:
        """Compare tables with what was recorded of them; those that are none reading tells of."""
        from psann.market.lines import files_of

        for name in FILE_KEYS:
            given = getattr(self.config.data, name)
            if getattr(self.config.recorded, f"{name}_sha256") is not None:
                with suppress(DataError):
                    paths = map(Path, given if isinstance(given, list) else [given])
                    self.digest(files_of([*paths]), name)

    def digest(self, files: Sequence[Path], name: str) -> str | None:
        """Return the digest of files, refusing one that differs from the recorded one."""
        from psann.market.lines import digest_of

        if not files:
            return None
        digest = digest_of(*files)
        if getattr(self.config.recorded, f"{name}_sha256") not in (None, digest):
            what = files[0] if len(files) == 1 else f"one of the {len(files)} files of data.{name}"
            self._refuse(
                ("recorded", f"{name}_sha256"),
                f"does not fit: {what} has changed since this configuration was written; "
                "restore the file, or remove this key if the change is meant",
            )
        return digest

    def _import(self, target: str | None, path: tuple[str, ...]) -> Any:
        if target is None:
            return None
        from psann._numerics import import_foreign

        try:
            return import_foreign(target, who=self.config.who(*path))
        except ImportTargetError as error:
            self.problems.extend(error.problems)
            return None

    def _check_keywords(
        self,
        function: Callable[..., Any],
        path: tuple[str, ...],
        given: Mapping[str, Any],
        *,
        taken: Iterable[str] = (),
        n_positional: int = 0,
    ) -> bool:
        """Compare keyword arguments with a signature; tell whether something is wrong."""
        before = len(self.problems)
        parameters = _parameters(function)
        if parameters is None:
            return False
        keywords = [
            name
            for name, parameter in list(parameters.items())[n_positional:]
            if parameter.kind in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        ]
        takes_any = any(p.kind == p.VAR_KEYWORD for p in parameters.values())
        name = getattr(function, "__name__", "the target")
        for key in given:
            if key in taken:
                source = _SOURCES.get(key, "hisso.reward_inputs")
                self._refuse((*path, key), f"is set by psann, from {source}; remove it")
            elif key not in keywords and (not takes_any or key in parameters):
                hint = did_you_mean(key, keywords)
                self._refuse((*path, key), f"is no argument of {name}", hint)
        for key in keywords:
            if parameters[key].default is inspect.Parameter.empty and key not in (*given, *taken):
                hint = (
                    " Or name an array of the data in hisso.reward_inputs." if n_positional else ""
                )
                self._refuse(path, f"must give {key}, which {name} needs", hint)
        return len(self.problems) > before

    def _check_call(
        self,
        function: Callable[..., Any],
        path: tuple[str, ...],
        *,
        n_positional: int,
        keywords: Mapping[str, Any],
        what: str,
    ) -> None:
        if _parameters(function) is None:
            return
        signature = inspect.signature(function)
        try:
            signature.bind(*([None] * n_positional), **keywords)
        except TypeError:
            self._refuse(path, f"must take {what}; its signature is {signature}")

    def _refuse(self, path: tuple[str, ...], message: str, hint: str = "") -> None:
        self.problems.append(f"{self.config.who(*path)} {message}.{hint}")


_SOURCES = {
    "transition_penalty": "hisso.transition_penalty",
    "initial": "evaluation.initial",
    "cash": "hisso.primary_transform",
    "carry": "evaluation.cash_rate and borrow_rate",
}


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter] | None:
    """Return the parameters of a signature; None for compiled functions, which may not tell."""
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):
        return None
