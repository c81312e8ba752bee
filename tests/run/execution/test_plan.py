"""The plan of `--check`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from psann.errors import ConfigError, DataError
from psann.run.config.load import load_run_config
from psann.run.directory.paths import RunPaths
from psann.run.execution.plan import describe_plan
from trials import finished, metrics_of, tree_of, write_config


def engine_line(planned: str, threads: str) -> str:
    return f"engine      eager (auto: {planned}, compiled pays from N on), {threads}"


def plan_of(folder: Path, *overrides: str, **options: Any) -> str:
    config = load_run_config(write_config(folder), overrides=overrides, **options)
    plan = describe_plan(config, RunPaths(folder / "out" / "planned"))
    return re.sub(r"pays from [0-9,]+ on", "pays from N on", plan)


def test_a_plan_says_what_training_will_do(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "hisso.supervised={epochs: 3, batch_size: 16}", seed=5)
    assert plan.splitlines() == [
        f"run         {tmp_path}/out/planned",
        "mode        train, seed 5 (command line)",
        "device      cpu",
        "train       X (40, 3), y (40, 2), prices (40, 2), time (40,)",
        "val         X (20, 3), y (20, 2), prices (20, 2), time (20,)",
        "test        X (15, 3), y (15, 2), prices (15, 2), time (15,)",
        "estimator   PSANNRegressor, 74 parameters",  # 3 8 + 8, 3 8 of the sines, 8 2 + 2
        "reward      portfolio",
        "monitor     val_reward",
        engine_line("8 planned updates", "1 thread (chosen by the size of an update)"),
        "warm start  3 epochs of 3 updates on y_train",
        "training    4 epochs of 2 updates of 4 episodes of 6 steps: 32 episodes",
    ]


def test_a_plan_says_which_settings_have_no_effect(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "estimator.params.input_noise=0.1", "training.batch_size=8")
    assert [line for line in plan.splitlines() if line.startswith("no effect")] == [
        "no effect   batch_size (episodes have hisso.batch_episodes); "
        "input_noise (episodes have hisso.input_noise)"
    ]
    plan = plan_of(tmp_path, "estimator.params.input_noise=0.1", "hisso.supervised={epochs: 3}")
    assert "no effect" not in plan


def test_a_plan_tells_of_a_refit(tmp_path: Path) -> None:
    refit = "refit       anew on training and validation rows, to the epoch chosen"
    assert plan_of(tmp_path, "hisso.refit=true").splitlines()[-1] == refit


def test_a_plan_tells_of_a_temperature(tmp_path: Path) -> None:
    expected = "temperature chosen on validation rows"
    assert plan_of(tmp_path, "hisso.temperature_scaling=true").splitlines()[-1] == expected


def test_a_plan_counts_what_the_run_then_does(tmp_path: Path) -> None:
    overrides = ("hisso.updates_per_epoch=null", "training.epochs=3")
    plan = plan_of(tmp_path, *overrides)
    paths = finished(tmp_path, *overrides)
    assert f": {metrics_of(paths)['episodes']} episodes" in plan


def test_a_plan_of_supervised_training_counts_its_updates(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "hisso={enabled: false}", "training.batch_size=32")
    assert plan.splitlines()[-4:] == [
        "monitor     val_loss",
        engine_line("8 planned updates", "1 thread (chosen by the size of an update)"),
        "no effect   prices (training is on targets)",
        "training    4 epochs of 2 updates on targets",
    ]


def test_a_plan_says_what_it_counts_in_the_singular_too(tmp_path: Path) -> None:
    one = ["training={epochs: 1, threads: 2}", "hisso={updates_per_epoch: 1, batch_episodes: 1}"]
    plan = plan_of(tmp_path, *one, "hisso.window=6")
    assert engine_line("1 planned update", "2 threads (as asked)") in plan
    assert "training    1 epoch of 1 update of 1 episode of 6 steps: 1 episode" in plan


def test_a_plan_says_what_an_epoch_must_beat_to_be_kept(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "hisso.min_significance=auto", "hisso.min_improvement=0.001")
    assert "kept        what beats epoch 0 on validation by 0.001 and 2.24 standard errors" in plan
    assert "kept  " not in plan_of(tmp_path)


@pytest.mark.parametrize(
    ("overrides", "monitor"),
    [
        (["training.monitor=train_loss"], "train_loss"),
        (["data.kwargs={without: [X_val, y_val, prices_val, time_val]}"], "reward"),
        (
            [
                "hisso={enabled: false}",
                "data.kwargs={without: [X_val, y_val, prices_val, time_val]}",
            ],
            "train_loss",
        ),
    ],
)
def test_a_plan_names_the_monitor_in_force(
    tmp_path: Path, overrides: list[str], monitor: str
) -> None:
    assert f"monitor     {monitor}\n" in plan_of(tmp_path, *overrides)


@pytest.mark.parametrize("mode", ["fine_tune", "evaluate"])
def test_a_plan_of_an_existing_estimator_has_its_parameters_and_changes_nothing(
    tmp_path: Path, mode: str
) -> None:
    parent = finished(tmp_path)
    before = tree_of(tmp_path)
    plan = plan_of(tmp_path, mode=mode, init_from=str(parent.root))
    assert "PSANNRegressor, 74 parameters" in plan
    assert ("training    none" in plan) == (mode == "evaluate")
    if mode == "evaluate":
        assert "no effect" not in plan
        asked = ("evaluation.walk_forward.folds=2", "evaluation.placebo=1")
        *_, last = plan_of(tmp_path, *asked, mode=mode, init_from=str(parent.root)).splitlines()
        named = "evaluation.walk_forward, evaluation.placebo"
        assert last == f"no effect   {named} (mode evaluate trains nothing)"
    assert tree_of(tmp_path) == before


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["hisso.window=40"], "X_train (training) must have at least 41 rows"),
        (["hisso.context_extractor=trials.narrow_context"], "must have 2 columns"),
        (["data.kwargs={without: [prices_train, prices_val]}"], "must say what to maximise"),
        (["training.monitor=val_reward", "data.kwargs={without: [X_val]}"], "X_val"),
    ],
)
def test_a_plan_finds_what_only_the_data_can_show(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises((DataError, ConfigError, ValueError)) as caught:
        plan_of(tmp_path, *overrides)
    assert message in str(caught.value)


def test_a_plan_of_an_evaluation_finds_features_that_do_not_fit(tmp_path: Path) -> None:
    parent = finished(tmp_path, "training.epochs=1")
    with pytest.raises(
        ConfigError,
        match=r"--init-from: init_from does not fit the data: features 3 in init_from, 4 in the "
        r"data; columns of prices 2 in init_from, 3 in the data\.",
    ):
        plan_of(tmp_path, "data.kwargs={assets: 3}", mode="evaluate", init_from=str(parent.root))
