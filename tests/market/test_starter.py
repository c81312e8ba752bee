"""What is shown of a table, and the config that is written for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from made_panels import table_of, walks
from made_tables import german, prices, wide, write
from psann.market import load_prices, read_prices
from psann.market.starter import describe, shortage, starter_config
from psann.run.reading.reading import read_run
from psann.run.reading.sentences import result_sentences
from psann.scripts.hisso_log_run import main

HISSO = Path(__file__).parents[2] / "configs" / "hisso"


def test_a_table_is_described_in_five_lines_its_notes_and_the_block(tmp_path: Path) -> None:
    values = prices(30, 3)
    values[:4, 2] = np.nan
    text = describe(read_prices(wide(tmp_path / "p.csv", values, sep=";")))
    assert text.splitlines() == [
        "layout   wide: a column for each asset",
        "rows     30, 2021-03-01 to 2021-04-09",
        "prices   one number for each asset",
        "assets   3: A0, A1, A2",
        "holes    4 of 90 cells without a price",
        "- listed late, with their first dates: A2 (2021-03-05).",
        "- rows per year: about 272.",
        "",
        "date: Date",
        "format: {sep: ;, date: '%Y-%m-%d'}",
    ]


def test_the_config_loads_the_table_by_what_was_understood(tmp_path: Path) -> None:
    rows = [
        [day, german(x)]
        for day, x in zip(
            (f"{d}.{m}.2020" for m in range(1, 10) for d in range(1, 28)),
            prices(243, 1)[:, 0] * 100,
            strict=True,
        )
    ]
    path = write(tmp_path / "my prices.csv", ["Datum", "Schlusskurs"], rows, sep=";")
    table = read_prices(path, price="Schlusskurs")
    config = yaml.safe_load(starter_config(table, str(path)))
    block = config["data"]
    assert block["price"] == "Schlusskurs"
    assert block["format"]["decimal"] == ","
    # Row 169 of 243, 60 % of those that have features; the 1st is near.
    assert str(block["split"]["val"]) == "2020-07-08"
    data = load_prices(**block)
    np.testing.assert_array_equal(data["prices_test"], table.prices[-len(data["X_test"]) :])
    assert data["X_test"].shape[1:] == (1, 6)  # of each asset by itself
    assert config["hisso"]["primary_transform"] == "softmax_cash"  # one asset, or nothing


def test_the_recipe_is_that_of_the_templates() -> None:
    written = yaml.safe_load(starter_config(table_of(walks(1000, 2)), "p.csv"))
    for name in ("own_prices", "nyse_o", "nyse_n", "sp500_20", "delisted"):
        template = yaml.safe_load((HISSO / f"{name}.yaml").read_text())
        for block in ("estimator", "hisso", "training"):
            assert template[block] == written[block]
        judged = {"periods_per_year": 252, **template["evaluation"]}
        assert judged == written["evaluation"]


@pytest.mark.parametrize(
    ("step", "unit", "rate"), [(1, "D", 365.25), (7, "D", 52.18), (1, "M", 12.0), (1, "h", 8766.0)]
)
def test_rows_per_year_are_those_of_the_table(step: int, unit: str, rate: float) -> None:
    table = table_of(walks(100, 2))
    dates = np.datetime64("2020-01", unit) + np.arange(100) * np.timedelta64(step, unit)
    config = yaml.safe_load(
        starter_config(
            type(table)(**{**vars(table), "dates": dates.astype("datetime64[us]")}), "p.csv"
        )
    )
    assert config["evaluation"]["periods_per_year"] == pytest.approx(rate, rel=0.001)
    assert config["hisso"]["window"] == 4  # of 40 rows that have features


def test_ends_are_told_in_the_config(tmp_path: Path) -> None:
    values = walks(100, 2)
    values[90:, 1] = np.nan
    assert yaml.safe_load(starter_config(table_of(values), "p.csv"))["data"]["ended"] == {
        "default": -0.3
    }


def test_a_border_near_the_first_row_of_a_month_is_moved_there() -> None:
    config = yaml.safe_load(starter_config(table_of(walks(1000, 2)), "p.csv"))
    assert config["evaluation"]["periods_per_year"] == 252  # 261 weekdays, less holidays
    split = config["data"]["split"]
    # Rows 623 and 811, of 60 and those after, are 2023-07-20 and 2024-04-09; months begin near.
    assert [str(split[name]) for name in ("val", "test")] == ["2023-08-01", "2024-04-01"]


def test_a_table_that_the_recipe_cannot_be_cut_from_is_told_so() -> None:
    assert shortage(table_of(walks(75, 2))) is None
    told = shortage(table_of(walks(74, 2))) or ""
    assert "at least 75 rows, since its features look back 60; got 74. Give a longer table" in told


@pytest.mark.parametrize("n_rows", [75, 100, 300])
def test_what_is_written_for_a_short_table_trains_and_claims_nothing(
    n_rows: int, tmp_path: Path
) -> None:
    table = wide(tmp_path / "p.csv", prices(n_rows, 3))
    (tmp_path / "c.yaml").write_text(starter_config(read_prices(table), str(table)))
    command = ["--config", str(tmp_path / "c.yaml"), "--output-dir", str(tmp_path), "--quiet"]
    quick = ["--run-name", "run", "--device", "cpu", "--set", "hisso.updates_per_epoch=2"]
    assert main([*command, *quick]) == 0
    sentences = result_sentences(read_run(tmp_path / "run").metrics)
    assert any("too few rows to claim anything" in each for each in sentences) == (n_rows < 120)
