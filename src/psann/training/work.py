"""What an engine is given to do."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import Tensor

from psann.nn.network import Network

# (inputs, context, dropout key) -> outputs
Forward = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]

_MULTIPLY_ADDS_PER_S = 2e9  # of a slow core, one after the other
# Of an update of more numbers, the weights among them, arithmetic takes most of the time, recorded
# or not.
_MOST_NUMBERS_RECORDED = 1_000_000
# While it is recorded all that it computes is kept, some four tensors of its rows per parameter.
_MOST_NUMBERS_KEPT = 50_000_000


class Objective(Protocol):
    """What a phase minimises, for one batch of indices into its series."""

    def __call__(
        self, forward: Forward, index: Tensor, key: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Loss ``()`` and one value per index ``(B,)``, from start rows or rows ``(B,)``."""

    @property
    def is_ours(self) -> bool:
        """Whether psann and torch have written all of it, which does the same in every call."""

    def place_of_nonfinite(self, forward: Forward, index: Tensor, key: Tensor | None) -> str:
        """Where the first number that is not finite comes from."""


class PhaseWork(NamedTuple):
    """What an engine knows of a phase before it begins."""

    phase: str
    planned_updates: int
    index_size: int
    """Entries B of an update's index, apart from a smaller last one of an epoch."""
    rows_per_update: int
    goes_row_by_row: bool = False
    """Whether the rows of an episode follow each other, which takes more than their arithmetic."""
    updates_done: int = 0
    """Of those planned, which lie behind where an earlier start, or pass, has left off."""


def work_s(n_products: int, rows_per_update: int) -> float:
    """Assumed seconds of an update's arithmetic, an upper bound from the shapes alone."""
    return 3 * n_products * rows_per_update / _MULTIPLY_ADDS_PER_S


def can_record(network: Network, rows: int, *, n_seeds: int) -> bool:
    """Whether updates of so many rows of each seed are small enough, and none of others'."""
    weights = [parameter.numel() for parameter in network.parameters()]
    of_rows = n_seeds * rows * network.width
    is_small = of_rows + n_seeds * sum(weights) <= _MOST_NUMBERS_RECORDED
    return is_small and of_rows * len(weights) <= _MOST_NUMBERS_KEPT and network.is_ours
