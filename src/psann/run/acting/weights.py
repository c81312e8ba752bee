"""Weights that a policy asks for, and where they come from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from psann._digest import sha256_of
from psann._inputs import show
from psann._model_keys import UNTOLD
from psann._models import GrowingModel
from psann._typing import Array, Floats
from psann.errors import counted, listed

PolicyName = Literal["best", "last_fold"]


class Provenance(GrowingModel):
    """Where weights come from: enough for `hisso-runs verify` to hold them against their run."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    schema_version: Literal[1] = 1
    run_id: str
    """Identity of the run."""
    run_name: str
    policy: PolicyName
    """The estimator of the best epoch, or that of the last fold; of several seeds their mean."""
    policy_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Digest of the estimator's file; of several, of their digests one after the other."""
    data_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Digest of the table, archive or arrays that the weights were computed from."""
    weights_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    """Digest of dates, assets and weights, whatever file they are in."""
    last_row: str
    """Date, or number, of the last row used."""
    delay: int = Field(ge=0)
    """Rows after its own at which a row of weights is to be held."""
    cash: bool
    """Whether what the weights of a row lack to 1 is meant to be cash."""
    psann_version: str
    accepted: list[str]
    """Doubts that the user took upon himself."""
    reading: dict[str, Any]
    """Options of reading that he put in place of the run's."""
    warnings: list[str]
    """What was to be looked at."""
    held: Annotated[list[float] | None, UNTOLD] = None
    """What the policy was told to be held on the last row; absent where it was not."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Weights:
    """Target weights by row and asset; read-only."""

    rows: Array
    """Dates (datetime64) or numbers of the rows, shape (n,)."""
    assets: tuple[str, ...]
    values: Floats
    """Target weights after trading on each row, shape (n, M)."""
    quotes: Floats | None
    """Prices on the same rows, shape (n, M), where they are known; NaN where there is none."""
    provenance: Provenance
    arrays: Mapping[str, Floats] = field(default_factory=dict)
    """What else is known of the same rows by name, such as costs, ``(n, k)`` each."""

    def __post_init__(self) -> None:
        for name in ("rows", "values", "quotes"):
            if (array := getattr(self, name)) is not None:
                view = array.view()
                view.flags.writeable = False  # its digest is in the provenance
                object.__setattr__(self, name, view)

    def __repr__(self) -> str:
        span = f", {show(self.rows[0])} to {show(self.rows[-1])}" if len(self) else ""
        of = f"{counted(len(self), 'row')}{span}, of {counted(len(self.assets), 'asset')}"
        return f"<Weights of run {self.provenance.run_name}: {of}: {listed(self.assets)}>"

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def labels(self) -> list[str]:
        """The rows as texts."""
        return [show(row) for row in self.rows]

    def last(self, n_rows: int = 1) -> Weights:
        """The newest rows only."""
        quotes = None if self.quotes is None else self.quotes[-n_rows:]
        found = weights_of(
            self.rows[-n_rows:], self.assets, self.values[-n_rows:], quotes, self.provenance
        )
        return replace(found, arrays={k: each[-n_rows:] for k, each in self.arrays.items()})


def weights_of(
    rows: Array,
    assets: Sequence[str],
    values: Floats,
    quotes: Floats | None,
    provenance: Provenance,
) -> Weights:
    """Weights whose provenance has their digest."""
    labels = [show(row) for row in rows]
    digest = weights_sha256(labels, assets, values)
    return Weights(
        rows=rows,
        assets=tuple(assets),
        values=values,
        quotes=quotes,
        provenance=provenance.model_copy(update={"weights_sha256": digest}),
    )


def weights_sha256(labels: Sequence[str], assets: Sequence[str], values: Floats) -> str:
    """Digest of weights, to the last bit, and of what they are called."""
    content = [list(labels), list(assets), values.tolist()]
    return sha256_of(json.dumps(content, separators=(",", ":")).encode())
