"""What a run would do, found out by doing everything short of training."""

from __future__ import annotations

from psann._device import device_name, resolve_device
from psann._frames import SPLITS
from psann.errors import TrainingInterrupted, counted
from psann.estimators._base import BasePSANNRegressor
from psann.hisso.options import WarmStartOptions
from psann.hisso.rewards import reward_of
from psann.hisso.significance import bound_of
from psann.run.config.model import RunConfig, TrainingConfig
from psann.run.config.targets import check_targets
from psann.run.data.splits import DataSplits
from psann.run.directory.paths import RunPaths
from psann.run.execution.figures import split_figures
from psann.run.execution.parent import first_estimators
from psann.run.execution.resume import check_resumable, read_resume_point, run_identity
from psann.run.execution.setup import read_data, training_rows
from psann.training.history import Decision
from psann.training.loop import MonitorName, resolve_monitor
from psann.training.observers import Observer
from psann.training.state import TrainState


def describe_plan(config: RunConfig, paths: RunPaths, *, resumes: bool = False) -> str:
    """Check imports, data, device and model, and say what training would do.

    Parameters
    ----------
    resumes : bool
        Whether it would go on from the resume state there.

    Raises
    ------
    PsannError, ValueError
        With everything that stands in the way.
    """
    targets = check_targets(config)
    device = resolve_device(config.device)
    splits = read_data(config, targets)
    (estimator, *_), _ = first_estimators(config, targets, splits)
    if resumes:
        identity = run_identity(
            config, data_sha256=splits.sha256, init_from_sha256=targets.estimator_file_sha256
        )
        point, _ = read_resume_point(paths)
        check_resumable(point.identity, identity, phase=point.furthest.phase)
    if config.mode == "evaluate":
        # No training to stop short of: the figures are the check.
        split_figures(estimator, splits, config)
        n_parameters = sum(p.numel() for p in estimator.network_.parameters())
        training = ["training    none"]
        asked = [name for name in ("walk_forward", "placebo") if getattr(config.evaluation, name)]
        if asked:
            named = ", ".join(f"evaluation.{name}" for name in asked)
            training.append(f"no effect   {named} (mode evaluate trains nothing)")
    else:
        start = _start_of_training(config, estimator, splits)
        n_parameters = start.n_parameters
        training = [*start.lines, *_training_lines(config, splits)]
    card = f" ({device_name(device)})" if device.type == "cuda" else ""
    return "\n".join(
        [
            f"run         {paths.root}{', going on' if resumes else ''}",
            f"mode        {config.mode}, {config.seeds_in_words} ({config.recorded.seed_from})",
            f"device      {device}{card}",
            *_data_lines(config, splits),
            f"estimator   {type(estimator).__name__}, {n_parameters:,} parameters",
            *_judging_lines(config, splits),
            *training,
        ]
    )


def _start_of_training(
    config: RunConfig, estimator: BasePSANNRegressor, splits: DataSplits
) -> _StopAtStart:
    """What is known where the first epoch would begin, from a fit that stops there."""
    start = _StopAtStart()
    try:
        estimator.fit(
            **training_rows(config, splits),
            hisso=config.hisso,
            evaluation=config.evaluation.options,
            observers=(start,),
        )
    except TrainingInterrupted:
        return start
    raise AssertionError("training began")


class _StopAtStart(Observer):
    """Ends a fit when everything is ready for its first phase."""

    n_parameters = 0

    def __init__(self) -> None:
        self.lines: list[str] = []

    def on_decision(self, decision: Decision) -> None:
        for begins, head in {"engine ": "engine", "without effect here: ": "no effect"}.items():
            if decision.message.startswith(begins):
                self.lines.append(f"{head:<12}{decision.message.removeprefix(begins)}")

    def on_phase_start(self, state: TrainState) -> None:
        self.n_parameters = state.carry.weights.numel()
        raise TrainingInterrupted("--check", status="interrupted", exit_code=0)


def _data_lines(config: RunConfig, splits: DataSplits) -> list[str]:
    lines = [*splits.notes]
    for name in SPLITS:
        arrays = splits.split(name, config.reward_inputs)
        if arrays:
            shapes = ", ".join(f"{kind} {array.shape}" for kind, array in arrays.items())
            lines.append(f"{name:<11} {shapes}")
    return lines


def _judging_lines(config: RunConfig, splits: DataSplits) -> list[str]:
    """What is maximised, and what chooses the best epoch."""
    lines = []
    available: tuple[MonitorName, ...] = ("train_loss",)
    if config.hisso.enabled:
        lines.append(f"reward      {reward_of(config.hisso).name}")
        available = ("reward", "train_loss")
    if config.evaluation.withhold_test:
        lines.append("test rows   withheld")
    if config.mode == "evaluate":
        return lines
    if "X_val" in splits.arrays:
        on_validation: tuple[MonitorName, ...] = ("val_reward", "val_loss")
        available = (*on_validation[not config.hisso.enabled :], *available)
    asked = config.training.monitor
    monitor = resolve_monitor(None if asked == "auto" else asked, available)
    return [*lines, f"monitor     {monitor}"]


def _training_lines(config: RunConfig, splits: DataSplits) -> list[str]:
    n_rows = len(splits.split("train")["X"])
    hisso, training = config.hisso, config.training

    def on_targets(of: TrainingConfig | WarmStartOptions) -> str:
        updates = counted(-(-n_rows // of.batch_size), "update")
        return f"{counted(of.epochs, 'epoch')} of {updates}"

    if not hisso.enabled:
        return [f"training    {on_targets(training)} on targets"]
    lines = []
    if (warm := hisso.warm_start) is not None:
        lines.append(f"warm start  {on_targets(warm)} on {warm.y_key}")
    updates = hisso.updates_on(n_rows - hisso.delay)
    episodes = training.epochs * updates * hisso.batch_episodes
    lines.append(
        f"training    {counted(training.epochs, 'epoch')} of {counted(updates, 'update')} of "
        f"{counted(hisso.batch_episodes, 'episode')} of {hisso.window} steps: "
        f"{counted(episodes, 'episode')}"
    )
    if hisso.delay:
        lines.append(f"execution   {counted(hisso.delay, 'row')} after the decision")
    if hisso.min_improvement or hisso.min_significance:
        bound = bound_of(hisso.min_significance, n_epochs=training.epochs)
        lines.append(
            f"kept        what beats epoch 0 on validation by {hisso.min_improvement:g} and "
            f"{bound:.2f} standard errors"
        )
    if hisso.temperature_scaling:
        lines.append("temperature chosen on validation rows")
    if hisso.refit:
        lines.append("refit       anew on training and validation rows, to the epoch chosen")
    beside = []
    if (walk_forward := config.evaluation.walk_forward) is not None:
        n_folds, every = walk_forward.folds, walk_forward.every
        folds = "a walk-forward fold" if n_folds is None else counted(n_folds, "walk-forward fold")
        beside.append(folds if every is None else f"{folds} for every {every}")
    if n_placebos := config.evaluation.placebo:
        beside.append(counted(n_placebos, "placebo"))
    return [*lines, *([f"then again  {', '.join(beside)}"] if beside else [])]
