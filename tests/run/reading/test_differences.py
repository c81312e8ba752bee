"""Where runs differ: keys, circumstances, results; and which differ in their seed only."""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foreign import change
from psann._yaml_text import to_yaml
from psann.run.directory.paths import RunPaths
from psann.run.reading.differences import (
    ABSENT,
    circumstances,
    config_differences,
    group_by_config,
    verdict,
)
from psann.run.reading.quantities import quantity
from psann.run.reading.reading import RunView, read_run
from psann.run.reading.sameness import bit_differences
from trials import finished, metrics_of


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunView]:
    """One run, the same again, and three that differ from it in one way."""
    folder = tmp_path_factory.mktemp("runs")
    settings = {
        "first": (),
        "again": (),
        "lr": ("training.lr=0.01",),
        "seed": ("seed=7",),
        "data": ("data.kwargs={seed: 1}",),
    }
    return {
        name: read_run(finished(folder, "training.epochs=2", *extra, name=name).root)
        for name, extra in settings.items()
    }


@pytest.fixture
def altered(runs: dict[str, RunView], tmp_path: Path) -> Callable[..., RunView]:
    """A copy of the first run with another configuration."""

    def alter(**config: Any) -> RunView:
        root = tmp_path / f"copy{len(list(tmp_path.iterdir()))}"
        shutil.copytree(runs["first"].path, root)
        values = {**runs["first"].config, **config}
        RunPaths(root).config_resolved.write_text(to_yaml(values))
        return read_run(root)

    return alter


def name_of(run: RunView) -> str:
    return run.name


def told(*runs: RunView) -> str:
    return " ".join(verdict(runs, config_differences(runs), circumstances(runs), name_of))


def test_runs_that_differ_in_one_key_differ_in_that_key(runs: dict[str, RunView]) -> None:
    pair = (runs["first"], runs["lr"])
    (difference,) = config_differences(pair)
    assert (difference.key, difference.values) == ("training.lr", (0.05, 0.01))
    assert told(*pair) == "The two runs differ in one key: training.lr."


def test_identical_runs_are_identical(runs: dict[str, RunView]) -> None:
    pair = (runs["first"], runs["again"])
    assert config_differences(pair) == circumstances(pair) == ()
    assert bit_differences(*pair) == []
    assert told(*pair) == (
        "The configurations are the same. "
        "The runs are identical: same results to the last bit, times aside."
    )


def test_data_are_a_circumstance_beside_their_key(runs: dict[str, RunView]) -> None:
    pair = (runs["first"], runs["data"])
    assert [each.key for each in config_differences(pair)] == ["data.kwargs.seed"]
    assert [each.key for each in circumstances(pair)] == ["data (sha256)"]
    assert "differ in one key: data.kwargs.seed. Other circumstances: data (sha256) differs." in (
        told(*pair)
    )


def test_first_difference_in_results_is_named(
    runs: dict[str, RunView], altered: Callable[..., RunView]
) -> None:
    other = altered()
    paths = RunPaths(other.path)
    log = paths.events.read_text()
    value = str(other.epochs[1]["train_loss"])
    paths.events.write_text(log.replace(value, "0.125"))
    other = read_run(other.path)
    (difference,) = bit_differences(runs["first"], other)
    assert difference == f"seed 42, phase hisso, epoch 2: train_loss {value} / 0.125"
    assert f"The results differ; first and copy0 first in {difference}." in (
        told(runs["first"], other)
    )
    rows = log.splitlines(keepends=True)
    paths.events.write_text("".join(row for row in rows if "epoch 2 of 2" not in row))
    assert "one log has 2 rows of epochs, the other 1" in told(runs["first"], read_run(other.path))
    paths.events.write_text(log)
    change(paths, val_loss=3.0)
    (difference,) = bit_differences(runs["first"], read_run(other.path))
    assert difference.startswith("metrics.json: val_loss ")


def test_recorded_facts_and_paths_of_the_same_file_are_no_difference(
    runs: dict[str, RunView], altered: Callable[..., RunView]
) -> None:
    def with_file(path: str, digest: str | None) -> RunView:
        data = {"npz": path, "loader": None, "kwargs": {}}
        return altered(data=data, recorded={"npz_sha256": digest, "notes": [path]})

    ours = with_file("/home/me/x.npz", "ab")
    assert config_differences((ours, with_file("/scratch/x.npz", "ab"))) == ()
    (difference,) = config_differences((ours, with_file("/home/me/x.npz", "cd")))
    assert difference.key == "data.npz"
    assert len(config_differences((ours, with_file("/scratch/x.npz", None)))) == 1
    assert config_differences((ours, with_file("/home/me/x.npz", None))) == ()


def test_a_table_is_the_same_under_any_path_for_runs_that_recorded_its_digest(
    altered: Callable[..., RunView],
) -> None:
    def with_table(path: str, **digest: str) -> RunView:
        return altered(data={"prices": path}, recorded=digest)

    ours = with_table("/home/me/x.csv", prices_sha256="ab")
    copy = with_table("/scratch/x.csv", prices_sha256="ab")
    assert config_differences((ours, copy)) == ()
    assert len(group_by_config((ours, copy))) == 1
    (difference,) = config_differences((ours, with_table("/home/me/x.csv", prices_sha256="cd")))
    assert difference.key == "data.prices"
    earlier = with_table("/home/me/x.csv")  # by a release that recorded none
    assert config_differences((ours, earlier)) == ()


def test_key_that_one_lacks_and_run_without_configuration_are_told(
    runs: dict[str, RunView], altered: Callable[..., RunView]
) -> None:
    extra = altered(flavour="sweet")
    (difference,) = config_differences((runs["first"], extra))
    assert (difference.key, difference.values) == ("flavour", (ABSENT, "sweet"))
    lacking = altered()
    RunPaths(lacking.path).config_resolved.unlink()
    lacking = read_run(lacking.path)
    assert config_differences((runs["first"], lacking)) == ()
    sentences = told(runs["first"], lacking)
    assert f"No configuration of {lacking.name} can be read." in sentences
    assert "The configurations are the same." not in sentences
    assert len(group_by_config([lacking, lacking])) == 2


def test_a_section_that_one_run_leaves_out_is_told_by_its_keys_alone(
    altered: Callable[..., RunView],
) -> None:
    with_it, without = altered(walk={"folds": 2, "gap": 0}), altered(walk=None)
    found = config_differences((with_it, without))
    assert [(each.key, each.values) for each in found] == [
        ("walk.folds", (2, ABSENT)),
        ("walk.gap", (0, ABSENT)),
    ]
    word, section = altered(walk="far"), altered(walk={"folds": 2})
    assert [each.key for each in config_differences((word, section))] == ["walk", "walk.folds"]


def test_what_is_not_known_of_a_run_does_not_differ(altered: Callable[..., RunView]) -> None:
    left, right = altered(), altered()
    RunPaths(right.path).provenance.unlink()
    change(RunPaths(right.path), data_sha256=None, hardware=None)
    assert circumstances((left, read_run(right.path))) == ()


def test_code_and_versions_are_circumstances(altered: Callable[..., RunView]) -> None:
    left, right = altered(), altered()
    starts = json.loads(RunPaths(right.path).provenance.read_text())
    starts["starts"][-1]["versions"]["torch"] = "1.0"
    starts["starts"][-1]["git"] = {"commit": "f" * 40}
    RunPaths(right.path).provenance.write_text(json.dumps(starts))
    keys = [each.key for each in circumstances((left, read_run(right.path)))]
    assert keys == ["code (git commit)", "version of torch"]


def test_seeds_of_one_configuration_are_one_group_with_mean_and_spread(
    runs: dict[str, RunView],
) -> None:
    groups = group_by_config(list(runs.values()))
    names = [[run.name for run in group.runs] for group in groups]
    assert names == [["first", "again", "seed"], ["lr"], ["data"]]
    assert groups[0].seeds == (42, 7)
    values = [metrics_of(RunPaths(run.path))["val_loss"] for run in groups[0].of_seeds]
    assert len(values) == 2  # the seed that was run again is no second draw
    val_loss = quantity("val_loss")
    assert groups[0].mean(val_loss) == pytest.approx(statistics.mean(values), rel=1e-14)
    assert groups[0].spread(val_loss) == pytest.approx(statistics.stdev(values), rel=1e-12)
    assert groups[1].spread(val_loss) is None
    assert groups[1].mean(val_loss) == runs["lr"].figure("val_loss")


def test_group_without_values_has_no_mean(tmp_path: Path) -> None:
    (group,) = group_by_config([read_run(tmp_path)])
    assert group.mean(quantity("val_loss")) is group.spread(quantity("val_loss")) is None


def test_many_keys_are_counted(runs: dict[str, RunView]) -> None:
    assert told(runs["first"], runs["lr"], runs["seed"]).startswith("The 3 runs differ in 2 keys.")
