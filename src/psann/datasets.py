"""Price series and generated data sets, cut into training, validation and test rows.

Every function returns a dict of arrays `X_* y_* prices_* time_*` for `train`, `val` and `test`,
ready for `fit` and for `data.loader` in a config; times are dates where there are dates, and where
the columns have names, they are `asset_names`. The rules are those of `psann.market.cutting`.

The real series are read from files that other packages install. Those packages are located but
never imported, and a file whose SHA-256 differs from the tested one is refused.
"""

from __future__ import annotations

import bz2
import gzip
import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from psann._digest import sha256_of
from psann._typing import Array, Floats, is_number
from psann.errors import DataError
from psann.market.cutting import assemble, spans
from psann.market.feature_kinds import ASSETWISE_HORIZONS, HORIZONS, log_moves
from psann.market.features import assetwise_moves, scaled

Names = NDArray[np.str_]
Data = dict[str, Array]
Moves = Literal["default", "assetwise"]


@dataclass(frozen=True)
class _Source:
    """A data file inside an installed package."""

    requirement: str
    package: str
    path: str
    sha256: str

    def read(self) -> bytes:
        """Return the verified content; raise `DataError` when absent or different."""
        install = f"Install it with: pip install --no-deps {self.requirement}"
        # The top-level name only: find_spec of a dotted name would import the parent package.
        spec = find_spec(self.package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        file = next((p for p in (Path(f, self.path) for f in folders) if p.is_file()), None)
        if file is None:
            raise DataError(
                f"The data file {self.package}/{self.path} of {self.requirement} must be "
                f"installed; it was not found. {install}"
            )
        content = file.read_bytes()
        digest = sha256_of(content)
        if digest != self.sha256:
            raise DataError(
                f"{file} must have the SHA-256 {self.sha256}, that of {self.requirement}; "
                f"got {digest}. {install}"
            )
        return content


_SP500_20 = _Source(
    "skfolio==1.12.2",
    "skfolio",
    "datasets/data/sp500_dataset.csv.gz",
    "ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d",
)
_FRENCH_12 = _Source(
    "linearmodels==7.1",
    "linearmodels",
    "datasets/french/french.csv.bz2",
    "fab6482f4f011a2fcec2fd087d740eef3c5bcc24a39459569a4224516fca1b6e",
)
_OLPS = {
    name: _Source("universal-portfolios==0.4.17", "universal", f"data/{name}.csv", sha256)
    for name, sha256 in {
        "djia": "c31b8dddb98863a3d1a1e7706767d75dc1e048eb86c0de5bd4dfb9cec9180a5c",
        "msci": "6bb6274267d54d5613d839423029133f1cb885a721824ce7a79c382ef91f844c",
        "nyse_n": "5d93272c7571f85a4285dd805c78729091f7d123d918b4a9af0ba778f2d13e62",
        "nyse_o": "b2f26e2ce08d12871b631f02c0990637ab7bde02c2a90f4f804b0dd24cb6820d",
        "sp500": "f58a9749352a2cf79150b82986da994e6b58a24abc113ee8437109ccc2d4247a",
        "tse": "07bb28c765ec7a156fbbe3003c4b02267aa55a7f20a3d0424c487cd79f277d34",
    }.items()
}
_FRENCH_INDUSTRIES = slice(6, 18)  # NoDur .. Other; before them date and five factors


def load_sp500_20(
    *, train_fraction: float = 0.6, val_fraction: float = 0.2, features: Moves = "default"
) -> Data:
    """Load 20 large US stocks, daily closing prices from 1990-01-02 to 2022-12-28.

    Parameters
    ----------
    train_fraction, val_fraction : float
        Shares of the 8312 daily moves for training and validation, in (0, 1); test has the rest.
    features : {"default", "assetwise"}
        Of which shape and horizons X is; see Notes.

    Returns
    -------
    dict of str to ndarray
        `X_* (n, 120)` features (see Notes), `y_* (n, 20)` next simple returns, `prices_* (n, 20)`
        in US dollars, `time_* (n,)` dates, `asset_names (20,)`.

    Raises
    ------
    DataError
        If skfolio's file is absent or differs, or a fraction leaves a split too short.

    Notes
    -----
    Survivorship: the 20 are companies that were large and alive in 2022, so every long-only
    rule looks better here than it would have been in 1990.

    Features are the log returns over the last k = 1, 2, 3, 5, 10, 20 rows divided by sqrt(k), by
    one pooled standard deviation of the training rows, clipped to [-4, 4]; 20 columns for each k.
    The standard deviation is the only number that rows share. With ``features="assetwise"`` X has
    the shape ``(n, M, K)`` of `psann.AssetwiseRegressor`: K = 6 log returns of each asset, over 1,
    2, 5, 10, 20 and 60 rows, each of the K by its own deviation over all assets.

    References
    ----------
    skfolio, BSD-3-Clause. https://github.com/skfolio/skfolio
    """
    names, dates, prices = _dated_rows(gzip.decompress(_SP500_20.read()), slice(1, None))
    data = _market(prices, dates, train_fraction, val_fraction, features)
    return data | {"asset_names": names}


def load_olps(
    name: str,
    *,
    train_fraction: float = 0.6,
    val_fraction: float = 0.2,
    features: Moves = "default",
) -> Data:
    """Load a data set of the online portfolio selection literature, daily relative prices.

    Parameters
    ----------
    name : str
        `nyse_o` (5651 moves of 36 stocks, 1962-1984), `nyse_n` (6431 of 23, 1985-2010), `tse`
        (1259 of 88, 1994-1998), `sp500` (1276 of 25, 1998-2003), `msci` (1043 of 24 country
        indices, 2006-2010) or `djia` (507 of 30, 2001-2003).
    train_fraction, val_fraction : float
        Shares of the moves for training and validation, in (0, 1); test has the rest.
    features : {"default", "assetwise"}
        As for `load_sp500_20`.

    Returns
    -------
    dict of str to ndarray
        `X_* (n, 6 M)` features as in `load_sp500_20`, `y_* (n, M)` next simple returns,
        `prices_* (n, M)` with 1.0 as each series' first price, `time_* (n,)` row numbers.

    Raises
    ------
    DataError
        If the name is unknown, the file of universal-portfolios is absent or differs, or a
        fraction leaves a split too short.

    Notes
    -----
    The files hold cumulative products that begin *after* the first move; a row of ones is put
    before them, so that no move is lost. Survivors throughout: the NYSE sets are stocks that
    were traded for the whole span. The known gains on them come largely from prices that
    bounce between bid and ask, and vanish when trades are executed one day later.

    References
    ----------
    Li, Sahoo, Hoi (2016), OLPS: A Toolbox for On-Line Portfolio Selection, JMLR 17.
    https://jmlr.org/papers/v17/15-317.html
    """
    prices = load_olps_prices(name)
    return _market(prices, _row_numbers(len(prices)), train_fraction, val_fraction, features)


def load_olps_prices(name: str) -> Floats:
    """Load the whole price series of a set of `load_olps`, for figures like the literature's.

    Parameters
    ----------
    name : str
        As for `load_olps`.

    Returns
    -------
    ndarray of shape (T, M)
        Prices; the first row is ones.

    Raises
    ------
    DataError
        If the name is unknown, or the file of universal-portfolios is absent or differs.
    """
    if not isinstance(name, str) or name not in _OLPS:
        raise DataError(f"name must be one of {', '.join(_OLPS)}; got {name!r}.")
    # Split as bytes: tse's header has characters at which str.splitlines would break the line.
    rows = [line.decode("ascii").split(",") for line in _OLPS[name].read().splitlines()[1:]]
    growth = np.array(rows, dtype=np.float64)
    return np.vstack([np.ones(growth.shape[1]), growth])


def load_french_12(
    *, train_fraction: float = 0.6, val_fraction: float = 0.2, features: Moves = "default"
) -> Data:
    """Load 12 US industry portfolios, monthly from 1949-01 to 2017-03.

    Parameters
    ----------
    train_fraction, val_fraction : float
        Shares of the 819 monthly moves for training and validation, in (0, 1); test has the rest.
    features : {"default", "assetwise"}
        As for `load_sp500_20`.

    Returns
    -------
    dict of str to ndarray
        `X_* (n, 72)` features as in `load_sp500_20`, `y_* (n, 12)` next simple returns,
        `prices_* (n, 12)` value of 1.0 invested at the end of 1948, `time_* (n,)` first day of
        the month (a row is known at the *end* of its month),
        `asset_names (12,)`.

    Raises
    ------
    DataError
        If linearmodels' file is absent or differs, or a fraction leaves a split too short.

    Notes
    -----
    Free of survivorship: each portfolio holds every listed firm of its industry at the time.

    References
    ----------
    Kenneth R. French's data library, by way of linearmodels (NCSA).
    https://mba.tuck.dartmouth.edu/pages/faculty/ken.french/data_library.html
    """
    names, days, returns = _dated_rows(bz2.decompress(_FRENCH_12.read()), _FRENCH_INDUSTRIES)
    growth = np.vstack([np.ones(returns.shape[1]), 1.0 + returns])
    prices = np.cumprod(growth, axis=0, dtype=np.float64)
    time = np.concatenate([np.array(["1948-12-01"], dtype="datetime64[D]"), days])
    data = _market(prices, time, train_fraction, val_fraction, features)
    return data | {"asset_names": names}


def make_planted_signal(
    rho: float = 1.0, *, seed: int = 0, train_fraction: float = 0.6, val_fraction: float = 0.2
) -> Data:
    """Make features that foretell the next moves of the 20 S&P series with a known correlation.

    `X[t] = rho * z[t + 1] + sqrt(1 - rho**2) * noise[t]`, where `z[t + 1]` is the simple return
    from row `t` to `t + 1`, standardised per series over all rows.

    Parameters
    ----------
    rho : float
        Correlation of feature and next return, in [-1, 1]. 1 is perfect foresight: how much of
        it a policy recovers measures the training. 0 is pure noise: the right answer is 1/N.
    seed : int
        Seed of the noise, at least 0.
    train_fraction, val_fraction : float
        Shares of the 8312 moves for training and validation, in (0, 1); test has the rest.

    Returns
    -------
    dict of str to ndarray
        `X_* (n, 20)` planted features, and `y_* prices_* time_* asset_names` as in
        `load_sp500_20`, but from the first row on: these features need no history.

    Raises
    ------
    DataError
        If rho or seed is out of range, skfolio's file is absent or differs, or a fraction leaves
        a split too short.

    Notes
    -----
    By design the feature of row `t` uses the price of row `t + 1`: no result on this data says
    anything about a market. The last row of a split has no next row inside the split; its
    feature is standard normal noise, and its action earns nothing.
    """
    _check_number("rho", rho, lowest=-1, highest=1, what="a correlation from -1 to 1")
    generator = _generator(seed)
    names, dates, prices = _dated_rows(gzip.decompress(_SP500_20.read()), slice(1, None))
    first, second = _borders(len(prices), train_fraction, val_fraction)
    returns = prices[1:] / prices[:-1] - 1.0
    z = (returns - returns.mean(axis=0)) / returns.std(axis=0)
    X = generator.standard_normal(prices.shape)
    foretold = np.delete(np.arange(len(returns)), [first - 1, second - 1])
    X[foretold] = rho * z[foretold] + math.sqrt(1.0 - rho**2) * X[foretold]
    return assemble(X, prices, dates, (0, first, second)) | {"asset_names": names}


def make_smoke_market(
    rows: int = 400,
    *,
    assets: int = 3,
    seed: int = 0,
    strength: float = 0.3,
    train_fraction: float = 0.6,
    val_fraction: float = 0.2,
) -> Data:
    """Make a small market whose moves follow a visible signal a little: for trials and tests.

    The log move from row `t` to `t + 1` is 0.01 times a standard normal number that correlates
    with the signal of row `t` by `strength`; the noise is independent over rows and assets.

    Parameters
    ----------
    rows : int
        Rows of all splits together.
    assets : int
        Series, M, at least 1.
    seed : int
        Seed of everything, at least 0.
    strength : float
        Correlation of signal and next log move, in [-1, 1].
    train_fraction, val_fraction : float
        Shares of the `rows - 1` moves for training and validation, in (0, 1); test has the rest.

    Returns
    -------
    dict of str to ndarray
        `X_* (n, 2 M)`: the signals, then the log moves into the row divided by 0.01;
        `y_* (n, M)` next simple returns; `prices_* (n, M)` near 100; `time_* (n,)` row numbers.

    Raises
    ------
    DataError
        If an argument is out of range or a fraction leaves a split too short.

    Examples
    --------
    >>> data = make_smoke_market(100, assets=2)
    >>> data["X_train"].shape, data["y_val"].shape, data["prices_test"].shape
    ((59, 4), (20, 2), (21, 2))
    """
    _check_count("assets", assets)
    _check_count("rows", rows)
    _check_number("strength", strength, lowest=-1, highest=1, what="a correlation from -1 to 1")
    generator = _generator(seed)
    borders = _borders(rows, train_fraction, val_fraction)
    # One row more than asked for, so that the first row kept has a move into it too.
    signal = generator.standard_normal((rows + 1, assets))
    noise = generator.standard_normal((rows + 1, assets))
    moves = 0.01 * (strength * signal + math.sqrt(1.0 - strength**2) * noise)
    prices = 100.0 * np.exp(np.cumsum(moves[:-1], axis=0))
    X = np.hstack([signal[1:], moves[:-1] / 0.01])
    return assemble(X, prices, _row_numbers(rows), (0, *borders))


def make_toy_hisso(
    *,
    steps: int = 192,
    features: int = 4,
    seed: int = 0,
    train_fraction: float = 0.6,
    val_fraction: float = 0.2,
) -> Data:
    """Make noisy harmonics with three linear targets, the toy data of psann 0.12's configs.

    `X[:, k] = sin((k + 1) t) + 0.05 N(0, 1)` with `t = linspace(0, 4 pi, steps)`; `y = X W`,
    `W ~ U(-0.5, 0.5)`; the prices of a split are the sum over its rows so far of `|y| + 1`.

    Parameters
    ----------
    steps : int
        Rows of all splits together, at least 13.
    features : int
        Columns of X, at least 1.
    seed : int
        Seed of noise and weights, at least 0.
    train_fraction, val_fraction : float
        Shares of the rows for training (at least 8 rows) and validation (at least 4), in (0, 1).

    Returns
    -------
    dict of str to ndarray
        `X_* (n, features)`, `y_* (n, 3)`, `prices_* (n, 3)`, `time_* (n,)` row numbers.

    Raises
    ------
    DataError
        If an argument is out of range or leaves no row for test.

    Notes
    -----
    Unlike everywhere else in this module, `y` belongs to its own row and is no return. The
    prices only rise: they serve to see that things run, not to judge a policy.

    Examples
    --------
    >>> data = make_toy_hisso()
    >>> [len(data[f"X_{split}"]) for split in ("train", "val", "test")]
    [115, 38, 39]
    """
    _check_fractions(train_fraction, val_fraction)
    _check_count("steps", steps)
    _check_count("features", features)
    n_train = max(8, int(steps * train_fraction))
    n_val = max(4, int(steps * val_fraction))
    if steps <= n_train + n_val:
        raise DataError(
            f"steps must leave rows for test after {n_train} for training and {n_val} for "
            f"validation, at least 8 and 4; got {steps!r}. Raise steps."
        )
    generator = _generator(seed)
    t = np.linspace(0.0, 4.0 * np.pi, steps)
    X = np.sin(np.outer(t, np.arange(1, features + 1)))
    X += 0.05 * generator.standard_normal(X.shape)
    y = X @ generator.uniform(-0.5, 0.5, (features, 3))
    data = {}
    for split, rows in spans(steps, (0, n_train, n_train + n_val)).items():
        data[f"X_{split}"] = X[rows]
        data[f"y_{split}"] = y[rows]
        data[f"prices_{split}"] = np.cumsum(np.abs(y[rows]) + 1.0, axis=0)
        data[f"time_{split}"] = _row_numbers(steps)[rows]
    return data


def _dated_rows(content: bytes, columns: slice) -> tuple[Names, Array, Floats]:
    """Read a CSV whose first column is a date: names `(M,)`, dates `(n,)`, values."""
    head, *rows = [line.split(",") for line in content.decode("ascii").splitlines()]
    days = np.array([row[0] for row in rows], dtype="datetime64[D]")
    return np.array(head[columns]), days, np.array([row[columns] for row in rows], dtype=np.float64)


def _row_numbers(n_rows: int) -> Floats:
    return np.arange(n_rows, dtype=np.float64)


def _generator(seed: int) -> np.random.Generator:
    _check_count("seed", seed, lowest=0, highest=2**63)
    return np.random.default_rng(seed)


def _check_count(name: str, value: object, *, lowest: int = 1, highest: int = 10**7) -> None:
    what = f"a whole number from {lowest} to {highest}"
    if isinstance(value, float):
        raise DataError(f"{name} must be {what}; got {value!r}.")
    _check_number(name, value, lowest=lowest, highest=highest, what=what)


def _check_number(name: str, value: object, *, lowest: float, highest: float, what: str) -> None:
    # A configuration may hold anything where a number should be; a comparison would be a riddle.
    if not (is_number(value) or isinstance(value, np.number)) or not lowest <= value <= highest:
        raise DataError(f"{name} must be {what}; got {value!r}.")


def _check_fractions(train_fraction: float, val_fraction: float) -> None:
    problems: list[str] = []
    for name, value in (("train_fraction", train_fraction), ("val_fraction", val_fraction)):
        try:
            what = "more than 0 and less than 1"
            _check_number(name, value, lowest=1e-9, highest=1 - 1e-9, what=what)
        except DataError as error:
            problems += error.problems
    if not problems and train_fraction + val_fraction >= 1.0:
        problems = [
            "train_fraction + val_fraction must be less than 1, so that rows are left for test; "
            f"got {train_fraction!r} + {val_fraction!r}."
        ]
    if problems:
        raise DataError(problems)


def _borders(
    n_rows: int, train_fraction: float, val_fraction: float, *, first: int = 0
) -> tuple[int, int]:
    """Find the first rows of validation and test, when training starts at row `first`.

    The fractions are of the moves (one fewer than rows), the unit in which results are counted.
    """
    _check_fractions(train_fraction, val_fraction)
    # The tiny addition keeps 0.7 + 0.1 of 10 moves from becoming 7.
    val = int(train_fraction * (n_rows - 1) + 1e-9)
    test = int((train_fraction + val_fraction) * (n_rows - 1) + 1e-9)
    lengths = {"train": val - first, "val": test - val, "test": n_rows - test}
    problems = [
        f"The {split} split must have at least 2 rows; the fractions {train_fraction!r} and "
        f"{val_fraction!r} of {n_rows} rows, the first {first} of which are history, leave "
        f"{max(length, 0)}."
        for split, length in lengths.items()
        if length < 2
    ]
    if problems:
        raise DataError(problems)
    return val, test


def _market(
    prices: Floats, time: Array, train_fraction: float, val_fraction: float, features: Moves
) -> Data:
    """Make the data set of a price series, with the features that `load_sp500_20` describes."""
    if not isinstance(features, str) or features not in get_args(Moves):
        raise DataError(f"features must be one of {', '.join(get_args(Moves))}; got {features!r}.")
    by_asset = features == "assetwise"
    first = max(ASSETWISE_HORIZONS if by_asset else HORIZONS)
    val, test = _borders(len(prices), train_fraction, val_fraction, first=first)
    rows = slice(first, val)
    X = assetwise_moves(prices, rows) if by_asset else scaled(log_moves(prices), rows)
    return assemble(X, prices, time, (first, val, test))
