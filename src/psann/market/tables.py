"""Read prices from files and frames: what is certain is done and said, the rest is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from psann._inputs import show
from psann._typing import Dates, Floats
from psann.errors import DataError, counted, did_you_mean, listed
from psann.market.arrangement import arrange
from psann.market.cells import read_text
from psann.market.checks import ask_of_rates, note_oddities, to_prices
from psann.market.columns import name_columns
from psann.market.date_columns import Dated, read_dates
from psann.market.findings import Findings
from psann.market.frames import digest_of_sheet, is_frame, read_arrow, read_frame
from psann.market.layout import WIDE, Layout, ask_of_fields, find_layout
from psann.market.lines import digest_of, files_of, given_file, is_arrow, lines_of, stem_of
from psann.market.numerals import Reading
from psann.market.options import Format, ReadOptions, check_options
from psann.market.panel import PriceTable
from psann.market.sheet import Sheet
from psann.market.values import read_values

_PRICES = ""  # a name that no field has
_ADD = "Add prices under this name: the policy needs each of its assets."
TEXT_ONLY = ("sep", "encoding", "skip_rows", "max_rows", "header", "columns", "comment")
"""Keys of `format` that say nothing of cells that are apart already."""


def read_prices(  # noqa: PLR0913 (what a user may say of a table, each by its name)
    source: object,
    *,
    date: object = None,
    asset: str | None = None,
    price: str | None = None,
    assets: Sequence[str] | None = None,
    arrays: Sequence[str] | None = None,
    start: object = None,
    end: object = None,
    format: object = None,
) -> PriceTable:
    r"""Read a table of prices.

    Parameters
    ----------
    source : path, sequence of paths, or frame
        CSV, TSV or text (also `.gz`), Parquet or Feather (extra `tables`); several files, or a
        folder of them, are put together by date; or a frame of pandas or polars.
    date : str or list of str, optional
        Column of the dates, or two that make one; else the only one that reads as dates.
    asset : str, optional
        Column that names the assets of a long table; else one with a usual name.
    price : str, optional
        Column of the prices; else the only candidate, of several the adjusted one.
    assets : list of str, optional
        Which assets, in this order; else all, as they come.
    arrays : list of str, optional
        Columns that are no assets, such as costs or rates: each becomes a field, of a wide table
        with the same numbers for every asset.
    start, end : str or date, optional
        First and last date to keep.
    format : mapping, optional
        How the cells are written: the fields of `psann.market.options.Format`.

    Returns
    -------
    PriceTable

    Raises
    ------
    DataError
        If the table cannot be read, or can be read in several ways: one sentence for each
        problem, with file, line or date, column, and the option that settles it.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "prices.csv")
    ...     _ = file.write_text("Date,A,B\n2020-01-02,10.5,\n2020-01-03,10.7,3.1\n")
    ...     table = read_prices(file)
    >>> table.assets, table.prices.tolist()
    (('A', 'B'), [[10.5, nan], [10.7, 3.1]])
    """
    given = check_options(
        date=date,
        asset=asset,
        price=price,
        assets=assets,
        arrays=arrays,
        start=start,
        end=end,
        format=format,
    )
    return read_checked(source, given)


def read_checked(source: object, options: ReadOptions) -> PriceTable:
    """As `read_prices`, by options that were checked."""
    findings = Findings()
    parts, sha256 = _read_all(source, options, findings)
    findings.stop()
    whole = _join(parts, findings)
    findings.stop()
    whole = _select(whole, options, findings)
    findings.stop()
    note_oddities(
        whole.dates,
        whole.assets,
        whole.prices,
        whole.fields,
        is_compounded=options.format.values not in (None, "prices"),
        findings=findings,
    )
    return PriceTable(
        dates=whole.dates,
        assets=tuple(whole.assets),
        prices=whole.prices,
        fields=whole.fields,
        notes=tuple(findings.notes),
        sha256=sha256,
        layout=whole.layout,
        options=_complete(whole.options, options),
    )


@dataclass(frozen=True)
class _Part:
    """What one file holds."""

    source: str
    dates: Dates
    assets: list[str]
    prices: Floats
    fields: dict[str, Floats]
    layout: str
    options: dict[str, object]


def _read_all(source: object, options: ReadOptions, findings: Findings) -> tuple[list[_Part], str]:
    """Read each file, or the frame; problems are told, and the parts that could be read kept."""
    if is_frame(source):
        _refuse_text_options(options, "a frame")
        sheet = read_frame(source)
        part = _interpret(sheet, options, findings)
        return [part] if part else [], digest_of_sheet(sheet)
    given: Sequence[Any] = source if isinstance(source, list | tuple) else [source]
    odd = next((type(each).__name__ for each in given if not isinstance(each, str | Path)), None)
    if odd is not None or not given:
        raise DataError(
            "prices must be a path, a list of paths, or a frame of pandas or polars; got "
            f"{odd or 'nothing'}. Give the file's name, or one frame."
        )
    files = files_of([given_file("prices", path) for path in given])
    parts = []
    for file in files:
        name = str(file) if len({f.name for f in files}) < len(files) else file.name
        try:
            sheet = _read_file(file, name, options, findings)
            part = _interpret(sheet, options, findings)
        except DataError as error:
            findings.problems += error.problems
            continue
        if part is not None:
            parts.append(part)
    return parts, digest_of(*files)


def _read_file(file: Path, name: str, options: ReadOptions, findings: Findings) -> Sheet:
    if is_arrow(file):
        _refuse_text_options(options, name)
        return read_arrow(file, name)
    return read_text(
        partial(lines_of, file, options.format.encoding),
        source=name,
        stem=stem_of(file),
        format=options.format,
        texts=[*options.date, *filter(None, [options.asset])],
        findings=findings,
    )


def _refuse_text_options(options: ReadOptions, source: str) -> None:
    defaults = Format()
    given = [n for n in TEXT_ONLY if getattr(options.format, n) != getattr(defaults, n)]
    if given:
        raise DataError(
            f"format.{given[0]} is for texts; {source} has its cells apart already. Leave out "
            f"{listed(given)}."
        )


def _interpret(sheet: Sheet, options: ReadOptions, findings: Findings) -> _Part | None:
    """Find dates, layout and numbers of a sheet, and put them in order of time."""
    texts = (*options.date, *filter(None, [options.asset]))
    columns = name_columns(sheet, options.format, texts)
    dated = read_dates(sheet, columns, options, findings)
    if dated is None:
        return None
    if (good := ~np.isnat(dated.values)).sum() < len(good):
        sheet = sheet.keep(np.flatnonzero(good).tolist())
        dated = replace(dated, values=dated.values[good])
        columns = name_columns(sheet, options.format, texts)
    layout = find_layout(
        sheet,
        columns,
        dates=dated.values,
        date_places=dated.places,
        options=options,
        findings=findings,
    )
    if layout is None:
        return None
    del columns
    values, reading = read_values(sheet, layout, options.format, findings)
    for name in options.arrays:
        if name == layout.price or (name in layout.cells and name not in values):
            findings.ask(
                f"arrays must name columns of numbers beside the prices of {sheet.source}; "
                f"{name!r} is none.",
                cure="Correct its cells or take it out.",
            )
    if layout.price == WIDE and not options.assets:
        ask_of_fields(sheet, values[WIDE], findings)
    days, assets, cubes = arrange(sheet, dated.values, layout, values, findings)
    del values
    has_prices = layout.price == WIDE and options.format.values in (None, "prices")
    if has_prices and ask_of_rates(cubes[WIDE], assets, findings):
        return None
    prices = to_prices(
        cubes.pop(layout.price), dates=days, assets=assets, format=options.format, findings=findings
    )
    found = _options_found(sheet, dated, layout, reading)
    return _Part(sheet.source, days, assets, prices, cubes, layout.words, found)


def _options_found(
    sheet: Sheet, dated: Dated, layout: Layout, reading: Reading
) -> dict[str, object]:
    """Say what was found out in the words of the options."""
    names = dated.names
    format_: dict[str, object] = {"sep": sheet.sep} if sheet.sep else {}
    if reading != Reading(".", None):
        format_ |= reading.options()
    format_ |= dated.format
    found: dict[str, object] = {"date": names[0] if len(names) == 1 else names}
    if layout.asset:
        found["asset"] = layout.asset.name
    if layout.price != WIDE:
        found["price"] = layout.price
    return found | ({"format": format_} if format_ else {})


def _complete(found: dict[str, object], options: ReadOptions) -> dict[str, object]:
    """Add what the user said to what was found out: the whole block."""
    said = {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in fields(Format)
        if (value := getattr(options.format, field.name)) != field.default
    }
    format_ = {**found.get("format", {}), **said}  # type: ignore[dict-item]
    block = {key: value for key, value in found.items() if key != "format"}
    if options.assets:
        block["assets"] = list(options.assets)
    if options.arrays:
        block["arrays"] = list(options.arrays)
    if options.start is not None:
        block["start"] = show(options.start)
    if (end := options.end) is not None:
        after = end + np.timedelta64(1, "us")
        block["end"] = show(end.astype("M8[D]") if after == after.astype("M8[D]") else end)
    return block | ({"format": format_} if format_ else {})


def _join(parts: list[_Part], findings: Findings) -> _Part:
    """Put files together by date and asset; where two tell of the same, they must agree."""
    if len(parts) == 1:
        return parts[0]
    dates = np.unique(np.concatenate([part.dates for part in parts]))
    assets = list(dict.fromkeys(name for part in parts for name in part.assets))
    places = {name: place for place, name in enumerate(assets)}
    names = list(dict.fromkeys(name for part in parts for name in part.fields))
    cubes = {name: np.full((len(dates), len(assets)), np.nan) for name in (_PRICES, *names)}
    for part in parts:
        rows = np.searchsorted(dates, part.dates)
        cells = np.ix_(rows, np.array([places[name] for name in part.assets]))
        for name, values in {_PRICES: part.prices, **part.fields}.items():
            before, known = cubes[name][cells], np.isfinite(values)
            clash = known & np.isfinite(before) & (before != values)
            if name == _PRICES and clash.any():
                row, column = np.argwhere(clash)[0]
                findings.ask(
                    f"{part.source}: {part.assets[column]} on {show(part.dates[row])} must have "
                    f"one price; got {values[row, column]:g}, and {before[row, column]:g} in "
                    "another file.",
                    cure="Leave one of the files out, or name the assets in the files.",
                )
            cubes[name][cells] = np.where(known, values, before)
    return replace(
        parts[0],
        dates=dates,
        assets=assets,
        prices=cubes.pop(_PRICES),
        fields=cubes,
        layout=f"{counted(len(parts), 'file')}; {parts[0].layout}",
    )


def _select(whole: _Part, options: ReadOptions, findings: Findings) -> _Part:
    """Keep the assets and dates that were asked for."""
    columns = list(range(len(whole.assets)))
    if options.assets:
        unknown = [name for name in options.assets if name not in whole.assets]
        for name in unknown:
            findings.ask(
                f"assets must be in the table; got {name!r}, but there are "
                f"{listed(whole.assets)}.{did_you_mean(name, whole.assets)}",
                cure=_ADD
                if options.are_all_needed
                else "Correct the name, add its prices, or take it out.",
            )
        columns = [whole.assets.index(name) for name in options.assets if name not in unknown]
    rows = np.ones(len(whole.dates), dtype=bool)
    if options.start is not None:
        rows &= whole.dates >= options.start
    if options.end is not None:
        rows &= whole.dates <= options.end
    if not rows.any():
        findings.ask(
            f"start and end must leave rows; the table goes from {show(whole.dates[0])} to "
            f"{show(whole.dates[-1])}. Move one of them."
        )
        return whole
    if rows.all() and columns == list(range(len(whole.assets))):
        return _without_silent(whole, options, findings)
    cut = np.ix_(np.flatnonzero(rows), np.array(columns, dtype=np.intp))
    part = replace(
        whole,
        dates=whole.dates[rows],
        assets=[whole.assets[column] for column in columns],
        prices=whole.prices[cut],
        fields={name: values[cut] for name, values in whole.fields.items()},
    )
    return _without_silent(part, options, findings)


def _without_silent(part: _Part, options: ReadOptions, findings: Findings) -> _Part:
    """Drop assets without any price; ask where they were named."""
    known = [bool(np.isfinite(column).any()) for column in part.prices.T]
    if all(known):
        return part
    silent = [name for name, some in zip(part.assets, known, strict=True) if not some]
    if options.assets or not any(known):
        findings.ask(
            f"assets must have a price; {listed(silent)} have none between start and end.",
            cure=_ADD if options.are_all_needed else "Take them out, or move start and end.",
        )
        return part
    findings.say(f"dropped: {listed(silent)}, without any price.")
    return replace(
        part,
        assets=[name for name, some in zip(part.assets, known, strict=True) if some],
        prices=part.prices[:, known],
        fields={name: values[:, known] for name, values in part.fields.items()},
    )
