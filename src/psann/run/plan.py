"""What a run would do, found out by doing everything short of training."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from psann._device import device_name, resolve_device
from psann.errors import TrainingInterrupted
from psann.estimators._base import BasePSANNRegressor
from psann.hisso.episodes import default_updates_per_epoch
from psann.run.config import RunConfig
from psann.run.config_targets import check_targets
from psann.run.data import DataSplits
from psann.run.data_checks import SPLITS
from psann.run.results import split_figures
from psann.run.stages import first_estimator, read_data, training_rows
from psann.training.observers import Observer
from psann.training.state import TrainState


def describe_plan(config: RunConfig, *, only_import: Sequence[str] = ()) -> str:
    """Check imports, data, device and model, and say what training would do.

    Parameters
    ----------
    config : RunConfig
        A valid configuration.
    only_import : sequence of str
        Module prefixes outside of which nothing is imported.

    Returns
    -------
    str
        A few lines for a person.

    Raises
    ------
    PsannError, ValueError
        With everything that stands in the way.
    """
    targets = check_targets(config, only_import=only_import)
    device = resolve_device(config.device)
    splits = read_data(config, targets)
    estimator, _ = first_estimator(config, targets)
    if config.mode == "evaluate":
        # No training to stop short of: the figures are the check.
        split_figures(estimator, splits, config)
        n_parameters = sum(p.numel() for p in estimator.network_.parameters())
    else:
        n_parameters = _n_parameters_at_start(config, estimator, splits)
    return "\n".join(
        [
            f"mode        {config.mode}, seed {config.seed} ({config.recorded.seed_from})",
            f"device      {device} ({device_name(device)}), {torch.get_num_threads()} threads",
            *_data_lines(splits),
            f"estimator   {type(estimator).__name__}, {n_parameters:,} parameters",
            *_training_lines(config, splits),
        ]
    )


def _n_parameters_at_start(
    config: RunConfig, estimator: BasePSANNRegressor, splits: DataSplits
) -> int:
    """Parameters of the network, from a fit that stops where the first epoch would begin."""
    start = _StopAtStart()
    try:
        estimator.fit(
            **training_rows(config, splits),
            hisso=config.hisso,
            evaluation=config.evaluation,
            observers=(start,),
        )
    except TrainingInterrupted:
        return start.n_parameters
    raise AssertionError("training began")


class _StopAtStart(Observer):
    """Ends a fit when everything is ready for its first phase."""

    n_parameters = 0

    def on_phase_start(self, state: TrainState) -> None:
        self.n_parameters = state.carry.weights.numel()
        raise TrainingInterrupted("--check", status="interrupted", exit_code=0)


def _data_lines(splits: DataSplits) -> list[str]:
    lines = []
    for name in SPLITS:
        arrays = splits.split(name)  # type: ignore[arg-type]
        if arrays:
            shapes = ", ".join(f"{kind} {array.shape}" for kind, array in arrays.items())
            lines.append(f"{name:<11} {shapes}")
    return lines


def _training_lines(config: RunConfig, splits: DataSplits) -> list[str]:
    if config.mode == "evaluate":
        return ["training    none"]
    n_rows = len(splits.split("train")["X"])
    hisso, training = config.hisso, config.training
    if not hisso.enabled:
        updates = -(-n_rows // training.batch_size)
        return [f"training    {training.epochs} epochs of {updates} updates on targets"]
    lines = []
    if (warm := hisso.warm_start) is not None:
        updates = -(-n_rows // warm.batch_size)
        lines.append(f"warm start  {warm.epochs} epochs of {updates} updates on {warm.y_key}")
    updates = hisso.updates_per_epoch or default_updates_per_epoch(
        n_rows, window=hisso.window, batch_episodes=hisso.batch_episodes
    )
    episodes = training.epochs * updates * hisso.batch_episodes
    lines.append(
        f"training    {training.epochs} epochs of {updates} updates of {hisso.batch_episodes} "
        f"episodes of {hisso.window} steps: {episodes:,} episodes"
    )
    return lines
