"""Data sets: what is in them, that nothing looks ahead, and that damage is noticed."""

import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psann import datasets
from psann.errors import DataError
from psann.market.feature_kinds import log_moves
from thinning import slow, thinned

SPLITS = ("train", "val", "test")
REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements-data.txt"


def _installed(source):
    try:
        source.read()
    except DataError:
        return False
    return True


needs_sp500 = pytest.mark.skipif(not _installed(datasets._SP500_20), reason="skfolio is absent")
needs_french = pytest.mark.skipif(
    not _installed(datasets._FRENCH_12), reason="linearmodels is absent"
)
needs_olps = pytest.mark.skipif(
    not _installed(datasets._OLPS["djia"]), reason="universal-portfolios is absent"
)

SETS = [
    pytest.param(cache(datasets.load_sp500_20), id="sp500_20", marks=needs_sp500),
    pytest.param(cache(datasets.load_french_12), id="french_12", marks=needs_french),
    pytest.param(cache(datasets.make_planted_signal), id="planted_signal", marks=needs_sp500),
    *(
        pytest.param(lambda name=name: datasets.load_olps(name), id=name, marks=needs_olps)
        for name in ("djia", "msci", "sp500")
    ),
    pytest.param(datasets.make_smoke_market, id="smoke_market"),
]


def _whole(data, key):
    return np.concatenate([data[f"{key}_{split}"] for split in SPLITS])


@pytest.mark.parametrize("load", [*SETS, pytest.param(datasets.make_toy_hisso, id="toy")])
def test_every_set_has_finite_float64_arrays_of_equal_rows_and_rising_time(load):
    data = dict(load())
    names = data.pop("asset_names", None)
    assert names is None or names.shape == data["prices_test"].shape[1:]
    assert set(data) == {f"{key}_{s}" for key in ("X", "y", "prices", "time") for s in SPLITS}
    for split in SPLITS:
        rows = {len(data[f"{key}_{split}"]) for key in ("X", "y", "prices", "time")}
        assert len(rows) == 1
        assert data[f"y_{split}"].shape == data[f"prices_{split}"].shape
        assert (data[f"prices_{split}"] > 0).all()
    assert all(np.isfinite(a).all() for a in data.values())
    time = _whole(data, "time")
    assert {a.dtype for a in data.values()} == {np.dtype(np.float64), time.dtype}
    assert (time[1:] > time[:-1]).all()


@pytest.mark.parametrize("load", SETS)
def test_targets_are_the_returns_earned_inside_the_split(load):
    data = load()
    for split in SPLITS:
        prices, y = data[f"prices_{split}"], data[f"y_{split}"]
        np.testing.assert_allclose(y[:-1], prices[1:] / prices[:-1] - 1, rtol=0, atol=1e-15)
        assert (y[-1] == 0).all()


@needs_sp500
def test_sp500_20_has_the_dates_and_prices_of_the_file():
    data = datasets.load_sp500_20()
    assert len(_whole(data, "time")) == 8313 - 20
    assert data["asset_names"].tolist()[::19] == ["AAPL", "XOM"]
    last = data["time_test"][-1]
    assert last == np.datetime64("2022-12-28")
    # The 21st trading day of 1990 is the first row with a history of 20 rows.
    assert data["time_train"][0] == np.datetime64("1990-01-30")
    assert data["X_train"].shape == (4967, 120)
    assert [len(data[f"X_{s}"]) for s in SPLITS] == [int(0.6 * 8312) - 20, 1662, 1664]


@needs_french
def test_french_12_begins_at_one_and_holds_the_first_month():
    everything = datasets.load_french_12()
    # 819 months and the row before them; the first 20 rows are history.
    assert len(_whole(everything, "time")) == 820 - 20
    assert everything["asset_names"].tolist()[::11] == ["NoDur", "Other"]
    first = everything["time_train"][0]
    last = everything["time_test"][-1]
    assert (first, last) == (np.datetime64("1950-08-01"), np.datetime64("2017-03-01"))
    # NoDur, Money and Other in March 2017, as the file has them.
    assert everything["y_test"][-2, [0, 10, 11]] == pytest.approx([0.0087, -0.0209, -0.0073])


# Final wealth of the best series, of buy and hold, and of the daily rebalanced uniform portfolio
# without costs: computed independently from the relatives that the toolbox of Li et al. uses.
@needs_olps
@pytest.mark.parametrize(
    ("name", "moves", "best", "hold", "uniform"),
    [
        ("nyse_o", 5651, 54.14036436157788, 14.49730827714065, 27.075246344639663),
        ("sp500", 1276, 3.7791818694194848, 1.341643865637007, 1.6487137386320978),
        ("msci", 1043, 1.5040225261464186, 0.9063524626897204, 0.9268363659560829),
    ],
)
def test_olps_prices_reproduce_the_published_wealth(name, moves, best, hold, uniform):
    prices = datasets.load_olps_prices(name)
    assert len(prices) == moves + 1
    assert (prices[0] == 1).all()
    assert prices[-1].max() == pytest.approx(best, rel=1e-12)
    assert prices[-1].mean() == pytest.approx(hold, rel=1e-12)
    growth = (prices[1:] / prices[:-1]).mean(axis=1)
    assert np.exp(np.log(growth).sum()) == pytest.approx(uniform, rel=1e-10)


@needs_olps
@pytest.mark.parametrize(
    ("name", "rows", "assets"),
    [slow(("nyse_n", 6432, 23)), slow(("tse", 1260, 88)), ("djia", 508, 30)],
)
def test_olps_sets_have_the_documented_size(name, rows, assets):
    data = datasets.load_olps(name)
    assert len(_whole(data, "time")) == rows - 20
    assert data["prices_test"].shape[1] == assets
    assert data["X_test"].shape[1] == 6 * assets


def _random_prices(seed, rows=120, assets=2):
    moves = 0.02 * np.random.default_rng(seed).standard_normal((rows, assets))
    return np.exp(np.cumsum(moves, axis=0))


def test_features_are_scaled_log_returns_over_the_six_horizons():
    prices = _random_prices(0)
    data = datasets._market(prices, np.arange(120.0), 0.6, 0.2, "default")
    # Training rows 20..70 (60 % of 119 moves is 71.4), by hand for asset 1 at the fourth.
    logs = np.log(prices)
    expected = [(logs[23, 1] - logs[23 - k, 1]) / k**0.5 for k in (1, 2, 3, 5, 10, 20)]
    everything = np.concatenate(
        [(logs[20:71] - logs[20 - k : 71 - k]) / k**0.5 for k in (1, 2, 3, 5, 10, 20)]
    )
    assert data["X_train"].shape == (51, 12)
    np.testing.assert_allclose(data["X_train"][3, 1::2], expected / everything.std(), rtol=1e-12)


def test_assetwise_features_are_those_of_each_asset_by_a_deviation_for_each_horizon():
    prices = _random_prices(0)
    data = datasets._market(prices, np.arange(120.0), 0.6, 0.2, "assetwise")
    assert data["X_train"].shape == (11, 2, 6)  # rows 60 to 70
    logs = np.log(prices)
    for place, k in enumerate((1, 2, 5, 10, 20, 60)):
        moves = (logs[60:71] - logs[60 - k : 71 - k]) / k**0.5
        expected = np.clip(moves / moves.std(), -4, 4)
        np.testing.assert_allclose(data["X_train"][:, :, place], expected, rtol=1e-9)
    for split in SPLITS:
        rows = data[f"prices_{split}"]
        assert data[f"X_{split}"].shape == (*rows.shape, 6)


@needs_olps
def test_every_real_market_has_assetwise_features_of_the_same_rows():
    data = datasets.load_olps("djia", features="assetwise")
    plain = datasets.load_olps("djia")
    assert data["X_test"].shape == (*plain["prices_test"].shape, 6)
    for key in ("y_test", "prices_test", "prices_val"):
        np.testing.assert_array_equal(data[key], plain[key])
    np.testing.assert_array_equal(data["prices_train"], plain["prices_train"][40:])


@given(seed=st.integers(0, 50), row=st.integers(71, 118))
@settings(max_examples=30, deadline=None)
def test_later_prices_never_change_earlier_features(seed, row):
    prices = _random_prices(seed)
    corrupted = prices.copy()
    corrupted[row + 1 :] *= np.random.default_rng(seed + 1).uniform(0.1, 10, (119 - row, 2))
    time = np.arange(120.0)
    for features, history in (("default", 20), ("assetwise", 60)):
        before, after = (
            _whole(datasets._market(p, time, 0.6, 0.2, features), "X") for p in (prices, corrupted)
        )
        seen = row + 1 - history
        assert np.array_equal(before[:seen], after[:seen])
        assert not np.array_equal(before[seen:], after[seen:])


@given(row=st.integers(20, 118))
@settings(max_examples=20, deadline=None)
def test_unscaled_features_use_their_own_and_earlier_rows_only(row):
    prices = _random_prices(3)
    corrupted = prices.copy()
    corrupted[row + 1 :] *= 3.0
    before, after = log_moves(prices), log_moves(corrupted)
    assert np.array_equal(before[: row + 1], after[: row + 1])
    assert (before[row + 1] != after[row + 1]).all()


def test_an_outlier_is_clipped_at_four():
    prices = _random_prices(1)
    prices[50:] *= 100.0
    assert datasets._market(prices, np.arange(120.0), 0.6, 0.2, "default")["X_train"].max() == 4.0


@needs_sp500
@pytest.mark.parametrize("rho", thinned([-0.5, 0.0, 0.3, 1.0], every=2))
def test_planted_features_correlate_with_next_returns_by_rho(rho):
    data = datasets.make_planted_signal(rho, seed=1)
    X = np.concatenate([data[f"X_{s}"][:-1] for s in SPLITS])
    y = np.concatenate([data[f"y_{s}"][:-1] for s in SPLITS])
    seen = [np.corrcoef(X[:, j], y[:, j])[0, 1] for j in range(20)]
    np.testing.assert_allclose(seen, rho, atol=4 / len(X) ** 0.5)


@needs_sp500
def test_planted_feature_of_a_last_row_knows_nothing_of_the_next_split():
    one, other = (datasets.make_planted_signal(1.0, seed=seed) for seed in (1, 2))
    for split in SPLITS:
        X, Z = one[f"X_{split}"], other[f"X_{split}"]
        assert np.array_equal(X[:-1], Z[:-1])  # rho = 1: no noise
        assert not (X[-1] == Z[-1]).any()  # nothing but noise


@pytest.mark.parametrize("strength", [0.0, 0.3, -0.8])
def test_smoke_market_moves_follow_the_signal_by_strength(strength):
    data = datasets.make_smoke_market(6000, assets=2, strength=strength, seed=5)
    X, prices = data["X_train"], data["prices_train"]
    moves = np.diff(np.log(prices), axis=0) / 0.01
    for j in range(2):
        seen = np.corrcoef(X[:-1, j], moves[:, j])[0, 1]
        assert seen == pytest.approx(strength, abs=0.07)
    np.testing.assert_allclose(X[1:, 2:], moves, atol=1e-9)


def test_toy_data_follow_their_definition():
    data = datasets.make_toy_hisso(steps=50, features=2, seed=3)
    generator = np.random.default_rng(3)
    noise = generator.standard_normal((50, 2))
    t = np.linspace(0, 4 * np.pi, 50)
    X = np.column_stack([np.sin(t), np.sin(2 * t)]) + 0.05 * noise
    y = X @ generator.uniform(-0.5, 0.5, (2, 3))
    np.testing.assert_allclose(_whole(data, "X"), X, atol=1e-15)
    np.testing.assert_allclose(_whole(data, "y"), y, atol=1e-15)
    assert [len(data[f"X_{s}"]) for s in SPLITS] == [30, 10, 10]
    np.testing.assert_allclose(data["prices_val"], np.cumsum(np.abs(y[30:40]) + 1, axis=0))


def test_short_toy_data_keep_eight_training_and_four_validation_rows():
    data = datasets.make_toy_hisso(steps=13)
    assert [len(data[f"X_{s}"]) for s in SPLITS] == [8, 4, 1]


@pytest.mark.parametrize("make", [datasets.make_toy_hisso, datasets.make_smoke_market])
def test_a_seed_decides_everything(make):
    one, same, other = make(seed=4), make(seed=4), make(seed=5)
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one["X_train"], other["X_train"])


def test_fractions_move_the_borders():
    # 0.7 + 0.1 of 20 moves is 15.999999999999998 in floating point.
    data = datasets.make_smoke_market(21, train_fraction=0.7, val_fraction=0.1)
    assert [len(data[f"X_{s}"]) for s in SPLITS] == [14, 2, 5]


@pytest.mark.parametrize(
    ("call", "fragment"),
    [
        (
            lambda: datasets._market(_random_prices(0), np.arange(120.0), 0.6, 0.2, "shared"),
            "features must be one of default, assetwise; got 'shared'",
        ),
        (lambda: datasets.load_olps("nyse"), "name must be one of djia, msci"),
        (lambda: datasets.make_planted_signal(1.5), "rho must be a correlation"),
        (lambda: datasets.make_planted_signal(float("nan")), "got nan"),
        (lambda: datasets.make_planted_signal(seed=-1), "seed must be a whole number"),
        (lambda: datasets.make_smoke_market(strength=2), "strength must be a correlation"),
        (lambda: datasets.make_smoke_market(assets=0), "assets must be a whole number"),
        (lambda: datasets.make_smoke_market(6), "validation|val split must have at least 2 rows"),
        (lambda: datasets.make_smoke_market(train_fraction=0.8), "train_fraction \\+ val_fraction"),
        (lambda: datasets.make_smoke_market(val_fraction=0.0), "val_fraction must be more than 0"),
        (lambda: datasets.make_toy_hisso(steps=12), "steps must leave rows for test"),
        (lambda: datasets.make_toy_hisso(features=0), "features must be a whole number"),
        (lambda: datasets.make_toy_hisso(train_fraction=1.0), "train_fraction must be more than"),
        (
            lambda: datasets._market(_random_prices(0, 30), np.arange(30.0), 0.6, 0.2, "default"),
            "the first 20 of which are history, leave 0",
        ),
    ],
)
def test_bad_arguments_are_refused_with_the_range(call, fragment):
    with pytest.raises(DataError, match=fragment):
        call()


def test_both_bad_fractions_are_reported_at_once():
    with pytest.raises(DataError) as caught:
        datasets.make_smoke_market(train_fraction=-1, val_fraction=2)
    assert len(caught.value.problems) == 2


def test_an_absent_package_is_named_with_the_command_that_installs_it():
    absent = datasets._Source("nothing==1.0", "no_such_package_here", "data/x.csv", "00")
    with pytest.raises(DataError, match=r"pip install --no-deps nothing==1\.0"):
        absent.read()


def test_a_file_that_differs_from_the_tested_one_is_refused():
    changed = datasets._Source("psann==0", "psann", "py.typed", "00" * 32)
    with pytest.raises(DataError, match=r"must have the SHA-256 0000.*got e3b0c442"):
        changed.read()


def test_every_source_is_pinned_in_the_requirements_file():
    pinned = {line for line in REQUIREMENTS.read_text().splitlines() if "==" in line}
    sources = [datasets._SP500_20, datasets._FRENCH_12, *datasets._OLPS.values()]
    assert {source.requirement for source in sources} == pinned


@needs_sp500
@needs_french
@needs_olps
def test_loading_imports_neither_torch_nor_the_packages_that_carry_the_files():
    code = (
        "import sys; from psann import datasets as d; d.load_sp500_20(); d.load_french_12();"
        "d.load_olps('djia');"
        "print({'torch', 'pandas', 'skfolio', 'universal', 'linearmodels'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("value", ["300", 2.5, None, True, [3], 10**12, -1])
@pytest.mark.parametrize(
    ("make", "name"),
    [(datasets.make_smoke_market, "assets"), (datasets.make_toy_hisso, "features")],
)
def test_arguments_of_another_type_are_refused_in_words(
    make: Callable[..., object], name: str, value: object
) -> None:
    with pytest.raises(DataError, match=f"{name} must be a whole number from"):
        make(**{name: value})


@pytest.mark.parametrize("value", ["0.6", None, True, 0.0, 1.0, float("nan")])
def test_fractions_of_another_type_are_refused_in_words(value: object) -> None:
    with pytest.raises(DataError, match="train_fraction must be more than 0 and less"):
        datasets.make_smoke_market(train_fraction=value)
