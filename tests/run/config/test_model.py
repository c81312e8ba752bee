"""RunConfig: its defaults, and what it refuses: values, combinations, misspelt keys."""

from __future__ import annotations

import copy
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from configs import BAD, MINIMAL, SAMPLE, TEMPLATES, loaded
from psann._strict_yaml import read_config_file
from psann.errors import ConfigError, PsannError
from psann.hisso.options import HISSOOptions
from psann.run.config.load import load_run_config
from psann.run.config.model import DataConfig, EstimatorConfig, RunConfig
from psann.run.config.targets import check_targets
from thinning import slow


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL)
    assert config.mode == "train"
    assert (config.hisso.window, config.hisso.batch_episodes) == (64, 32)
    assert config.hisso.updates_per_epoch is None
    assert (config.hisso.primary_transform, config.hisso.transition_penalty) == ("softmax", 0.0)
    training = config.training
    assert (training.epochs, training.batch_size, training.patience) == (200, 32, None)
    assert (training.lr, training.lr_schedule.name, training.monitor) == (1e-3, "constant", "auto")
    assert (training.seeds, training.engine, training.threads) == (1, "auto", None)
    assert (training.on_nonfinite, training.checkpoint_every_s) == ("stop", 30.0)
    assert (config.seed, config.device, config.init_from) == (42, "auto", None)
    assert config.recorded.seed_from == "default"


def test_empty_sections_mean_their_defaults(tmp_path: Path) -> None:
    text = MINIMAL.replace("{npz: a.npz}", "{npz: a.npz, kwargs: }") + "hisso:\ntraining:\n"
    assert loaded(tmp_path, text + "evaluation:\n") == loaded(tmp_path, MINIMAL)


def test_a_configuration_cannot_be_changed(tmp_path: Path) -> None:
    config = loaded(tmp_path, SAMPLE)
    with pytest.raises(AttributeError, match="RunConfig cannot be changed"):
        config.seed = 3  # type: ignore[misc]


def test_a_callable_reward_is_refused_in_a_run_config() -> None:
    with pytest.raises(ValueError, match="reward must be named by its import path"):
        RunConfig(
            estimator=EstimatorConfig(target="psann.PSANNRegressor"),
            data=DataConfig(npz="a.npz"),
            hisso=HISSOOptions(reward=print),
        )


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "training.epochs",
        "training.batch_size",
        "hisso.window",
        "hisso.batch_episodes",
        "hisso.updates_per_epoch",
        "hisso.supervised.epochs",
        "hisso.supervised.batch_size",
    ],
)
def test_a_number_that_no_run_could_reach_is_refused(tmp_path: Path, key: str) -> None:
    loaded(tmp_path, SAMPLE, overrides=[f"{key}=10000000"])
    with pytest.raises(ConfigError, match=r"and of at most 10000000.*got 10000001"):
        loaded(tmp_path, SAMPLE, overrides=[f"{key}=10000001"])


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
def test_a_number_that_is_not_finite_is_told_once(tmp_path: Path, number: str) -> None:
    text = SAMPLE.replace("  lr: 0.01\n  lr_sch", f"  lr: {number}\n  lr_sch")
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, text.replace("window: 8", "window: 1"))
    assert caught.value.problems == (
        "run.yaml line 7: hisso.window must be a whole number of at least 2 and of at most "
        "10000000; got 1.",
        "run.yaml line 34: training.lr must be a finite number.",
    )


@pytest.mark.parametrize(("old", "new", "message"), BAD.values(), ids=BAD)
def test_bad_configurations_are_refused_with_path_and_line(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    assert old in SAMPLE
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, SAMPLE.replace(old, new))
    assert message in str(caught.value)
    assert all(problem.startswith("run.yaml") for problem in caught.value.problems)


def test_there_are_at_least_forty_bad_configurations() -> None:
    assert len(BAD) >= 40


def test_every_one_of_several_seeds_must_be_a_seed(tmp_path: Path) -> None:
    text = SAMPLE.replace("seed: 7", "seed: 4294967293").replace("seeds: 1", "seeds: 3")
    config = loaded(tmp_path, text)
    assert list(config.seeds) == [4294967293, 4294967294, 4294967295]
    assert config.seeds_in_words == "seeds 4294967293 ... 4294967295"
    with pytest.raises(ConfigError, match="must be at most 4294967296"):
        loaded(tmp_path, text.replace("seeds: 3", "seeds: 4"))


def test_a_misspelt_required_key_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, SAMPLE.replace("estimator:", "estimater:"))
    assert caught.value.problems == (
        "run.yaml line 2: estimater is no known key. Did you mean 'estimator'?",
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["evaluation.n_trials=5"], "n_trials has no effect in mode train"),
        (["evaluation.withhold_test=true", "evaluation.placebo=2"], "withhold_test leaves rows"),
        (
            ["evaluation.withhold_test=true", "evaluation.walk_forward={folds: 2}"],
            "withhold_test leaves rows shut that walk_forward and placebo judge",
        ),
    ],
)
def test_what_would_have_no_effect_on_judging_is_refused(
    tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        loaded(tmp_path, SAMPLE, overrides=overrides)


# --- misspelt keys -------------------------------------------------------------------------------


def _typos(word: str) -> Iterator[str]:
    """Of deletions and transpositions of a letter, and substitutions, every fifth."""
    letters = string.ascii_lowercase
    typos = {word[:i] + word[i + 1 :] for i in range(len(word))}
    typos |= {
        word[:i] + letters[(5 * i + len(word)) % 26] + word[i + 1 :] for i in range(len(word))
    }
    typos |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    yield from sorted(typos - {word, ""})[::5]


def _key_paths(values: Any, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(values, dict):
        for key, value in values.items():
            yield (*above, key)
            yield from _key_paths(value, (*above, key))


def _renamed(values: dict[str, Any], path: tuple[str, ...], name: str) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    parent = changed
    for key in path[:-1]:
        parent = parent[key]
    items = [(name if key == path[-1] else key, value) for key, value in parent.items()]
    parent.clear()
    parent.update(items)
    return changed


def _templates(tmp_path: Path) -> Iterator[dict[str, Any]]:
    (tmp_path / "sample.yaml").write_text(SAMPLE)
    for file in [tmp_path / "sample.yaml", *TEMPLATES]:
        yield read_config_file(file).values


@pytest.mark.parametrize("every", [5, slow(1)])
def test_one_letter_typos_are_refused_with_the_right_suggestion(tmp_path: Path, every: int) -> None:
    file = tmp_path / "run.json"
    right, wrong, seen = 0, [], set()
    for values in _templates(tmp_path):
        target = values["estimator"]["target"]
        for path in _key_paths(values):
            if (path, target) in seen or (path, None) in seen:
                continue
            if path[:2] == ("data", "kwargs") and len(path) > 3:
                continue  # what is inside an argument is its loader's to check
            seen.add((path, target if path[:1] == ("estimator",) else None))
            if len(seen) % every:
                continue
            for typo in _typos(path[-1]):
                file.write_text(json.dumps(_renamed(values, path, typo)))
                with pytest.raises(PsannError) as caught:
                    check_targets(load_run_config(file))
                if f"Did you mean '{path[-1]}'?" in str(caught.value):
                    right += 1
                else:
                    wrong.append((path, typo))
    assert right >= 0.95 * (right + len(wrong)), wrong
