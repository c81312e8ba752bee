"""The data of a run from a user's own prices: read, aligned and cut in one call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping

import numpy as np

from psann._frames import BENCHMARK_NAME, SPLITS
from psann._typing import Array
from psann.errors import DataError, did_you_mean, listed
from psann.market.arrays import arrays_of
from psann.market.benchmark import on_rows_of, split_off
from psann.market.cutting import cut, describe_spans
from psann.market.membership import align
from psann.market.recipe import KEY, write_recipe
from psann.market.starter import describe
from psann.market.tables import read_prices


def load_prices(
    prices: object,
    *,
    split: Mapping[str, object] | None = None,
    gap: object = 0,
    features: object = "default",
    ended: object = "refuse",
    rows: float = 0.5,
    universe: object = None,
    benchmark: str | None = None,
    **reading: object,
) -> dict[str, Array]:
    """Make the arrays of a run from a table of prices.

    In a config: `data: {prices: prices.csv, split: {val: 2018-01-02, test: 2020-01-02}}`.

    Parameters
    ----------
    prices : path, list of paths, or frame
        As for `read_prices`; paths are relative to the working directory, in a config to its file.
    split : mapping, optional
        `val` and `test`: first date of each, or their shares of the moves; else 0.2 and 0.2.
    gap, features
        As for `splits`.
    ended, rows, universe
        As for `align`.
    benchmark : str, optional
        Column that is not traded: its prices are `benchmark_*`, for the judgement alone.
    **reading
        `date`, `asset`, `price`, `assets`, `arrays`, `start`, `end`, `format`, as for
        `read_prices`; each name of `arrays` becomes `<name>_*`, as `psann.market.arrays` has it.

    Returns
    -------
    dict of str to ndarray
        `X_* y_* prices_* time_*`, with holes `active_*`, `asset_names` and `feature_names`, as of
        `splits`; with a benchmark `benchmark_*` and its name in `benchmark_name`; `notes`, lines
        that tell what was understood; and `recipe`, a text by which later prices can be read the
        same way.

    Raises
    ------
    DataError
        If the table cannot be read or used as told.
    """
    unknown = [key for key in reading if key not in _READING]
    if unknown:
        known = tuple(_SIGNATURE.parameters)
        raise DataError(
            [
                f"{key} is not known; there are {', '.join(known)}.{did_you_mean(key, known)}"
                for key in unknown
            ]
        )
    split = {"val": 0.2, "test": 0.2} if split is None else split
    if not isinstance(split, Mapping) or set(split) != {"val", "test"}:
        raise DataError(
            "split must give val and test, as in {val: 2018-01-02, test: 2020-01-02} or {val: 0.2, "
            f"test: 0.2}}; got {split!r}."
        )
    if benchmark is not None and reading.get("assets") is not None:
        reading["assets"] = [*reading["assets"], benchmark]  # type: ignore[misc]
    table = whole = read_prices(prices, **reading)  # type: ignore[arg-type]
    if benchmark is not None:
        table, quotes = split_off(whole, benchmark)
    panel = align(table, rows=rows, ended=ended, universe=universe)
    data, made = cut(panel, val=split["val"], test=split["test"], features=features, gap=gap)
    recipe = write_recipe(table, panel, made, data, rows=rows, universe=universe, features=features)
    places = {name: np.searchsorted(panel.dates, data[f"time_{name}"]) for name in SPLITS}
    for name, place in places.items():
        named = arrays_of(panel, reading.get("arrays") or (), place)  # type: ignore[arg-type]
        data |= {f"{key}_{name}": values for key, values in named.items()}
    if benchmark is not None:
        beside = on_rows_of(panel, whole, quotes, benchmark)[:, None]
        data |= {f"benchmark_{name}": beside[place] for name, place in places.items()}
        data[BENCHMARK_NAME] = np.array([benchmark])
    names = data["feature_names"].tolist()
    told = [*describe(table).splitlines(), *(f"- {n}" for n in panel.notes[len(table.notes) :])]
    told.append(f"features {len(names)}: {listed(names, 5)}")
    for name, span in describe_spans(data).items():
        members = f", {span['members']} members" if "members" in span else ""
        told.append(f"{name}: {span['rows']} rows, {span['first']} to {span['last']}{members}")
    told_by_line = np.array([line for line in told if line])
    return data | {"notes": told_by_line, KEY: np.array(recipe.model_dump_json())}


def _with_options_of(reader: Callable[..., object]) -> inspect.Signature:
    """Name the options of the reader one by one, so that a config is checked for misspelt ones."""
    own = list(inspect.signature(load_prices).parameters.values())[:-1]
    read = list(inspect.signature(reader).parameters.values())[1:]
    return inspect.Signature([*own, *read])


_SIGNATURE = _with_options_of(read_prices)
_READING = tuple(inspect.signature(read_prices).parameters)[1:]
load_prices.__signature__ = _SIGNATURE  # type: ignore[attr-defined]
