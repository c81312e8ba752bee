"""From a column of texts or numbers to dates: one format that fits every cell, or a question."""

from __future__ import annotations

import datetime
import functools
import re
import zoneinfo
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from psann._inputs import utc
from psann._typing import Dates, Floats

_UTC = datetime.UTC
_NAT = np.datetime64("NaT", "us")
# The first and the last year that `datetime` knows stand for no date, and have no other time zone.
_YEARS = range(2, 9999)

_DAY_FORMATS = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%Y-%m", "%Y/%m"),
    *("%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d.%m.%Y", "%m.%d.%Y", "%m/%Y", "%m-%Y"),
    *("%d/%m/%y", "%m/%d/%y", "%y/%m/%d", "%d-%m-%y", "%m-%d-%y", "%y-%m-%d"),
    *("%d.%m.%y", "%m.%d.%y", "%y.%m.%d"),
    *("%b %d, %Y", "%B %d, %Y", "%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d-%b-%y", "%d %b %y"),
    *("%d/%b/%Y", "%d-%B-%Y", "%b-%d-%Y", "%Y-%b-%d", "%b %d %Y", "%B %d %Y", "%b %Y", "%b-%Y"),
    *("%a %b %d %Y", "%a, %d %b %Y", "%A, %B %d, %Y", "%A, %d %B %Y", "%B %Y", "%a %d %b %Y"),
    *("%Y%m%d %H%M%S", "%Y%m%d %H%M"),
    *("%YQ%q", "%Y-Q%q", "%Y Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y", "%YM%m", "%Y-M%m"),
    *("%GW%V", "%G-W%V", "%G W%V", "%G-W%V-%u"),
)
_TIME_FORMATS = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p")
# The date is what stands before a time of day; a zone is read only after one, since `-2020` at the
# end of a date is none.
_STAMP = re.compile(
    r"(?P<day>.+?)(?:(?:[T,]|,?\s+)(?P<time>\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:\s?[AaPp][Mm])?)"
    r"\s*(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?)?"
)
_MAYBE = re.compile(r"(?=.*[-/., QMW])(.*\d){3}")
_Parts = tuple[str, str | None, str | None]
_MAX_LETTERS = 100  # of a longer one the search would take for ever
TIME_OF_DAY = re.compile(r"\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?")
_INTEGER_FORMATS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d"}
_UNITS = {10: "s", 13: "ms", 16: "us", 19: "ns"}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class DateReading:
    """One way to read a column."""

    format: str
    """Format of the day, or of the whole text when the user gave it."""
    values: Dates
    """One for each cell, `datetime64[us]`; NaT where the cell does not fit."""
    is_zoned: bool = False
    """The cells carried their offset; `values` are UTC, or days where all were midnights."""

    @property
    def misfits(self) -> NDArray[np.int64]:
        """Places of the cells that do not fit."""
        return np.flatnonzero(np.isnat(self.values))


def possible_readings(cells: Sequence[str]) -> list[DateReading]:
    """Find the formats of a fixed list that fit the most cells of a column.

    Parameters
    ----------
    cells : sequence of str
        The column, numbers without separators excluded: they are dates only when told.

    Returns
    -------
    list of DateReading
        Those that differ in what they read, best fit first and equally good; empty when no
        format fits most of the cells.
    """
    parts = {cell: _parts(cell) for cell in dict.fromkeys(cells)}
    days = {found[0] for found in parts.values() if found}
    if not days:
        return []
    best: list[DateReading] = []
    fewest = len(cells) // 2
    for format_ in _formats_that_fit_some(days):
        read = {day: moment for day in days if (moment := _strptime(day, format_))}
        table = {cell: found and _stamp(found, read) for cell, found in parts.items()}
        reading = _reading(format_, cells, table)
        n_misfits = len(reading.misfits)
        if n_misfits < fewest:
            best, fewest = [], n_misfits
        if n_misfits == fewest and n_misfits < len(cells) and not _is_known(reading, best):
            best.append(reading)
    return best


def _parts(cell: str) -> _Parts | None:
    """Cut a text into day, time of day and zone."""
    if len(cell) > _MAX_LETTERS or not _MAYBE.match(cell):
        return None
    if ":" not in cell and "\n" not in cell:  # the usual case, without a search
        return cell.strip(), None, None
    match = _STAMP.fullmatch(cell)
    return match and (match["day"].strip(), match["time"], match["zone"])


def read_by_format(cells: Sequence[str], format_: str) -> DateReading:
    """Read a column by the format that the user gave; what does not fit becomes NaT."""
    table = {cell: _strptime(cell, format_) for cell in dict.fromkeys(cells)}
    return _reading(format_, cells, table)


def read_numbers(values: Floats, unit: str) -> Dates:
    """Read numbers as dates: since 1970 in `s`, `ms`, `us` or `ns`, or Excel's days since 1900."""
    with np.errstate(over="ignore"):
        if unit == "excel":
            # Excel takes 1900 for a leap year: its day 0 is 1899-12-30 for all later dates.
            micros = np.round((values - 25569.0) * 86400.0) * 1e6
        else:
            per_micro = _PER_SECOND[unit] / 10**6
            micros = np.round(values / per_micro if per_micro > 1 else values * (1 / per_micro))
    valid = np.abs(micros) < 2.0**62
    dates = np.where(valid, micros, 0.0).astype(np.int64).astype("datetime64[us]")
    dates[~valid] = _NAT
    return of_known_years(dates)


def instants_of(text: str) -> tuple[np.datetime64, np.datetime64]:
    """First and last instant of a date as it is written: of a day all of it, of a month too.

    One with an offset, such as -05:00, is brought to UTC.

    Raises
    ------
    ValueError
        If it is none.

    Examples
    --------
    >>> [str(each) for each in instants_of("2020-02")]
    ['2020-02-01T00:00:00.000000', '2020-02-29T23:59:59.999999']
    """
    with suppress(ValueError, OverflowError):
        moment = datetime.datetime.fromisoformat(text.strip())
        text = text if moment.tzinfo is None else utc(moment).isoformat()
    if text.strip() in ("", "NaT"):
        return _NAT, _NAT
    told: np.datetime64 = np.datetime64(text)  # in the unit that it is told in
    first = told.astype("M8[us]")
    unit: Any = np.datetime_data(told.dtype)[0]
    if unit not in ("Y", "M", "D"):
        return first, first
    after: np.datetime64 = (told + np.timedelta64(1, unit)).astype("M8[us]")
    return first, after - np.timedelta64(1, "us")


def of_known_years(dates: Dates) -> Dates:
    """Return the dates with NaT for those that `datetime` does not know in every time zone."""
    years = dates.astype("datetime64[Y]").astype(np.int64) + 1970
    is_known = (years >= _YEARS.start) & (years < _YEARS.stop)
    return np.where(is_known, dates, np.array("NaT", dates.dtype))


def guess_of_numbers(cells: Iterable[str]) -> dict[str, object] | None:
    """Say how numbers could be dates, as an option of `format`; None if they hardly are."""
    texts = {cell for cell in cells if cell}
    lengths = {len(text) for text in texts}
    if len(lengths) != 1 or not all(text.isdigit() for text in texts):
        return None
    length = lengths.pop()
    if length in _INTEGER_FORMATS:
        format_ = _INTEGER_FORMATS[length]
        read = [_strptime(text, format_) for text in texts]
        if all(moment and 1600 <= moment.year <= 2200 for moment in read):
            return {"date": format_}
    if length in _UNITS:
        return {"date_unit": _UNITS[length]}
    if length == 5 and all(10000 <= int(text) <= 80000 for text in texts):
        return {"date_unit": "excel"}
    return None


def to_utc(dates: Dates, zone: str) -> tuple[Dates, list[int]]:
    """Take wall clock times of a zone to UTC.

    Returns
    -------
    dates : ndarray of datetime64[us]
        UTC; of an hour that the clock shows twice the earlier, and the later where the rows
        before it have already come that far.
    absent : list of int
        Rows whose time the clock skips.
    """
    tz = zoneinfo.ZoneInfo(zone)
    result, absent = dates.copy(), []
    latest: datetime.datetime | None = None
    for row, moment in enumerate(dates.astype(object)):
        first, second = (
            moment.replace(tzinfo=tz, fold=fold).astimezone(_UTC).replace(tzinfo=None)
            for fold in (0, 1)
        )
        chosen = second if latest is not None and first <= latest < second else first
        back = chosen.replace(tzinfo=_UTC).astimezone(tz).replace(tzinfo=None)
        if back != moment:
            absent.append(row)
        result[row] = np.datetime64(chosen, "us")
        latest = chosen
    return result, absent


def midnights_of(dates: Dates, zone: str) -> Dates | None:
    """Return the days of UTC stamps that are all midnights of a zone; None if they are not."""
    tz = zoneinfo.ZoneInfo(zone)
    walls = [
        m.replace(tzinfo=_UTC).astimezone(tz).replace(tzinfo=None) for m in dates.astype(object)
    ]
    local = np.array(walls, dtype="datetime64[us]")
    return local if are_days(local) else None


def are_days(dates: Dates) -> bool:
    """Say whether all are midnights."""
    return bool((dates == dates.astype("datetime64[D]")).all())


def _formats_that_fit_some(days: set[str]) -> Iterator[str]:
    some = sorted(days)[:: max(1, len(days) // 20)]
    shapes = {_shape(day) for day in some}
    for format_ in _DAY_FORMATS:
        if _shape_of_format(format_) in shapes and any(_strptime(day, format_) for day in some):
            yield format_


def _shape(text: str) -> str:
    """Where a text has numbers and words: most formats are out of question before they are tried.

    Without spaces, as a day of one digit may have one before it.

    Examples
    --------
    >>> _shape("Jan  5, 2020"), _shape("12/ 5/2020")
    ('a9,9', '9/9/9')
    """
    return re.sub(r"\s", "", re.sub(r"[^\W\d_]+\.?", "a", re.sub(r"\d+", "9", text)))


@functools.cache
def _shape_of_format(format_: str) -> str:
    return _shape(re.sub("%[abAB]", "a", re.sub("%[YymdHMSqGVu]", "9", format_)))


def _strptime(text: str, format_: str) -> datetime.datetime | None:
    # In a tenth of the time, the usual form; no other one has these two letters at these places.
    if format_ == "%Y-%m-%d" and len(text) == 10 and text[4] == text[7] == "-":
        with suppress(ValueError):
            return _within_years(datetime.datetime.fromisoformat(text))
    if "%q" in format_:
        return _first_of_quarter(text, format_)
    if "%V" in format_ and "%u" not in format_:  # of a week the Monday
        text, format_ = f"{text} 1", f"{format_} %u"
    try:
        return _within_years(datetime.datetime.strptime(text, format_))
    except ValueError:
        return None


def _first_of_quarter(text: str, format_: str) -> datetime.datetime | None:
    """The first day of a quarter, ``%q``, which `strptime` does not know."""
    for quarter in range(1, 5):
        if year := _strptime(text, format_.replace("%q", str(quarter))):
            return year.replace(month=3 * quarter - 2)
    return None


def _within_years(moment: datetime.datetime) -> datetime.datetime | None:
    return moment if moment.year in _YEARS else None


def _stamp(parts: _Parts, read: dict[str, datetime.datetime]) -> datetime.datetime | None:
    """Put day, time of day and zone together."""
    name, hour, zone = parts
    if (day := read.get(name)) is None or hour is None:
        return day
    if (time := _time_of_day(hour)) is None:
        return None
    moment = datetime.datetime.combine(day, time)
    if zone is None:
        return moment
    if zone[0] not in "+-":
        return moment.replace(tzinfo=_UTC)
    minutes = int(zone[1:3]) * 60 + int(zone[-2:])
    if minutes >= 24 * 60:
        return None
    offset = datetime.timedelta(minutes=-minutes if zone[0] == "-" else minutes)
    return moment.replace(tzinfo=datetime.timezone(offset))


@functools.lru_cache(maxsize=100_000)
def _time_of_day(text: str) -> datetime.time | None:
    text = re.sub(r"(\.\d{6})\d+", r"\1", text).upper()
    found = (_strptime(text, format_) for format_ in _TIME_FORMATS)
    return next((moment.time() for moment in found if moment), None)


def _reading(
    format_: str, cells: Sequence[str], table: dict[str, datetime.datetime | None]
) -> DateReading:
    """Make the column of what each distinct cell says; all with a zone, or none."""
    found = [moment for moment in table.values() if moment]
    zoned = [moment for moment in found if moment.tzinfo]
    if len(zoned) not in (0, len(found)):
        table = {c: m if m and not m.tzinfo else None for c, m in table.items()}
        zoned = []
    # The offset of a midnight changes with summer time; the day is what was meant.
    are_midnights = all(m.time() == datetime.time() for m in zoned)
    if zoned and not are_midnights:
        table = {cell: m and m.astimezone(_UTC) for cell, m in table.items()}
    if zoned:
        table = {cell: m and m.replace(tzinfo=None) for cell, m in table.items()}
    values = np.array([table[cell] for cell in cells], dtype="datetime64[us]")
    return DateReading(format_, values, is_zoned=bool(zoned))


def _is_known(reading: DateReading, others: list[DateReading]) -> bool:
    """Two formats that read the same are one reading."""
    return any(np.array_equal(reading.values, other.values, equal_nan=True) for other in others)
