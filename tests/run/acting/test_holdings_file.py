"""What an account holds, as a user wrote it down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from acting_runs import ActingRuns
from psann.errors import DataError, FileFormatError, UsageError
from psann.run.acting.holdings_file import read_held
from psann.run.acting.weights import Weights
from psann.run.acting.weights_file import write_weights


@pytest.fixture(scope="module")
def weights(acting_runs: ActingRuns) -> Weights:
    return acting_runs.policy("prices").act()


def _held(folder: Path, text: str) -> Path:
    file = folder / "held.csv"
    file.write_text(text)
    return file


def test_shares_and_cash_are_read_in_the_order_of_the_policy(
    weights: Weights, tmp_path: Path
) -> None:
    held = read_held(_held(tmp_path, "asset,shares\nCCC,3\nAAA,10\ncash,500\n"), weights)
    assert (held.kind, held.amounts.tolist(), held.cash) == ("shares", [10.0, 0.0, 3.0], 500.0)


@pytest.mark.parametrize("name", ["Cash", "CASH", " cash"])
def test_money_is_money_however_it_is_written(name: str, weights: Weights, tmp_path: Path) -> None:
    held = read_held(_held(tmp_path, f"asset,shares\nAAA,10\n{name},500\n"), weights)
    assert held.cash == 500.0


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffasset;shares\r\nAAA;1.234,5\r\nCash;500,25\r\n",
        "asset\tshares\nAAA\t1,234.5\ncash\t500.25\n",
        'asset,shares\nAAA,"1,234.5"\ncash,500.25\n',
    ],
)
def test_holdings_are_read_as_spreadsheets_write_them(
    text: str, weights: Weights, tmp_path: Path
) -> None:
    held = read_held(_held(tmp_path, text), weights)
    assert (held.amounts.tolist(), held.cash) == ([1234.5, 0.0, 0.0], 500.25)


def test_weights_leave_the_rest_in_cash(weights: Weights, tmp_path: Path) -> None:
    held = read_held(_held(tmp_path, "Asset,Weight\nAAA,0.25\nBBB,0.5\n"), weights)
    assert (held.kind, held.amounts.tolist(), held.cash) == ("weight", [0.25, 0.5, 0.0], None)


@pytest.mark.parametrize("suffix", [".csv", ".json", ".parquet"])
def test_earlier_weights_have_drifted_with_prices(
    suffix: str, weights: Weights, tmp_path: Path
) -> None:
    earlier = weights.last(8)
    rows = slice(0, 5)  # up to the fourth row before the newest
    part = Weights(
        rows=earlier.rows[rows],
        assets=earlier.assets,
        values=earlier.values[rows],
        quotes=None,
        provenance=earlier.provenance,
    )
    held = read_held(write_weights(part, tmp_path / f"w{suffix}"), weights)
    # One account by hand: shares bought at the prices of that row, valued at the newest.
    shares = 1000 * weights.values[-4] / weights.quotes[-4]
    values = shares * weights.quotes[-1]
    cash = 1000 - 1000 * weights.values[-4].sum()
    assert np.allclose(held.amounts, values / (values.sum() + cash), atol=1e-12)
    assert not np.allclose(held.amounts, weights.values[-4], atol=1e-4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "held.csv has nothing. Write one line for each asset."),
        ("asset,shares\nAAB,3\n", "line 2: AAB is no asset of the policy. Did you mean 'AAA'"),
        ("asset,shares\nAAA,many\n", "line 2: must be an asset and a number"),
        ("asset,shares\nAAA,nan\n", "line 2: must be an asset and a number"),
        ("asset,shares\nAAA,3\nAAA,4\n", "line 3: AAA stands twice. Add the two up"),
        ("asset,weight\nAAA,0.7\nBBB,0.7\n", "weights must add up to at most 1; got 1.4"),
        ("name,number\nAAA,0.7\n", "must have the columns asset and shares, or asset and weight"),
    ],
)
def test_holdings_that_cannot_be_meant_are_refused(
    text: str, words: str, weights: Weights, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as error:
        read_held(_held(tmp_path, text), weights)
    assert words in str(error.value)


def test_weights_of_a_row_that_is_not_there_name_the_option(
    acting_runs: ActingRuns, weights: Weights, tmp_path: Path
) -> None:
    file = write_weights(weights, tmp_path / "w.csv")
    later = acting_runs.policy("prices").act(since=weights.labels[-1])
    part = weights.last(9)
    early = Weights(
        rows=part.rows[:2],
        assets=part.assets,
        values=part.values[:2],
        quotes=None,
        provenance=part.provenance,
    )
    with pytest.raises(UsageError, match=f"Give --since {part.labels[1]}"):
        read_held(write_weights(early, tmp_path / "early.csv"), later)
    assert np.array_equal(read_held(file, weights).amounts, weights.values[-1])
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(FileFormatError):
        read_held(tmp_path / "x.json", weights)
