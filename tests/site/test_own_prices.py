"""From a file of prices to a judged policy, by the page alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import Reader, block, missing_lines
from psann.run import read_run

COPY = block("own_prices.md", "cp .venv")
LOOK = block("own_prices.md", "hisso-runs prices")
UNDERSTOOD = block("own_prices.md", "layout   wide")
WRITTEN = block("own_prices.md", "data:\n  prices: prices.csv.gz")
TRAIN = block("own_prices.md", "python -m psann.scripts.hisso_log_run --config prices.yaml")
TRAINED = block("own_prices.md", "INFO train: 4941 rows")
AMBIGUOUS = block("own_prices.md", "hisso-runs: t.csv, column")
README = block("README.md", "# my.yaml")


@pytest.mark.slow
def test_a_table_of_prices_becomes_a_judged_policy(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    (copy,), (look,), (train,) = COPY.commands, LOOK.commands, TRAIN.commands
    reader.does(copy)
    assert UNDERSTOOD.text in reader.does(look)
    assert (tmp_path / "prices.svg").is_file()
    written = (tmp_path / "prices.yaml").read_text().replace(f"{tmp_path}/", "")
    assert WRITTEN.text in written
    said = reader.does(train)
    assert missing_lines(TRAINED, said) == []
    run = read_run(tmp_path / "runs" / "own")
    assert run.status == "completed" and run.figure("portfolio_metrics.sharpe") is not None
    # The configuration of the README reads the same table, cut by its own dates.
    reader.does("gunzip -k prices.csv.gz")
    reader.writes("my.yaml", README)
    check = "hisso-log-run --config my.yaml --output-dir runs --run-name mine --check"
    assert "20: AAPL, AMD, BAC" in reader.does(check)


def test_what_can_be_read_in_two_ways_is_asked_as_the_page_shows(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.writes("t.csv", "Date,Close,Settle\n01/02/2021,1,2\n03/02/2021,2,3\n")
    said = reader.does("hisso-runs prices t.csv", code=1)
    assert missing_lines(AMBIGUOUS, said) == []
