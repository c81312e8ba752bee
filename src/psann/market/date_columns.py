"""Which columns of a sheet are its dates, and what they say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from psann._inputs import show
from psann._typing import Bools, Dates, Floats
from psann.errors import did_you_mean, listed
from psann.market import dates
from psann.market.columns import Named, is_usual_date
from psann.market.dates import DateReading
from psann.market.findings import Findings
from psann.market.options import ReadOptions
from psann.market.sheet import Sheet

_TIMES = [
    f"{sep}{time}{zone}" if time else ""
    for time in ("", "%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M:%S %p", "%I:%M %p")
    for sep in (" ", "T")
    for zone in ("", "%z", " %z", " UTC")
]

_DIGITS_OF_MS = 13
_DIGIT, _LETTER = re.compile(r"\d"), re.compile(r"[^\W\d_]")
# As the World Bank writes them as names.
_YEAR = re.compile(r"(?:18|19|20)\d\d(?: \[YR\d{4}\])?")
_UTC = "UTC here, as are dates in options, unless with an offset such as -05:00."
# As spreadsheets write months, and days without a year much alike.
_MONTHS = "%b-%y"


@dataclass(frozen=True)
class Dated:
    """The dates of a sheet."""

    values: Dates
    """Shape (n,); NaT where a cell is none, which has been told."""
    places: list[int]
    names: list[str]
    """Of their columns."""
    format: dict[str, object]
    """Options of `format` that say how they were read."""


def read_dates(
    sheet: Sheet, columns: list[Named], options: ReadOptions, findings: Findings
) -> Dated | None:
    """Read the date of each row.

    Parameters
    ----------
    sheet : Sheet
    columns : list of Named
    options : ReadOptions
    findings : Findings
        Gets what cannot be decided, and what was.

    Returns
    -------
    Dated or None
        None where no column reads as dates, which has been told.
    """
    chosen = _choose(sheet, columns, options, findings)
    reading = _read(sheet, chosen, options, findings) if chosen else None
    if reading is None:
        return None
    values = _in_zone(sheet, reading, options, findings)
    bad = np.isnat(values)
    if bad.any():
        _tell_of_bad(sheet, chosen, bad, findings)
    if options.format.stamp == "start":
        values = _ends(values, findings)
    given = {
        key: value
        for key in ("date", "date_unit", "tz", "stamp")
        if (value := getattr(options.format, key)) is not None
    }
    said = {"date": reading.format} if reading.format else {}
    return Dated(
        values, [column.place for column in chosen], [c.name for c in chosen], said | given
    )


def _choose(
    sheet: Sheet, columns: list[Named], options: ReadOptions, findings: Findings
) -> list[Named]:
    if options.date:
        return _by_name(sheet, columns, options.date, findings)
    found = [column for column in columns if column.kind == "date"]
    if options.format.date and not found:
        found = _written_so(columns, options.format.date)
    times = [column for column in columns if column.kind == "time"]
    if len(found) > 1:
        findings.ask(
            f"{sheet.source} must have one column of dates; got {len(found)}: "
            f"{listed([repr(column.name) for column in found])}.",
            *({"date": column.name} for column in found),
        )
        return found[:1]
    if found and len(times) == 1 and not isinstance(found[0].cells, np.ndarray):
        findings.say(
            f"date: the columns {found[0].name!r} and {times[0].name!r} make one time stamp."
        )
        return [found[0], times[0]]
    return found or _numbers_that_are_dates(sheet, columns, options, findings)


def _by_name(
    sheet: Sheet, columns: list[Named], names: Sequence[str], findings: Findings
) -> list[Named]:
    known = {column.name: column for column in reversed(columns)}
    for name in names:
        if name not in known:
            findings.ask(
                f"date must name a column of {sheet.source}; got {name!r}, but there are "
                f"{listed([repr(n) for n in reversed(known)])}.{did_you_mean(name, known)}",
                cure="Name the column that holds the dates.",
            )
            return []
    return [known[name] for name in names]


def _numbers_that_are_dates(
    sheet: Sheet, columns: list[Named], options: ReadOptions, findings: Findings
) -> list[Named]:
    """Find the one column of whole numbers that can be dates, by its name or its numbers."""
    format_ = options.format
    whole = [
        c for c in columns if c.kind == "integer" or (format_.date_unit and c.kind == "number")
    ]
    whole = [c for c in whole if not _counts_rows(c)]
    able = [c for c in whole if dates.guess_of_numbers(_texts(c))]
    likely = [c for c in able if is_usual_date(c.name)] or [
        c for c in able if "date" in (dates.guess_of_numbers(_texts(c)) or {})
    ]
    likely = likely or [c for c in whole if is_usual_date(c.name)]
    # So many digits, and equally many throughout, are hardly a measure.
    likely = likely or [c for c in able if min(map(len, _texts(c))) >= _DIGITS_OF_MS]
    if len(likely) > 1:
        findings.ask(
            f"{sheet.source} must have one column of dates; got "
            f"{listed([repr(column.name) for column in likely])}, all numbers.",
            *({"date": column.name} for column in likely),
        )
    if likely:
        return likely[:1]
    if names := _dates_as_names(columns):
        findings.ask(
            f"{sheet.source} must have a row for each date; got a column for each "
            f"({listed(names, 3)}).",
            cure=f"Turn it round: {_turned(sheet, columns, names)}.",
        )
    elif months := _written_so(columns, _MONTHS):
        findings.ask(
            f"{sheet.source}, column {months[0].name!r}: dates must be told where they could be "
            f"months of years or days of months; got {_texts(months[0])[0]!r}.",
            {"format": {"date": _MONTHS}},
            cure="if it is a month of a year; else write the year too.",
        )
    else:
        findings.ask(
            f"{sheet.source} must have a column of dates; got "
            f"{listed([repr(column.name) for column in columns])}, none of which reads as dates "
            "by one format.",
            cure="Name the column with the option date and say how its dates are written with "
            'format.date, such as "%d/%m/%Y", or of numbers with format.date_unit, or add a column '
            "of dates.",
        )
    return []


def _written_so(columns: list[Named], format_: str) -> list[Named]:
    """Columns of texts most of which are dates of a format."""
    found = []
    for column in columns:
        cells = _texts(column)[:100] if column.kind == "text" else []
        if cells and 2 * len(dates.read_by_format(cells, format_).misfits) < len(cells):
            found.append(column)
    return found


def _dates_as_names(columns: list[Named]) -> list[str]:
    """Names that are dates, or years one after the other."""
    names = [column.name for column in columns if column.name]
    years = [name for name in names if _YEAR.fullmatch(name)]
    steps = {int(after[:4]) - int(before[:4]) for before, after in pairwise(years)}
    if len(years) > 2 and len(steps) == 1 and abs(steps.pop()) < 11:
        return years
    found = [name for name in names[:1000] if dates.possible_readings([name])]
    if len(found) < 2:
        return []
    # Trying all formats on each of tens of thousands takes seconds: the rest by how they look.
    looks = {_look(name) for name in found}
    return found + [name for name in names[1000:] if _look(name) in looks]


def _look(name: str) -> str:
    """A name with every digit and every letter alike."""
    return _LETTER.sub("a", _DIGIT.sub("9", name))


def _turned(sheet: Sheet, columns: list[Named], names: list[str]) -> str:
    """Write the call that reads a table which lies on its side."""
    if sheet.lines is None:
        frame = f"{sheet.in_pandas}.set_index({columns[0].name!r})"
    else:
        above = sheet.header_lines[-1] - 1 if sheet.header_lines else 0
        said = {"sep": sheet.sep, "skiprows": above}
        usual = {"sep": ",", "skiprows": 0}
        more = [f"{key}={value!r}" for key, value in said.items() if value != usual[key]]
        frame = (
            f"pandas.read_csv({', '.join(['FILE', *more, f'nrows={sheet.n_rows}', 'index_col=0'])})"
        )
    if len(names) < len(columns) - 1:
        frame += f".loc[:, {names[0]!r}:{names[-1]!r}]"
    if not _YEAR.fullmatch(names[0]):
        return f"read_prices({frame}.T)"
    if len(names[0]) > len("2020"):
        frame += ".rename(columns=lambda name: name[:4])"
    return f'read_prices({frame}.T, format={{"date": "%Y"}})'


def _read(
    sheet: Sheet, chosen: list[Named], options: ReadOptions, findings: Findings
) -> DateReading | None:
    cells = chosen[0].cells
    if not isinstance(cells, list) and chosen[0].kind == "date":
        stamps = dates.of_known_years(cells.astype("datetime64[us]"))
        return DateReading("", stamps, is_zoned=sheet.zone is not None)
    parts = [_texts(column) for column in chosen]
    cells = [" ".join(row) for row in zip(*parts, strict=True)]
    name, format_ = chosen[0].name, options.format
    if format_.date:
        reading = dates.read_by_format(cells, format_.date)
        if len(reading.misfits) == len(cells):
            guess = dates.guess_of_numbers(cells)
            findings.ask(
                f"format.date must fit the dates of {sheet.source}; got {format_.date!r} for "
                f"{cells[0]!r} in column {name!r}.",
                *([{"format": guess}] if guess else []),
                cure="" if guess else "Leave it out, so that the table is asked.",
            )
            return None
        return reading
    if format_.date_unit:
        return DateReading("", dates.read_numbers(_numbers(cells), format_.date_unit), True)
    return _ask_or_read(sheet, name, cells, findings)


def _ask_or_read(
    sheet: Sheet, name: str, cells: list[str], findings: Findings
) -> DateReading | None:
    if _mixes_units(cells):
        findings.ask(
            f"{sheet.source}, column {name!r}: dates must be of one unit; got "
            f"{min(cells, key=len)!r} and {max(cells, key=len)!r}.",
            cure="Write all of them in one unit.",
        )
        return None
    guess = dates.guess_of_numbers(cells)
    if guess is not None:
        findings.ask(
            f"{sheet.source}, column {name!r}: dates must be told where they are numbers; got "
            f"{cells[0]!r}.",
            {"format": guess},
        )
        if "date" in guess:
            return dates.read_by_format(cells, str(guess["date"]))
        return DateReading("", dates.read_numbers(_numbers(cells), str(guess["date_unit"])), True)
    readings = dates.possible_readings(cells)
    if not readings:
        findings.ask(
            f"{sheet.source}, column {name!r}: dates must follow one known format; got "
            f"{listed([repr(cell) for cell in dict.fromkeys(cells)], 3)}.",
            cure='Say it with format.date, such as "%d/%m/%Y", or of numbers with '
            "format.date_unit (s, ms, us, ns, excel).",
        )
        return None
    if len(readings) > 1:
        undecided = int(np.argmax(readings[0].values != readings[1].values))
        findings.ask(
            f"{sheet.source}, column {name!r}: it must be clear which part of a date is the day "
            f"and which the month; {cells[undecided]!r} is "
            + " or ".join(show(reading.values[undecided]) for reading in readings)
            + ".",
            *({"format": {"date": _with_time(reading, cells)}} for reading in readings),
        )
    return replace(readings[0], format=_with_time(readings[0], cells))


def _with_time(reading: DateReading, cells: list[str]) -> str:
    """Complete the format of a day by the time that follows it; empty where none is right."""
    some = slice(None, None, max(1, len(cells) // 100))
    for time in _TIMES:
        read = dates.read_by_format(cells[some], reading.format + time).values
        if np.array_equal(read, reading.values[some], equal_nan=True):
            return reading.format + time
    return ""


def _mixes_units(cells: list[str]) -> bool:
    """Seconds have 10 digits, milliseconds 13; no span of dates has both."""
    return len({len(cell) for cell in cells}) > 1 and all(
        cell.isdigit() and len(cell) >= 8 for cell in cells
    )


def _in_zone(sheet: Sheet, reading: DateReading, options: ReadOptions, findings: Findings) -> Dates:
    """Bring stamps to UTC where their zone is known; days stay days."""
    values, zone = reading.values, options.format.tz or sheet.zone
    good = ~np.isnat(values)
    if reading.is_zoned and zone and not dates.are_days(values[good]):
        days = dates.midnights_of(values[good], zone)
        if days is not None:
            findings.say(f"dates: the stamps are midnights in {zone} and were taken as days.")
            values = values.copy()
            values[good] = days
            return values
    if dates.are_days(values[good]):
        if options.format.tz:
            findings.say("dates: these are days, on which format.tz has no effect.")
        return values
    if reading.is_zoned:
        findings.say(f"dates: the stamps carry their offset and are {_UTC}")
        return values
    if zone is None:
        findings.say("dates: the time zone of the stamps is unknown; say it with format.tz.")
        return values
    converted, absent = dates.to_utc(values[good], zone)
    rows = np.flatnonzero(good)
    findings.ask_of_many(
        [
            f"{sheet.place(int(rows[row]))}: {show(values[rows[row]])} does not exist in {zone}, "
            "whose clocks skip it."
            for row in absent
        ],
        cure="Say the zone in which the stamps were written.",
    )
    values = values.copy()
    values[good] = converted
    findings.say(f"dates: the stamps of {zone} are {_UTC}")
    return values


def _tell_of_bad(sheet: Sheet, chosen: list[Named], bad: Bools, findings: Findings) -> None:
    rows = np.flatnonzero(bad)
    texts = [" ".join(_texts(column)[row] for column in chosen) for row in rows]
    n_rows = len(bad)
    is_end = rows[0] > 0 and len(rows) == n_rows - rows[0]
    findings.ask_of_many(
        [
            f"{sheet.place(int(row))}, column {chosen[0].name!r}: a date must be written as the "
            f"others; got {text!r}."
            for row, text in zip(rows, texts, strict=True)
        ],
        *([{"format": {"max_rows": int(rows[0])}}] if is_end else []),
        cure="" if is_end else "Correct or delete the line.",
    )


def _ends(values: Dates, findings: Findings) -> Dates:
    """Move each stamp from the start of its period to the end."""
    months = values.astype("datetime64[M]")
    if (months == values).all() and len(values) > 1:
        findings.say("dates: moved from the first day of each month to that of the next.")
        return (months + np.timedelta64(1, "M")).astype("datetime64[us]")
    steps = np.abs(np.diff(np.unique(values)))
    if not len(steps):
        return values
    lengths, counts = np.unique(steps, return_counts=True)
    step = lengths[counts.argmax()]
    findings.say(f"dates: moved by {step.astype('timedelta64[s]')}, from start to end of a row.")
    return np.asarray(values + step)


def _texts(column: Named) -> list[str]:
    if isinstance(column.cells, list):
        return column.cells
    return [repr(x).removesuffix(".0") if x == x else "" for x in column.cells.tolist()]


def _numbers(cells: list[str]) -> Floats:
    def number(cell: str) -> float:
        try:
            return float(cell)
        except ValueError:
            return float("nan")

    return np.array([number(cell) for cell in cells])


def _counts_rows(column: Named) -> bool:
    """Say whether it is the number of the row, as a frame without a true index is written."""
    texts = _texts(column)
    return texts in ([str(row + first) for row in range(len(texts))] for first in (0, 1))
