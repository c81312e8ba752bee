"""What users give as arrays, made NumPy arrays of one kind: the same rules at every door.

NumPy, masked arrays, tensors of any dtype and device, frames and series of pandas (nullable and
Arrow columns too) and polars, tables of Arrow, and whatever has `to_numpy` or `__array__`. A masked
value, `None`, `NA` and NaN are one thing, a missing value; nothing is filled, dropped or guessed.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from psann._mapped import count_where
from psann._table_columns import without_dates
from psann._typing import Array
from psann.errors import DataError

FILL_CURE = "Drop those rows or fill them with what was known at the time."


def numbers(value: object, who: str) -> Array:
    """Numbers as float64, or float32 where they are; missing ones are NaN.

    Parameters
    ----------
    value : array-like
        Numbers or truth values of any shape, in any of the forms above.
    who : str
        What the user calls it, for messages.

    Raises
    ------
    DataError
        If it holds anything but numbers, or rows of unequal length.

    Examples
    --------
    >>> numbers(np.ma.array([1, 2], mask=[False, True]), "prices").tolist()
    [1.0, nan]
    """
    array = array_of(value, who)
    if array.dtype in (np.float32, np.float64):
        return array
    if array.dtype.kind not in "biuf":
        raise DataError(
            f"{who} must hold numbers; got dtype {array.dtype} ({type(value).__name__}). "
            f"{_cure(array)}"
        )
    with np.errstate(over="ignore"):  # longdouble beyond float64 becomes inf, reported later
        return array.astype(np.float64)


def _cure(array: Array) -> str:
    """What makes numbers of an array that holds none."""
    if array.dtype.kind == "c":
        return "Complex data not supported: take the real part, .real, and the imaginary one."
    if array.dtype.kind == "m":
        return 'Use days: t / numpy.timedelta64(1, "D").'
    if array.dtype.kind == "M":
        return 'Use days: numpy.asarray(t, dtype="datetime64[D]").astype(float).'
    try:
        array.astype(np.float64)
    except (TypeError, ValueError):
        return "Leave it out, or say it in numbers."
    return "Convert it with .astype(float)."


def times(value: object, who: str) -> Array:
    """Times of rows: datetime64[us] of dates, else float64.

    Parameters
    ----------
    value : array-like of shape (n,)
        datetime64 of any unit, `date` and `datetime` objects, a `DatetimeIndex`, a `PeriodIndex`
        (its beginnings), ISO texts, or numbers of the user's own unit. Where they have a time zone
        they become UTC, unless all are midnights there: then the days are meant.

    Raises
    ------
    DataError
        If it is anything else, or only some have a zone.

    Examples
    --------
    >>> times(["2020-01-02", "2020-01-03T15:30"], "time_train").astype(str).tolist()
    ['2020-01-02T00:00:00.000000', '2020-01-03T15:30:00.000000']
    """
    array = array_of(value, who)
    if array.dtype.kind == "U":
        array = _from_texts(array, who)
    if array.dtype.kind == "M":
        return array.astype("datetime64[us]")
    return numbers(array, who)


def are_dates(time: Array | None) -> TypeGuard[Array]:
    """Whether rows have dates, neither numbers nor nothing."""
    return time is not None and time.dtype.kind == "M"


def array_of(value: object, who: str) -> Array:
    """Numbers, dates or texts as they are, in NumPy's own form; missing ones are NaN or NaT."""
    if isinstance(value, np.ma.MaskedArray):
        array = _unmasked(value)
        return _from_cells(array, value, who) if array.dtype.hasobject else array
    if value is None:
        raise DataError(f"{who} must be an array of numbers; got None. Give one, or leave it out.")
    if hasattr(value, "toarray"):
        raise DataError(
            f"{who} must be an array; got {type(value).__name__}, which is sparse. Make it dense "
            "with .toarray()."
        )
    given: Any = value
    if not isinstance(given, np.ndarray) and hasattr(given, "detach"):
        given = _from_tensor(given)
    elif not isinstance(given, np.ndarray):
        given = _from_frame(given, who)
    try:
        array = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{who} must be an array of numbers; got {type(value).__name__} that cannot be made "
            f"one ({error}). Make all its rows equally long."
        ) from error
    return _from_cells(array, value, who) if array.dtype.hasobject else array


def _unmasked(value: np.ma.MaskedArray[Any, Any]) -> Array:
    if value.dtype.kind == "V" or not np.ma.is_masked(value):
        return np.asarray(value.data)
    if value.dtype.kind == "M":
        return np.asarray(np.ma.filled(value, np.datetime64("NaT", "us")))
    if value.dtype.kind not in "biuf":
        cells = np.array(value.data, dtype=object)
        cells[value.mask] = None
        return cells
    single = value.dtype == np.float32
    return np.asarray(np.ma.filled(value.astype(np.float32 if single else np.float64), np.nan))


def _from_tensor(tensor: Any) -> Array:
    """A tensor of any device and dtype, with a gradient or without."""
    plain = tensor.detach().cpu()
    if hasattr(plain, "is_floating_point") and plain.is_floating_point():
        # NumPy knows neither bfloat16 nor the eight bits of float8.
        plain = plain if plain.element_size() == 4 else plain.double()
    array: Array = plain.numpy()
    return array


def _from_frame(value: Any, who: str) -> Any:
    """What a frame or series holds, without its column of dates, which are of the rows."""
    if is_lazy(value):
        raise DataError(
            f"{who} must be an array of numbers; got {type(value).__name__}, which has none yet. "
            "Compute it first, with .collect()."
        )
    if getattr(getattr(value, "dtype", None), "time_zone", None):
        return value.to_list()  # moments that know their zone
    frame = without_dates(value)
    return frame.to_numpy() if hasattr(frame, "to_numpy") else frame


def is_lazy(value: object) -> bool:
    """Whether it is a plan of polars for a frame."""
    return hasattr(value, "collect") and not hasattr(value, "to_numpy")


def is_missing(cell: object) -> bool:
    """Whether an object stands for no value: `None`, NaN, `pandas.NA`, `NaT`."""
    # By name, since a comparison with pandas.NA has no truth value.
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return bool(isinstance(cell, float | np.floating | np.datetime64) and cell != cell)


def _from_cells(array: Array, value: object, who: str) -> Array:
    """Objects that are all numbers, all dates or all texts, but for those that are missing."""
    cells = array.ravel().tolist()
    present = [cell for cell in cells if not is_missing(cell)]
    if all(isinstance(cell, str) for cell in present) and present:
        texts = ["" if is_missing(cell) else cell for cell in cells]
        return np.array(texts, dtype=np.str_).reshape(array.shape)
    if present and all(hasattr(cell, "start_time") for cell in present):  # periods of pandas
        cells = [None if is_missing(cell) else cell.start_time for cell in cells]
        present = [cell for cell in cells if not is_missing(cell)]
    if present and all(isinstance(cell, datetime.date) for cell in present):
        return _from_moments(cells, who).reshape(array.shape)
    # Text has no __float__, so that the digits of a text stay a text.
    odd = next((cell for cell in present if not hasattr(cell, "__float__")), None)
    if odd is not None:
        raise DataError(
            f"{who} must hold numbers; got dtype object ({type(value).__name__}), in which "
            f"{odd!r} is {type(odd).__name__}. Leave it out, or say it in numbers."
        )
    try:
        plain = [np.nan if is_missing(cell) else float(cell) for cell in cells]
    except OverflowError:
        raise DataError(
            f"{who} must fit into float64; a whole number in it is too large."
        ) from None
    return np.array(plain, dtype=np.float64).reshape(array.shape)


def _from_texts(texts: Array, who: str) -> Array:
    """Dates from ISO 8601; an empty text is a missing one."""
    return _from_moments([_moment(str(text), who, row) for row, text in enumerate(texts.flat)], who)


def _moment(text: str, who: str, row: int) -> datetime.date | None:
    if not text:
        return None
    try:
        return datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        pass
    try:  # a month or a year alone
        whole: datetime.datetime = np.datetime64(text.strip(), "us").astype(object)
    except ValueError:
        raise DataError(
            f"{who} must hold dates or numbers; got the text {text!r} in row {row}. Write ISO "
            "dates such as 2020-04-03, or read them first: pandas.to_datetime(..., dayfirst=True)."
        ) from None
    return whole


def _from_moments(cells: list[Any], who: str) -> Array:
    """Dates and datetimes, all with a zone or none, as datetime64[us]."""
    moments = [None if is_missing(cell) else _as_datetime(cell) for cell in cells]
    present = [moment for moment in moments if moment is not None]
    n_zoned = sum(moment.tzinfo is not None for moment in present)
    if n_zoned not in (0, len(present)):
        raise DataError(
            f"{who} must have a time zone for every time or for none; got {n_zoned} of "
            f"{len(present)} with one. Give all of them one, or take it away."
        )
    # The offset of a midnight changes with summer time; the day is what was meant.
    are_days = all(moment.time() == datetime.time() for moment in present)
    plain = [
        np.datetime64("NaT", "us")
        if moment is None
        else np.datetime64(moment.replace(tzinfo=None) if are_days else utc(moment), "us")
        for moment in moments
    ]
    return np.array(plain, dtype="datetime64[us]")


def _as_datetime(cell: datetime.date) -> datetime.datetime:
    if isinstance(cell, datetime.datetime):
        return cell
    return datetime.datetime.combine(cell, datetime.time())


def utc(moment: datetime.date) -> datetime.date:
    """The moment in UTC, without a zone; as it is where it had none."""
    if not isinstance(moment, datetime.datetime) or moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def show(moment: Any) -> str:
    """Write a date, with its time of day only where it has one; or a number as it is.

    Examples
    --------
    >>> show(np.datetime64("2020-01-02T00:00", "us")), show(np.float64(3.5))
    ('2020-01-02', '3.5')
    """
    if not isinstance(moment, np.datetime64):
        return f"{moment:.15g}"
    if moment == moment.astype("datetime64[D]"):
        return str(moment.astype("datetime64[D]"))
    return str(moment.astype("datetime64[us]")).removesuffix(".000000").removesuffix(":00")


def place_text(index: tuple[int, ...]) -> str:
    """Say where a value is.

    Examples
    --------
    >>> place_text((3,)), place_text((3, 1)), place_text((3, 1, 2))
    ('row 3', 'row 3, column 1', 'row 3, column (1, 2)')
    """
    row, *rest = index
    if not rest:
        return f"row {row}"
    return f"row {row}, column {rest[0] if len(rest) == 1 else tuple(rest)}"


def finiteness_problems(
    array: Array, who: str, *, columns: Sequence[str] | None = None
) -> list[str]:
    """Say how many values are missing or infinite, and where the first of them is.

    Parameters
    ----------
    columns : sequence of str, optional
        Names of the columns, where they have some.
    """
    if array.dtype.kind not in "fM" or not array.ndim:
        return []
    n_bad, first = count_where(array, lambda rows: ~np.isfinite(rows))
    if not n_bad:
        return []
    missing = "NaT" if array.dtype.kind == "M" else "NaN"
    n_missing, _ = count_where(array, np.isnat if array.dtype.kind == "M" else np.isnan)
    place = place_text(first)
    if columns is not None and array.ndim == 2 and len(columns) == array.shape[1]:
        place += f" ({columns[first[1]]!r})"
    return [
        f"{who} must be finite; got {n_missing} missing ({missing}) and {n_bad - n_missing} "
        f"infinite of {array.size} values, first at {place}. {FILL_CURE}"
    ]
