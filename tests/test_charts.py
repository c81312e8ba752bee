"""Pictures say what they show, hide nothing, and cope with what runs hold."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from psann._charts import (
    Curve,
    Look,
    Mark,
    Panel,
    allocation_figure,
    epochs_figure,
    log_ticks,
    timing_figure,
    wealth_figure,
)
from psann._drawing import COLOURS, drawing_style, to_svg

LOOK = Look(COLOURS["blue"])


def curve(y: object, label: str = "policy", *, is_main: bool = True) -> Curve:
    values = np.asarray(y, dtype=float)
    x = np.arange(1, len(values) + 1)
    return Curve(label=label, x=x, y=values, look=LOOK, is_main=is_main)


def texts_of(figure: Figure) -> list[str]:
    with drawing_style():
        figure.draw_without_rendering()
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_every_panel_of_every_figure_is_labelled() -> None:
    wealth = wealth_figure([curve([1.0, 2.0, 1.5])], x_label="date", points=100)
    panel = Panel(y_label="loss", curves=[curve([1.0, 2.0])])
    epochs = epochs_figure([panel, panel], mark=None, points=100)
    weights = allocation_figure(np.eye(4), list("abcd"), x=np.arange(4), x_label="date", points=100)
    for figure in (wealth, epochs, weights):
        assert all(axes.get_ylabel() for axes in figure.axes)
        assert figure.axes[-1].get_xlabel()
    assert timing_figure({"updates": 1.0}).axes[0].get_xlabel() == "seconds"


def test_wealth_is_on_a_log_scale_and_ends_at_ruin() -> None:
    figure = wealth_figure([curve([1.0, 0.5, 0.0, 0.0])], x_label="row", points=100)
    upper, lower = figure.axes
    assert upper.get_yscale() == "log"
    assert np.isnan(upper.lines[0].get_ydata()[2:]).all()
    assert lower.lines[0].get_ydata()[-1] == -1.0


def test_drawdown_is_drawn_of_the_main_lines_only() -> None:
    lines = [curve([1.0, 2.0]), curve([1.0, 3.0], "eg", is_main=False)]
    upper, lower = wealth_figure(lines, x_label="row", points=100).axes
    assert (len(upper.lines), len(lower.lines)) == (2, 1)


def test_long_line_is_thinned_with_its_peak() -> None:
    wealth = np.ones(6000)
    wealth[3210] = 50.0
    upper, _ = wealth_figure([curve(wealth)], x_label="row", points=200).axes
    drawn = upper.lines[0].get_ydata()
    assert len(drawn) <= 200
    assert drawn.max() == 50.0


def test_best_epoch_is_a_star_where_its_value_is_known_and_a_line_everywhere() -> None:
    panels = [Panel(y_label=name, curves=[curve([1.0, 2.0, 3.0])]) for name in ("a", "b")]
    known = epochs_figure(panels, mark=Mark(label="best epoch 2", x=2, y=2.0), points=100)
    assert "best epoch 2" in texts_of(known)
    star = known.axes[0].lines[-1]
    assert (star.get_marker(), star.get_xdata(), star.get_ydata()) == ("*", [2], [2.0])
    assert list(known.axes[1].lines[-1].get_xdata()) == [2, 2]
    unknown = epochs_figure(panels, mark=Mark(label="best epoch 2", x=2, y=None), points=100)
    assert "best epoch 2" in texts_of(unknown)


def test_single_epoch_is_a_visible_dot() -> None:
    figure = epochs_figure([Panel(y_label="a", curves=[curve([1.0])])], mark=None, points=9)
    assert figure.axes[0].lines[0].get_marker() == "o"


def test_small_weights_are_shown_together() -> None:
    weights = np.tile(np.arange(20, 0, -1.0) / 210, (50, 1))
    names = [f"asset {i}" for i in range(20)]
    figure = allocation_figure(weights, names, x=np.arange(50), x_label="row", points=100)
    shown = texts_of(figure)
    assert shown[:7] == names[:7]
    assert shown[7] == "13 others"
    assert figure.axes[0].get_ylim() == (0.0, 1.0)


def test_extremes_within_a_stretch_are_drawn_though_the_layers_average_them() -> None:
    weights = np.full((6000, 2), 0.5)
    weights[4567] = [1.0, 0.0]
    figure = allocation_figure(weights, ["a", "b"], x=np.arange(6000), x_label="row", points=200)
    largest, change = figure.axes[1].lines
    assert largest.get_ydata().max() == 1.0
    assert change.get_ydata().max() == 1.0
    assert figure.axes[0].get_ylabel() == "weight, mean of 50 rows"


COMMANDS = ["_x", "__y", "$\\frac$", "a%s", "{0}", "\\textbf{b}"]


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_names_of_assets_are_shown_as_they_are(sign: float) -> None:
    weights = np.full((10, len(COMMANDS)), sign / len(COMMANDS))
    figure = allocation_figure(weights, COMMANDS, x=np.arange(10), x_label="row", points=100)
    assert set(COMMANDS) <= set(texts_of(figure))
    with drawing_style():
        svg = to_svg(figure, key="a", label="x")
    shown = {text.strip() for text in ElementTree.fromstring(svg).itertext()}
    assert set(COMMANDS) <= shown


def test_names_of_runs_are_shown_as_they_are() -> None:
    curves = [curve([1.0, 2.0], name, is_main=False) for name in COMMANDS]
    figure = wealth_figure([curve([1.0, 1.5]), *curves], x_label="date", points=100)
    assert set(COMMANDS) <= set(texts_of(figure))


def test_weights_below_zero_are_lines() -> None:
    weights = np.tile([1.5, -0.5], (10, 1))
    figure = allocation_figure(weights, ["a", "b"], x=np.arange(10), x_label="row", points=100)
    assert len(figure.axes[0].lines) == 2
    assert not figure.axes[0].collections


def test_weights_that_leave_cash_fill_less_than_the_panel() -> None:
    weights = np.full((10, 2), 0.25)
    figure = allocation_figure(weights, ["a", "b"], x=np.arange(10), x_label="row", points=100)
    top = max(
        path.vertices[:, 1].max() for c in figure.axes[0].collections for path in c.get_paths()
    )
    assert (top, figure.axes[0].get_ylim()) == (0.5, (0.0, 1.0))


@pytest.mark.parametrize(
    ("low", "high"), [(0.98, 1.02), (0.5, 25), (0.01, 5e8), (1e-12, 1e12), (3.1, 3.2), (0.4, 0.9)]
)
def test_log_axis_has_a_few_round_ticks_within_its_range(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 3 <= len(ticks) <= 8
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))


def test_time_of_zero_seconds_can_be_drawn() -> None:
    assert timing_figure({"updates": 0.0}).axes[0].texts[0].get_text() == "0.00 s (0%)"
