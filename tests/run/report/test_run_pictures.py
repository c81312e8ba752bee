"""The pictures that a run gives, by what its log and its evaluation hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from made_runs import HOSTILE, made_run
from psann.run.reading.reading import Evaluation, RunView, read_run
from psann.run.report.run_pictures import (
    allocation_picture,
    short,
    time_axis,
    timing_picture,
    training_pictures,
    wealth_picture,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunView:
    return read_run(made_run(tmp_path_factory.mktemp("runs") / "run"))


def labels(run: RunView) -> dict[str, list[str]]:
    pictures = training_pictures(run, points=100)
    return {
        picture.name: [line.get_label() for line in picture.figure.axes[0].lines]
        for picture in pictures
    }


def test_whole_run_gives_every_picture(run: RunView) -> None:
    assert labels(run).keys() == {"reward-hisso", "loss-hisso", "course-hisso"}
    assert wealth_picture(run, points=100) is not None
    assert allocation_picture(run, points=100) is not None
    assert timing_picture(run) is not None


def test_empty_run_gives_none(tmp_path: Path) -> None:
    run = read_run(tmp_path)
    assert training_pictures(run, points=100) == ()
    assert wealth_picture(run, points=100) is None
    assert allocation_picture(run, points=100) is None
    assert timing_picture(run) is None


def test_seeds_are_thin_lines_around_their_mean(run: RunView, tmp_path: Path) -> None:
    names = (
        "policy",
        "policy_delay_1",
        "ensemble",
        "ensemble_delay_1",
        "seed_1",
        "seed_1_delay_1",
        "seed_2",
        "seed_2_delay_1",
    )
    net = np.ones((len(names), 3))
    view = read_run(made_run(tmp_path / "run"))
    arrays = {"net": net, "gross": net, "allocations": np.ones((3, 2), dtype=np.float32)}
    np.savez(view.path / "evaluation.npz", names=np.array(names), **arrays)
    picture = wealth_picture(view, points=100)
    assert picture is not None
    drawn = [line.get_label() for line in picture.figure.axes[0].lines]
    assert drawn == [
        *("policy, mean of seeds", "policy, one row later", "the seeds as one policy"),
        *("each seed", "each seed"),
    ]
    weights = allocation_picture(view, points=100)
    assert weights is not None
    assert weights.caption.startswith("Target weights of the seeds as one policy.")


def test_best_epoch_is_marked_where_the_record_says(run: RunView) -> None:
    reward, *_ = training_pictures(run, points=100)
    star = reward.figure.axes[0].lines[-1]
    assert star.get_xdata() == [run.metrics["best_epoch"]]
    assert star.get_ydata() == [run.metrics["monitor_value"]]


def test_several_seeds_are_thin_lines_with_their_mean(tmp_path: Path) -> None:
    run = read_run(made_run(tmp_path / "run", tracks=3))
    reward, *_ = training_pictures(run, points=500)
    lines = reward.figure.axes[0].lines
    each = [line for line in lines if line.get_label() == "training, each"]
    (mean,) = [line for line in lines if line.get_label() == "training, mean of 3"]
    assert len(each) == 3
    expected = np.mean([line.get_ydata() for line in each], axis=0)
    assert mean.get_ydata() == pytest.approx(expected)
    assert not any("best epoch" in str(line.get_label()) for line in lines)


def test_mean_of_seeds_ends_where_the_first_of_them_stops(tmp_path: Path) -> None:
    root = made_run(tmp_path / "run", tracks=2)
    log = (root / "events.csv").read_text().splitlines(keepends=True)
    (root / "events.csv").write_text("".join(log[:-11]))  # the warning, 10 epochs of seed 43
    reward, *_ = training_pictures(read_run(root), points=500)
    mean = next(x for x in reward.figure.axes[0].lines if x.get_label() == "training, mean of 2")
    assert mean.get_xdata()[-1] == 30


def test_untrained_policy_as_the_best_is_said(tmp_path: Path) -> None:
    run = read_run(made_run(tmp_path / "run", best_epoch=0))
    assert "best epoch 0, untrained" in labels(run)["reward-hisso"]


def test_rest_of_the_wall_time_is_shown(run: RunView) -> None:
    picture = timing_picture(run)
    assert picture is not None
    texts = [text.get_text() for text in picture.figure.axes[0].texts]
    assert texts[-1] == "10.27 s (56%)"


@pytest.mark.parametrize(
    ("time", "label"),
    [
        (np.array([16000.0, 16001.0]), "time in the data's own unit"),
        (np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"), "date"),
        (np.array(["a", "b"]), "row of the evaluation span"),
        (None, "row of the evaluation span"),
    ],
)
def test_time_is_called_what_it_is_known_to_be(time: np.ndarray | None, label: str) -> None:
    two = np.ones((1, 2))
    series = Evaluation(
        names=("policy",), net=two, gross=two, allocations=two.T, time=time, assets=None
    )
    x, written = time_axis(series)
    assert (len(x), written) == (2, label)
    assert (x.dtype.kind == "M") is (label == "date")


def test_name_for_a_legend_is_short_and_harmless() -> None:
    assert len(short(HOSTILE)) == 28
    assert short("a\nb") == "a\\nb"
