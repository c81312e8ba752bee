"""Which columns are the dates, where a table leaves a choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_tables import days, follow, prices, write
from psann.errors import DataError
from psann.market import read_prices

VALUES = prices(6, 1)[:, 0].tolist()
ISO = [day.isoformat() for day in days(6)]


def table(folder: Path, header: list[str], *columns: list[object]) -> Path:
    return write(folder / "t.csv", [*header, "A"], list(zip(*columns, VALUES, strict=True)))


def test_a_named_column_of_dates_settles_which_and_the_other_is_left_out(tmp_path: Path) -> None:
    path = table(tmp_path, ["Date", "Paid"], ISO, ISO[::-1])
    read = read_prices(path, date="Paid")
    np.testing.assert_array_equal(read.prices[:, 0], VALUES[::-1])
    assert "left out: Date (further dates)." in read.notes


def test_two_named_columns_make_one_stamp(tmp_path: Path) -> None:
    path = table(tmp_path, ["day", "at"], ["2021-03-01"] * 6, [f"{h:02d}:30" for h in range(6)])
    stamps = read_prices(path, date=["day", "at"]).dates
    assert str(stamps[-1]) == "2021-03-01T05:30:00.000000"


@pytest.mark.parametrize(
    ("cells", "format", "first"),
    [
        (
            ["1/3/2021", "2/3/2021", "3/3/2021", "4/3/2021", "5/3/2021", "6/3/2021"],
            {"date": "%d/%m/%Y"},
            "2021-03-01",
        ),
        ([192607 + n for n in range(6)], {"date": "%Y%m"}, "1926-07-01"),
        ([1614556800 + 86400 * n for n in range(6)], {"date_unit": "s"}, "2021-03-01"),
        ([1614556800000 + 86400000 * n for n in range(6)], {"date_unit": "ms"}, "2021-03-01"),
        ([44256 + n for n in range(6)], {"date_unit": "excel"}, "2021-03-01"),
        ([44256.5 + n for n in range(6)], {"date_unit": "excel"}, "2021-03-01T12:00"),
    ],
)
def test_a_format_or_unit_settles_what_dates_mean(
    cells: list[object], format: dict[str, str], first: str, tmp_path: Path
) -> None:
    path = table(tmp_path, ["date"], cells)
    with pytest.raises(DataError):
        read_prices(path)
    assert read_prices(path, format=format).dates[0] == np.datetime64(first)


def test_a_format_that_fits_nothing_is_refused_with_one_that_may(tmp_path: Path) -> None:
    path = table(tmp_path, ["date"], [20210301 + n for n in range(6)])
    with pytest.raises(
        DataError, match=r"got '%d/%m/%Y' for '20210301'.*`format: \{date: '%Y%m%d'\}`"
    ):
        read_prices(path, format={"date": "%d/%m/%Y"})


def test_offsets_that_are_no_midnights_make_stamps_of_utc(tmp_path: Path) -> None:
    path = table(tmp_path, ["date"], [f"2021-03-0{n + 1} 16:00:00-05:00" for n in range(6)])
    read = read_prices(path)
    assert str(read.dates[0]) == "2021-03-01T21:00:00.000000"
    assert (
        "dates: the stamps carry their offset and are UTC here, as are dates in options, unless "
        "with an offset such as -05:00."
    ) in read.notes
    start = "2021-03-03T16:00-05:00"
    assert str(read_prices(path, start=start).dates[0]) == "2021-03-03T21:00:00.000000"
    assert str(read_prices(path, start="2021-03-03T21:01").dates[0])[:10] == "2021-03-04"


def test_midnights_of_a_zone_written_in_utc_become_its_days(tmp_path: Path) -> None:
    stamps = [
        f"2021-03-1{n}T0{5 if n < 5 else 4}:00:00Z" for n in range(6)
    ]  # summer time on the 14th at 2:00
    read = read_prices(table(tmp_path, ["date"], stamps), format={"tz": "America/New_York"})
    assert str(read.dates[0])[:16] == "2021-03-10T00:00"
    assert str(read.dates[5])[:16] == "2021-03-15T00:00"


def test_a_zone_has_no_effect_on_days_and_that_is_said(tmp_path: Path) -> None:
    read = read_prices(table(tmp_path, ["date"], ISO), format={"tz": "Europe/Berlin"})
    assert "dates: these are days, on which format.tz has no effect." in read.notes


def test_an_hour_that_the_clock_skips_is_refused(tmp_path: Path) -> None:
    path = table(tmp_path, ["date"], [f"2021-03-28 0{n}:30" for n in range(6)])
    with pytest.raises(
        DataError, match=r"line 4: 2021-03-28T02:30 does not exist in Europe/Berlin"
    ):
        read_prices(path, format={"tz": "Europe/Berlin"})


def test_months_as_spreadsheets_write_them_are_read_when_that_is_said(tmp_path: Path) -> None:
    months = [f"{name}-18" for name in ("Jan", "Feb", "Mar", "Apr", "May", "Jun")]
    path = table(tmp_path, ["Month"], months)
    with pytest.raises(DataError, match="could be months of years or days of months; got 'Jan-18'"):
        read_prices(path)
    read, said = follow(path, lambda cures: cures[0])
    assert said == {"format": {"date": "%b-%y"}}
    assert [str(day)[:7] for day in read.dates] == [f"2018-0{n + 1}" for n in range(6)]


def test_a_format_of_the_users_own_finds_the_column_that_it_fits(tmp_path: Path) -> None:
    path = table(tmp_path, ["kind", "on"], ["x"] * 6, [day.strftime("%j of %Y") for day in days(6)])
    with pytest.raises(DataError, match="none of which reads as dates"):
        read_prices(path, assets=["A"])
    read = read_prices(path, format={"date": "%j of %Y"}, assets=["A"])
    assert [str(day)[:10] for day in read.dates] == ISO
