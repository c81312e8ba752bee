"""The keys of `data` that name a table of prices; importing this module imports no NumPy."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from psann._model_keys import LATER, UNTOLD
from psann._models import StrictModel

Feature = str | dict[str, dict[str, Any]]


class PricesBlock(StrictModel):
    """A table of prices, and how it is read, aligned and cut."""

    prices: str | list[str] | None = None
    """Table of prices: csv, tsv, txt (also .gz), parquet or feather, a list of such files or a
    folder of them, relative to the configuration file."""
    date: str | list[str] | None = None
    """Column of the dates, or two that make one; null takes the only one that reads as dates."""
    asset: str | None = None
    """Column that names the assets of a long table; null takes one with a usual name."""
    price: str | None = None
    """Column of the prices; null takes the only candidate, of several the adjusted one."""
    assets: list[str] | None = None
    """Which assets, in this order, as texts; null takes all."""
    arrays: Annotated[list[str] | None, UNTOLD] = None
    """Columns that are neither assets nor prices: arrays of the data, which costs, rates and
    `hisso.reward_inputs` call by these names; null for none."""
    benchmark: Annotated[str | None, LATER] = None
    """Column that is not traded but shown beside the policy, such as an index; null for none."""
    start: str | None = None
    """First date to keep."""
    end: str | None = None
    """Last date to keep."""
    split: dict[Literal["val", "test"], str | float] | None = None
    """`val` and `test`: first date of each, or their shares of the moves; null takes a fifth for
    each."""
    gap: Annotated[int, Field(ge=0)] | Literal["features"] = 0
    """Rows left out before validation and before test; features leaves out as many as the longest
    feature looks back."""
    features: Literal["default", "assetwise"] | list[Feature] = "default"
    """Default; assetwise, the moves of each asset by itself for an AssetwiseRegressor; or a list of
    names and of {name: {parameter: value}}."""
    ended: Literal["refuse"] | dict[str, float] = "refuse"
    """The move after an asset's last price, at least -1, by name, `default` for all others; refuse
    asks for it where an asset ends."""
    universe: str | dict[str, Any] | None = None
    """Who may be held: {top: 50, by: trailing_volume}, spans by asset, or a file with the columns
    asset, from, to; null takes all."""
    rows: float = Field(default=0.5, gt=0, le=1)
    """A row counts if at least this share of the living assets has a price on it."""
    format: dict[str, Any] | None = None
    """How the cells are written: sep, decimal, thousands, encoding, date, date_unit, tz, stamp,
    missing, skip_rows, max_rows, header, columns, comment, values, price_sign."""

    @model_serializer(mode="wrap")
    def _only_where_there_is_a_table(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what says nothing: other sources of data have none of these keys."""
        values: dict[str, Any] = write(self)
        if self.prices is None:
            return {key: value for key, value in values.items() if key not in PRICE_KEYS}
        return values

    @property
    def price_options(self) -> dict[str, Any]:
        """Those that are not as they would be anyway, as arguments of `load_prices`."""
        values = {name: getattr(self, name) for name in PRICE_KEYS}
        return {name: value for name, value in values.items() if value != PRICE_KEYS[name]}


PRICE_KEYS: dict[str, Any] = {
    name: field.default for name, field in PricesBlock.model_fields.items()
}
"""The keys and their defaults."""
FILE_KEYS = ("prices", "universe")
"""Those that name files."""


def with_absolute_files(
    values: Mapping[str, Any], folder: str, given: Callable[[str], Any]
) -> dict[str, Any]:
    """Return the keys of a block that name files, with the files below a folder.

    Parameters
    ----------
    values : mapping
        Keys of a block, as a file has them, checked or not.
    folder : str
        What paths are relative to.
    given : callable
        Takes a path as the user wrote it; raises `ValueError` where it can be none.
    """

    def absolute(name: str) -> str:
        return os.path.abspath(os.path.join(folder, given(name)))

    found: dict[str, Any] = {}
    for key in FILE_KEYS:
        value = values.get(key)
        if isinstance(value, str):
            found[key] = absolute(value)
        elif isinstance(value, list):
            found[key] = [absolute(item) if isinstance(item, str) else item for item in value]
    return found
