"""Configurations from file and command line, and back again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from configs import MINIMAL, SAMPLE, loaded
from psann._model_keys import UNTOLD, config_keys
from psann._strict_yaml import read_config_file
from psann.errors import ConfigError
from psann.market.block import PRICE_KEYS
from psann.run.config.load import config_sha256, dump_resolved, load_run_config
from psann.run.config.model import RunConfig


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    file = tmp_path / "run.yaml"
    file.write_text(SAMPLE)
    return file


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
    config = loaded(tmp_path, MINIMAL + text, seed=seed)
    assert (config.seed, config.recorded.seed_from) == expected
    again = loaded(tmp_path, dump_resolved(config))
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
    config = loaded(there, text)
    assert config.data.npz == str(there / "a.npz")
    assert config.init_from == str(tmp_path / "runs" / "first")
    config = loaded(there, text, overrides=["data.npz=b.npz"], init_from="runs/second")
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
        loaded(tmp_path, text, overrides=["a", "data.kwargs={", "evaluation.initial=3", "x.y=1"])
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


def test_keys_of_actions_that_are_no_weights_are_told_where_there_are_such(sample: Path) -> None:
    given = {"reward_inputs": ["price"], "n_actions": 2, "low": -1.0, "high": 2.0}
    overrides = [f"hisso.{key}={json.dumps(value)}" for key, value in given.items()]
    plain = load_run_config(sample)
    changed = load_run_config(sample, overrides=["hisso.primary_transform=bounded", *overrides])
    told = yaml.safe_load(dump_resolved(changed))["hisso"]
    assert {key: told[key] for key in given} == given
    assert not given.keys() & yaml.safe_load(dump_resolved(plain))["hisso"].keys()
    assert config_sha256(changed) != config_sha256(plain)


def test_the_resolved_configuration_holds_every_key(sample: Path) -> None:
    walk_forward = "evaluation.walk_forward={folds: 2}"  # absent unless it is asked for
    values = yaml.safe_load(dump_resolved(load_run_config(sample, overrides=[walk_forward])))
    for path, each in config_keys(RunConfig).items():
        if each.later == UNTOLD:
            continue  # told by the tests below
        if path[0] == "data" and path[-1] in PRICE_KEYS:
            continue  # absent unless there is a table
        found = values
        for key in path:
            assert key in found, path
            found = found[key]


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("evaluation.withhold_test", ["evaluation.withhold_test=true"]),
        ("evaluation.n_trials", ["evaluation.n_trials=7", "mode=evaluate", "init_from=parent"]),
    ],
)
def test_a_key_that_goes_untold_at_its_default_is_told_otherwise_and_counts(
    sample: Path, key: str, given: list[str]
) -> None:
    plain, set_ = (load_run_config(sample, overrides=each) for each in (given[1:], given))
    section, name = key.split(".")
    assert name not in yaml.safe_load(dump_resolved(plain))[section]
    assert yaml.safe_load(dump_resolved(set_))[section][name] == getattr(set_.evaluation, name)
    assert config_sha256(plain) != config_sha256(set_)


def test_digests_are_written_and_read_back_and_fall_with_their_file(tmp_path: Path) -> None:
    config = loaded(tmp_path, MINIMAL + "mode: evaluate\ninit_from: run\n")
    text = dump_resolved(config, npz_sha256="a" * 64, init_from_sha256="b" * 64)
    again = loaded(tmp_path, text)
    assert again.recorded.npz_sha256 == "a" * 64
    assert again.recorded.init_from_sha256 == "b" * 64
    assert dump_resolved(again) == text
    other = loaded(tmp_path, text, overrides=["data.npz=b.npz"], init_from="other")
    assert (other.recorded.npz_sha256, other.recorded.init_from_sha256) == (None, None)
    other = loaded(tmp_path, text, overrides=["data={npz: b.npz}"])
    assert (other.recorded.npz_sha256, other.recorded.init_from_sha256) == (None, "b" * 64)


def test_digests_of_tables_are_told_of_tables_only_and_fall_with_them(tmp_path: Path) -> None:
    assert "prices_sha256" not in dump_resolved(loaded(tmp_path, MINIMAL))
    config = loaded(tmp_path, MINIMAL.replace("{npz: a.npz}", "{prices: a.csv, universe: u.csv}"))
    text = dump_resolved(config, prices_sha256="a" * 64, universe_sha256="b" * 64)
    again = loaded(tmp_path, text)
    assert dump_resolved(again) == text
    for override, left in {
        "data.prices=b.csv": (None, "b" * 64),
        "data.universe=null": ("a" * 64, None),
        "data.rows=0.4": ("a" * 64, "b" * 64),
        "data={npz: b.npz}": (None, None),
    }.items():
        recorded = loaded(tmp_path, text, overrides=[override]).recorded
        assert (recorded.prices_sha256, recorded.universe_sha256) == left


def test_secrets_are_masked_when_written_and_refused_when_read(tmp_path: Path) -> None:
    text = MINIMAL.replace("{npz: a.npz}", "{loader: a.b, kwargs: {password: hunter2, n: 3}}")
    written = dump_resolved(loaded(tmp_path, text))
    assert "hunter2" not in written
    with pytest.raises(ConfigError, match=r"--set data\.kwargs\.password=VALUE"):
        loaded(tmp_path, written)
    again = loaded(tmp_path, written, overrides=["data.kwargs.password=hunter2"])
    assert again == loaded(tmp_path, text)


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


@pytest.mark.parametrize("n_configs", [25, pytest.param(500, marks=pytest.mark.chaos)])
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
        told = ("estimator.params", "psann 0.12", "must be a path")
        assert any(text in str(error) for text in told)
        return
    text = dump_resolved(config)
    again = loaded(tmp_path, text)
    assert again == config
    assert dump_resolved(again) == text
    assert config_sha256(again) == config_sha256(config)


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


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ('""', "data.npz must be a path; got an empty one"),
        ("$DATA/a.npz", r"data.npz must be a path with every variable filled in"),
        ("~nobody-here/a.npz", "nobody is called 'nobody-here' here"),
    ],
)
def test_a_path_that_nothing_has_filled_in_is_refused(
    tmp_path: Path, path: str, message: str
) -> None:
    with pytest.raises(ConfigError) as in_file:
        loaded(tmp_path, MINIMAL.replace("a.npz", path))
    with pytest.raises(ConfigError) as in_option:
        loaded(tmp_path, MINIMAL, overrides=[f"data.npz={path}"])
    assert message in str(in_file.value)
    assert message in str(in_option.value)
