"""What was set and plays no part in a fit: nothing is accepted and ignored in silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psann.hisso.options import EvaluationOptions, HISSOOptions


def idle_parameters(
    params: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    hisso: HISSOOptions | None,
    is_flattened: bool,
    n_context: int,
    is_pass: bool = False,
) -> list[str]:
    """Parameters that a user set although this fit makes no use of them, each with the reason.

    Parameters
    ----------
    params, defaults : mapping
        Constructor parameters as they are, and as they are by default.
    hisso : HISSOOptions or None
        How episodes are trained on; None trains on targets.
    is_flattened : bool
        Whether rows of X have several dimensions.
    n_context : int
        Columns of the network's context.
    is_pass : bool
        Whether this is a partial fit.

    Returns
    -------
    list of str
        ``"batch_size (episodes have hisso.batch_episodes)"`` and the like.
    """
    is_hisso = hisso is not None and hisso.enabled
    has_warm_start = is_hisso and hisso is not None and hisso.warm_start is not None
    reasons = {
        "data_format": "" if is_flattened else "rows of X have one dimension",
        "max_skipped_updates": "on_nonfinite is stop" if params["on_nonfinite"] == "stop" else "",
    }
    one_pass = "a partial fit is one pass" if is_pass else ""
    reasons |= dict.fromkeys(("epochs", "monitor", "patience", "warm_start"), one_pass)
    if is_hisso:
        reasons["batch_size"] = "episodes have hisso.batch_episodes"
        reasons["shuffle"] = "episodes start at random rows"
    if is_hisso and not has_warm_start:
        reasons["loss"] = "episodes have hisso.reward"
        reasons["input_noise"] = "episodes have hisso.input_noise"
    if not params.get("stateful", True):
        reasons["state_reset"] = "stateful is False"
    if params.get("progressive_depth_initial", 0) is None:
        for name in ("progressive_depth_interval", "progressive_depth_growth"):
            reasons[name] = "progressive_depth_initial is None"
    if params["hidden_layers"] == 0:
        for name in ("hidden_units", "activation", "activation_params", "w0"):
            reasons[name] = "hidden_layers is 0"
    if is_flattened:
        reasons["layout"] = "rows of X have an axis of assets"
    if not n_context:
        reasons["use_phase_shift"] = reasons["use_film"] = "there is no context"
    return [
        f"{name} ({reason})"
        for name, reason in reasons.items()
        if reason and name in params and params[name] != defaults[name]
    ]


def idle_options(
    hisso: HISSOOptions, evaluation: EvaluationOptions, *, is_pass: bool = False
) -> list[str]:
    """Options of HISSO that were set although others leave them without effect."""
    idle = [
        f"hisso.{name} (a partial fit is one episode)"
        for name in ("batch_episodes", "updates_per_epoch")
        if is_pass and getattr(hisso, name) != HISSOOptions.model_fields[name].default
    ]
    default = HISSOOptions.model_fields["amp_dtype"].default
    if not hisso.mixed_precision and hisso.amp_dtype != default:
        idle.append("hisso.amp_dtype (mixed_precision is False)")
    name = hisso.primary_transform
    if evaluation.borrow_rate and name.startswith("softmax"):
        idle.append(f"evaluation.borrow_rate ({name} sells nothing short)")
    return idle
