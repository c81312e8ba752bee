"""Charts say what they show, hide nothing, and cope with what runs hold."""

from __future__ import annotations

import numpy as np
import pytest

from psann.presentation.charts import (
    Curve,
    allocation_figure,
    availability_figure,
    epochs_figure,
    is_constant,
    strip_figure,
    wealth_figure,
)
from psann.presentation.figure import Area, Bars, Dots, Figure, Line, Look, Rules

LOOK = Look("blue")


def curve(y: object, label: str = "policy", *, is_main: bool = True) -> Curve:
    values = np.asarray(y, dtype=float)
    x = np.arange(1, len(values) + 1)
    return Curve(label=label, x=x, y=values, look=LOOK, is_main=is_main)


def weights_of(allocations: object, names: list[str]) -> Figure:
    table = np.asarray(allocations, dtype=float)
    x = np.arange(len(table))
    return allocation_figure(table, names, x=x, x_title="date", points=100)


def lines(figure: Figure, panel: int) -> list[Line]:
    return [mark for mark in figure.panels[panel].marks if isinstance(mark, Line)]


def legend(figure: Figure) -> list[str]:
    return [mark.label for mark in figure.legend]


def test_every_panel_of_every_figure_is_labelled() -> None:
    wealth = wealth_figure([curve([1.0, 2.0, 1.5])], x_title="date", points=100)
    epochs = epochs_figure([("loss", [curve([1.0, 2.0])])], best=None, points=100)
    weights = weights_of(np.eye(4), list("abcd"))
    held = availability_figure(np.eye(4), list("abcd"), x=np.arange(4), x_title="date")
    for figure in (wealth, epochs, weights, held):
        assert all(panel.title and panel.y.ticks for panel in figure.panels)
        assert figure.x_title and figure.x.ticks


def test_wealth_is_on_a_log_scale_and_ends_at_ruin() -> None:
    figure = wealth_figure([curve([1.0, 0.5, 0.0, 0.0])], x_title="row", points=100)
    assert figure.panels[0].y.is_log
    assert np.isnan(lines(figure, 0)[0].y[2:]).all()
    assert lines(figure, 1)[0].y.tolist() == [0.0, -0.5, -1.0, -1.0]


def test_drawdown_is_drawn_of_the_main_lines_only_and_in_percent() -> None:
    both = [curve([1.0, 2.0, 1.0]), curve([1.0, 3.0, 3.0], "eg", is_main=False)]
    figure = wealth_figure(both, x_title="row", points=100)
    assert (len(lines(figure, 0)), len(lines(figure, 1))) == (2, 1)
    assert all(text.endswith("%") for _, text in figure.panels[1].y.ticks)


def test_wealth_beside_another_is_their_quotient() -> None:
    policy, uniform = curve([1.0, 3.0]), curve([1.0, 2.0], "1/N")
    figure = wealth_figure([policy, uniform], x_title="row", points=100, beside=uniform)
    assert figure.panels[1].title.startswith("policy / 1/N")
    assert lines(figure, 1)[0].y.tolist() == [1.0, 1.5]


def test_wealth_that_is_that_of_the_other_has_no_panel_of_its_own() -> None:
    both = [curve([1.0, 1.1, 1.2]), curve([1.0, 1.1, 1.2 + 1e-15], "1/N")]
    figure = wealth_figure(both, x_title="row", points=100, beside=both[1])
    assert [panel.title.partition(" ")[0] for panel in figure.panels] == ["wealth,", "drawdown:"]


def test_range_of_seeds_is_an_area_behind_their_mean() -> None:
    low, high = np.array([1.0, 1.5]), np.array([1.0, 4.0])
    mean = Curve(label="mean", x=np.arange(2), y=np.array([1.0, 2.0]), look=LOOK, among=(low, high))
    area, line = wealth_figure([mean], x_title="row", points=100).panels[0].marks
    assert isinstance(area, Area) and isinstance(line, Line)
    assert (area.low.tolist(), area.high.tolist()) == ([1.0, 1.5], [1.0, 4.0])


def test_folds_begin_at_rules_through_every_panel() -> None:
    figure = wealth_figure([curve([1.0, 2.0, 3.0])], x_title="row", points=9, starts=np.array([2]))
    for panel in figure.panels:
        assert isinstance(panel.marks[0], Rules)
        assert panel.marks[0].x.tolist() == [2.0]


def test_long_line_is_thinned_with_its_peak() -> None:
    wealth = np.ones(6000)
    wealth[3210] = 50.0
    drawn = lines(wealth_figure([curve(wealth)], x_title="row", points=200), 0)[0]
    assert len(drawn.y) <= 200
    assert drawn.y.max() == 50.0


def test_range_of_negative_rewards_is_drawn_whole() -> None:
    among = (np.array([-2.0, -1.0]), np.array([0.5, 0.5]))
    mean = Curve(label="mean", x=np.arange(2), y=np.array([-1.0, 0.0]), look=LOOK, among=among)
    figure = epochs_figure([("reward", [mean])], best=None, points=9)
    area = figure.panels[0].marks[0]
    assert isinstance(area, Area) and area.low.tolist() == [-2.0, -1.0]
    assert figure.panels[0].y.low < -2.0


def test_best_epoch_is_a_rule_through_all_panels_and_in_the_legend_once() -> None:
    panels = [(name, [curve([1.0, 2.0, 3.0])]) for name in ("a", "b")]
    figure = epochs_figure(panels, best=(2.0, "best epoch 2"), points=100)
    for panel in figure.panels:
        assert isinstance(panel.marks[0], Rules) and panel.marks[0].x.tolist() == [2.0]
    assert legend(figure) == ["best epoch 2", "policy"]
    assert [text for _, text in figure.x.ticks] == ["1", "2", "3"]  # whole epochs only


def test_small_weights_are_shown_together() -> None:
    weights = np.tile(np.arange(20, 0, -1.0) / 210, (50, 1))
    names = [f"asset {i}" for i in range(20)]
    figure = weights_of(weights, names)
    assert legend(figure) == [*names[:7], "13 others"]
    assert (figure.panels[0].y.low, figure.panels[0].y.high) == (0.0, 1.0)


def test_no_two_layers_have_one_colour() -> None:
    for n_assets in (8, 30):
        marks = weights_of(np.full((5, n_assets), 1 / n_assets), ["x"] * n_assets).panels[0].marks
        colours = [mark.colour for mark in marks if isinstance(mark, Area)]
        assert len(colours) == len(set(colours)) == 8


def test_extremes_within_a_stretch_are_drawn_though_the_layers_average_them() -> None:
    weights = np.full((6000, 2), 0.5)
    weights[4567] = [1.0, 0.0]
    figure = weights_of(weights, ["a", "b"])
    assert lines(figure, 1)[0].y.max() == 1.0
    assert np.nanmax(lines(figure, 2)[0].y) == 1.0
    assert figure.panels[0].title == "weight, mean of 50 rows"
    assert weights_of(weights[1:], ["a", "b"]).panels[0].title == "weight, mean of up to 50 rows"


def test_what_never_changes_has_no_panel() -> None:
    titles = [panel.title for panel in weights_of(np.full((9, 2), 0.5), ["a", "b"]).panels]
    assert titles == ["weight"]
    assert is_constant(np.array([np.nan, 0.3, 0.3]))
    assert not is_constant(np.array([0.3, 0.3000001]))


def test_weights_below_zero_are_at_most_five_lines() -> None:
    weights = np.tile(np.array([1.5, -0.5, *([0.0] * 8)]), (10, 1))
    figure = weights_of(weights, [f"{i}" for i in range(10)])
    drawn = lines(figure, 0)
    assert len(drawn) == 5 and drawn[-1].label == "6 others"
    assert not any(isinstance(mark, Area) for mark in figure.panels[0].marks)
    assert len({mark.look.colour for mark in drawn}) == 5


def test_weights_that_leave_cash_fill_less_than_the_panel() -> None:
    figure = weights_of(np.full((10, 2), 0.25), ["a", "b"])
    top = max(mark.high.max() for mark in figure.panels[0].marks if isinstance(mark, Area))
    assert (top, figure.panels[0].y.high) == (0.5, 1.0)


def test_who_can_be_held_has_a_bar_per_stretch_and_code() -> None:
    active = np.array([[0, 1], [1, -1], [1, 1], [1, -2]])
    figure = availability_figure(active, ["late", "ends"], x=np.arange(4), x_title="row")
    bars = {mark.label: mark.edges for mark in figure.panels[0].marks if isinstance(mark, Bars)}
    spans = {label: sorted(map(tuple, edges[:, :2])) for label, edges in bars.items()}
    assert spans == {
        "can be held": [(0, 1), (1, 4), (2, 3)],
        "halted: neither bought nor sold": [(1, 2)],
        "ended": [(3, 4)],
    }
    assert [text for _, text in figure.panels[0].y.ticks] == ["late", "ends"]


def test_values_on_a_strip_stand_beside_the_own_one() -> None:
    figure = strip_figure(np.array([-0.1, 0.1]), own=0.4, names=("luck", "own"), x_title="growth")
    luck, own = figure.panels[0].marks
    assert isinstance(luck, Dots) and isinstance(own, Dots)
    assert (luck.x.tolist(), own.x.tolist()) == ([-0.1, 0.1], [0.4])
    assert luck.look.colour != own.look.colour


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_names_of_assets_are_shown_as_they_are(sign: float) -> None:
    names = ["_x", "__y", "$\\frac$", "a%s", "{0}"]
    assert legend(weights_of(np.full((10, 5), sign / 5), names)) == names
