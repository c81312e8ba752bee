"""What prices must be, and what in them looks suspicious."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from psann._inputs import show
from psann._rates import rows_per_year
from psann._typing import Bools, Dates, Floats
from psann.errors import listed
from psann.market.columns import plain
from psann.market.findings import Findings, paste
from psann.market.options import Format
from psann.plausibility.prices import filled_findings, forgetful_findings
from psann.plausibility.rows import gap_findings, pace_findings

_SENTINELS = (-99.0, -99.9, -99.99, -999.0, -999.9, -999.99, -9999.0, -99999.0)
_USUAL_CHANGE = 0.2  # of the logarithm of a price, at most, from row to row
_STALE = 10
_SPLITS = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 100.0, 1.5)
_BLOCK = 64  # columns looked at together, so that a wide table is not copied


def to_prices(
    values: Floats, *, dates: Dates, assets: Sequence[str], format: Format, findings: Findings
) -> Floats:
    """Make prices of what a table holds, and ask where it holds something else.

    Parameters
    ----------
    values : ndarray of shape (n, M)
        In order of time.
    dates : ndarray of shape (n,)
    assets : sequence of str
    format : Format
        Of which `values` says what they are.
    findings : Findings

    Returns
    -------
    ndarray of shape (n, M)
        The values, or what they compound to from 1: the first is 1 plus the first return.
    """
    kind = format.values or "prices"
    if kind == "prices":
        if format.price_sign == "absolute":
            n_negative = int((values < 0).sum())
            findings.say(f"prices: {n_negative} below 0 were taken by their size.")
            values = np.abs(values)
        _ask_of_low(values, dates, assets, findings)
        if format.values is None:
            _ask_of_relatives(values, assets, findings)
        return values
    growth = _growth(values, kind)
    _ask_of_sentinels(values, findings)
    with np.errstate(invalid="ignore"):
        impossible = growth <= 0.0
    if impossible.any():
        _ask_of_ruin(values, impossible, dates=dates, assets=assets, kind=kind, findings=findings)
    if kind == "returns" and np.nanmedian(np.abs(values)) > 0.15:
        findings.ask(
            "format.values says returns; half of them are larger than 15 %.",
            {"format": {"values": "percent_returns"}},
        )
    return _compounded(growth, kind, findings)


def ask_of_rates(values: Floats, assets: Sequence[str], findings: Findings) -> bool:
    """Ask whether columns of a wide table are no assets: not always above 0, as no others are.

    They are small, or change as no price does, and are half of the columns at most.
    """
    with np.errstate(invalid="ignore"):
        is_low: Bools = np.any(values <= 0.0, axis=0)
    if not is_low.any() or is_low.sum() > (~is_low).sum():
        return False
    largest = np.fmax.reduce(np.abs(values[:, is_low]), axis=None)
    what = "below 1 everywhere and not always above 0, as rates and costs are"
    if not largest < min(1.0, np.fmin.reduce(values[:, ~is_low], axis=None)):
        what = "not always above 0 and of another size on every row, as changes are"
        if _keep_their_size(values[:, is_low]):
            return False
    names = [name for name, low in zip(assets, is_low, strict=True) if low]
    findings.ask(
        f"Prices must be more than 0; {listed(names)} {'are' if len(names) > 1 else 'is'} {what}.",
        {"arrays": names},
        cure="if they are to stand beside the prices; else take them out of the table.",
    )
    return True


def _compounded(growth: Floats, kind: str, findings: Findings) -> Floats:
    """Multiply growth factors up from 1; a missing one inside a series counts as none."""
    holes = np.isnan(growth)
    inner = holes & np.logical_or.accumulate(~holes) & np.logical_or.accumulate(~holes[::-1])[::-1]
    if inner.any():
        findings.say(
            f"prices: {int(inner.sum())} returns inside a series are missing; nothing was earned "
            "over them."
        )
    with np.errstate(over="ignore", invalid="ignore"):
        prices = np.cumprod(np.where(holes, 1.0, growth), axis=0, dtype=np.float64)
    if np.isinf(prices).any():
        findings.ask(
            f"format.values says {kind}; compounded they leave the range of numbers, as prices do.",
            {"format": {"values": "prices"}},
        )
    prices[holes] = np.nan
    findings.say(f"prices: {kind} compounded from 1; the first of each asset sets its level.")
    return prices


def _growth(values: Floats, kind: str) -> Floats:
    if kind == "log_returns":
        with np.errstate(over="ignore"):
            return np.exp(values)
    if kind == "relatives":
        return values
    return 1.0 + (values / 100.0 if kind == "percent_returns" else values)


def _places(mask: Bools, values: Floats, dates: Dates, assets: Sequence[str]) -> tuple[int, str]:
    row, column = divmod(int(mask.argmax()), mask.shape[1])
    return int(mask.sum()), f"{assets[column]} on {show(dates[row])}: {values[row, column]:.10g}"


def _ask_of_low(values: Floats, dates: Dates, assets: Sequence[str], findings: Findings) -> None:
    low = values <= 0.0
    if not low.any():
        return
    n_low, first = _places(low, values, dates, assets)
    problem = f"Prices must be more than 0; got {n_low} that are not, first {first}."
    distinct = np.unique(values[low])
    size = float(np.nanmedian(np.abs(values)))
    if len(distinct) == 1 and (n_low > 1 or distinct[0] in (0.0, *_SENTINELS)):
        token, cure = f"{distinct[0]:g}", "if it stands for no price."
        if distinct[0] == 0.0 and (lost := _lost(values, assets)):
            cure += (
                f" To the end, {listed(lost)} {'are' if len(lost) > 1 else 'is'} worth that: if it "
                f"is true, the data also need `{paste({'ended': dict.fromkeys(lost, -1.0)})}`."
            )
        findings.ask(problem, {"format": {"missing": [token]}}, cure=cure)
    elif n_low > max(4, 0.05 * np.isfinite(values).sum()) and not _keep_their_size(values):
        kinds = ["percent_returns"] if size > 0.15 else ["returns", "log_returns"]
        findings.ask(
            problem + " They look like returns.",
            *({"format": {"values": kind}} for kind in kinds),
        )
    else:
        findings.ask(
            problem,
            {"format": {"price_sign": "absolute"}},
            cure="if the sign marks a mean of bid and ask; else correct the cells, or list them "
            "in format.missing.",
        )


def _lost(values: Floats, assets: Sequence[str]) -> list[str]:
    """Assets whose last price is 0, as that of a firm which left nothing."""
    names = []
    for name, column in zip(assets, values.T, strict=True):
        known = column[np.isfinite(column)]
        if len(known) and known[-1] == 0.0 and known.any():
            names.append(name)
    return names


@np.errstate(all="ignore")
def _keep_their_size(values: Floats) -> bool:
    """Whether sizes hardly change from row to row, as those of prices and not of returns."""
    changes = np.abs(np.diff(np.log(np.abs(values)), axis=0))
    changes = changes[np.isfinite(changes)]
    return bool(changes.size) and float(np.median(changes)) < _USUAL_CHANGE


def _ask_of_sentinels(values: Floats, findings: Findings) -> None:
    found = [sentinel for sentinel in _SENTINELS if (values == sentinel).any()]
    if found:
        tokens = [f"{sentinel:g}" for sentinel in found]
        findings.ask(
            f"Returns must be real; {listed(tokens)} usually stand for a missing one.",
            {"format": {"missing": tokens}},
        )


def _ask_of_ruin(
    values: Floats,
    impossible: Bools,
    *,
    dates: Dates,
    assets: Sequence[str],
    kind: str,
    findings: Findings,
) -> None:
    n_bad, first = _places(impossible, values, dates, assets)
    findings.ask(
        f"format.values says {kind}, which must leave something of a price; got {n_bad} that do "
        f"not, first {first}.",
        cure="List what stands for a missing one in `format: {missing: [...]}`; the loss of an "
        "asset that ends is told by `ended`.",
    )


@np.errstate(all="ignore")  # numbers may be as large as a file says
def _ask_of_relatives(values: Floats, assets: Sequence[str], findings: Findings) -> None:
    """Relatives lie around 1 and forget where they were; prices near 1 do not."""
    if len(values) < 20:
        return
    alike = []
    for names, block in _blocks(assets, values):
        some = (np.isfinite(block).sum(axis=0) >= 20) & (np.fmax.reduce(block) < 3.0)
        names = [name for name, enough in zip(names, some, strict=True) if enough]
        block = block[:, some]
        near = (np.nanmin(block, 0) > 0.3) & (np.abs(np.nanmean(block, 0) - 1.0) < 0.02)
        jumps = np.nanvar(np.diff(block, axis=0), 0) > np.nanvar(block, 0)
        alike += [name for name, like in zip(names, near & jumps, strict=True) if like]
    if len(alike) * 2 > len(assets):
        findings.ask(
            f"Prices must be told from relatives; {listed(alike)} lie around 1 without memory.",
            {"format": {"values": "relatives"}},
            {"format": {"values": "prices"}},
        )


def _blocks(assets: Sequence[str], values: Floats) -> Iterator[tuple[Sequence[str], Floats]]:
    """Yield columns that have a value, a few at a time."""
    known = [bool(np.isfinite(column).any()) for column in values.T]
    for first in range(0, len(assets), _BLOCK):
        some = [place for place in range(first, min(first + _BLOCK, len(assets))) if known[place]]
        if some:
            yield [assets[place] for place in some], values[:, some]


# ---------------------------------------------------------------------------------- oddities


def note_oddities(
    dates: Dates,
    assets: Sequence[str],
    prices: Floats,
    fields: Mapping[str, Floats],
    *,
    is_compounded: bool,
    findings: Findings,
) -> None:
    """Say what in prices is allowed but seldom meant.

    Parameters
    ----------
    dates : ndarray of shape (n,)
    assets : sequence of str
    prices : ndarray of shape (n, M)
    fields : mapping of str to ndarray of shape (n, M)
        Of which High and Low are held against the price.
    is_compounded : bool
        The prices are made of returns, in which no share is split.
    findings : Findings
        Gets one note for each kind.
    """
    if len(assets) == 1:
        findings.say(f"assets: only one, {assets[0]}; a portfolio of one has nothing to choose.")
    _note_presence(dates, assets, prices, findings)
    by_name = {plain(name): values for name, values in fields.items()}
    if not is_compounded:
        _note_splits(dates, assets, prices, by_name, findings)
    _note_stale(dates, assets, prices, findings)
    doubts = [*forgetful_findings(prices[:, :_BLOCK]), *filled_findings(prices, labels=assets)]
    for found in [*doubts, *gap_findings(dates), *pace_findings(dates)]:
        at = f" Row {found.row} is {show(dates[found.row])}." if found.name == "filled" else ""
        findings.say(found.message + at)
    _note_range(dates, assets, prices, by_name, findings)
    _note_delistings(assets, by_name, findings)
    if (rate := rows_per_year(dates)) is not None:
        findings.say(f"rows per year: about {rate:.0f}.")


def _note_presence(dates: Dates, assets: Sequence[str], prices: Floats, findings: Findings) -> None:
    late, ended, halted = [], [], []
    n_rows = len(dates)
    for names, block in _blocks(assets, prices):
        known = np.isfinite(block)
        first = known.argmax(axis=0)
        last = n_rows - 1 - known[::-1].argmax(axis=0)
        n_holes = last - first + 1 - known.sum(axis=0)
        for name, f, e, holes in zip(names, first, last, n_holes, strict=True):
            if f > 0:
                late.append(f"{name} ({show(dates[f])})")
            if e < n_rows - 1:
                ended.append(f"{name} ({show(dates[e])})")
            if holes:
                halted.append(f"{name} ({int(holes)})")
    for what, names in (
        ("listed late, with their first dates", late),
        ("ended before the table, with their last dates", ended),
        ("without a price on rows between others, with their number", halted),
    ):
        if names:
            findings.say(f"{what}: {listed(names)}.")


@np.errstate(all="ignore")  # numbers may be as large as a file says
def _note_splits(
    dates: Dates,
    assets: Sequence[str],
    prices: Floats,
    by_name: Mapping[str, Floats],
    findings: Findings,
) -> None:
    """A move by the factor of a split, or any large one where a factor of the source changes."""
    told = []
    for place in _columns_with(
        lambda block: np.abs(np.log2(block[1:] / block[:-1])) > 0.5, 1, prices
    ):
        name = assets[place]
        rows = np.flatnonzero(np.isfinite(prices[:, place]))
        series = prices[rows, place]
        ratio = series[1:] / series[:-1]
        for move in np.flatnonzero((ratio < 0.7) | (ratio > 1.45)):
            factor = max(ratio[move], 1.0 / ratio[move])
            is_near = min(abs(factor / split - 1.0) for split in _SPLITS) < 0.06
            if is_near or _has_factor(by_name, rows[move], rows[move + 1], place):
                told.append(
                    f"{name} on {show(dates[rows[move + 1]])} ({series[move]:g} to "
                    f"{series[move + 1]:g})"
                )
    if told:
        findings.say(f"moves like those of share splits: {listed(told, 5)}.")


def _has_factor(by_name: Mapping[str, Floats], before: int, after: int, place: int) -> bool:
    ratios = [by_name[name][after, place] for name in ("splitratio", "splits") if name in by_name]
    changes = [
        by_name[name][after, place] - by_name[name][before, place]
        for name in ("cfacpr", "splitfactor")
        if name in by_name
    ]
    return any(ratio not in (0.0, 1.0) for ratio in ratios) or any(changes)


def _note_stale(dates: Dates, assets: Sequence[str], prices: Floats, findings: Findings) -> None:
    told = []
    for place in _columns_with(lambda block: block[1:] == block[:-1], _STALE - 1, prices):
        name = assets[place]
        rows = np.flatnonzero(np.isfinite(prices[:, place]))
        if (first := _first_run(np.diff(prices[rows, place]) == 0.0)) is not None:
            told.append(f"{name} from {show(dates[rows[first]])}")
    if told:
        findings.say(f"{_STALE} or more equal prices in a row: {listed(told, 5)}.")


def _columns_with(sign: Callable[[Floats], Bools], least: int, prices: Floats) -> Iterator[int]:
    """Yield columns in which a sign of two neighbours comes so often, or which have holes inside.

    Most of a large table need no closer look.
    """
    for first in range(0, prices.shape[1], _BLOCK):
        block = prices[:, first : first + _BLOCK]
        known = np.isfinite(block)
        # Between its first and its last price a column without holes changes once at each end.
        n_edges = (known[1:] != known[:-1]).sum(axis=0) + known[0] + known[-1]
        often = sign(block).sum(axis=0) >= least
        yield from (first + place for place in np.flatnonzero(often | (n_edges > 2)).tolist())


def _first_run(same: Bools) -> int | None:
    """Find the first of `_STALE` equal prices in a row."""
    length = _STALE - 1
    if len(same) < length:
        return None
    total = np.concatenate(([0], np.cumsum(same)))
    runs = np.flatnonzero(total[length:] - total[:-length] == length)
    return int(runs[0]) if len(runs) else None


def _note_range(
    dates: Dates,
    assets: Sequence[str],
    prices: Floats,
    by_name: Mapping[str, Floats],
    findings: Findings,
) -> None:
    low, high = by_name.get("low"), by_name.get("high")
    close = by_name.get("close", prices)
    if low is None or high is None:
        return
    if "close" not in by_name and ("adjclose" in by_name or "adjlow" in by_name):
        return  # an adjusted price is not of the range that was traded
    with np.errstate(invalid="ignore"):
        outside = (close < low * (1 - 1e-6)) | (close > high * (1 + 1e-6))
    if outside.any():
        n_outside, first = _places(outside, close, dates, assets)
        findings.say(f"closes outside of low and high: {n_outside}, first {first}.")


def _note_delistings(
    assets: Sequence[str], by_name: Mapping[str, Floats], findings: Findings
) -> None:
    """CRSP tells the loss at an asset's end apart from its prices; it must not be lost."""
    if "dlret" not in by_name:
        return
    ended = {
        name: float(column[np.isfinite(column)][-1])
        for name, column in zip(assets, by_name["dlret"].T, strict=True)
        if np.isfinite(column).any()
    }
    if ended:
        findings.say(
            f"returns at the end of assets, for the option ended: {paste({'ended': ended})}."
        )
