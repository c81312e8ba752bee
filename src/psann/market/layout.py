"""Which columns are assets, fields, and prices: wide, long, or fields of one asset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from psann._typing import Dates, Floats, Places
from psann.errors import did_you_mean, listed
from psann.market.columns import ADJUSTED, ASSET_NAMES, CLOSES, Named, is_field, plain
from psann.market.findings import Findings
from psann.market.nameless import rows_of_names
from psann.market.options import ReadOptions
from psann.market.sheet import Sheet

_MEASURES = ("number", "integer", "percent")
_NO_TICKERS = ADJUSTED | {"close", "volume", "volumes", "openinterest", "dividends", "stocksplits"}
# Of the rows, pairs of date and asset that differ: equal duplicates are no reason to look further.
_NEARLY_ALL, _MOSTLY = 0.9, 0.6
# No four tickers are called so, and no two.
_BAR, _QUOTES = {"open", "high", "low", "close"}, {"bid", "ask"}
WIDE = "price"  # the field of a table that has but one


@dataclass(frozen=True)
class Layout:
    """Where the prices are."""

    words: str
    """For the reader: wide, long, ..."""
    price: str
    """Name of the field that is the price."""
    cells: dict[str, dict[str | None, Named]]
    """Columns by field and asset; the asset is None where a column names it row by row."""
    asset: Named | None = None
    """The column that names the assets."""


def find_layout(
    sheet: Sheet,
    columns: list[Named],
    *,
    dates: Dates,
    date_places: list[int],
    options: ReadOptions,
    findings: Findings,
) -> Layout | None:
    """Find out what the columns are.

    Returns
    -------
    Layout or None
        None where no price can be found, which has been told.
    """
    rest = [column for column in columns if column.place not in date_places]
    rest = _without_row_numbers(rest, findings)
    if times := [column.name for column in rest if column.kind in ("date", "time")]:
        findings.say(f"left out: {listed(times)} (further dates).")
    rest = [column for column in rest if column.kind not in ("date", "time")]
    rest, beside = _without_arrays(sheet, rest, options, findings)
    if any(column.asset for column in rest):
        if options.asset is not None:
            findings.ask(
                f"asset is for tables whose rows name the assets; in {sheet.source} the header "
                f"does. Got {options.asset!r}.",
                cure="Leave asset out.",
            )
        return _of_levels(sheet, [*rest, *beside], options, findings)
    repeated = [name for name, n in Counter(column.name for column in rest).items() if n > 1]
    if repeated:
        findings.ask_of_many(
            [
                f"{sheet.source} must name each column once; got {n!r} more than once."
                for n in repeated
            ],
            cure="Rename or delete one of them.",
        )
        rest = _told_apart(rest)
    is_open = options.price is None and options.asset is None
    if is_open and options.assets and set(options.assets) <= {column.name for column in rest}:
        return _wide([column for column in rest if column.name in options.assets], beside)
    asset = _asset_column(sheet, rest, dates, options, findings)
    values = [column for column in rest if column is not asset and column.kind in _MEASURES]
    if asset or options.price or _has_fields(values):
        others = [c.name for c in rest if c.kind == "text" and c is not asset]
        if others:
            findings.say(f"left out: {listed(others)} (texts).")
        return _of_fields(sheet, [*values, *beside], asset, options, findings)
    return _of_assets(sheet, rest, beside, findings)


def _without_arrays(
    sheet: Sheet, columns: list[Named], options: ReadOptions, findings: Findings
) -> tuple[list[Named], list[Named]]:
    """Columns that may be assets or fields, and those that a user says are neither."""
    names = [column.name for column in columns]
    for name in options.arrays:
        if name not in names:
            findings.ask(
                f"arrays must name columns of {sheet.source}; got {name!r}, but there are "
                f"{listed(names)}.{did_you_mean(name, names)}",
                cure="Correct the name or take it out.",
            )
    rest = [column for column in columns if column.name not in options.arrays]
    return rest, [column for column in columns if column.name in options.arrays]


def _told_apart(columns: list[Named]) -> list[Named]:
    """Give columns of one name different ones, so that what else is wrong with them is told too."""
    seen: set[str] = set()
    apart = []
    for column in columns:
        name = column.name
        apart.append(
            replace(column, name=f"{name} (column {column.place + 1})") if name in seen else column
        )
        seen.add(name)
    return apart


def _without_row_numbers(columns: list[Named], findings: Findings) -> list[Named]:
    """Leave out a first column without a name that counts the rows."""
    kept = []
    for column in columns:
        is_nameless = not column.name or column.name.startswith(("Unnamed:", "__index_level_"))
        if is_nameless and column.kind == "integer":
            numbers = np.asarray(column.cells, dtype=np.float64)
            if (np.diff(numbers) == 1).all() and numbers[:1] in (0.0, 1.0):
                findings.say("left out: a column without a name that counts the rows.")
                continue
        kept.append(column)
    return kept


def _has_fields(values: list[Named]) -> bool:
    known = [column for column in values if is_field(column.name)]
    has_price = any(plain(column.name) in CLOSES | ADJUSTED for column in known)
    names = {plain(column.name) for column in values}
    if names >= _BAR or names >= _QUOTES:
        return True
    # A ticker may be called LOW or OPEN; it does not make a table of hundreds one of fields.
    return len(known) * 2 >= len(values) and (has_price or len(known) > 1)


# ----------------------------------------------------------------------------------- assets


def _asset_column(
    sheet: Sheet, columns: list[Named], dates: Dates, options: ReadOptions, findings: Findings
) -> Named | None:
    if options.asset is not None:
        found = next((column for column in columns if column.name == options.asset), None)
        if found is None:
            names = [column.name for column in columns]
            findings.ask(
                f"asset must name a column of {sheet.source}; got {options.asset!r}, but there are "
                f"{listed(names)}.{did_you_mean(options.asset, names)}",
                cure="Name the column that holds the assets' names.",
            )
        return found
    usual = [column for column in columns if _is_usual_asset(column)]
    is_long = len(np.unique(dates)) < len(dates)
    if not is_long:
        # Every date once: one asset, whose name may stand in every row.
        constant = [c for c in usual if c.kind == "text" and len(set(c.cells)) == 1]
        return constant[0] if constant else None
    candidates = usual or [column for column in columns if column.kind == "text"]
    # A usual name is believed of a table with mistakes.
    share = _MOSTLY if usual else _NEARLY_ALL
    able = [column for column in candidates if _share_of_pairs(column, dates) > share]
    different = [c for c in able if not _names_the_same(able[0], c)]
    if different:
        findings.ask(
            f"{sheet.source} must have one column that names the assets; "
            f"{listed([repr(c.name) for c in able])} could all do so.",
            *({"asset": column.name} for column in able),
        )
    return able[0] if able else _asked_number(sheet, columns, dates, findings)


def _asked_number(
    sheet: Sheet, columns: list[Named], dates: Dates, findings: Findings
) -> Named | None:
    """Ask for whole numbers that could tell assets apart; they may be a measure as well."""
    # A few dates that stand twice are mistakes, not assets.
    is_long = len(np.unique(dates)) < _MOSTLY * len(dates)
    able = [
        column
        for column in columns
        if is_long
        and column.kind == "integer"
        and not is_field(column.name)
        and len(codes_of(column.cells)[0]) < len(dates) / 2
        and _share_of_pairs(column, dates) > _NEARLY_ALL
    ]
    if able:
        findings.ask(
            f"{sheet.source} has dates that stand more than once, and no text that names assets; "
            f"the numbers of {listed([repr(column.name) for column in able])} could.",
            *({"asset": column.name} for column in able),
        )
    return able[0] if able else None


def _is_usual_asset(column: Named) -> bool:
    return plain(column.name) in ASSET_NAMES and column.kind in ("text", "integer")


def codes_of(cells: object) -> tuple[list[str], Places]:
    """Number the distinct cells of a column in the order in which they come."""
    texts = cells if isinstance(cells, list) else [f"{cell:g}" for cell in cells]  # type: ignore[attr-defined]
    names = list(dict.fromkeys(texts))
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([numbers[text] for text in texts], dtype=np.intp)


def _share_of_pairs(column: Named, dates: Dates) -> float:
    """Share of the rows that would be left if each pair of date and name stood once."""
    names, codes = codes_of(column.cells)
    _, days = np.unique(dates, return_inverse=True)
    return len(np.unique(days * len(names) + codes)) / max(1, len(dates))


def _names_the_same(left: Named, right: Named) -> bool:
    """Say whether two columns tell the same assets apart."""
    (one, a), (two, b) = codes_of(left.cells), codes_of(right.cells)
    return len(one) == len(two) == len(np.unique(a * len(two) + b))


def _of_assets(
    sheet: Sheet, columns: list[Named], beside: list[Named], findings: Findings
) -> Layout | None:
    """Read a table with one column for each asset."""
    texts = [column for column in columns if column.kind == "text"]
    if texts and len(texts) < len(columns):
        rest = [column.name for column in columns if column.kind in _MEASURES]
        findings.ask(
            f"{sheet.source} must hold numbers in all columns of a wide table; "
            f"{listed([repr(c.name) for c in texts])} hold texts, such as {texts[0].cells[0]!r}.",
            {"assets": rest},
        )
    columns = [column for column in columns if column.kind != "text"]
    columns = _without_fields(sheet, columns, findings)
    nameless = [column for column in columns if not column.name and column.kind != "empty"]
    if nameless:
        findings.ask(
            f"{sheet.source} must name every column; column {nameless[0].place + 1} has values but "
            "no name.",
            {"assets": [column.name for column in columns if column.name]},
        )
    columns = [column for column in columns if column.name]
    empty = [column.name for column in columns if column.kind == "empty"]
    if empty:
        findings.say(
            f"dropped: {listed(empty)}, {'which have' if len(empty) > 1 else 'which has'} no value."
        )
    columns = [column for column in columns if column.kind != "empty"]
    if not columns:
        findings.ask(
            f"{sheet.source} must hold prices; it has no column of numbers.",
            cure="Add one for each asset.",
        )
        return None
    return _wide(columns, beside)


def _without_fields(sheet: Sheet, columns: list[Named], findings: Findings) -> list[Named]:
    """Ask where a field that no ticker is called by stands beside assets."""
    if fields := [column.name for column in columns if plain(column.name) in _NO_TICKERS]:
        rest = [column.name for column in columns if column.name and column.name not in fields]
        findings.ask(
            f"{sheet.source} must hold a column for each asset, or fields of one; got "
            f"{listed(fields)} beside {listed(rest)}.",
            {"assets": rest},
        )
        columns = [column for column in columns if column.name not in fields]
    return columns


def _wide(columns: list[Named], beside: list[Named]) -> Layout:
    """Assets, and what is the same for all of them."""
    cells: dict[str, dict[str | None, Named]] = {
        column.name: {asset.name: column for asset in columns} for column in beside
    }
    prices: dict[str | None, Named] = {asset.name: asset for asset in columns}
    return Layout("wide: a column for each asset", WIDE, cells | {WIDE: prices})


def ask_of_fields(sheet: Sheet, values: Mapping[str | None, Floats], findings: Findings) -> None:
    """Ask where one column is never below and one never above the others: open, high, low, close.

    Parameters
    ----------
    sheet : Sheet
    values : mapping of str to ndarray of shape (n,)
        The columns of what seems to be a wide table.
    findings : Findings
    """
    fields = _highest_to_lowest(values) if 4 <= len(values) <= 12 else []
    if fields:
        findings.ask(
            f"{sheet.source} must say what its columns are: one always is the highest and one the "
            f"lowest of {listed(fields)}, so that they seem to be fields of one asset.",
            *({"price": name} for name in fields),
            {"assets": list(values)},
        )


def _highest_to_lowest(values: Mapping[str | None, Floats]) -> list[str]:
    for high, top in values.items():
        inside = [n for n, v in values.items() if n != high and _is_between(v, 0.5 * top, top)]
        # Where prices hardly differ, being below or above says nothing.
        for low in (n for n in inside if (values[n] < top).mean() > 0.8):
            others = [n for n in inside if n != low and _is_between(values[n], values[low], top)]
            if len(others) >= 2:
                return [str(name) for name in values if name in (high, low, *others)]
    return []


def _is_between(values: Floats, low: Floats, high: Floats) -> bool:
    known = np.isfinite(values) & np.isfinite(low) & np.isfinite(high)
    return known.sum() >= 20 and bool(((values >= low) & (values <= high))[known].all())


# ----------------------------------------------------------------------------------- fields


def _of_levels(
    sheet: Sheet, columns: list[Named], options: ReadOptions, findings: Findings
) -> Layout | None:
    """Read a table with two rows of names: fields above assets."""
    cells: dict[str, dict[str | None, Named]] = {}
    for column in columns:
        if column.kind == "empty":
            continue
        known = cells.setdefault(column.name, {})
        if column.asset in known:
            findings.ask(
                f"{sheet.source} must name each pair of field and asset once; got "
                f"{column.name!r} of {column.asset!r} twice.",
                cure="Rename or delete one of them.",
            )
        known[column.asset] = column
    if not any(map(is_field, cells)) and options.price is None:
        rows = rows_of_names(sheet)
        findings.ask(
            f"{sheet.source} has two rows of names, {listed(list(cells), 3)} over "
            f"{listed([str(c.asset) for c in columns], 3)}; neither holds fields like Close.",
            *rows,
            cure=f"{'Or keep' if rows else 'Keep'} one row of names, or name the field of the "
            "prices with the option price.",
        )
        return None
    if (nameless := cells.get("")) is not None:
        findings.ask(
            f"{sheet.source} must name every field; that of {listed(sorted(map(str, nameless)))} "
            "has none.",
            cure="Write its name into the header, or delete it.",
        )
        return None
    price = _price_of(sheet, list(cells), options, findings)
    if price is None:
        return None
    for name, known in cells.items():
        if [*known] == [""]:  # a column beside them, which is the same for all
            cells[name] = dict.fromkeys(cells[price], known[""])
    return Layout("fields above assets", price, cells)


def _of_fields(
    sheet: Sheet,
    values: list[Named],
    asset: Named | None,
    options: ReadOptions,
    findings: Findings,
) -> Layout | None:
    if not all(column.name for column in values):
        findings.say("left out: numbers in a column without a name.")
        values = [column for column in values if column.name]
    names = [c.name for c in values if c.name not in options.arrays or c.name == options.price]
    price = _price_of(sheet, names, options, findings)
    if price is None:
        return None
    others = [name for name in names if not is_field(name) and name != price]
    if asset is None and 2 * len(others) > len(names):
        findings.say(f"fields of the one asset: {listed(others)}.")
    key = None if asset else sheet.stem
    words = "long: a row for each date and asset" if asset else "one asset, a column for each field"
    return Layout(words, price, {column.name: {key: column} for column in values}, asset)


def _price_of(
    sheet: Sheet, names: list[str], options: ReadOptions, findings: Findings
) -> str | None:
    if options.price is not None:
        if options.price in names:
            return options.price
        findings.ask(
            f"price must name a column of numbers of {sheet.source}; got {options.price!r}, but "
            f"there are {listed(names)}.{did_you_mean(options.price, names)}",
            *({"price": name} for name in _ranked(names)[:4]),
        )
        return None
    adjusted = [name for name in names if plain(name) in ADJUSTED]
    closes = [name for name in names if plain(name) in CLOSES]
    candidates = adjusted or closes or [name for name in names if not is_field(name)]
    if len(candidates) == 1:
        if adjusted and closes:
            findings.say(f"price: {adjusted[0]}, which is adjusted; {listed(closes)} is not.")
        return candidates[0]
    if not names:
        findings.ask(
            f"{sheet.source} must hold a column of prices; it has no numbers.",
            cure="Add one, with a number in each row.",
        )
        return None
    offered = candidates or _ranked(names)
    findings.ask(
        f"{sheet.source} must have one price; got {len(offered)} columns that could be: "
        f"{listed(offered)}.",
        *({"price": name} for name in offered[:6]),
    )
    return offered[0]


def _ranked(names: list[str]) -> list[str]:
    """Put what is called a price before what is not."""
    return sorted(names, key=lambda name: (plain(name) not in ADJUSTED, plain(name) not in CLOSES))
