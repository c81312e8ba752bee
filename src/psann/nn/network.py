"""What every body has in common: a head, settings that follow the epoch, named decay exceptions."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from torch import Tensor, nn

from psann.nn.sine import SineParam

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """What a network is asked for: widths, and who reads its outputs."""

    n_in: int
    n_out: int
    n_context: int = 0
    n_extra: int = 0
    """Outputs beyond one for each action, such as the score of cash."""
    ignores_shift: bool = False
    """Whether a number added to all outputs changes nothing, as before a softmax."""

    n_rows: int = 0
    """Rows with targets to train on; 0 where episodes are trained on, or nothing any more."""

    @property
    def n_actions(self) -> int:
        """Outputs that are actions or targets, M."""
        return self.n_out - self.n_extra


class Network(nn.Module):
    """A network that maps each row by itself, ``(rows, n_in) -> (rows, n_out)``.

    A forward pass is a function of its arguments, the parameters and the buffers: dropout is
    drawn from the key it is given, and there is none without a key.
    """

    head: nn.Module
    dropout: float = 0.0
    epoch_factors: tuple[str, ...] = ()
    """Attributes that `set_epoch` moves and a forward pass only multiplies by."""

    @functools.cached_property
    def width(self) -> int:
        """Numbers of a row where it is widest, between input and output."""
        return max((max(p.shape) for p in self.parameters() if p.dim() == 2), default=1)

    @functools.cached_property
    def n_products(self) -> int:
        """Multiply-adds of a row, about: every weight is used once."""
        return sum(p.numel() for p in self.parameters())

    @property
    def is_ours(self) -> bool:
        """Whether psann and torch have written every layer, and nobody has hooked into one."""
        layers = list(self.modules())
        roots = {type(layer).__module__.partition(".")[0] for layer in layers}
        are_hooked = any(getattr(layer, name) for layer in layers for name in _HOOKS)
        return roots <= {"psann", "torch"} and not are_hooked

    @property
    def pools(self) -> bool:
        """Whether the output of an asset depends on a mean over all assets."""
        return False

    @property
    def stage(self) -> int:
        """Which structure is in force, where it depends on the epoch."""
        return 0

    @property
    def n_stages(self) -> int:
        """Structures that there are."""
        return 1

    def forward(
        self, x: Tensor, context: Tensor | None = None, dropout_key: Tensor | None = None
    ) -> Tensor:
        """Outputs of ``(rows, n_in)``, with ``(rows, n_context)`` where the body takes one."""
        raise TypeError(f"{type(self).__name__} must define forward.")

    def set_epoch(self, epoch: int) -> None:
        """Apply what depends on the epoch (warm-ups, depth); a function of `epoch` alone."""

    def undecayed_parameters(self) -> set[str]:
        """Names of the parameters that weight decay must not touch in the current epoch.

        A sine unit's shape is not a size to shrink: decay would pull its softplus to ln 2.
        """
        return {
            f"{prefix}.{name}"
            for prefix, module in self.named_modules()
            if isinstance(module, SineParam)
            for name, _ in module.named_parameters()
        }
