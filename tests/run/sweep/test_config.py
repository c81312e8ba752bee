"""What a sweep may ask for: every forbidden key is refused with its line."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from made_sweeps import SPACE, made_sweep, write_sweep
from psann.errors import ConfigError
from psann.run.sweep.config import load_sweep, overrides_of

FORBIDDEN: dict[str, list[Any]] = {
    "seed": [1, 2],
    "training.seeds": [1, 2],
    "training.monitor": ["val_reward", "reward"],
    "training": [{"lr": 0.1}],
    "data": [{"npz": "a.npz"}],
    "data.kwargs.seed": [1, 2],
    "evaluation.trans_cost": [0.0, 0.001],
    "evaluation": [{"trans_cost": 0.1}],
    "device": ["cpu", "cuda"],
    "mode": ["train"],
    "init_from": ["a"],
    "recorded.seed_from": ["config"],
    "hisso": [{"window": 4}],
    "hisso.enabled": [True, False],
    "hisso.reward": ["portfolio", "mean_variance"],
    "hisso.reward.kwargs": [{}],
    "hisso.context_extractor": ["trials.cumulative_features"],
    "hisso.delay": [0, 1],
    "hisso.refit": [True, False],
    "hisso.temperature_scaling": [True, False],
    # By another name.
    "estimator.params.random_state": [1, 2],
    "estimator.params.monitor": ["reward"],
}


def problems_of(folder: Path, **changes: Any) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_sweep(write_sweep(folder, **changes))
    return caught.value.problems


@pytest.mark.parametrize("key", FORBIDDEN)
def test_a_key_that_would_make_values_incomparable_is_refused_with_its_line(
    tmp_path: Path, key: str
) -> None:
    space = {"hisso.window": [4, 6], key: FORBIDDEN[key]}
    found = problems_of(tmp_path, search="grid", trials=None, space=space)
    text = (tmp_path / "sweep.yaml").read_text().splitlines()
    line = next(number for number, line in enumerate(text, start=1) if line.startswith(f"  {key}:"))
    assert any(
        f"sweep.yaml line {line}: " in each and "must not be varied" in each for each in found
    )


def test_the_cost_of_training_may_be_varied_where_the_cost_of_judging_is_given(
    tmp_path: Path,
) -> None:
    space = {"hisso.transition_penalty": [0.0, 0.001]}
    changes: dict[str, Any] = {"search": "grid", "trials": None, "space": space}
    (found,) = problems_of(tmp_path, **changes)
    assert "while evaluation.trans_cost is null" in found
    sweep, _ = made_sweep(tmp_path, config={"evaluation": {"trans_cost": 0.001}}, **changes)
    assert sweep.n_trials == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search": "grid", "trials": None}, "line 4: space.training.lr must be a list of choices"),
        (
            {"search": "grid", "space": {"hisso.window": [4]}},
            "trials has no effect where search is",
        ),
        ({"trials": None}, "trials must say how many where search is random"),
        ({"trials": 0}, "trials must be a whole number of at least 1"),
        ({"serch": "grid"}, "serch is no known key. Did you mean 'search'?"),
        ({"search": "bayes"}, "search must be one of grid, random, tpe"),
        ({"space": {}}, "space must name at least one key"),
        ({"space": {"hisso.windw": [4]}}, "hisso.windw is no known key. Did you mean 'window'?"),
        ({"space": {"hisso.window": [4, 1]}}, "hisso.window must be a whole number of at least 2"),
        ({"space": {"training.lr": {"log": [-1, 1]}}}, "a lower bound above 0"),
        ({"prune": {"by": "median"}}, "prune.from_epoch is missing"),
        (
            {"space": {"training.lr_schedule": ["cosine"], "training.lr_schedule.name": ["step"]}},
            "lies within training.lr_schedule",
        ),
        (
            {"space": {f"estimator.params.p{n}": list(range(30)) for n in range(3)}}
            | {"search": "grid", "trials": None},
            "must make at most 10,000 trials; it makes 27,000",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    assert message in "\n".join(problems_of(tmp_path, **changes))


def test_mistakes_of_the_file_and_of_its_space_are_told_in_one_reading(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path, trials=0, prune={"by": "median"}, space={"seed": [1, 2], "training.lr": [1, 1]}
    )
    for text in ("trials must be", "from_epoch is missing", "space.seed must not be varied"):
        assert sum(text in each for each in found) == 1
    assert sum("space.training.lr must list" in each for each in found) == 1


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = write_sweep(tmp_path)
    file.write_text(file.read_text().replace("trial.yaml", "nowhere.yaml"))
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        load_sweep(file)


def test_values_that_only_together_cannot_be_are_told_together(tmp_path: Path) -> None:
    space = {"training.lr": [0.001, 0.1], "training.lr_schedule.lr_min": [0.0001, 0.01]}
    schedule = {"training": {"lr_schedule": {"name": "cosine"}}}
    (found,) = problems_of(tmp_path, search="grid", trials=None, space=space, config=schedule)
    assert "sweep.yaml line 3: with training.lr=0.001, training.lr_schedule.lr_min=0.01" in found


def test_a_run_that_trains_nothing_cannot_be_swept(tmp_path: Path) -> None:
    found = problems_of(tmp_path, config={"mode": "evaluate", "init_from": "a"})
    assert "config must be of a run that trains" in found[0]


def test_points_are_functions_of_the_file_and_more_trials_change_none(tmp_path: Path) -> None:
    few, _ = made_sweep(tmp_path / "a", trials=3)
    more, _ = made_sweep(tmp_path / "b", trials=9)
    assert [few.point(n) for n in range(3)] == [more.point(n) for n in range(3)]
    assert few.sha256 == more.sha256
    other, _ = made_sweep(tmp_path / "c", seed=1)
    assert other.point(0) != few.point(0)
    assert other.sha256 != few.sha256
    swapped, _ = made_sweep(tmp_path / "d", space=dict(reversed(SPACE.items())))
    assert swapped.point(2) == few.point(2)


def test_the_digest_is_also_of_the_configuration_of_the_runs(tmp_path: Path) -> None:
    one, _ = made_sweep(tmp_path / "a")
    other, _ = made_sweep(tmp_path / "b", config={"training": {"epochs": 5}})
    assert one.sha256 != other.sha256


def test_trials_leave_the_test_rows_shut_and_studies_to_the_chosen(tmp_path: Path) -> None:
    evaluation = {"evaluation": {"walk_forward": {"folds": 2}, "placebo": 3}}
    sweep, _ = made_sweep(tmp_path, config=evaluation)
    assert overrides_of({"training.lr": 0.5}, sweep.base) == (
        *("training.lr=0.5", "evaluation.withhold_test=true"),
        *("evaluation.walk_forward=null", "evaluation.placebo=0"),
    )


def test_a_check_loads_neither_optuna_nor_numpy_and_takes_half_a_second_of_a_core(
    tmp_path: Path,
) -> None:
    file = write_sweep(tmp_path, trials=24)
    code = (
        "import sys, time; from psann.scripts.hisso_runs import main; "
        f"code = main(['sweep', {str(file)!r}, '-o', {str(tmp_path / 'out')!r}, '--check']); "
        "print(time.process_time()); "
        "print([m for m in ('optuna', 'numpy', 'torch') if m in sys.modules]); sys.exit(code)"
    )
    command = [sys.executable, "-c", code]
    seconds = []
    for _ in range(3):  # the first may compile
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        *shown, cpu_s, modules = done.stdout.splitlines()
        seconds.append(float(cpu_s))
        assert time.monotonic() - began < 30
        if seconds[-1] < 0.5:
            break
    assert modules == "[]"
    assert min(seconds) < 0.5
    assert "random, 24 trials" in shown[2]
    assert not (tmp_path / "out").exists()


ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    "file", sorted((ROOT / "configs" / "sweeps").glob("*.yaml")), ids=lambda file: file.stem
)
def test_a_shipped_sweep_can_be(file: Path) -> None:
    sweep = load_sweep(file)
    assert 4 <= sweep.n_trials <= 64
    assert not sweep.is_order_dependent


def test_the_sweeps_of_the_documentation_can_be(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "sweeps.md").read_text()
    whole, prune = (block.partition("\n```")[0] for block in text.split("```yaml\n")[1:])
    shutil.copy(ROOT / "configs" / "hisso" / "nyse_o.yaml", tmp_path)
    for name, content in {"plain": whole, "pruned": f"{whole}\n{prune}"}.items():
        (tmp_path / f"{name}.yaml").write_text(content)
    assert load_sweep(tmp_path / "plain.yaml").n_trials == 24
    assert load_sweep(tmp_path / "pruned.yaml").file.prune is not None
