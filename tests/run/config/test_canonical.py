"""One place for every value: published keys, and values given twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from psann._published import CONFIG_KEYS, PARAMETERS
from psann._tree import ConfigTree, Origins
from psann._yaml_text import to_yaml
from psann.errors import ConfigError
from psann.run.config.canonical import make_canonical
from psann.run.config.load import dump_resolved, load_run_config
from psann.run.config.model import RunConfig
from psann.run.config.targets import check_targets, estimator_arguments
from thinning import thinned

DEFAULT_REWARD = (
    "hisso.reward is not named: the policy is trained by portfolio (psann 0.12 took minus the mean "
    "square of the actions)"
)
PUBLISHED: dict[str, Any] = {
    "estimator": {
        "target": "psann.PSANNRegressor",
        "params": {
            "hidden_layers": 1,
            "hidden_units": 32,
            "epochs": 5,
            "batch_size": 48,
            "lr": 0.001,
            "random_state": 19,
            "device": "cpu",
            "preserve_shape": False,
            "data_format": "channels_first",
            "optimizer": "adam",
            "weight_decay": 0.0,
        },
    },
    "hisso": {
        "enabled": True,
        "window": 24,
        "primary_transform": "softmax",
        "transition_penalty": 0.0,
        "mixed_precision": False,
    },
    "data": {
        "loader": "psann.scripts.hisso_log_run.toy_hisso_dataset",
        "kwargs": {"steps": 192, "features": 4, "seed": 3},
    },
    "training": {"verbose": 1},
    "evaluation": {"portfolio_prices_key": "prices_test", "trans_cost": 0.0},
}


def _load(tmp_path: Path, changes: dict[str, Any], **options: Any) -> RunConfig:
    tree = ConfigTree({}, Origins())
    tree.values = {key: _copy(value) for key, value in PUBLISHED.items()}
    for name, value in changes.items():
        tree.set(tuple(name.split(".")), value, origin="test")
    file = tmp_path / "run.yaml"
    file.write_text(to_yaml(tree.values))
    return load_run_config(file, **options)


def _copy(value: Any) -> Any:
    return {k: _copy(v) for k, v in value.items()} if isinstance(value, dict) else value


def test_a_published_configuration_runs_unchanged(tmp_path: Path) -> None:
    config = _load(tmp_path, {})
    assert (config.training.epochs, config.training.batch_size) == (5, 48)
    assert (config.training.lr, config.seed, config.device) == (0.001, 19, "cpu")
    assert config.data.loader == "psann.datasets.make_toy_hisso"
    assert sorted(config.estimator.params) == [
        "data_format",
        "hidden_layers",
        "hidden_units",
        "optimizer",
        "preserve_shape",
        "weight_decay",
    ]
    assert config.recorded.notes == [
        "data.loader of psann 0.12 psann.scripts.hisso_log_run.toy_hisso_dataset became "
        "psann.datasets.make_toy_hisso",
        "training.verbose of psann 0.12 has no counterpart and was left out: the console shows "
        "every epoch",
        DEFAULT_REWARD,
    ]
    assert check_targets(config).loader is not None
    assert estimator_arguments(config)["random_state"] == 19


@pytest.mark.parametrize(
    ("changes", "is_noted"),
    [
        ({}, True),
        ({"hisso.reward": None}, True),
        ({"mode": "fine_tune", "init_from": "first"}, True),
        ({"hisso.reward": "sharpe"}, False),
        ({"hisso.enabled": False}, False),
        ({"mode": "evaluate", "init_from": "first"}, False),
        ({"recorded.notes": []}, False),
    ],
)
def test_a_policy_whose_reward_nobody_named_is_noted_once(
    tmp_path: Path, changes: dict[str, Any], is_noted: bool
) -> None:
    config = _load(tmp_path, changes)
    assert (DEFAULT_REWARD in config.recorded.notes) is is_noted
    (tmp_path / "again.yaml").write_text(dump_resolved(config))
    assert load_run_config(tmp_path / "again.yaml") == config


def test_the_resolved_configuration_shows_canonical_names_only(tmp_path: Path) -> None:
    config = _load(tmp_path, {"hisso.trans_cost": 0.0, "hisso.episodes_per_batch": 4})
    text = dump_resolved(config).partition("recorded:")[0]
    for name in ("trans_cost: 0.0\n  episodes", "episodes_per_batch", "verbose", "random_state"):
        assert name not in text
    (tmp_path / "again.yaml").write_text(dump_resolved(config))
    assert load_run_config(tmp_path / "again.yaml") == config


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"hisso.episodes_per_batch": 4}, {"hisso.batch_episodes": 4}),
        (
            {"hisso": {"trans_cost": 0.5}},
            {"hisso.transition_penalty": 0.5, "hisso.window": 64},
        ),
        ({"hisso": {"trans_cost": None}}, {"hisso.transition_penalty": 0.0}),
        ({"hisso.lr_max": 0.01}, {"training.lr": 0.01, "training.lr_schedule.name": "constant"}),
        (
            {"hisso.lr_max": 0.01, "hisso.lr_min": 1e-4},
            {
                "training.lr": 0.01,
                "training.lr_schedule.name": "linear",
                "training.lr_schedule.lr_min": 1e-4,
            },
        ),
        ({"hisso.lr_max": None, "hisso.lr_min": None}, {"training.lr": 0.001}),
        (
            {"hisso.lr_max": 0.01, "hisso.supervised": True},
            {"training.lr": 0.01, "hisso.supervised.lr": 0.001},
        ),
        (
            {"hisso.lr_max": 0.01, "hisso.supervised": {"epochs": 3, "lr": 0.5}},
            {"training.lr": 0.01, "hisso.supervised.lr": 0.5, "hisso.supervised.epochs": 3},
        ),
        ({"hisso.supervised": None, "hisso.input_noise": None}, {"hisso.supervised": False}),
        ({"hisso.supervised": True}, {"hisso.supervised.epochs": 10}),
        ({"estimator.params.random_state": None}, {"seed": 42, "recorded.seed_from": "default"}),
        (
            {"estimator.params.early_stopping": False, "estimator.params.patience": 20},
            {"training.patience": None},
        ),
        (
            {"estimator.params.early_stopping": True, "estimator.params.patience": 20},
            {"training.patience": 20},
        ),
        (
            {"estimator.params.early_stopping": True, "training.patience": 7},
            {"training.patience": 7},
        ),
        ({"estimator.params.patience": 20}, {"training.patience": 20}),
        (
            {"data.loader": "psann.scripts.hisso_log_run:toy_hisso_dataset"},
            {"data.loader": "psann.datasets.make_toy_hisso"},
        ),
        ({"estimator.params.lr_schedule": "cosine"}, {"training.lr_schedule.name": "cosine"}),
        (
            {
                "estimator.params.lr_schedule": "cosine",
                "training.lr_schedule": {"name": "cosine"},
                "training.lr": 1e-3,
                "training.epochs": 5,
                "seed": 19,
                "device": "cpu",
            },
            {"training.lr_schedule.name": "cosine", "training.lr": 0.001, "seed": 19},
        ),
    ],
)
def test_published_spellings_and_repeated_values_find_their_home(
    tmp_path: Path, changes: dict[str, Any], found: dict[str, Any]
) -> None:
    values = _load(tmp_path, changes).model_dump()
    for name, expected in found.items():
        inner = values
        for key in name.split("."):
            inner = inner[key]
        assert inner == expected, name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training.lr": 0.5}, "estimator.params.lr is 0.001, but training.lr is 0.5"),
        ({"training.epochs": 6}, "estimator.params.epochs is 5, but training.epochs is 6"),
        ({"seed": 20}, "estimator.params.random_state is 19, but seed is 20"),
        ({"device": "auto"}, 'estimator.params.device is "cpu", but device is "auto"'),
        ({"hisso.trans_cost": 0.5}, "hisso.trans_cost is 0.5, but hisso.transition_penalty is 0.0"),
        (
            {"hisso.lr_min": 0.1, "training.lr_schedule": "cosine"},
            'hisso.lr_min is {"name": "linear", "lr_min": 0.1}, but training.lr_schedule is',
        ),
        (
            {"hisso.lr_max": 0.1, "training.lr": 0.2},
            "hisso.lr_max is 0.1, but training.lr is 0.2",
        ),
        (
            {"estimator.params.early_stopping": True},
            "estimator.params.early_stopping true needs training.patience",
        ),
        (
            {"estimator.params.early_stopping": False, "training.patience": 3},
            "estimator.params.patience is null, but training.patience is 3",
        ),
        ({"estimator.params.early_stopping": 1}, "early_stopping must be true or false; got 1"),
        ({"training": 3}, "training must be a mapping; got 3"),
        ({"training": [1]}, "training must be a mapping; got [1]"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, changes)
    assert message in str(caught.value)
    assert len(caught.value.problems) == 1


@pytest.mark.parametrize(
    ("name", "cure"),
    thinned([(".".join(path), cure) for path, cure in CONFIG_KEYS.items()])
    + thinned([(f"estimator.params.{name}", cure) for name, cure in PARAMETERS.items()], 6),
)
def test_other_published_keys_are_refused_by_name(tmp_path: Path, name: str, cure: str) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, {name: 1})
    (problem,) = caught.value.problems
    assert problem.startswith("run.yaml line")
    assert problem.endswith(f": {name} is a key of psann 0.12; {cure}.")


def test_a_users_own_estimator_may_call_its_parameters_what_it_likes(tmp_path: Path) -> None:
    changes = {"estimator.target": "mine.Own", "estimator.params.lsm": 3}
    assert _load(tmp_path, changes).estimator.params["lsm"] == 3


def test_the_command_line_may_use_published_spellings_too(tmp_path: Path) -> None:
    overrides = ["hisso.trans_cost=0.5", "estimator.params.early_stopping=false"]
    config = _load(tmp_path, {"training.patience": 5}, overrides=overrides)
    assert config.hisso.transition_penalty == 0.5
    assert config.training.patience is None


def test_moved_values_keep_their_origin() -> None:
    tree = ConfigTree(
        {"estimator": {"params": {"lr": 0.5}}},
        Origins(source="f", places={("estimator", "params", "lr"): "f line 3"}),
    )
    make_canonical(tree)
    assert tree.values == {"training": {"lr": 0.5}}
    assert tree.where(("training", "lr")) == "f line 3"
