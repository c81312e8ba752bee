"""The picture of a table: what is drawn, for few assets and for many."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from made_panels import table_of, walks
from psann.errors import DataError
from psann.market.drawing import draw
from psann.market.panel import PriceTable

HOLEY = walks(60, 3)
HOLEY[:10, 1] = np.nan
HOLEY[20:25, 2] = np.nan


def test_prices_are_drawn_over_their_first_on_a_log_scale() -> None:
    above, _ = draw(table_of(HOLEY)).axes
    assert above.get_yscale() == "log"
    lines = [np.asarray(line.get_ydata()) for line in above.get_lines()]
    np.testing.assert_allclose(lines[1], HOLEY[:, 1] / HOLEY[10, 1])
    assert [text.get_text() for text in above.get_legend().get_texts()] == ["A", "B", "C"]


def test_a_bar_is_drawn_for_each_run_of_rows_with_a_price() -> None:
    _, below = draw(table_of(HOLEY)).axes
    bars = [collection.get_paths() for collection in below.collections]
    assert [len(paths) for paths in bars] == [1, 1, 2]
    assert [np.mean(paths[0].vertices[[0, 2], 1]) for paths in bars] == pytest.approx([0, 1, 2])
    first, second = (path.vertices[:, 0] for path in bars[2])
    days = (table_of(HOLEY).dates - np.datetime64("1970-01-01")) / np.timedelta64(1, "D")
    assert (first.min(), first.max(), second.min()) == (days[0], days[20], days[25])
    assert [label.get_text() for label in below.get_yticklabels()] == ["A", "B", "C"]


def test_of_many_assets_the_spread_is_drawn() -> None:
    prices = walks(60, 70)
    table = table_of(prices[:, :3])
    many = PriceTable(
        **{**vars(table), "prices": prices, "assets": tuple(f"A{n}" for n in range(70))}
    )
    above, below = draw(many).axes
    (median,) = above.get_lines()
    np.testing.assert_allclose(median.get_ydata(), np.median(prices / prices[0], axis=1))
    assert len(below.get_yticklabels()) == 35


def test_without_matplotlib_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DataError, match=r'pip install "psann\[report\]"'):
        draw(table_of(HOLEY))


@pytest.mark.parametrize(("highest", "is_told"), [(3.0, True), (2000.0, False)])
def test_minor_ticks_have_numbers_only_where_these_have_room(highest: float, is_told: bool) -> None:
    figure = draw(table_of(np.geomspace(1.0, highest, 50)[:, None]))
    figure.canvas.draw()
    labels = figure.axes[0].yaxis.get_minorticklabels()
    assert any(label.get_text() for label in labels) == is_told
