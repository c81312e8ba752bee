"""Later prices read as those of a run were: the rows on which its policy may act.

Row ``t`` depends on prices up to row ``t`` alone, and its features are scaled by what the training
rows showed. What does not go with the training rows is refused, all of it at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from psann._inputs import show
from psann._typing import Bools, Dates, Floats, Places
from psann.errors import DataError, counted, listed
from psann.market.arrays import arrays_of
from psann.market.features import CLIP, compute_again
from psann.market.findings import Findings
from psann.market.frames import is_frame
from psann.market.lines import is_arrow
from psann.market.membership import align_as_known
from psann.market.options import Format, ReadOptions, check_options
from psann.market.panel import Panel, PriceTable
from psann.market.recipe import Recipe
from psann.market.tables import TEXT_ONLY, read_checked

DOUBTS = ("level", "spacing")
"""What a user may take upon himself."""
# By how much the median price may have changed since the last validation row: on the row itself,
# and on another one.
_SAME_ROW, _OTHER_ROW = 3.0, 20.0
# The same for one asset beside the others; on another row also beyond what it usually moves.
_OTHER_LEVEL, _FAR = np.log(1.25), 10.0
_SAME_PRICE = 1e-3
_FEWEST_MOVES = 30
_OTHER_SPACING = 1.5  # of the medians of the seconds between two rows
_WIDER = 2.0  # than the widest gap of the training rows


@dataclass(frozen=True, kw_only=True, eq=False)
class NewerRows:
    """What a policy needs of each row, and what is remarkable about them."""

    dates: Dates
    """Shape (n,)."""
    X: Floats
    """Features, shape (n, columns)."""
    active: Bools | None
    """Who may be held, shape (n, M); None where everybody always could."""
    quotes: Floats
    """Prices as read, shape (n, M); NaN where there is none."""
    newest: Floats
    """Prices of the rows that the features of the newest one look at, shape (k, M), and of at least
    30 moves where the table has them."""
    newest_dates: Dates
    """Shape (k,)."""
    assets: tuple[str, ...]
    arrays: Mapping[str, Floats]
    """What the option `arrays` names, as of `psann.market.arrays`."""
    sha256: str
    """Digest of the table."""
    notes: tuple[str, ...]
    """What was understood of the table."""
    warnings: tuple[str, ...]
    """What a user should look at."""


def newer_rows(
    prices: object,
    recipe: Recipe,
    *,
    since: np.datetime64 | None = None,
    reading: Mapping[str, object] | None = None,
    accept: Collection[str] = (),
    validation: bool = False,
) -> NewerRows:
    """Read prices as those of a run were read, and compute the features of its later rows.

    Parameters
    ----------
    prices : path, list of paths, or frame
        As for `read_prices`; it must reach back as far as the longest feature does.
    recipe : Recipe
        How the run read its own.
    since : datetime64, optional
        First date to act on; None is the first one after validation.
    reading : mapping, optional
        Options of `read_prices` that take the place of the run's.
    accept : collection of {"level", "spacing"}
        Doubts that are not to stop this: prices at another level, rows at other distances.
    validation : bool
        The rows of validation instead, which chose the policy.

    Returns
    -------
    NewerRows
        From the first row after `since` whose features have their history.

    Raises
    ------
    DataError
        If there is no such row, or the table does not go with the training rows.
    """
    if unknown := [doubt for doubt in accept if doubt not in DOUBTS]:
        raise DataError(f"accept must be of {', '.join(DOUBTS)}; got {unknown[0]!r}.")
    table = _in_order(read_checked(prices, _options(prices, recipe, reading or {})), recipe)
    panel = align_as_known(table, rows=recipe.rows, universe=recipe.universe)
    first = recipe.seen_until + np.timedelta64(1, "us") if since is None else since
    is_wanted = (panel.dates >= first) & (panel.dates > recipe.seen_until)
    if validation:
        first = np.datetime64(recipe.spans["val"][0], "us")
        is_wanted = (panel.dates >= first) & (panel.dates <= recipe.seen_until)
    rows = np.flatnonzero(is_wanted)
    findings = Findings()
    _check_rows(rows, panel, recipe, since, findings)
    findings.stop()
    rows = rows[rows >= recipe.history]
    window = slice(int(rows[0]) - recipe.history, None)
    if "spacing" not in accept:
        _check_spacing(panel.dates[window], recipe, findings)
    if "level" not in accept:
        _check_level(panel, recipe, findings)
    if not recipe.with_members:
        _check_holes(panel, window, findings)
    findings.stop()
    made = compute_again(
        panel, recipe.features, scales=recipe.scales, with_members=recipe.with_members
    )
    if list(made.names) != recipe.names:
        raise DataError(
            f"features must be the {len(recipe.names)} of the run; these prices give "
            f"{len(made.names)}: {listed(made.names, 4)}. Give the fields that the run's table had."
        )
    X = made.values[rows]
    others = [] if "level" in accept else of_other_levels(panel, recipe)
    newest = slice(max(0, int(rows[-1]) - max(recipe.history, _FEWEST_MOVES)), int(rows[-1]) + 1)
    if since is None or rows[0] == np.searchsorted(panel.dates, first):
        late: list[str] = []
    else:
        late = [f"rows before {show(panel.dates[rows[0]])} lack their history and are left out."]
    return NewerRows(
        dates=panel.dates[rows],
        X=X,
        active=panel.active[rows] if recipe.with_members else None,
        quotes=panel.quotes[rows],
        newest=panel.quotes[newest],
        newest_dates=panel.dates[newest],
        assets=panel.assets,
        arrays=arrays_of(panel, table.options.get("arrays", ()), rows),  # type: ignore[arg-type]
        sha256=table.sha256,
        notes=panel.notes,
        warnings=(*late, *others, *beyond_range(X, recipe, panel.dates[rows])),
    )


def beyond_range(X: Floats, recipe: Recipe, dates: Dates) -> list[str]:
    """Say which features leave the range of the training rows on the newest row, and how far.

    Parameters
    ----------
    X : ndarray of shape (n, columns) or (n, M, K)
    recipe : Recipe
    dates : ndarray of shape (n,)
    """
    row = X[-1].ravel()
    lowest, highest = np.array(recipe.lowest), np.array(recipe.highest)
    excess = np.maximum(lowest - row, row - highest)
    beyond = np.argsort(-excess)[: int((excess > 1e-9).sum())]
    if not len(beyond):
        return []
    told = [
        f"{recipe.names[place]} {row[place]:.3g}{' (clipped)' if abs(row[place]) >= CLIP else ''}, "
        f"in training {lowest[place]:.3g} to {highest[place]:.3g}"
        for place in beyond.tolist()
    ]
    return [
        f"{counted(len(beyond), 'feature')} of {show(dates[-1])} "
        f"{'lie' if len(beyond) > 1 else 'lies'} outside the range of the training rows: "
        f"{'; '.join(told[:3])}{f' and {len(told) - 3} more' if len(told) > 3 else ''}."
    ]


def _options(prices: object, recipe: Recipe, reading: Mapping[str, object]) -> ReadOptions:
    """Options of `read_prices`: those of the run, of which a user may replace each."""
    options: dict[str, Any] = dict(recipe.reading)
    format_ = {
        key: v for key, v in (options.pop("format", None) or {}).items() if key != "max_rows"
    }
    if is_frame(prices):
        # Its columns may be called otherwise, its cells are what they are.
        kept = {f.name for f in fields(Format)} & {"values", "price_sign", "tz", "stamp"}
        format_ = {key: value for key, value in format_.items() if key in kept}
        options.pop("date", None)
    elif _is_arrow(prices):
        format_ = {key: value for key, value in format_.items() if key not in TEXT_ONLY}
    if not recipe.with_members:
        options["assets"] = list(recipe.assets)
    checked = check_options(**{**options, "format": format_, **reading})
    return replace(checked, are_all_needed=not recipe.with_members)


def _is_arrow(prices: object) -> bool:
    several: Sequence[object] = prices if isinstance(prices, list | tuple) else [prices]
    return any(isinstance(path, str | Path) and is_arrow(Path(path)) for path in several)


def _in_order(table: PriceTable, recipe: Recipe) -> PriceTable:
    """The table with the assets of the run, in its order; who is gone has no price."""
    known = [name for name in recipe.assets if name in table.assets]
    if not known:
        raise DataError(
            f"prices must be of the assets of the run, {listed(recipe.assets)}; got "
            f"{listed(table.assets)}. Give the table that the run was trained on, with later rows."
        )

    def placed(values: Floats) -> Floats:
        block = np.full((len(values), len(recipe.assets)), np.nan)
        for place, name in enumerate(recipe.assets):
            if name in table.assets:
                block[:, place] = values[:, table.assets.index(name)]
        return block

    gone = [name for name in recipe.assets if name not in known]
    notes = [f"not in the table, and given no weight: {listed(gone)}."] if gone else []
    return PriceTable(
        dates=table.dates,
        assets=tuple(recipe.assets),
        prices=placed(table.prices),
        fields={name: placed(values) for name, values in table.fields.items()},
        notes=(*table.notes, *notes),
        sha256=table.sha256,
        layout=table.layout,
        options=table.options,
    )


def _check_rows(
    rows: Places,
    panel: Panel,
    recipe: Recipe,
    since: np.datetime64 | None,
    findings: Findings,
) -> None:
    last = show(panel.dates[-1])
    if not len(rows):
        wanted = f"after {show(recipe.seen_until)}, the last row that shaped or chose the policy"
        if since is not None and since > recipe.seen_until:
            wanted = f"from {show(since)} on"
        findings.ask(
            f"prices must have a row {wanted}; the last is {last}.", cure="Add newer rows."
        )
    elif rows[-1] < recipe.history:
        findings.ask(
            f"prices must have {counted(recipe.history, 'row')} before the first one to act on, "
            f"for its longest feature; got {rows[-1]} before {last}.",
            cure="Give earlier rows too.",
        )


def _check_spacing(dates: Dates, recipe: Recipe, findings: Findings) -> None:
    seconds = np.diff(dates).astype(np.int64) / 1e6
    if not len(seconds):
        return
    median, widest = float(np.median(seconds)), int(seconds.argmax())
    if not 1 / _OTHER_SPACING <= median / recipe.spacing_s <= _OTHER_SPACING:
        findings.ask(
            f"prices must have their rows as far apart as in training, {_span(recipe.spacing_s)}; "
            f"these are {_span(median)} apart.",
            cure="Give rows of the same frequency, or accept it (--accept spacing).",
        )
    elif seconds[widest] > _WIDER * recipe.widest_s:
        findings.ask(
            f"prices must have no gap wider than {_span(_WIDER * recipe.widest_s)}, twice the "
            f"widest in training; from {show(dates[widest])} to {show(dates[widest + 1])} there "
            f"are {_span(float(seconds[widest]))}.",
            cure="Add the missing rows, or accept it (--accept spacing).",
        )


def _since_training(panel: Panel, recipe: Recipe) -> tuple[int, Floats]:
    """The row nearest to the last one of validation, and its prices in units of those there."""
    row = int(np.abs(panel.dates - recipe.seen_until).argmin())
    if (recipe.reading.get("format") or {}).get("values") not in (None, "prices"):
        return row, np.full(len(recipe.level), np.nan)  # from 1, wherever the table begins
    then = np.array([np.nan if price is None else price for price in recipe.level])
    return row, panel.quotes[row] / then


def _check_level(panel: Panel, recipe: Recipe, findings: Findings) -> None:
    """Compare with the prices of the last validation row, or of the row that is nearest to it."""
    row, factors = _since_training(panel, recipe)
    if not np.isfinite(factors).any():
        return
    factor = float(np.nanmedian(factors))
    most = _SAME_ROW if panel.dates[row] == recipe.seen_until else _OTHER_ROW
    if not 1 / most <= factor <= most:
        findings.ask(
            f"prices must be on the scale of the run's; on {show(panel.dates[row])} the median is "
            f"{factor:.3g} times that of {show(recipe.seen_until)} in training.",
            cure="Give prices in the same unit, adjusted the same way, or accept it (--accept "
            "level) where they were adjusted anew.",
        )


def of_other_levels(panel: Panel, recipe: Recipe) -> list[str]:
    """Say which assets are no longer priced as the run knew them.

    A few per cent are dividends, by which prices before them are adjusted anew. On another row than
    the run's each is held against the others, and against what it usually moves.
    """
    row, factors = _since_training(panel, recipe)
    known = np.flatnonzero(np.isfinite(factors))
    if not len(known):
        return []
    logs, beside = np.log(panel.quotes), np.log(factors)
    if panel.dates[row] != recipe.seen_until:
        beside -= np.median(beside[known])
    seconds = abs(float((panel.dates[row] - recipe.seen_until).astype(np.int64))) / 1e6
    usual = np.median(np.nan_to_num(np.abs(np.diff(logs[:, known], axis=0))), axis=0)
    limit = np.full(len(factors), np.inf)
    limit[known] = np.maximum(_OTHER_LEVEL, _FAR * usual * np.sqrt(seconds / recipe.spacing_s))
    date, then = show(panel.dates[row]), show(recipe.seen_until)
    told = []
    for place in np.flatnonzero(np.abs(beside) > limit).tolist():
        price = float(panel.quotes[row, place])
        had = [
            name
            for name, level in zip(recipe.assets, recipe.level, strict=True)
            if level is not None and abs(price / level - 1) < _SAME_PRICE
        ]
        was = f"{recipe.level[place]:.6g}{f', and {price:.6g} of {had[0]}' if had else ''}"
        told.append(f"{recipe.assets[place]} costs {price:.6g}, where the run read {was}")
    if not told:
        return []
    return [
        f"on {date}{'' if date == then else f', beside {then} in training'}: {listed(told, 3)}. "
        "Adjusted anew (--accept level says so), exchanged columns, or other assets?"
    ]


def _check_holes(panel: Panel, window: slice, findings: Findings) -> None:
    missing = np.argwhere(~np.isfinite(panel.quotes[window]))
    findings.ask_of_many(
        [
            f"{panel.assets[column]} must have a price on {show(panel.dates[window][row])}: the "
            "policy knows no row without."
            for row, column in missing.tolist()
        ],
        cure="Add the price, or leave the row out until all have one.",
    )


def _span(seconds: float) -> str:
    if seconds >= 86400:
        return counted(round(seconds / 86400), "day")
    return f"{seconds / 3600:.3g} hours" if seconds >= 3600 else f"{seconds / 60:.3g} minutes"
