"""What a user may choose about trainings beside the main one; importing this imports no NumPy."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from psann._model_keys import UNTOLD
from psann._models import GrowingModel

Period = Literal["month", "quarter", "year"]


class WalkForwardOptions(GrowingModel):
    """Train again and again as time goes on, and judge each policy on the rows that follow."""

    folds: int | None = Field(default=None, ge=1, le=999)
    """Trainings, each judged on its own rows; null, with `every`: as many as X_test has."""
    every: Annotated[Period | None, UNTOLD] = None
    """A fold for each calendar period, by the dates of the rows: the last `folds` of them."""
    train: int | None = Field(default=None, ge=2)
    """Training rows of a fold (rolling); null takes all rows before (expanding)."""
    validation: int | None = Field(default=None, ge=2)
    """Validation rows of a fold; null takes as many as X_val has, none where there is no X_val."""
    gap: int = Field(default=0, ge=0)
    """Rows left out between training and validation, and again before the rows that are judged."""
    refit_every: int | None = Field(default=None, ge=1)
    """Rows judged by one fold; null divides the rows of X_test evenly."""

    @model_validator(mode="after")
    def _refuse_no_and_two_ways_to_divide(self) -> WalkForwardOptions:
        if self.folds is None and self.every is None:
            raise ValueError("folds or every must be given, such as folds: 4 or every: year")
        if self.every is not None and self.refit_every is not None:
            raise ValueError(
                "every and refit_every exclude each other: a fold is judged on a calendar period "
                "or on a number of rows. Leave one of them out"
            )
        return self
