"""What was understood of a table, in a few lines, and a config to start from."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from psann._inputs import show
from psann._rates import rows_per_year
from psann.errors import listed
from psann.market.feature_kinds import ASSETWISE_HORIZONS
from psann.market.findings import paste
from psann.market.panel import PriceTable

# Shares of the rows that have features before validation and before test.
_BORDERS = (0.6, 0.8)
# Rows beyond those that features look back, so that each split has a move to judge.
_FEWEST_ROWS = 15
_USUAL_RATES = (252.0, 365.25, 52.18, 12.0, 4.0, 1.0)

_CONFIG = """\
# Your own prices: {source}. {rows} rows of {n_assets}, {first} to {last}.
# The recipe is that of docs/recipes.md; docs/own_prices.md tells what the keys of data mean.
mode: train

estimator:
  target: psann.AssetwiseRegressor
  params:
    hidden_layers: 0            # a linear score of six weights, the same for every asset
    weight_decay: 0.0001

hisso:
  window: {window}
  batch_episodes: 32
  updates_per_epoch: 480
  reward: portfolio             # mean log growth, less transition_penalty per unit traded
  primary_transform: {transform:<11} # long only, {rest}
  delay: 1                      # decided on one row, executed on the next
  transition_penalty: 0.001     # trained at the cost at which it is judged
  min_significance: auto        # kept only if validation rows say so beyond chance (5 %)
  refit: true                   # on training and validation rows, once it is to be kept

data:
  prices: {source}
  split: {split}
  features: assetwise           # moves of each asset over 1, 2, 5, 10, 20 and 60 rows
{block}
training:
  epochs: 1
  lr: 0.005

evaluation:
  portfolio_prices_key: prices_test
  trans_cost: 0.001             # 10 bp per unit traded
  initial: cash                 # the first purchase is charged too
  periods_per_year: {rate:g}

seed: 42
"""


def describe(table: PriceTable) -> str:
    """Say in a few lines what was understood of a table, and the block that says it all.

    Parameters
    ----------
    table : PriceTable

    Returns
    -------
    str
        Layout, dates, assets, holes and every note, then the options as YAML.
    """
    known = np.isfinite(table.prices)
    field = table.options.get("price")
    lines = [
        f"layout   {table.layout}",
        f"rows     {len(table.dates):,}, {show(table.dates[0])} to {show(table.dates[-1])}",
        f"prices   {f'field {field}' if field else 'one number for each asset'}",
        f"assets   {len(table.assets):,}: {listed(table.assets)}",
        f"holes    {int((~known).sum()):,} of {known.size:,} cells without a price",
    ]
    notes = [f"- {note}" for note in table.notes]
    block = _block_of(table.options, indent=0)
    return "\n".join([*lines, *notes, "", *block]) + "\n"


def shortage(table: PriceTable) -> str | None:
    """Say why no config of the recipe can train on a table: None where one can."""
    history, n_rows = max(ASSETWISE_HORIZONS), len(table.dates)
    if n_rows >= history + _FEWEST_ROWS:
        return None
    return (
        f"the recipe must have at least {history + _FEWEST_ROWS} rows, since its features look "
        f"back {history}; got {n_rows}. Give a longer table."
    )


def starter_config(table: PriceTable, source: str) -> str:
    """Write a config that trains on a table, to be changed to taste.

    Parameters
    ----------
    table : PriceTable
    source : str
        Path of the table as the config shall name it: absolute, or relative to the config.

    Returns
    -------
    str
        YAML; validation and test begin after 60 and 80 % of the rows that have features, at the
        first row of a month where one is near.
    """
    n_rows, n_assets = table.prices.shape
    borders = [_border(table, share) for share in _BORDERS]
    ended = np.isnan(table.prices[-1])
    extra: dict[str, object] = {"ended": {"default": -0.3}} if ended.any() else {}
    return _CONFIG.format(
        source=_quoted(source),
        rows=f"{n_rows:,}",
        n_assets=f"{n_assets:,} asset{'s' if n_assets > 1 else ''}",
        first=show(table.dates[0]),
        last=show(table.dates[-1]),
        # Of one asset nothing can be chosen but how much of it.
        transform="softmax" if n_assets > 1 else "softmax_cash",
        rest="fully invested" if n_assets > 1 else "the rest in cash",
        window=int(np.clip((n_rows - _history(table)) // 10, 2, 64)),
        split="{" + f"val: {borders[0]}, test: {borders[1]}" + "}",
        block="".join(f"{line}\n" for line in _block_of({**table.options, **extra}, indent=2)),
        rate=_rate(table),
    )


def _block_of(options: Mapping[str, object], *, indent: int) -> list[str]:
    return [f"{' ' * indent}{paste({key: value})}" for key, value in options.items()]


def _quoted(source: str) -> str:
    return paste({"": source}).partition(": ")[2] if source else source


def _border(table: PriceTable, share: float) -> str:
    """Find the first row of a split: of a month, where that moves it by less than 2 % of all."""
    dates = table.dates
    row = _history(table) + int(share * (len(dates) - 1 - _history(table)))
    months = dates.astype("datetime64[M]")
    firsts = np.flatnonzero(months[1:] != months[:-1]) + 1
    if len(firsts):
        near = int(firsts[np.abs(firsts - row).argmin()])
        row = near if abs(near - row) < 0.02 * len(dates) else row
    return show(dates[row])


def _history(table: PriceTable) -> int:
    """Rows that have no features yet."""
    return min(max(ASSETWISE_HORIZONS), len(table.dates) - 2)


def _rate(table: PriceTable) -> float:
    """Rows per year, as the usual number where that is within 10 %."""
    rate = rows_per_year(table.dates) or 252.0
    usual = min(_USUAL_RATES, key=lambda number: abs(number / rate - 1.0))
    return usual if abs(usual / rate - 1.0) < 0.1 else round(rate, 1)
