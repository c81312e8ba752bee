"""RunConfig: precedence, refusals, typos, round trips, start-up."""

from __future__ import annotations

import copy
import json
import string
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from psann.errors import ConfigError, PsannError
from psann.hisso.options import HISSOOptions
from psann.run.config.file import read_config_file
from psann.run.config.load import config_sha256, dump_resolved, load_run_config
from psann.run.config.model import DataConfig, EstimatorConfig, RunConfig
from psann.run.config.schema import config_keys
from psann.run.config.targets import check_targets

SAMPLE = """\
mode: train
estimator:
  target: psann.WaveResNetRegressor
  params: {hidden_layers: 1, hidden_units: 4, w0_warmup_epochs: 2, weight_decay: 0.01}
hisso:
  enabled: true
  window: 8
  batch_episodes: 2
  updates_per_epoch: 2
  reward: {target: mean_variance, kwargs: {risk_aversion: 2.0}}
  context_extractor: null
  primary_transform: softmax
  transition_penalty: 0.001
  input_noise: 0.0
  supervised:
    y_key: y_train
    epochs: 2
    batch_size: 16
    lr: 0.01
    weight_decay: 0.0
    shuffle: true
  mixed_precision: false
  amp_dtype: float16
data:
  loader: psann.datasets.make_toy_hisso
  kwargs:
    steps: 96
    features: 4
    seed: 3
training:
  epochs: 3
  batch_size: 16
  patience: 2
  lr: 0.01
  lr_schedule: {name: cosine, lr_min: 1e-5, warmup_epochs: 1}
  monitor: auto
  seeds: 1
  engine: auto
  threads: 1
  on_nonfinite: stop
  checkpoint_every_s: 30
evaluation:
  portfolio_prices_key: prices_test
  trans_cost: 0.001
  initial: cash
  periods_per_year: 252
seed: 7
device: cpu
"""
TEMPLATES = sorted((Path(__file__).parents[3] / "configs" / "hisso").glob("*.yaml"))


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    file = tmp_path / "run.yaml"
    file.write_text(SAMPLE)
    return file


def _load(tmp_path: Path, text: str, **options: Any) -> RunConfig:
    file = tmp_path / "run.yaml"
    file.write_text(text)
    return load_run_config(file, **options)


MINIMAL = "estimator: {target: psann.PSANNRegressor}\ndata: {npz: a.npz}\n"


# --- defaults and precedence ---------------------------------------------------------------------


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    config = _load(tmp_path, MINIMAL)
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


@pytest.mark.parametrize(
    ("text", "seed", "expected"),
    [
        ("", None, (42, "default")),
        ("seed: 5\n", None, (5, "config")),
        ("seed: 5\n", 9, (9, "command line")),
        ("", 42, (42, "command line")),
        ("seed: 42\n", None, (42, "config")),
    ],
)
def test_the_seed_and_its_source_are_known(
    tmp_path: Path, text: str, seed: int | None, expected: tuple[int, str]
) -> None:
    config = _load(tmp_path, MINIMAL + text, seed=seed)
    assert (config.seed, config.recorded.seed_from) == expected
    again = _load(tmp_path, dump_resolved(config))
    assert (again.seed, again.recorded.seed_from) == expected


def test_the_command_line_wins_over_the_file(sample: Path) -> None:
    config = load_run_config(
        sample,
        overrides=[
            "training.epochs=5",
            "hisso.supervised.epochs=4",
            "estimator.params.lr=0.5",
            "estimator.params.hidden_units=8",
            "training.lr_schedule.lr_min=1e-4",
            "hisso.trans_cost=0.25",
            "hisso.reward=portfolio",
            "seed=1",
            "evaluation.trans_cost=",
        ],
        device="cuda:1",
        seed=2,
    )
    assert config.training.epochs == 5
    assert config.hisso.warm_start is not None
    assert (config.hisso.warm_start.epochs, config.hisso.warm_start.batch_size) == (4, 16)
    assert config.training.lr == 0.5
    assert config.estimator.params == {
        "hidden_layers": 1,
        "hidden_units": 8,
        "w0_warmup_epochs": 2,
        "weight_decay": 0.01,
    }
    assert config.training.lr_schedule.name == "cosine"
    assert config.training.lr_schedule.lr_min == 1e-4
    assert config.hisso.transition_penalty == 0.25
    assert config.hisso.reward == "portfolio"
    assert (config.seed, config.device) == (2, "cuda:1")
    assert config.evaluation.trans_cost is None


def test_a_later_override_wins_over_an_earlier_one(sample: Path) -> None:
    config = load_run_config(sample, overrides=["training.lr=0.1", "estimator.params.lr=0.2"])
    assert config.training.lr == 0.2


def test_a_mapping_on_the_command_line_replaces_the_one_in_the_file(sample: Path) -> None:
    config = load_run_config(
        sample,
        overrides=["data={npz: a.npz}", "estimator.params={lr: 0.5}", "training.lr_schedule=step"],
    )
    assert (config.data.loader, config.data.kwargs) == (None, {})
    assert config.estimator.params == {}
    assert config.training.lr == 0.5
    assert config.training.lr_schedule.name == "step"
    assert config.training.lr_schedule.warmup_epochs == 0


def test_paths_are_relative_to_the_file_and_to_the_folder_of_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    text = MINIMAL + "mode: fine_tune\ninit_from: ../runs/first\n"
    config = _load(there, text)
    assert config.data.npz == str(there / "a.npz")
    assert config.init_from == str(tmp_path / "runs" / "first")
    config = _load(there, text, overrides=["data.npz=b.npz"], init_from="runs/second")
    assert config.data.npz == str(here / "b.npz")
    assert config.init_from == str(here / "runs" / "second")


def test_each_value_knows_where_it_was_written(sample: Path) -> None:
    config = load_run_config(sample, overrides=["training.lr=0.1"], seed=3)
    assert config.where("hisso", "window") == "run.yaml line 7"
    assert config.where("estimator", "params", "hidden_units") == "run.yaml line 4"
    assert config.where("training", "lr") == "--set training.lr=0.1"
    assert config.where("seed") == "--seed"
    assert config.where("init_from") == "run.yaml"


def test_a_json_file_says_the_same_as_a_yaml_file(sample: Path, tmp_path: Path) -> None:
    values = read_config_file(sample).values
    (tmp_path / "run.json").write_text(json.dumps(values))
    assert load_run_config(tmp_path / "run.json") == load_run_config(sample)


def test_empty_sections_mean_their_defaults(tmp_path: Path) -> None:
    text = MINIMAL.replace("{npz: a.npz}", "{npz: a.npz, kwargs: }") + "hisso:\ntraining:\n"
    assert _load(tmp_path, text + "evaluation:\n") == _load(tmp_path, MINIMAL)


def test_a_configuration_cannot_be_changed(sample: Path) -> None:
    config = load_run_config(sample)
    with pytest.raises(ValueError, match="frozen"):
        config.seed = 3  # type: ignore[misc]


def test_a_callable_reward_is_refused_in_a_run_config() -> None:
    with pytest.raises(ValueError, match="reward must be named by its import path"):
        RunConfig(
            estimator=EstimatorConfig(target="psann.PSANNRegressor"),
            data=DataConfig(npz="a.npz"),
            hisso=HISSOOptions(reward=print),
        )


# --- refusals ------------------------------------------------------------------------------------

# Changes of the sample (path -> value; None as path: text appended), and what must be said.
BAD: dict[str, tuple[str, str, str]] = {
    # name: (old text, new text, message)
    "unknown mode": ("mode: train", "mode: tune", "line 1: mode must be one of train, fine_tune"),
    "mode misspelt": ("mode: train", "mode: trian", "got \"trian\". Did you mean 'train'?"),
    "no mode": ("mode: train", "mode: null", "line 1: mode must be one of"),
    "fine_tune from nothing": ("mode: train", "mode: fine_tune", "init_from: mode fine_tune needs"),
    "evaluate nothing": ("mode: train", "mode: evaluate", "init_from: mode evaluate needs"),
    "train from something": (
        "mode: train",
        "init_from: a",
        "line 1: init_from: has no effect in mode train",
    ),
    "no target": ("target: psann.Wave", "goal: psann.Wave", "estimator.target is missing"),
    "target is a list": (
        "target: psann.WaveResNetRegressor",
        "target: [a]",
        'line 3: estimator.target must be text; got ["a"]',
    ),
    "params are a list": (
        "{hidden_layers: 1, hidden_units: 4, w0_warmup_epochs: 2, weight_decay: 0.01}",
        "[1]",
        "line 4: estimator.params must be a mapping; got [1]",
    ),
    "estimator is text": (
        "estimator:\n  target: psann.WaveResNetRegressor\n  params:",
        "estimator: psann.PSANNRegressor\nseed1:",
        "line 2: estimator must be a mapping",
    ),
    "window 1": (
        "window: 8",
        "window: 1",
        "line 7: hisso.window must be a whole number of at least 2 and of at most 10000000; got 1.",
    ),
    "window 8.5": ("window: 8", "window: 8.5", "line 7: hisso.window must be a whole number"),
    "window 8.0": ("window: 8", "window: 8.0", "line 7: hisso.window must be a whole number"),
    "window as text": ("window: 8", "window: '8'", "line 7: hisso.window must be a whole number"),
    "window true": ("window: 8", "window: true", "hisso.window must be a whole number of at least"),
    "window a list": ("window: 8", "window: [8]", "line 7: hisso.window must be a whole number"),
    "no episodes": ("batch_episodes: 2", "batch_episodes: 0", "line 8: hisso.batch_episodes must"),
    "no updates": (
        "updates_per_epoch: 2",
        "updates_per_epoch: 0",
        "line 9: hisso.updates_per_epoch must be a whole number of at least 1 and of at most",
    ),
    "yes": ("enabled: true", "enabled: yes", 'must be true or false; got "yes". Write true.'),
    "enabled 1": ("enabled: true", "enabled: 1", "line 6: hisso.enabled must be true or false"),
    "reward a number": (
        "reward: {target: mean_variance, kwargs: {risk_aversion: 2.0}}",
        "reward: 3",
        "line 10: hisso.reward must be text, or a mapping, or null; got 3.",
    ),
    "reward without target": (
        "reward: {target: mean_variance,",
        "reward: {",
        "line 10: hisso.reward.target is missing",
    ),
    "reward with another key": (
        "kwargs: {risk_",
        "kwarg: {risk_",
        "line 10: hisso.reward.kwarg is no known key. Did you mean 'kwargs'?",
    ),
    "unknown transform": (
        "primary_transform: softmax",
        "primary_transform: softmx",
        "Did you mean 'softmax'?",
    ),
    "negative penalty": (
        "transition_penalty: 0.001",
        "transition_penalty: -0.1",
        "line 13: hisso.transition_penalty must be a number of at least 0; got -0.1.",
    ),
    "infinite penalty": (
        "transition_penalty: 0.001",
        "transition_penalty: .inf",
        "line 13: hisso.transition_penalty must be a finite number",
    ),
    "warm start of no epochs": (
        "    epochs: 2",
        "    epochs: 0",
        "line 17: hisso.supervised.epochs must be a whole number of at least 1 and of at most",
    ),
    "unknown warm-start key": (
        "    shuffle: true",
        "    shufle: true",
        "line 21: hisso.supervised.shufle is no known key. Did you mean 'shuffle'?",
    ),
    "amp type": ("amp_dtype: float16", "amp_dtype: float32", "hisso.amp_dtype must be one of"),
    "no source": (
        "loader: psann.datasets.make_toy_hisso",
        "loader: null",
        "data: give npz (a file) or loader (a function)",
    ),
    "two sources": (
        "loader: psann.datasets.make_toy_hisso",
        "loader: a.b\n  npz: a.npz",
        "data: npz cannot be combined with loader and kwargs",
    ),
    "kwargs of an archive": (
        "loader: psann.datasets.make_toy_hisso",
        "npz: a.npz",
        "data: npz cannot be combined with loader and kwargs",
    ),
    "a loader that is mapped": (
        "loader: psann.datasets.make_toy_hisso",
        "loader: psann.datasets.make_toy_hisso\n  mmap: true",
        "data: mmap has no effect on a loader",
    ),
    "misspelt section": ("data:", "daat:", "daat is no known key. Did you mean 'data'?"),
    "no epochs": ("  epochs: 3", "  epochs: 0", "training.epochs must be a whole number of at"),
    "negative lr": (
        "  lr: 0.01",
        "  lr: -1",
        "hisso.supervised.lr must be a number greater than 0",
    ),
    "unknown schedule": (
        "name: cosine",
        "name: cosin",
        "training.lr_schedule.name must be one of constant, linear, cosine, one_cycle, step",
    ),
    "schedule a number": (
        "lr_schedule: {name: cosine, lr_min: 1e-5, warmup_epochs: 1}",
        "lr_schedule: 3",
        "one of constant, linear, cosine, one_cycle, step, or a mapping; got 3.",
    ),
    "idle schedule key": (
        "name: cosine, lr_min: 1e-5",
        "name: step, lr_min: 1e-5",
        "training.lr_schedule: lr_min has no effect on the schedule 'step'",
    ),
    "warm-up beyond the end": (
        "warmup_epochs: 1}",
        "warmup_epochs: 5}",
        "line 35: training.lr_schedule: warmup_epochs must be at most epochs, 3, or lr is never",
    ),
    "schedule that climbs": (
        "lr_min: 1e-5",
        "lr_min: 0.02",
        "lr_min must be at most lr, 0.01, from where the rate falls; got 0.02",
    ),
    "unknown monitor": ("monitor: auto", "monitor: valloss", "training.monitor must be one of"),
    "no seeds": ("seeds: 1", "seeds: 0", "training.seeds must be a whole number of at least 1"),
    "too many seeds": ("seeds: 1", "seeds: 1001", "training.seeds must be"),
    "unknown engine": (
        "engine: auto",
        "engine: fast",
        "training.engine must be one of auto, eager",
    ),
    "no threads": ("threads: 1", "threads: 0", "training.threads must be a whole number of at le"),
    "ignore nonfinite": ("on_nonfinite: stop", "on_nonfinite: ignore", "must be one of stop, skip"),
    "commits never": ("every_s: 30", "every_s: 0", "checkpoint_every_s must be a number greater"),
    "prices key a number": (
        "key: prices_test",
        "key: 3",
        "evaluation.portfolio_prices_key must be",
    ),
    "cost of everything": (
        "  trans_cost: 0.001",
        "  trans_cost: 1",
        "evaluation.trans_cost must be a number of at least 0 and less than 1, or null; got 1.",
    ),
    "holdings": ("initial: cash", "initial: Cash", "got \"Cash\". Did you mean 'cash'?"),
    "no periods": ("per_year: 252", "per_year: 0", "evaluation.periods_per_year must be a number"),
    "negative seed": (
        "seed: 7",
        "seed: -1",
        "line 47: seed must be a whole number of at least 0 and of at most 4294967295; got -1.",
    ),
    "large seed": ("seed: 7", "seed: 4294967296", "seed must be a whole number"),
    "seed as text": ("seed: 7", "seed: '7'", "seed must be a whole number of at least 0"),
    "gpu": ("device: cpu", "device: gpu", "line 48: device must be text such as auto, cpu, cuda,"),
    "cuda:-1": ("device: cpu", "device: cuda:-1", "line 48: device must be text such as"),
    "key of another section": (
        "seed: 7",
        "window: 7",
        "line 47: window is no known key. Did you mean 'hisso.window'?",
    ),
    "unheard-of key": ("seed: 7", "zebra: 7", "run.yaml line 47: zebra is no known key."),
    "recorded digest": ("seed: 7", "recorded: {npz_sha256: abc}", "recorded.npz_sha256 must be"),
    "digest of no archive": (
        "seed: 7",
        f"recorded: {{npz_sha256: {'a' * 64}}}",
        "recorded: npz_sha256 has no effect on a loader: remove it.",
    ),
    "digest of no parent": (
        "seed: 7",
        f"recorded: {{init_from_sha256: {'a' * 64}}}",
        "recorded: init_from_sha256 has no effect without init_from: remove it.",
    ),
    "masked secret": (
        "    steps: 96",
        "    password: '***'",
        "line 27: data.kwargs.password holds a masked secret (***); give it by --set",
    ),
    "contradiction": (
        "weight_decay: 0.01}",
        "lr: 0.5}",
        "line 4: estimator.params.lr is 0.5, but training.lr is 0.01 (run.yaml line 34)",
    ),
    "contradicting seed": (
        "weight_decay: 0.01}",
        "random_state: 5}",
        "estimator.params.random_state is 5, but seed is 7 (run.yaml line 47); keep one of them.",
    ),
}


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
    _load(tmp_path, SAMPLE, overrides=[f"{key}=10000000"])
    with pytest.raises(ConfigError, match=r"and of at most 10000000.*got 10000001"):
        _load(tmp_path, SAMPLE, overrides=[f"{key}=10000001"])


@pytest.mark.parametrize("number", [".inf", "-.inf", ".nan"])
def test_a_number_that_is_not_finite_is_told_once(tmp_path: Path, number: str) -> None:
    text = SAMPLE.replace("  lr: 0.01\n  lr_sch", f"  lr: {number}\n  lr_sch")
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text.replace("window: 8", "window: 1"))
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
        _load(tmp_path, SAMPLE.replace(old, new))
    assert message in str(caught.value)
    assert all(problem.startswith("run.yaml") for problem in caught.value.problems)


def test_there_are_at_least_forty_bad_configurations() -> None:
    assert len(BAD) >= 40


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    text = (
        SAMPLE.replace("window: 8", "window: 1")
        .replace("mode: train", "mode: fine_tune")
        .replace("hisso:\n", "hisso:\n  reward_fn: a.b\n")
        .replace("    shuffle", "    shufle")
        .replace("seeds: 1", "seeds: 0")
        .replace("seed: 7", "seed: 7\nseed: 8\nsede: 9")
    )
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text, overrides=["a", "data.kwargs={", "evaluation.initial=3", "x.y=1"])
    said = [problem.partition(": ")[2] for problem in caught.value.problems]
    expected = [
        "seed is written twice",
        "hisso.reward_fn is a key of psann 0.12; write hisso.reward",
        "this is no YAML",
        "hisso.window must be",
        "hisso.supervised.shufle is no known key",
        "training.seeds must be",
        "evaluation.initial must be one of",
        "init_from: mode fine_tune needs",
        "sede is no known key. Did you mean 'seed'?",
        "x is no known key",
    ]
    for fragment in expected:
        assert sum(text.startswith(fragment) for text in said) == 1, (fragment, said)
    assert "--set must be key.path=value; got 'a'." in caught.value.problems
    assert len(said) == len(expected) + 1


def test_every_one_of_several_seeds_must_be_a_seed(tmp_path: Path) -> None:
    text = SAMPLE.replace("seed: 7", "seed: 4294967293").replace("seeds: 1", "seeds: 3")
    config = _load(tmp_path, text)
    assert list(config.seeds) == [4294967293, 4294967294, 4294967295]
    assert config.seeds_in_words == "seeds 4294967293 ... 4294967295"
    with pytest.raises(ConfigError, match="must be at most 4294967296"):
        _load(tmp_path, text.replace("seeds: 3", "seeds: 4"))


def test_a_misspelt_required_key_is_told_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, SAMPLE.replace("estimator:", "estimater:"))
    assert caught.value.problems == (
        "run.yaml line 2: estimater is no known key. Did you mean 'estimator'?",
    )


def test_a_problem_of_the_command_line_names_the_option(sample: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_run_config(
            sample,
            overrides=["hisso.window=1", "training.lr=x", "=3", "a..b=1"],
            mode="tune",
            seed=-1,
            device="gpu",
        )
    assert [problem.split(": ")[0] for problem in caught.value.problems] == [
        "--set must be key.path=value; got '=3'.",
        "--set must be key.path=value; got 'a..b=1'.",
        "--mode",
        "--set hisso.window=1",
        "--set training.lr=x",
        "--seed",
        "--device",
    ]


# --- misspelt keys -------------------------------------------------------------------------------


def _typos(word: str) -> Iterator[str]:
    """Every deletion and transposition of a letter, and one substitution at each place."""
    letters = string.ascii_lowercase
    typos = {word[:i] + word[i + 1 :] for i in range(len(word))}
    typos |= {
        word[:i] + letters[(5 * i + len(word)) % 26] + word[i + 1 :] for i in range(len(word))
    }
    typos |= {word[:i] + word[i + 1] + word[i] + word[i + 2 :] for i in range(len(word) - 1)}
    yield from sorted(typos - {word, ""})


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


def test_one_letter_typos_are_refused_with_the_right_suggestion(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    right, wrong, seen = 0, [], set()
    for values in _templates(tmp_path):
        target = values["estimator"]["target"]
        for path in _key_paths(values):
            if (path, target) in seen or (path, None) in seen:
                continue
            seen.add((path, target if path[:1] == ("estimator",) else None))
            for typo in _typos(path[-1]):
                file.write_text(json.dumps(_renamed(values, path, typo)))
                with pytest.raises(PsannError) as caught:
                    check_targets(load_run_config(file))
                if f"Did you mean '{path[-1]}'?" in str(caught.value):
                    right += 1
                else:
                    wrong.append((path, typo))
    assert right >= 0.95 * (right + len(wrong)), wrong


# --- writing, digests ----------------------------------------------------------------------------


def test_the_resolved_configuration_holds_every_key(sample: Path) -> None:
    walk_forward = "evaluation.walk_forward={folds: 2}"  # absent unless it is asked for
    values = yaml.safe_load(dump_resolved(load_run_config(sample, overrides=[walk_forward])))
    for path in config_keys(RunConfig):
        found = values
        for key in path:
            assert key in found, path
            found = found[key]


def test_digests_are_written_and_read_back_and_fall_with_their_file(tmp_path: Path) -> None:
    config = _load(tmp_path, MINIMAL + "mode: evaluate\ninit_from: run\n")
    text = dump_resolved(config, npz_sha256="a" * 64, init_from_sha256="b" * 64)
    again = _load(tmp_path, text)
    assert again.recorded.npz_sha256 == "a" * 64
    assert again.recorded.init_from_sha256 == "b" * 64
    assert dump_resolved(again) == text
    other = _load(tmp_path, text, overrides=["data.npz=b.npz"], init_from="other")
    assert (other.recorded.npz_sha256, other.recorded.init_from_sha256) == (None, None)
    other = _load(tmp_path, text, overrides=["data={npz: b.npz}"])
    assert (other.recorded.npz_sha256, other.recorded.init_from_sha256) == (None, "b" * 64)


def test_secrets_are_masked_when_written_and_refused_when_read(tmp_path: Path) -> None:
    text = MINIMAL.replace("{npz: a.npz}", "{loader: a.b, kwargs: {password: hunter2, n: 3}}")
    written = dump_resolved(_load(tmp_path, text))
    assert "hunter2" not in written
    with pytest.raises(ConfigError, match=r"--set data\.kwargs\.password=VALUE"):
        _load(tmp_path, written)
    again = _load(tmp_path, written, overrides=["data.kwargs.password=hunter2"])
    assert again == _load(tmp_path, text)


def test_the_digest_covers_what_determines_training(sample: Path) -> None:
    digest = config_sha256(load_run_config(sample))
    assert len(digest) == 64
    same = ["device=cuda:0", "training.checkpoint_every_s=5"]
    assert config_sha256(load_run_config(sample, overrides=same)) == digest
    for change in ("training.lr=0.5", "seed=8", "hisso.window=9", "data.kwargs.steps=97"):
        assert config_sha256(load_run_config(sample, overrides=[change])) != digest


NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXT = st.text(st.characters(exclude_characters="\0*", exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.floats(0, 1e6, allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(1e-12, 1e6, allow_nan=False, allow_infinity=False)
COUNTS = st.integers(1, 10**6)
KWARGS = st.dictionaries(
    NAMES, st.none() | st.booleans() | st.integers() | NUMBERS | TEXT, max_size=4
)
CONFIGS = st.fixed_dictionaries(
    {
        "estimator": st.fixed_dictionaries({"target": TEXT}, optional={"params": KWARGS}),
        "data": st.fixed_dictionaries({"npz": TEXT})
        | st.fixed_dictionaries({"loader": TEXT}, optional={"kwargs": KWARGS}),
    },
    optional={
        "hisso": st.fixed_dictionaries(
            {},
            optional={
                "enabled": st.booleans(),
                "window": st.integers(2, 10**6),
                "updates_per_epoch": st.none() | COUNTS,
                "reward": st.none()
                | TEXT
                | st.fixed_dictionaries({"target": TEXT}, optional={"kwargs": KWARGS}),
                "transition_penalty": NUMBERS,
                "supervised": st.booleans()
                | st.fixed_dictionaries(
                    {}, optional={"y_key": TEXT, "lr": POSITIVE, "epochs": COUNTS}
                ),
            },
        ),
        "training": st.fixed_dictionaries(
            {},
            optional={
                "epochs": COUNTS,
                "patience": st.none() | COUNTS,
                "lr": POSITIVE,
                "lr_schedule": st.sampled_from(["constant", "linear", "one_cycle"])
                | st.fixed_dictionaries({"name": st.just("step"), "gamma": st.just(0.5)}),
                "on_nonfinite": st.sampled_from(["stop", "skip"]),
            },
        ),
        "evaluation": st.fixed_dictionaries(
            {}, optional={"portfolio_prices_key": st.none() | TEXT, "periods_per_year": POSITIVE}
        ),
        "seed": st.integers(0, 2**32 - 1),
        "device": st.sampled_from(["auto", "cpu", "cuda", "cuda:3"]),
    },
)


@pytest.mark.parametrize("n_configs", [200, pytest.param(500, marks=pytest.mark.chaos)])
def test_a_resolved_configuration_feeds_back_unchanged(tmp_path: Path, n_configs: int) -> None:
    @settings(max_examples=n_configs, deadline=None)
    @given(values=CONFIGS)
    def check(values: dict[str, Any]) -> None:
        assert_feeds_back(tmp_path, values)

    check()


def assert_feeds_back(tmp_path: Path, values: dict[str, Any]) -> None:
    file = tmp_path / "run.json"
    file.write_text(json.dumps(values))
    try:
        config = load_run_config(file)
    except ConfigError as error:  # drawn parameters may have the name of a training key
        assert "estimator.params" in str(error) or "psann 0.12" in str(error)
        return
    text = dump_resolved(config)
    again = _load(tmp_path, text)
    assert again == config
    assert dump_resolved(again) == text
    assert config_sha256(again) == config_sha256(config)


# --- start-up ------------------------------------------------------------------------------------


def test_a_bad_configuration_is_refused_without_the_heavy_libraries(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_text(SAMPLE.replace("window: 8", "windw: 8"))
    script = (
        "import sys\n"
        "from psann.run.config.load import load_run_config\n"
        "try:\n"
        "    load_run_config(sys.argv[1])\n"
        "except ValueError as error:\n"
        "    print(error)\n"
        "print([n for n in ('torch', 'numpy', 'sklearn', 'rich', 'scipy') if n in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "run.yaml")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "run.yaml line 7: hisso.windw is no known key. Did you mean 'window'?",
        "[]",
    ]
