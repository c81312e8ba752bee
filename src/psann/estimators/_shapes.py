"""Inputs and outputs of the network that an estimator needs."""

from __future__ import annotations

from psann.hisso.options import HISSOOptions
from psann.hisso.transforms import TRANSFORMS
from psann.nn.network import NetworkShape


def network_shape(
    n_in: int, n_actions: int, hisso: HISSOOptions | None, *, n_context: int = 0, n_rows: int = 0
) -> NetworkShape:
    """The network for so many actions: outputs for these, and what the transform needs besides."""
    has_targets = hisso is None or not hisso.enabled
    name = "identity" if hisso is None or has_targets else hisso.primary_transform
    transform = TRANSFORMS[name]
    sees_held = hisso is not None and not has_targets and hisso.held_weights
    return NetworkShape(
        n_in=n_in + n_actions if sees_held else n_in,
        n_out=n_actions + transform.extra_outputs,
        n_context=n_context,
        n_extra=transform.extra_outputs,
        ignores_shift=transform.ignores_shift,
        n_rows=n_rows if has_targets else 0,
    )
