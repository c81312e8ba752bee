"""The pictures that a run gives, by what its log and its evaluation hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_runs import HOSTILE, made_run
from psann._npz import npz_bytes
from psann.presentation.content import Picture
from psann.presentation.figure import Area, Dots, Figure, Line, Rules
from psann.run.reading.reading import Evaluation, RunView, read_run
from psann.run.report.run_pictures import (
    allocation_picture,
    availability_picture,
    folds_picture,
    placebo_picture,
    short,
    time_of,
    training_pictures,
    wealth_picture,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return read_run(made_run(tmp_path_factory.mktemp("runs") / "run"))


def training(run: RunView) -> Figure:
    (picture,) = training_pictures(run, points=500)
    return picture.figure


def lines(figure: Figure, panel: int = 0) -> dict[str, Line]:
    marks = figure.panels[panel].marks
    return {mark.label: mark for mark in marks if isinstance(mark, Line)}


def rewritten(path: Path, **arrays: np.ndarray) -> RunView:
    """A run with other series."""
    view = read_run(made_run(path))
    (view.path / "evaluation.npz").write_bytes(npz_bytes(arrays))
    return read_run(view.path)


def some_series(names: tuple[str, ...] = ("policy",), n_rows: int = 3) -> dict[str, np.ndarray]:
    net = np.ones((len(names), n_rows))
    weights = np.eye(n_rows, 2, dtype=np.float32)
    return {"names": np.array(names), "net": net, "gross": net, "allocations": weights}


def drawn(found: Picture | None) -> Figure:
    assert found is not None
    return found.figure


def test_whole_run_gives_every_picture_that_there_is_something_to_see_of(run: RunView) -> None:
    assert training_pictures(run, points=100)[0].name == "training-hisso"
    assert wealth_picture(run, points=100) is not None
    assert allocation_picture(run, points=100) is not None
    assert availability_picture(run) is None
    assert placebo_picture(run) is None


def test_empty_run_gives_none(tmp_path: Path) -> None:
    run = read_run(tmp_path)
    assert training_pictures(run, points=100) == ()
    assert wealth_picture(run, points=100) is None
    assert allocation_picture(run, points=100) is None
    assert availability_picture(run) is None
    assert placebo_picture(run) is None


def test_loss_is_not_drawn_beside_the_reward_that_it_mirrors(run: RunView) -> None:
    figure = training(run)
    assert list(lines(figure)) == ["training", "validation"]
    # The change of weights is the same in every epoch: nothing to see.
    assert [panel.title.partition(",")[0] for panel in figure.panels] == [
        *("reward per row", "learning rate", "gradient norm"),
    ]


def test_loss_is_drawn_where_there_is_no_reward(run: RunView, tmp_path: Path) -> None:
    root = made_run(tmp_path / "run")
    log = (root / "events.csv").read_text().splitlines()
    place = {name: i for i, name in enumerate(log[0].split(","))}
    bare = [line.split(",") for line in log]
    for cells in bare[1:]:
        if len(cells) == len(place):
            cells[place["reward_mean"]] = cells[place["val_reward_mean"]] = ""
    (root / "events.csv").write_text("\n".join(",".join(cells) for cells in bare) + "\n")
    assert training(read_run(root)).panels[0].title == "loss"


def test_wealth_names_the_judged_period_and_the_rule_beside_it(tmp_path: Path) -> None:
    judged = {"split": "test", "first": "1998-06-01", "last": "2004-05-28", "benchmark": "SPX"}
    picture = wealth_picture(read_run(made_run(tmp_path / "run", judged=judged)), points=100)
    assert picture is not None
    assert picture.caption.startswith("Test rows 1998-06-01 ... 2004-05-28.")
    assert "ended best" in picture.caption
    assert "benchmark SPX" in lines(picture.figure)
    assert len(lines(picture.figure)) == 5
    titles = [panel.title.partition(" ")[0] for panel in picture.figure.panels]
    assert titles == ["wealth,", "policy", "drawdown:"]


def test_seeds_are_a_range_around_their_mean(tmp_path: Path) -> None:
    names = ("policy", "policy_delay_1", "ensemble", "seed_1", "seed_1_delay_1", "seed_2")
    view = rewritten(tmp_path / "run", **some_series(names))
    figure = drawn(wealth_picture(view, points=100))
    assert list(lines(figure)) == ["policy, mean of seeds", "policy, one row later"]
    assert isinstance(figure.panels[0].marks[0], Area)
    weights = allocation_picture(view, points=100)
    assert weights is not None and "the seeds as one policy" in weights.caption


def test_weights_that_never_change_are_no_picture(tmp_path: Path) -> None:
    even = some_series() | {"allocations": np.full((3, 2), 0.5, dtype=np.float32)}
    assert allocation_picture(rewritten(tmp_path / "run", **even), points=100) is None


def test_assets_have_the_names_of_the_data(run: RunView) -> None:
    named = [mark.label for mark in drawn(allocation_picture(run, points=100)).legend]
    assert all(name.startswith("ASSET ") for name in named[:-1])
    assert named[-1] == "5 others"


def test_who_could_be_held_is_drawn_where_the_universe_changes(tmp_path: Path) -> None:
    codes = np.array([[1, 0, 0], [1, 1, 0], [1, -2, -2]], dtype=np.int8)
    assets, weights = np.array(["HERE", "LATE", "GONE"]), np.eye(3, dtype=np.float32)
    series = some_series() | {"allocations": weights, "active": codes, "assets": assets}
    picture = availability_picture(rewritten(tmp_path / "run", **series))
    assert picture is not None and picture.caption.endswith(" 1 asset never to be had left out.")
    figure = picture.figure
    assert [text for _, text in figure.panels[0].y.ticks] == ["HERE", "LATE"]
    assert [mark.label for mark in figure.legend] == ["can be held", "ended"]


def test_folds_are_drawn_with_where_they_begin(run: RunView) -> None:
    arrays = some_series(("policy", "uniform"), n_rows=4)
    time = np.array(["2020-01-01", "2020-01-02", "2020-01-03", "2020-01-06"], dtype="M8[us]")
    fold = np.array([1, 1, 2, 2])
    net = arrays["net"]
    series = Evaluation(
        names=("policy", "uniform"),
        net=net,
        gross=net,
        allocations=arrays["allocations"],
        time=time,
        assets=None,
        fold=fold,
    )
    picture = folds_picture(run, series, points=100)
    assert picture.caption.startswith("2020-01-01 ... 2020-01-06")
    assert "below" not in picture.caption  # no table of the folds has the other rules
    rules = picture.figure.panels[0].marks[0]
    assert isinstance(rules, Rules)
    assert rules.x.tolist() == [float(time[2].astype("M8[s]").astype(int))]


def test_placebos_are_dots_beside_the_policy(tmp_path: Path) -> None:
    placebo = {"n": 2, "growth": 0.3, "share_as_good": 0.0, "growths": [-0.1, 0.05]}
    figure = drawn(placebo_picture(read_run(made_run(tmp_path / "run", placebo=placebo))))
    luck, own = figure.panels[0].marks
    assert isinstance(luck, Dots) and isinstance(own, Dots)
    assert (luck.x.tolist(), own.x.tolist()) == ([-0.1, 0.05], [0.3])


def test_best_epoch_is_marked_where_the_record_says(run: RunView) -> None:
    best = training(run).panels[0].marks[0]
    assert isinstance(best, Rules)
    assert best.x.tolist() == [run.metrics["best_epoch"]]
    assert best.label == f"best epoch {run.metrics['best_epoch']}"


def test_several_seeds_are_drawn_as_their_mean_and_range(tmp_path: Path) -> None:
    figure = training(read_run(made_run(tmp_path / "run", tracks=3)))
    mean = lines(figure)["training, mean of 3"]
    areas = [mark for mark in figure.panels[0].marks if isinstance(mark, Area)]
    (area,) = [mark for mark in areas if mark.label == "range of training, mean of 3"]
    assert (area.low <= mean.y).all() and (mean.y <= area.high).all()
    assert not any(isinstance(mark, Rules) for mark in figure.panels[0].marks)


def test_mean_of_seeds_ends_where_the_first_of_them_stops(tmp_path: Path) -> None:
    root = made_run(tmp_path / "run", tracks=2)
    log = (root / "events.csv").read_text().splitlines(keepends=True)
    (root / "events.csv").write_text("".join(log[:-11]))  # the warning, 10 epochs of seed 43
    assert lines(training(read_run(root)))["training, mean of 2"].x[-1] == 30


def test_untrained_policy_as_the_best_is_said(tmp_path: Path) -> None:
    figure = training(read_run(made_run(tmp_path / "run", best_epoch=0)))
    assert figure.panels[0].marks[0].label == "best epoch 0, untrained"
    assert figure.x.low == 0


def test_training_of_one_epoch_has_no_course_to_draw(tmp_path: Path) -> None:
    assert training_pictures(read_run(made_run(tmp_path / "run", n_epochs=1)), points=9) == ()


@pytest.mark.parametrize(
    ("time", "title"),
    [
        (np.array([16000.0, 16001.0]), "time in the data's own unit"),
        (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), "date"),
        (np.array(["2020-01-01", "NaT"], dtype="M8[D]"), "row of the judged span"),
        (np.array(["a", "b"]), "row of the judged span"),
        (None, "row of the judged span"),
    ],
)
def test_time_is_called_what_it_is_known_to_be(time: np.ndarray | None, title: str) -> None:
    two = np.ones((1, 2))
    series = Evaluation(
        names=("policy",), net=two, gross=two, allocations=two.T, time=time, assets=None
    )
    x, written = time_of(series)
    assert (len(x), written) == (2, title)
    assert (x.dtype.kind == "M") is (title == "date")


def test_name_for_a_legend_is_short_and_harmless() -> None:
    assert len(short(HOSTILE)) == 28
    assert short("a\nb") == "a\\nb"
