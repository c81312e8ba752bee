"""Who may be held on which row: listings, halts, ends, universes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from psann._inputs import show
from psann._typing import Bools, Floats, Places, is_number, is_whole
from psann.errors import DataError, counted, did_you_mean, listed
from psann.holdings import NOTHING
from psann.market.columns import plain
from psann.market.dates import instants_of
from psann.market.findings import Findings
from psann.market.lines import files_of, given_file, lines_of
from psann.market.panel import Panel, PriceTable

# Rows after which an asset without a price no longer counts as one that could have one.
_MEMORY = 20
VOLUME_ROWS = 60
"""Rows over which `by: trailing_volume` takes the mean."""


def align(
    table: PriceTable, *, rows: float = 0.5, ended: object = "refuse", universe: object = None
) -> Panel:
    """Choose the rows of a table and say who may be held on each.

    Parameters
    ----------
    table : PriceTable
    rows : float
        A row counts if at least this share of the living assets has a price on it, in (0, 1]. An
        asset lives from its first price on until it has been without one for 20 rows.
    ended : {"refuse"} or mapping of str to float
        The move after an asset's last price, at least -1, by name, `default` for all others; then
        it is cash. An asset without a price on the last row has ended.
    universe : mapping or path, optional
        `{top: N, by: trailing_volume}`: on each row the N assets with the largest mean of volume
        times price over the last 60 rows; or `{asset: [[from, to], ...]}` with first and last date
        of each membership, None for an open end; or a file with the columns asset, from, to.

    Returns
    -------
    Panel

    Raises
    ------
    DataError
        If an option cannot be meant, an asset ends and `ended` says nothing of it, or fewer than
        two rows are left.

    Notes
    -----
    An end is not known beforehand: an asset is a member on the row of its last price. Missing
    returns at a delisting for poor performance average -30 % on NYSE and AMEX and -55 % on Nasdaq.

    References
    ----------
    Shumway (1997), The Delisting Bias in CRSP Data, Journal of Finance 52.
    Shumway and Warther (1999), The Delisting Bias in CRSP's Nasdaq Data, Journal of Finance 54.
    """
    if not isinstance(table, PriceTable):
        raise DataError(
            f"align must be given a PriceTable; got {type(table).__name__}. Read it first: "
            "align(read_prices(prices))."
        )
    findings = Findings()
    after = _moves_after(table.assets, ended, findings)
    return _without_strangers(_aligned(table, rows, universe, after, findings))


def align_as_known(table: PriceTable, *, rows: float, universe: object) -> Panel:
    """Align rows on which only a policy shall act: what became of a holding is nobody's question.

    Nobody who ends is asked for, and nobody who is never a member is dropped.

    Parameters
    ----------
    table, rows, universe
        As for `align`.

    Raises
    ------
    DataError
        If an option cannot be meant, or fewer than two rows are left.
    """
    return _aligned(table, rows, universe, None, Findings())


def _aligned(
    table: PriceTable,
    rows: float,
    universe: object,
    after: Mapping[str, float] | None,
    findings: Findings,
) -> Panel:
    share = _share(rows, findings)
    findings.stop()
    kept = _rows_that_count(table.prices, share)
    if len(kept) < 2:
        raise DataError(
            f"rows must leave at least 2 rows; {rows!r} leaves {len(kept)} of "
            f"{len(table.dates)}. Lower it."
        )
    if len(kept) < len(table.dates):
        left_out = np.setdiff1d(np.arange(len(table.dates)), kept)
        findings.say(
            f"rows: {counted(len(left_out), 'row')} left out on which too few assets have a price, "
            f"first {show(table.dates[left_out[0]])}."
        )
    quotes = table.prices[kept]
    members = np.isfinite(quotes) & _universe(table, universe, kept, findings)
    if after is not None:
        _ask_of_ends(table, kept, quotes, after, findings)
    findings.stop()
    factors = np.array([_factor((after or {}).get(name)) for name in table.assets])
    prices, halted, over = what_became(quotes, factors)
    return Panel(
        dates=table.dates[kept],
        assets=table.assets,
        quotes=quotes,
        active=members,
        prices=prices,
        halted=halted,
        ended=over,
        fields={name: values[kept] for name, values in table.fields.items()},
        notes=(*table.notes, *findings.notes),
        sha256=table.sha256,
    )


def what_became(quotes: Floats, factors: Floats | float = 1.0) -> tuple[Floats, Bools, Bools]:
    """Follow a share that is held.

    Parameters
    ----------
    quotes : ndarray of shape (n, M)
        NaN where there is no price.
    factors : ndarray of shape (M,) or float
        What is left of the last price after the end, positive.

    Returns
    -------
    prices, halted, ended : ndarray of shape (n, M)
        As in `Panel`.
    """
    # Who has no price at all is worth what it likes: nobody holds it.
    quotes = np.where(np.isfinite(quotes).any(axis=0), quotes, 1.0)
    known = np.isfinite(quotes)
    n_rows = len(quotes)
    row = np.arange(n_rows)[:, None]
    first = known.argmax(axis=0)
    last = n_rows - 1 - known[::-1].argmax(axis=0)
    # The row of the latest price, and before the first one that.
    latest = np.maximum(np.maximum.accumulate(np.where(known, row, 0), axis=0), first)
    prices = np.take_along_axis(quotes, latest, axis=0)
    over = row > last
    halted = ~known & (row > first) & ~over
    return np.where(over, prices * factors, prices), halted, row == last + 1


def _share(rows: object, findings: Findings) -> float:
    if is_number(rows) and 0.0 < rows <= 1.0:
        return float(rows)
    findings.ask(f"rows must be a share of the assets, more than 0 and at most 1; got {rows!r}.")
    return 1.0


def _moves_after(assets: tuple[str, ...], ended: object, findings: Findings) -> dict[str, float]:
    """Return the move after the end of each asset for which the user gave one."""
    if isinstance(ended, str) and ended == "refuse":
        return {}
    if not isinstance(ended, Mapping) or not ended:
        findings.ask(
            f"ended must be refuse or moves by asset; got {ended!r}.",
            {"ended": {"default": -0.3}},
        )
        return {}
    for name, move in ended.items():
        if name not in (*assets, "default"):
            findings.ask(
                f"ended must name assets of the table; got {name!r}."
                f"{did_you_mean(str(name), assets)}",
                cure="Names are texts, in quotes where they look like numbers.",
            )
        if not is_number(move) or not -1.0 <= move < np.inf:
            findings.ask(
                f"ended.{name} must be a simple return of at least -1; got {move!r}.",
                cure="A loss of 30 % is -0.3.",
            )
    default = {name: ended["default"] for name in assets} if "default" in ended else {}
    return default | {name: move for name, move in ended.items() if name in assets}


def _factor(move: float | None) -> float:
    return 1.0 if move is None else max(1.0 + move, NOTHING)


def _rows_that_count(prices: Floats, share: float) -> Places:
    """Find the rows on which enough assets have a price, by what is known on the row."""
    known = np.isfinite(prices)
    row = np.arange(len(prices))[:, None]
    latest = np.maximum.accumulate(np.where(known, row, -_MEMORY - 1), axis=0)
    living = (row - latest <= _MEMORY).sum(axis=1)
    present = known.sum(axis=1)
    return np.flatnonzero((present > 0) & (present >= share * living))


def _ask_of_ends(
    table: PriceTable,
    kept: Places,
    quotes: Floats,
    after: Mapping[str, float],
    findings: Findings,
) -> None:
    known = np.isfinite(quotes)
    last = len(quotes) - 1 - known[::-1].argmax(axis=0)
    over = [
        (name, f"{name} ({show(table.dates[kept[row]])})")
        for name, row, column in zip(table.assets, last, known.T, strict=True)
        if column.any() and row < len(quotes) - 1
    ]
    untold = [words for name, words in over if name not in after]
    if untold:
        findings.ask(
            f"ended must say what became of assets that end before the table: {listed(untold)}.",
            {"ended": {"default": -0.3}},
            {"ended": {"default": 0.0}},
            cure="(the move after the last price; -0.3 is the average of delistings for poor "
            "performance on NYSE and AMEX).",
        )
    elif over:
        moves = sorted({f"{100 * after[name]:g} %" for name, _ in over})
        findings.say(
            f"ended, {listed(moves, 3)} after the last price: {listed([w for _, w in over])}."
        )


# --------------------------------------------------------------------------------- universes


def _universe(table: PriceTable, universe: object, kept: Places, findings: Findings) -> Bools:
    shape = (len(kept), len(table.assets))
    if universe is None:
        return np.ones(shape, dtype=bool)
    if isinstance(universe, str | Path):
        universe = spans_in(given_file("universe", universe))
    if isinstance(universe, Mapping) and "top" in universe:
        return _largest(table, universe, kept, findings)
    if isinstance(universe, Mapping) and universe:
        return _named(table, universe, kept, findings)
    findings.ask(
        f"universe must be a mapping; got {universe!r}.",
        {"universe": {"top": 50, "by": "trailing_volume"}},
        cure="or name spans: {AAPL: [[1990-01-02, null]]}.",
    )
    return np.ones(shape, dtype=bool)


def _largest(
    table: PriceTable, universe: Mapping[str, object], kept: Places, findings: Findings
) -> Bools:
    top, by = universe.get("top"), universe.get("by", "trailing_volume")
    volumes = [v for name, v in table.fields.items() if plain(name) in ("volume", "vol")]
    if not is_whole(top, 1):
        findings.ask(f"universe.top must be a whole number of at least 1; got {top!r}.")
    if by != "trailing_volume" or set(universe) - {"top", "by"}:
        findings.ask(f"universe must be {{top: N, by: trailing_volume}}; got {dict(universe)!r}.")
    if not volumes:
        findings.ask(
            "universe by trailing_volume must have a field Volume; the table has "
            f"{listed(list(table.fields)) or 'none'}."
        )
    if findings.problems or not is_whole(top, 1):
        return np.ones((len(kept), len(table.assets)), dtype=bool)
    money = np.nan_to_num(volumes[0] * table.prices)[kept]
    total = np.cumsum(np.vstack([np.zeros_like(money[:1]), money]), axis=0)
    row = np.arange(len(kept))
    recent = total[row + 1] - total[np.maximum(row + 1 - VOLUME_ROWS, 0)]
    recent[~np.isfinite(table.prices[kept])] = -1.0  # nobody without a price takes a place
    rank = np.argsort(np.argsort(-recent, axis=1, kind="stable"), axis=1)
    return np.asarray(rank < top)


def spans_in(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Read a table with the columns asset, from, to."""
    rows = list(csv.DictReader(lines_of(files_of([path])[0], None)))
    if not rows or not {"asset", "from", "to"} <= set(rows[0]):
        raise DataError(
            f"universe: {path} must have the columns asset, from and to; got "
            f"{listed(list(rows[0])) if rows else 'no row'}. Rename them."
        )
    spans: dict[str, list[tuple[str, str]]] = {}
    for row in rows:
        spans.setdefault(row["asset"], []).append((row["from"], row["to"]))
    return spans


def _named(
    table: PriceTable, universe: Mapping[str, object], kept: Places, findings: Findings
) -> Bools:
    members = np.zeros((len(kept), len(table.assets)), dtype=bool)
    dates = table.dates[kept]
    for name, spans in universe.items():
        if name not in table.assets:
            findings.ask(
                f"universe must name assets of the table; got {name!r}."
                f"{did_you_mean(str(name), table.assets)}"
            )
            continue
        for first, last in _spans_of(name, spans, findings):
            inside = (np.isnat(first) | (dates >= first)) & (np.isnat(last) | (dates <= last))
            members[:, table.assets.index(name)] |= inside
    return members


def _spans_of(
    name: str, spans: object, findings: Findings
) -> list[tuple[np.datetime64, np.datetime64]]:
    try:
        return [_span(*ends) for ends in spans]  # type: ignore[attr-defined]
    except (TypeError, ValueError):
        findings.ask(
            f"universe.{name} must be a list of first and last dates; got {spans!r}.",
            cure="Write [[1990-01-02, 2001-12-03], [2005-01-03, null]].",
        )
        return []


def _span(first: object, last: object) -> tuple[np.datetime64, np.datetime64]:
    """First and last instant of a membership."""
    begin, end = instants_of(str(first or "NaT"))[0], instants_of(str(last or "NaT"))[1]
    if begin > end:
        raise ValueError(f"{begin} is after {end}")
    return begin, end


def _without_strangers(panel: Panel) -> Panel:
    """Drop assets that are never a member."""
    ever = [bool(column.any()) for column in panel.active.T]
    if all(ever):
        return panel
    out = [name for name, is_one in zip(panel.assets, ever, strict=True) if not is_one]
    if not any(ever):
        raise DataError("universe must leave an asset on some row; it leaves none. Widen it.")
    arrays = ("quotes", "active", "prices", "halted", "ended")
    return replace(
        panel,
        assets=tuple(name for name in panel.assets if name not in out),
        **{name: getattr(panel, name)[:, ever] for name in arrays},
        fields={name: values[:, ever] for name, values in panel.fields.items()},
        notes=(*panel.notes, f"never a member: {listed(out)}."),
    )
