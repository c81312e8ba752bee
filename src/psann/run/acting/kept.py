"""The estimators that a run has kept, found by its manifest and held against it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from psann._digest import is_what, sha256_of
from psann._inputs import are_dates
from psann._numerics import import_foreign
from psann.errors import ConfigError, FileFormatError, UsageError, reason_of
from psann.estimators._base import BasePSANNRegressor
from psann.run.acting.weights import PolicyName
from psann.run.config.load import load_run_config
from psann.run.config.model import RunConfig
from psann.run.directory.checkpoints import entries_of
from psann.run.directory.evaluation import Evaluation, read_evaluation
from psann.run.directory.fields import OVER, Record
from psann.run.directory.files import read_json
from psann.run.directory.paths import RunPaths, hint_of_run
from psann.run.directory.provenance import told_of_release
from psann.run.reading.reading import RunView, read_run
from psann.run.reading.sentences import kept_untrained


@dataclass(frozen=True, kw_only=True)
class KeptPolicy:
    """Fitted estimators, and where they come from."""

    members: Sequence[BasePSANNRegressor]
    """One for each seed."""
    policy: PolicyName
    paths: RunPaths
    metrics: Record
    """`metrics.json` of the run that judged it, by rule its own."""
    run_id: str
    run_name: str
    sha256: str
    """Digest of the file; of several, of their digests one after the other."""
    asset_names: tuple[str, ...] | None
    """As the run's evaluation has them."""
    acts_from: np.datetime64 | None
    """First date that neither shaped nor chose it, where the run's series tell: of the test rows,
    or of those of the last fold."""
    psann_version: str
    warnings: tuple[str, ...]

    @property
    def feature_names(self) -> tuple[str, ...] | None:
        """Names of the features in training; None where they had none."""
        names = getattr(self.members[0], "feature_names_in_", None)  # scikit-learn's own
        return None if names is None else tuple(map(str, names))


def find_policy(
    run: Path, *, policy: PolicyName, judged_by: Path | None = None
) -> tuple[KeptPolicy, RunConfig]:
    """Read the estimators of a run, and its configuration.

    Parameters
    ----------
    run : Path
    policy, judged_by
        As for `load_policy`.

    Raises
    ------
    UsageError, FileFormatError
        As for `load_policy`.
    """
    view = read_run(run)
    paths = RunPaths(view.path)
    config = _config_of(paths)
    names = policy_files(paths, config, view, policy)
    digests = _digests(paths, names)
    loader: Any = import_foreign(config.estimator.target, who="estimator.target")
    members = [loader.load(paths.checkpoints / name) for name in names]
    first = members[0]
    if first.hisso_options_ is None or not first.hisso_options_.enabled:
        raise UsageError(
            f"RUN must have a policy; {view.name} was trained on targets (hisso.enabled: false) "
            "and has no actions. Use its estimator's predict."
        )
    judge = view if judged_by is None else read_run(judged_by)
    evaluation = judge.evaluation
    judged = evaluation if (judge.metrics["judged"] or {}).get("split") == "test" else None
    if policy == "last_fold":
        judged = _walked(paths)
    return (
        KeptPolicy(
            members=members,
            policy=policy,
            paths=paths,
            metrics=judge.metrics,
            run_id=str(view.metrics["run_id"]),
            run_name=str(view.metrics["run_name"]),
            sha256=digest_of_policy(digests),
            asset_names=None if evaluation is None else evaluation.assets,
            acts_from=_first_row(judged),
            psann_version=version("psann"),
            warnings=tuple(_warnings(view, policy)),
        ),
        config,
    )


def digest_of_policy(digests: Sequence[str]) -> str:
    """Digest of one file, or of several files' digests."""
    return digests[0] if len(digests) == 1 else sha256_of("".join(digests).encode())


def policy_files(
    paths: RunPaths, config: RunConfig, view: RunView, policy: PolicyName
) -> list[str]:
    """Names of the files of a policy in `checkpoints/`, one for each seed.

    Raises
    ------
    UsageError
        If the run has no such policy.
    """
    if config.mode == "evaluate":
        raise UsageError(
            f"RUN must be a run that trained; {view.name} evaluated another. Act with that one: "
            f"{config.init_from}."
        )
    file = paths.best
    if policy == "last_fold":
        folds = (view.metrics["walk_forward"] or {}).get("folds") or []
        if not folds:
            raise UsageError(
                f"policy last_fold needs a run that walked forward; {view.name} did not. Leave "
                "it out, or train with evaluation.walk_forward."
            )
        file = paths.study(f"fold_{len(folds):03d}")
    if len(config.seeds) == 1:
        return [file.name]
    return [RunPaths.of_seed(file, seed).name for seed in config.seeds]


def _config_of(paths: RunPaths) -> RunConfig:
    if not paths.config_resolved.is_file():
        cure = hint_of_run(paths.root) or " Copy the whole directory."
        found = f"{paths.root} has no {paths.config_resolved.name}"
        raise UsageError(f"RUN must be a run directory; {found}.{cure}")
    try:
        return load_run_config(paths.config_resolved)
    except ConfigError as error:
        told = f"{error}{told_of_release(paths.provenance)}"
        raise UsageError(f"RUN must have a configuration that psann can read: {told}") from error


def _digests(paths: RunPaths, names: Sequence[str]) -> list[str]:
    """Digests of files, each held against the manifest."""
    try:
        entries = entries_of(read_json(paths.manifest))
    except (OSError, ValueError):
        entries = None
    if entries is None:
        raise UsageError(
            f"RUN must have checkpoints; {paths.root} has no readable manifest of them. Wait for "
            "the first epoch, or copy the whole directory."
        )
    missing = [name for name in names if not (paths.checkpoints / name).is_file()]
    if missing:
        raise UsageError(
            f"RUN must have {', '.join(missing)} in checkpoints/; it does not. Copy the whole "
            "directory, or pack it without --best-only."
        )
    for name in names:
        if name not in entries or not is_what(entries[name], paths.checkpoints / name):
            raise FileFormatError(
                f"{name} must be the file that {paths.manifest.name} lists; it is another. Run "
                "hisso-runs verify, and copy the run again."
            )
    return [str(entries[name]["sha256"]) for name in names]


def _walked(paths: RunPaths) -> Evaluation:
    try:
        return read_evaluation(paths.walk_forward)
    except (OSError, ValueError) as error:
        raise UsageError(
            f"RUN must have a readable {paths.walk_forward.name}; {reason_of(error)}. "
            "Copy the run again."
        ) from error


def _first_row(judged: Evaluation | None) -> np.datetime64 | None:
    """First date of the rows judged; of folds, of the last one."""
    if judged is None or not are_dates(judged.time):
        return None
    rows = judged.time if judged.fold is None else judged.time[judged.fold == judged.fold[-1]]
    first: np.datetime64 = rows[0]
    return first


def _warnings(view: RunView, policy: PolicyName) -> list[str]:
    told, record = [], view.metrics
    if view.status not in OVER:
        told.append(
            f"the run is not at its end ({view.status}): these are the best weights so far."
        )
    if view.status == "ruined":
        told.append("the run is ruined: its policy lost everything on the rows it was judged on.")
    if policy == "last_fold":  # trained from the beginning, whatever the run did
        fold: Any = (record["walk_forward"] or {})["folds"][-1]
        epochs = [{"best_epoch": epoch} for epoch in fold["best_epochs"]]
        own: Any = {"mode": "train", "per_seed": epochs if len(epochs) > 1 else None, **epochs[0]}
        record = {**record, **own}
    told += kept_untrained(record)
    told += [f"of the run's data: {doubt}" for doubt in record["doubts"] or []]
    return told
