"""The picture of a table: what is drawn, for few assets and for many."""

from __future__ import annotations

import numpy as np

from made_panels import table_of, walks
from psann.market.drawing import draw
from psann.market.panel import PriceTable
from psann.presentation.drawing import to_svg
from psann.presentation.figure import Area, Bars, Line

HOLEY = walks(60, 3)
HOLEY[:10, 1] = np.nan
HOLEY[20:25, 2] = np.nan


def many(n_assets: int, **changes: object) -> PriceTable:
    table = vars(table_of(HOLEY)) | {"assets": tuple(f"A{n}" for n in range(n_assets))}
    return PriceTable(**{**table, "prices": walks(60, n_assets), **changes})


def test_prices_are_drawn_over_their_first_on_a_log_scale() -> None:
    above, _ = draw(table_of(HOLEY)).panels
    assert above.y.is_log
    lines = [mark for mark in above.marks if isinstance(mark, Line)]
    np.testing.assert_allclose(lines[1].y, HOLEY[:, 1] / HOLEY[10, 1])
    assert [line.label for line in lines] == ["A", "B", "C"]
    assert len({(line.look.colour, line.look.dashes) for line in lines}) == 3


def test_a_notebook_shows_the_picture_and_a_session_what_it_is_of() -> None:
    picture = draw(table_of(HOLEY))
    assert repr(picture) == "<Prices of 3 assets, 2021-03-01 to 2021-05-21>"
    assert picture._repr_svg_().encode() == to_svg(picture, label=picture.label)


def test_a_bar_is_drawn_for_each_run_of_rows_with_a_price() -> None:
    figure = draw(table_of(HOLEY))
    (bars,) = figure.panels[1].marks
    assert isinstance(bars, Bars)
    days = (table_of(HOLEY).dates - np.datetime64("1970-01-01")) / np.timedelta64(1, "s")
    of_c = [tuple(edges[:2]) for edges in bars.edges if 2 < edges[3] < 3]
    assert of_c == [(days[0], days[20]), (days[25], 2 * days[-1] - days[-2])]
    assert len(bars.edges) == 4
    assert [text for _, text in figure.panels[1].y.ticks] == ["A", "B", "C"]


def test_of_more_assets_no_line_has_a_name_and_of_many_the_spread_is_drawn() -> None:
    some, _ = draw(many(12)).panels
    assert [mark.label for mark in some.marks] == [""] * 12
    table = many(70)
    (outer, inner, median), _ = (panel.marks for panel in draw(table).panels)
    assert isinstance(outer, Area) and isinstance(inner, Area) and isinstance(median, Line)
    growth = table.prices / table.prices[0]
    np.testing.assert_allclose(median.y, np.median(growth, axis=1))
    np.testing.assert_allclose(inner.high, np.percentile(growth, 75, axis=1))
    assert (outer.low <= inner.low).all() and (inner.high <= outer.high).all()


def test_names_are_no_markup_in_the_file() -> None:
    drawn = to_svg(draw(many(2, assets=("<b>", "a\x1b"))), label="prices").decode()
    assert "&lt;b&gt;" in drawn and "<b>" not in drawn and "\x1b" not in drawn
