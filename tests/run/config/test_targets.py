"""What a configuration names: found, checked against signatures, all problems at once."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from psann._imports import ImportPolicy
from psann.errors import ConfigError
from psann.hisso.rewards import REWARDS
from psann.market.lines import digest_of
from psann.run.config.load import dump_resolved, load_run_config
from psann.run.config.model import RunConfig
from psann.run.config.targets import ResolvedTargets, check_targets, estimator_arguments
from psann.run.directory.paths import RunPaths

OWN = """
import abc
from psann.estimators._base import BasePSANNRegressor
from psann.estimators.dense import PSANNRegressor

def load(steps, *, features=3): raise AssertionError("checking reads no data")
def load_any(**kwargs): return kwargs
def reward(actions, context, *, transition_penalty, power=2.0): return actions.sum((1, 2))
def deaf_reward(actions, context): return actions.sum((1, 2))
def lonely_reward(actions, *, transition_penalty): return actions.sum((1, 2))
def extract(X): return X
def extract_two(X, y): return X
class Own(PSANNRegressor): pass
class WithTwo(PSANNRegressor):
    def __init__(self, lr, *, width, depth=1): pass
class Unrelated: pass
class Unfinished(BasePSANNRegressor): pass
"""


@pytest.fixture(autouse=True)
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "own_targets.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("own_targets", None)


def _config(tmp_path: Path, *overrides: str, **options: Any) -> RunConfig:
    file = tmp_path / "run.yaml"
    file.write_text(
        "estimator:\n"
        "  target: psann.PSANNRegressor\n"
        "  params: {hidden_units: 4}\n"
        "data:\n"
        "  loader: own_targets.load\n"
        "  kwargs: {steps: 3}\n"
    )
    return load_run_config(file, overrides=overrides, **options)


def _check(tmp_path: Path, *overrides: str, **options: Any) -> ResolvedTargets:
    return check_targets(_config(tmp_path, *overrides), **options)


def _problems(tmp_path: Path, *overrides: str, **options: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _check(tmp_path, *overrides, **options)
    return list(caught.value.problems)


def test_what_is_named_is_found_and_taken(tmp_path: Path) -> None:
    targets = _check(
        tmp_path,
        "estimator.target=own_targets:Own",
        "hisso.reward={target: own_targets.reward, kwargs: {power: 3}}",
        "hisso.context_extractor=own_targets.extract",
    )
    own = sys.modules["own_targets"]
    assert targets.estimator_class is own.Own
    assert targets.loader is own.load
    assert (targets.estimator_file, targets.estimator_file_sha256) == (None, None)


def test_what_is_not_named_is_none(tmp_path: Path) -> None:
    archive = tmp_path / "a.npz"
    archive.write_bytes(b"not read")
    targets = _check(tmp_path, f"data={{npz: {archive}}}")
    assert targets.loader is None


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_every_reward_of_the_table_is_accepted(tmp_path: Path, name: str) -> None:
    inputs = "[benchmark]" if name == "excess" else "[]"
    _check(tmp_path, f"hisso.reward={name}", f"hisso.reward_inputs={inputs}")  # else it raises


def test_every_constructor_argument_has_its_value(tmp_path: Path) -> None:
    config = _config(tmp_path, "training.lr_schedule=cosine", "training.patience=3", seed=5)
    estimator = check_targets(config).estimator_class(**estimator_arguments(config))
    params = estimator.get_params()
    assert (params["hidden_units"], params["random_state"], params["patience"]) == (4, 5, 3)
    assert params["lr_schedule"].name == "cosine"
    assert (params["epochs"], params["batch_size"], params["lr"]) == (200, 32, 0.001)


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "estimator.params={hiden_units: 4}",
            "estimator.params.hiden_units is no argument of PSANNRegressor. "
            "Did you mean 'hidden_units'?",
        ),
        ("estimator.params={weight_decay: -1}", "estimator.params do not fit: The 'weight_decay'"),
        ("estimator.target=own_targets.Unrelated", "estimator.target must name an estimator class"),
        ("estimator.target=own_targets.load", "estimator.target must name an estimator class"),
        ("estimator={target: own_targets.Unfinished}", "whose constructor must also take batch_si"),
        ("estimator.target=own_targets.Owm", "has no 'Owm'. Did you mean 'Own'?"),
        ("estimator.target=PSANRegressor", "Did you mean 'PSANNRegressor'?"),
        ("estimator={target: own_targets.WithTwo}", "estimator.params must give width"),
        ("data.loader=os.system", "data.loader: 'os.system' belongs to Python itself"),
        (
            "data.kwargs={step: 3, steps: 2}",
            "data.kwargs.step is no argument of load. Did you mean",
        ),
        ("data.kwargs={}", "data.kwargs must give steps, which load needs."),
        ("hisso.reward=portfolo", "hisso.reward must be one of cvar, excess, finance"),
        ("hisso.reward=portfolo", "got 'portfolo'. Did you mean 'portfolio'?"),
        ("hisso.reward={target: sharp}", "hisso.reward.target must be one of"),
        (
            "hisso.reward={target: mean_variance, kwargs: {risk_aversoin: 1}}",
            "hisso.reward.kwargs.risk_aversoin is no argument of mean_variance. Did you mean",
        ),
        (
            "hisso.reward={target: portfolio, kwargs: {cash: true}}",
            "hisso.reward.kwargs.cash is set by psann, from hisso.primary_transform; remove it.",
        ),
        (
            "hisso.reward=own_targets.deaf_reward",
            "hisso.reward must take actions and context, and the keyword transition_penalty; "
            "its signature is (actions, context).",
        ),
        ("hisso.reward=own_targets.lonely_reward", "hisso.reward must take actions and context"),
        (
            "hisso.reward=excess",
            "must give benchmark, which excess needs. Or name an array of the data in "
            "hisso.reward_inputs.",
        ),
        (
            "hisso={reward: portfolio, reward_inputs: [wind]}",
            "hisso.reward must take actions and context, and the keyword transition_penalty and "
            "wind; its signature is",
        ),
        ("hisso.reward=own_targets.rewrd", "Did you mean 'reward'?"),
        (
            "hisso.context_extractor=own_targets.extract_two",
            "hisso.context_extractor must take the windows X; its signature is (X, y).",
        ),
        ("data={npz: absent.npz}", "data.npz must be a NumPy archive; "),
        ("data={npz: .}", "is a directory."),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, override: str, problem: str) -> None:
    (found,) = _problems(tmp_path, override)
    assert problem in found
    assert found.startswith(("--set ", "run.yaml line "))


def test_a_loader_that_takes_anything_gets_anything(tmp_path: Path) -> None:
    assert _check(tmp_path, "data={loader: own_targets.load_any, kwargs: {whatever: 1}}").loader


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    problems = _problems(
        tmp_path,
        "estimator.params={hiden_units: 4, hidden_layer: 1}",
        "data.kwargs={}",
        "hisso.reward=nothing",
        "hisso.context_extractor=absent_module.f",
        "mode=evaluate",
        "init_from=absent",
    )
    fragments = ["hiden_units is", "hidden_layer is", "must give steps", "hisso.reward must be one"]
    fragments += ["no module 'absent_module'", "init_from must be a run directory"]
    assert len(problems) == len(fragments)
    for fragment in fragments:
        assert sum(fragment in problem for problem in problems) == 1, fragment


def test_only_import_narrows_the_targets(tmp_path: Path) -> None:
    with ImportPolicy(only=("own_targets",)).in_force():
        assert _check(tmp_path).loader
    with ImportPolicy(only=("other",)).in_force():
        (problem,) = _problems(tmp_path)
    assert problem == (
        "run.yaml line 5: data.loader: 'own_targets.load' is outside of --only-import other."
    )


def test_a_run_directory_stands_for_its_best_estimator(tmp_path: Path) -> None:
    best = tmp_path / "first" / "checkpoints" / "best.safetensors"
    best.parent.mkdir(parents=True)
    (problem,) = _problems(tmp_path, "mode=fine_tune", f"init_from={tmp_path / 'first'}")
    assert "holds no checkpoints/best.safetensors" in problem
    best.write_bytes(b"weights")
    for given in (tmp_path / "first", best):
        targets = _check(tmp_path, "mode=fine_tune", f"init_from={given}")
        assert targets.estimator_file == best
        assert targets.estimator_file_sha256 == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("nothing", "does not exist"),
        ("directory", "is a directory"),
        ("pipe", "is a pipe"),
        ("device", "is a device"),
        ("socket", "is a socket"),
        ("too long", "cannot be read: File name too long"),  # or in a folder that is closed
    ],
)
def test_what_is_no_file_is_named_for_what_it_is_and_never_opened(
    tmp_path: Path, kind: str, what: str
) -> None:
    place = tmp_path / ("x" * 300 if kind == "too long" else "place")
    if kind == "directory":
        place.mkdir()
    elif kind == "pipe":
        os.mkfifo(place)  # to open it would wait for a writer for ever
    elif kind == "device":
        place.symlink_to("/dev/zero")
    elif kind == "socket":
        os.mknod(place, stat.S_IFSOCK | 0o600)
    (problem,) = _problems(tmp_path, f"data={{npz: {place}}}")
    assert problem.endswith(f"data.npz must be a NumPy archive; {place} {what}.")
    (problem,) = _problems(tmp_path, "mode=fine_tune", f"init_from={place}")
    told = f"{place} {what}."
    if kind == "directory":
        told = f"{place} holds no checkpoints/best.safetensors."
    assert problem.endswith(f"init_from must be a run directory or an estimator file; {told}")


def test_a_parent_that_is_no_run_but_holds_one_or_is_of_one_is_told_with_that(
    tmp_path: Path,
) -> None:
    run = RunPaths(tmp_path / "runs" / "first")
    run.checkpoints.mkdir(parents=True)
    run.metrics.touch()
    for given, told in (
        (tmp_path / "runs", f"Give one of the runs in it, such as {run.root}."),
        (run.checkpoints / "beste.safetensors", f"Give the run that it is of, {run.root}."),
    ):
        (problem,) = _problems(tmp_path, "mode=fine_tune", f"init_from={given}")
        assert problem.endswith(f". {told}")


def test_a_pipe_in_the_place_of_the_best_estimator_is_named(tmp_path: Path) -> None:
    best = tmp_path / "first" / "checkpoints" / "best.safetensors"
    best.parent.mkdir(parents=True)
    os.mkfifo(best)
    (problem,) = _problems(tmp_path, "mode=fine_tune", f"init_from={tmp_path / 'first'}")
    assert problem.endswith(f"an estimator file; {best} is a pipe.")


def test_files_that_changed_since_they_were_recorded_are_refused(tmp_path: Path) -> None:
    archive, weights = tmp_path / "a.npz", tmp_path / "w.safetensors"
    archive.write_bytes(b"data")
    weights.write_bytes(b"weights")
    config = _config(tmp_path, f"data={{npz: {archive}}}", "mode=fine_tune", init_from=str(weights))
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(
        dump_resolved(
            config,
            npz_sha256=hashlib.sha256(b"data").hexdigest(),
            init_from_sha256=check_targets(config).estimator_file_sha256,
        )
    )
    assert check_targets(load_run_config(resolved)).estimator_file == weights
    archive.write_bytes(b"other data")
    weights.write_bytes(b"other weights")
    with pytest.raises(ConfigError) as caught:
        check_targets(load_run_config(resolved))
    said = "\n".join(caught.value.problems)
    assert f"recorded.npz_sha256 does not fit: {archive} has changed since" in said
    assert f"recorded.init_from_sha256 does not fit: {weights} has changed since" in said


def test_tables_that_changed_since_they_were_recorded_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("a.csv", "b.csv", "u.csv")]
    for file in files:
        file.write_text(file.name)
    config = _config(tmp_path, f"data={{prices: [{files[0]}, {files[1]}], universe: {files[2]}}}")
    digests = {"prices_sha256": digest_of(*files[:2]), "universe_sha256": digest_of(files[2])}
    resolved = tmp_path / "resolved.yaml"
    resolved.write_text(dump_resolved(config, **digests))
    check_targets(load_run_config(resolved))
    files[1].write_text("restated")
    with pytest.raises(ConfigError) as caught:
        check_targets(load_run_config(resolved))
    (told,) = caught.value.problems
    assert "prices_sha256 does not fit: one of the 2 files of data.prices has changed since" in told
    files[2].write_text("other members")
    with pytest.raises(ConfigError, match=f"universe_sha256 does not fit: {files[2]} has changed"):
        check_targets(load_run_config(resolved))
    files[0].unlink()  # of which reading the table tells
    with pytest.raises(ConfigError, match=r"^\S+ line \d+: recorded.universe_sha256[^\n]*$"):
        check_targets(load_run_config(resolved))
