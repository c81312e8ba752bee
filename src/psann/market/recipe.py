"""How prices became the rows of a run: what a policy needs to read newer prices the same way."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from psann._frames import SPLITS
from psann._inputs import show
from psann._strict_json import parse_strict
from psann._typing import Array
from psann.errors import FileFormatError, listed
from psann.market.features import TRAILING_ROWS, Features, is_trailing
from psann.market.lines import given_file
from psann.market.membership import VOLUME_ROWS, spans_in
from psann.market.panel import Panel, PriceTable

KEY = "recipe"
"""Name under which `load_prices` gives it beside the arrays of a run."""


class Recipe(BaseModel):
    """All that later rows need of the rows that a policy was trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    schema_version: Literal[1] = 1
    assets: list[str] = Field(min_length=1)
    """The M names, in the order of the actions."""
    reading: dict[str, Any]
    """Options of `read_prices` that say all that was found out, without first and last date."""
    rows: float = Field(gt=0, le=1)
    """Share of the living assets that must have a price on a row."""
    universe: dict[str, Any] | None
    """As for `align`; of a file what it said."""
    features: Literal["default", "assetwise"] | list[str | dict[str, dict[str, Any]]]
    names: list[str]
    """Of the columns of X."""
    scales: list[float | None]
    """What each kind of feature is divided by; None where it brings its scale."""
    history: int = Field(ge=0)
    """Rows before a row that its features look back on."""
    with_members: bool
    """Whether somebody could not be held on some row: then `active` is a feature."""
    lowest: list[float]
    """Least of each column on the training rows."""
    highest: list[float]
    """Greatest of each column on the training rows."""
    spans: dict[str, tuple[str, str]]
    """First and last date of each split."""
    spacing_s: float = Field(gt=0)
    """Median of the seconds between two rows."""
    widest_s: float = Field(gt=0)
    """Most seconds between two rows."""
    mean_s: float = Field(gt=0)
    """Mean of the seconds between two rows, weekends and holidays included."""
    level: list[float | None]
    """Price of each asset on the last validation row."""
    source_sha256: str
    """Digest of the table."""

    @model_validator(mode="after")
    def _fits_together(self) -> Recipe:
        widths = {len(self.names), len(self.lowest), len(self.highest)}
        if len(widths) != 1 or len(self.level) != len(self.assets):
            raise ValueError("names, lowest and highest, or assets and level, differ in length")
        if {*self.spans} != {*SPLITS}:
            raise ValueError("spans must tell of train, val and test")
        for date in (date for span in self.spans.values() for date in span):
            np.datetime64(date, "us")
        return self

    @property
    def seen_until(self) -> np.datetime64:
        """Date of the last row that shaped or chose the policy."""
        return np.datetime64(self.spans["val"][1], "us")


def write_recipe(
    table: PriceTable,
    panel: Panel,
    made: Features,
    data: Mapping[str, Array],
    *,
    rows: float,
    universe: object,
    features: object,
) -> Recipe:
    """Write down how a table became the arrays of a run.

    Parameters
    ----------
    table, panel, made, data
        What reading, aligning, computing and cutting gave.
    rows, universe, features
        As the user said them.
    """
    if isinstance(universe, str | Path):
        universe = spans_in(given_file("universe", universe))
    if isinstance(universe, Mapping) and "top" not in universe:
        universe = {name: spans for name, spans in universe.items() if name in panel.assets}
    lookback = [made.lookback]
    if is_trailing(features):
        lookback.append(made.lookback + TRAILING_ROWS)
    if isinstance(universe, Mapping) and "top" in universe:
        lookback.append(VOLUME_ROWS)
    seconds = np.diff(panel.dates).astype(np.int64) / 1e6
    last = int(np.searchsorted(panel.dates, data["time_val"][-1]))
    train = data["X_train"]
    return Recipe(
        assets=list(panel.assets),
        reading={key: _plain(v) for key, v in table.options.items() if key not in ("start", "end")},
        rows=float(rows),
        universe=None if universe is None else _plain(universe),
        features=_plain(features),
        names=list(made.names),
        scales=list(made.scales),
        history=max(lookback),
        with_members=panel.has_holes,
        lowest=train.min(axis=0).ravel().tolist(),
        highest=train.max(axis=0).ravel().tolist(),
        spans={name: _span(data[f"time_{name}"]) for name in SPLITS},
        spacing_s=float(np.median(seconds)),
        widest_s=float(seconds.max()),
        mean_s=float(seconds.mean()),
        level=[float(p) if np.isfinite(p) else None for p in panel.quotes[last]],
        source_sha256=table.sha256,
    )


def _span(dates: Array) -> tuple[str, str]:
    return show(dates[0]), show(dates[-1])


def _plain(value: Any) -> Any:
    """Return lists for tuples, and texts for dates."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def read_recipe(data: bytes | str, *, who: str) -> Recipe:
    """Read what `Recipe.model_dump_json` wrote.

    Parameters
    ----------
    data : bytes or str
        The whole text; it may come from a stranger.
    who : str
        Name of the file, for messages.

    Raises
    ------
    FileFormatError
        If it is anything else.
    """
    try:
        parse_strict(data)  # no key twice, no number beyond bounds
        return Recipe.model_validate_json(data)
    except ValidationError as error:
        where = [".".join(str(part) for part in each["loc"]) for each in error.errors()]
        raise FileFormatError(
            f"{who} must tell how prices become features; {listed(where, 4)} "
            f"{'are' if len(where) > 1 else 'is'} not as psann writes it. Copy the run again."
        ) from None
    except ValueError as error:
        raise FileFormatError(f"{who} must be strict JSON; {error}. Copy the run again.") from None
