"""What a user may choose about trainings beside the main one; importing this imports no NumPy."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class WalkForwardOptions(BaseModel):
    """Train again and again as time goes on, and judge each policy on the rows that follow."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    folds: int = Field(ge=1, le=999)
    """Trainings, each judged on its own rows."""
    train: int | None = Field(default=None, ge=2)
    """Training rows of a fold (rolling); null takes all rows before (expanding)."""
    validation: int | None = Field(default=None, ge=2)
    """Validation rows of a fold; null takes as many as X_val has, none where there is no X_val."""
    gap: int = Field(default=0, ge=0)
    """Rows left out between training and validation, and again before the rows that are judged."""
    refit_every: int | None = Field(default=None, ge=1)
    """Rows judged by one fold; null divides the rows of X_test evenly."""
