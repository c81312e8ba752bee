"""Frames without an index: polars and Arrow, at every door as pandas."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from psann import PSANNRegressor, fit_seeds
from psann._inputs import numbers, times
from psann._labels import labels_of
from psann._table_columns import date_column, names_of, without_dates
from psann.baselines import BASELINES, bcrp, best_asset
from psann.errors import DataError
from psann.evaluation.comparison import growth_difference
from psann.evaluation.judgement import Terms, judge_baselines, judge_policy
from psann.market import read_prices
from psann.metrics import equity_curve, mean_test, portfolio_metrics, turnover
from psann.plausibility.features import next_move_findings
from psann.plausibility.prices import price_findings
from thinning import slow
from trials import finished, market, metrics_of

N = 120
DAYS = [datetime.date(2020, 1, 1) + datetime.timedelta(days=k) for k in range(N)]
draws = np.random.default_rng(0)
X = pl.DataFrame({"slow": draws.standard_normal(N), "fast": draws.standard_normal(N)})
MOVES = 0.02 * draws.standard_normal((N, 2))
PRICES = pl.DataFrame(np.exp(MOVES.cumsum(axis=0)), schema=["A", "B"])
WEIGHTS = PRICES / PRICES.sum_horizontal()
HISSO = {"window": 8, "batch_episodes": 4}


def dated(frame: pl.DataFrame, *, name: str = "date") -> pl.DataFrame:
    return frame.clone().insert_column(1, pl.Series(name, DAYS))


def mixed(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows and columns, both in another order, with their dates."""
    return dated(frame.select(frame.columns[::-1])).sort("date", descending=True)


KINDS: dict[str, Callable[[pl.DataFrame], Any]] = {
    "polars": dated,
    "polars in another order": mixed,
    "arrow": lambda frame: dated(frame).to_arrow(),
    "arrow in another order": lambda frame: mixed(frame).to_arrow(),
    "pandas": lambda frame: frame.to_pandas().set_axis(pd.DatetimeIndex(DAYS)),
}


def quick(**params: Any) -> PSANNRegressor:
    return PSANNRegressor(hidden_layers=1, hidden_units=3, epochs=2, random_state=0, **params)


def moved(frame: Any) -> Any:
    """The same rows 400 days later."""
    if isinstance(frame, pa.Table):
        return moved(pl.from_arrow(frame)).to_arrow()
    if isinstance(frame, pl.DataFrame):
        return frame.with_columns(pl.col("date").dt.offset_by("400d"))
    return frame.set_axis(frame.index + pd.DateOffset(days=400))


def answers(make: Callable[[pl.DataFrame], Any], keep: Callable[[pl.DataFrame], Any]) -> Any:
    """What every door says; `keep` makes what sets the order of columns, `make` the rest."""
    first, prices, weights = keep(X), make(PRICES), make(WEIGHTS)
    known = keep(PRICES)
    model = quick().fit(first, prices=known, hisso=HISSO)
    seeds = fit_seeds(quick(), [0, 1], first, prices=known, hisso=HISSO)
    later = {"X": keep(X), "prices": prices}
    if labels_of(first).rows is not None:  # validation rows come later than those of training
        later = {key: moved(value) for key, value in later.items()}
    chosen = quick().fit(first, prices=known, validation_data=later, hisso=HISSO)
    judged = judge_policy(keep(WEIGHTS), prices, terms=Terms(**_DAILY))
    wealth = equity_curve(keep(WEIGHTS), prices)
    return {
        "policy": model.predict_actions(first),
        "outputs": model.predict(first),
        "reward": model.evaluate_reward(first, prices),
        "episodes": model.evaluate_episodes(first, prices),
        "actions": model.evaluate_reward(first, prices, actions=weights),
        "score": model.score(first, prices=prices),
        "seeds": seeds[1].predict_actions(first),
        "validated": chosen.best_value_,
        "targets": quick().fit(first, known).evaluate_loss(first, prices),
        "metrics": list(portfolio_metrics(keep(WEIGHTS), prices, **_DAILY).values()),
        "wealth": wealth,
        "judged": judged.judgement.net,
        "baselines": [each.net for each in judge_baselines(known, terms=Terms(**_DAILY)).values()],
        "past": [rule(known, fitted_on=known) for rule in (best_asset, bcrp)],
        "rules": [rule(known) for rule in BASELINES.values()],
    }


# What the dates of the frames say.
_DAILY: dict[str, Any] = {"periods_per_year": 365}


@cache
def plain_answers() -> Any:
    return answers(pl.DataFrame.to_numpy, pl.DataFrame.to_numpy)


@pytest.mark.parametrize(
    "kind", ["polars in another order", "arrow", *map(slow, [*KINDS][::3]), "pandas"]
)
def test_every_door_says_of_a_frame_what_it_says_of_its_numbers(kind: str) -> None:
    plain = plain_answers()
    order = dated if "another" in kind and "polars" in kind else KINDS[kind.split(" ")[0]]
    found = answers(KINDS[kind], order)
    for door, value in plain.items():
        np.testing.assert_allclose(found[door], value, rtol=1e-12, atol=1e-12, err_msg=door)


def test_dates_that_stand_in_a_column_are_no_feature_and_say_when_rows_were() -> None:
    for frame in (dated(X), dated(X).to_arrow()):
        assert date_column(frame) == "date"
        assert names_of(without_dates(frame)) == ("slow", "fast")
        assert_array_equal(numbers(frame, "X"), X.to_numpy())
        assert labels_of(frame).columns == ("slow", "fast")
        assert_array_equal(labels_of(frame).rows, np.array(DAYS, dtype="M8[us]"))
    model = quick().fit(dated(X), prices=dated(PRICES), hisso=HISSO)
    assert model.n_features_in_ == 2 and list(model.feature_names_in_) == ["slow", "fast"]
    assert model.asset_names_ == ("A", "B")
    # A single column is what was asked for; two of dates cannot both be the rows'.
    alone, two = dated(X).select("date"), dated(X).with_columns(end=pl.Series(DAYS))
    assert date_column(alone) is None and date_column(two) is None
    assert_array_equal(times(alone["date"], "time"), np.array(DAYS, dtype="M8[us]"))
    assert date_column(dated(X).to_pandas()) is None and date_column(np.ones(3)) is None


def test_rows_of_other_dates_are_refused_with_a_cure_that_works() -> None:
    for make in (pl.DataFrame.clone, pl.DataFrame.to_arrow):
        late = make(dated(PRICES)[1:])
        with pytest.raises(DataError, match=r"^prices must have the rows of X, 120 from 2020"):
            quick().fit(make(dated(X)), prices=late, hisso=HISSO)
    late = dated(PRICES)[1:]
    with pytest.raises(DataError, match=r"Keep the rows whose dates both have\. Where they"):
        quick().fit(dated(X), prices=late, hisso=HISSO)
    both = dated(X).join(late.select("date"), on="date")
    quick().fit(both, prices=late, hisso=HISSO)
    shifted = dated(PRICES).with_columns(pl.col("date").dt.offset_by("1d"))
    with pytest.raises(DataError, match="take out the column 'date'"):
        quick().fit(dated(X), prices=shifted, hisso=HISSO)
    quick().fit(dated(X), prices=shifted.drop("date"), hisso=HISSO)


def test_rows_out_of_order_are_refused_with_a_cure_that_works() -> None:
    late, prices = dated(X)[::-1], dated(PRICES)
    with pytest.raises(DataError, match="Sort it, by 'date', and drop what is there twice"):
        quick().fit(late, prices=prices, hisso=HISSO)
    quick().fit(late.sort("date"), prices=prices, hisso=HISSO)


def test_other_columns_are_refused_with_a_cure_that_works() -> None:
    model = quick().fit(dated(X), prices=dated(PRICES), hisso=HISSO)
    other = dated(PRICES).rename({"B": "C"})
    said = "prices must have the columns of fit: A, B; got A, C. .*, without dates: prices.to_nu"
    with pytest.raises(DataError, match=said):
        model.evaluate_reward(dated(X), other)
    plain = other.drop("date").to_numpy()
    assert model.evaluate_reward(dated(X), plain) == model.evaluate_reward(dated(X), PRICES)


def test_a_plan_without_values_is_refused_with_a_cure_that_works() -> None:
    for door in (
        lambda lazy: quick().fit(lazy, prices=PRICES, hisso=HISSO),
        lambda lazy: quick().fit(X, prices=lazy, hisso=HISSO),
        lambda lazy: portfolio_metrics(lazy, PRICES),
        lambda lazy: BASELINES["uniform"](lazy),
    ):
        with pytest.raises(ValueError, match=r"LazyFrame, which has none yet.* with \.collect\(\)"):
            door(WEIGHTS.lazy())
        door(WEIGHTS.lazy().collect())


def test_missing_values_and_odd_columns_of_polars_are_told_as_of_pandas() -> None:
    holed = pl.DataFrame({"a": [1, None], "b": [1.0, 2.0]})
    with pytest.raises(DataError, match=re.escape("got 1 missing (NaN) and 0 infinite of 4")):
        portfolio_metrics([[0.5, 0.5]] * 2, holed)
    whole = pl.DataFrame({"a": [1, 2]})
    for kind in (pl.Float32, pl.Decimal(10, 2), pl.Int8):
        assert numbers(whole.cast(kind), "X").tolist() == [[1.0], [2.0]]
    assert numbers(pl.Series([True, False]), "y").tolist() == [1.0, 0.0]
    with pytest.raises(DataError, match=r"\.astype\(float\)|Leave it out"):
        numbers(pl.DataFrame({"a": ["x", "y"]}).cast(pl.Categorical), "X")


def test_times_of_polars_are_days_where_they_are_midnights_of_their_zone() -> None:
    zone = ZoneInfo("Asia/Tokyo")
    of_zone = pl.Datetime("us", "Asia/Tokyo")
    days = [datetime.datetime(2020, 1, day, tzinfo=zone) for day in (1, 2)]
    nights = pl.Series(days, dtype=of_zone)
    assert times(nights, "time").astype("M8[D]").astype(str).tolist() == [
        "2020-01-01",
        "2020-01-02",
    ]
    noons = pl.Series([datetime.datetime(2020, 1, 1, 12, tzinfo=zone)], dtype=of_zone)
    assert times(noons, "time").astype(str).tolist() == ["2020-01-01T03:00:00.000000"]
    assert np.isnat(times(pl.Series(["2020-01-01", None]), "time")).tolist() == [False, True]


def test_what_looks_at_data_takes_polars_too() -> None:
    assert price_findings(PRICES) == price_findings(PRICES.to_numpy())
    doubled = dated(PRICES.with_columns(C=pl.col("A") * 2))
    assert [finding.name for finding in price_findings(doubled)] == ["copy"]
    later = dated(pl.DataFrame({"next": np.append(MOVES[1:, 0], 0.0), "none": X["slow"]}))
    assert [f.column for f in next_move_findings(later, dated(PRICES))] == [0]
    assert mean_test(X["slow"]) == mean_test(X["slow"].to_numpy())
    assert turnover(dated(WEIGHTS)) == turnover(WEIGHTS.to_numpy())
    assert growth_difference(
        equity_curve(WEIGHTS, PRICES), X["slow"].exp(), periods_per_year=252
    ) == growth_difference(
        equity_curve(WEIGHTS, PRICES), X["slow"].exp().to_numpy(), periods_per_year=252
    )
    assert read_prices(dated(PRICES)).assets == ("A", "B")


def polars_market() -> dict[str, Any]:
    """The market of the trials as frames of polars, later prices in another order."""
    data, first = {}, 0
    plain = market()
    for split in ("train", "val", "test"):
        n = len(plain[f"X_{split}"])
        days = pl.Series("day", [DAYS[0] + datetime.timedelta(days=first + k) for k in range(n)])
        first += n
        data[f"X_{split}"] = pl.DataFrame(plain[f"X_{split}"], schema=["f0", "f1", "f2"])
        prices = pl.DataFrame(plain[f"prices_{split}"], schema=["up", "down"]).with_columns(days)
        if split == "val":
            prices = prices.select("down", "day", "up").sort("day", descending=True)
        data[f"X_{split}"] = data[f"X_{split}"].with_columns(days)
        data[f"prices_{split}"] = prices
        data[f"y_{split}"] = pl.DataFrame(plain[f"y_{split}"], schema=["up", "down"])
    return data


def test_a_loader_may_return_polars_and_the_run_shows_its_dates_and_names(tmp_path: Path) -> None:
    run = metrics_of(finished(tmp_path, "data.loader=test_table_columns.polars_market"))
    plain = metrics_of(finished(tmp_path, name="plain"))
    assert run["judged"]["first"] == "2020-03-01" and run["judged"]["last"] == "2020-03-15"
    for figure in ("val_reward_mean", "train_loss", "portfolio_metrics"):
        assert run[figure] == plain[figure]


def test_what_has_no_types_of_columns_has_no_dates() -> None:
    class Look:
        columns = ("a", "b")

    assert date_column(Look()) is None and without_dates(PRICES) is PRICES
    assert names_of(pa.table({"a": [1]})) == ("a",) and names_of([1]) is None
