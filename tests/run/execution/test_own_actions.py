"""Runs whose actions are no portfolio weights: trained, judged, resumed, gone on from, told of."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from faults import stopped_after
from psann import Ensemble, PSANNRegressor, load_policy
from psann.battery import make_battery
from psann.errors import UsageError
from psann.run.directory.paths import RunPaths
from psann.run.execution.runner import check
from psann.run.reading.closing import show_result
from psann.run.reading.reading import read_run
from psann.run.report.page import write_report
from psann.run.verification.verify import verify_run
from psann.scripts.hisso_log_run import main
from psann.scripts.hisso_runs import main as runs_main
from trials import bit_differences, finished, metrics_of, request_of, rows_of, trial

DATA = "data={loader: psann.battery.make_battery, kwargs: {n_days: 30}}"
OWN = (
    DATA,
    "hisso={window: 24, updates_per_epoch: 3, transition_penalty: 0.01, n_actions: 1, reward: "
    "'psann.battery:savings', reward_inputs: [price, demand], primary_transform: sigmoid}",
    "training={epochs: 3, lr: 0.02}",
)
# What a run says that has no portfolio must not be of one.
OF_PORTFOLIOS = re.compile(
    r"asset|portfolio|prices|turnover|sharpe|\b1/N\b|\bcash\b|weight|traded|holding|drawdown|wealth",
    re.I,
)


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return make_battery(30)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    folds = "evaluation={walk_forward: {folds: 2}}"
    return finished(tmp_path_factory.mktemp("own"), *OWN, folds)


def rows(data: dict[str, Any], split: str, cut: slice = slice(None)) -> dict[str, Any]:
    inputs = {name: data[f"{name}_{split}"][cut] for name in ("price", "demand")}
    return {"X": data[f"X_{split}"][cut], "reward_inputs": inputs}


def test_the_reward_of_every_split_is_that_of_the_estimator(
    run: RunPaths, data: dict[str, Any]
) -> None:
    metrics, policy = metrics_of(run), PSANNRegressor.load(run.best)
    for split in ("val", "test"):
        assert metrics[f"{split}_reward_mean"] == policy.evaluate_reward(**rows(data, split))
    assert metrics["portfolio_metrics"] is metrics["baselines"] is metrics["judged"] is None
    assert metrics["val_turnover"] is None and not run.evaluation.exists()
    assert verify_run(run.root).findings == ()


def test_folds_are_judged_by_the_reward_of_their_actions_as_one_sequence(
    run: RunPaths, data: dict[str, Any]
) -> None:
    told = metrics_of(run)["walk_forward"]
    assert [fold["judged"] for fold in told["folds"]] == [[552, 624], [624, 696]]
    policies = [PSANNRegressor.load(run.study(f"fold_00{k}")) for k in (1, 2)]
    actions = [
        policy.predict_actions(data["X_test"][part])
        for policy, part in zip(policies, (slice(0, 72), slice(72, None)), strict=True)
    ]
    expected = policies[0].evaluate_reward(**rows(data, "test"), actions=np.concatenate(actions))
    assert told["reward_mean"] == expected
    (sentence,) = [line for line in texts_of(run) if line.startswith("Walk-forward")]
    assert sentence == f"Walk-forward, 2 folds: a reward of {expected:.4g}."


def test_folds_are_judged_by_a_reward_of_ones_own(run: RunPaths, tmp_path: Path) -> None:
    folds = ("hisso.reward=user_rewards:meter", "evaluation={walk_forward: {folds: 2}}")
    own = finished(tmp_path, *OWN, *folds)
    assert metrics_of(own)["walk_forward"] == metrics_of(run)["walk_forward"]


def texts_of(run: RunPaths) -> list[str]:
    """What the command prints at the end of a run, and the messages of its log."""
    stream = io.StringIO()
    show_result(read_run(run.root), stream=stream)
    return [*stream.getvalue().splitlines(), *(row["message"] for row in rows_of(run))]


def test_no_text_of_such_a_run_has_a_word_of_portfolios(
    run: RunPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = {"console and log": texts_of(run)}
    plan = check(request_of(tmp_path, *OWN)).plan
    assert plan is not None
    told["plan"] = plan.splitlines()
    write_report([read_run(run.root)], tmp_path / "run.html")
    page = (tmp_path / "run.html").read_text()
    assert "movement of actions per validation row" in page and "reward per row" not in page
    # The keys of the configuration, which the page folds away, are those of every run.
    page = re.sub(r"<style>.*?</style>|<th[^>]*>(hisso|evaluation)\..*?</tr>", "", page, flags=re.S)
    told["report"] = re.sub(r"<[^>]*>", "\n", page).splitlines()
    for command in (["ls", str(run.root.parent)], ["show", str(run.root)]):
        assert runs_main(command) == 0
        shown = capsys.readouterr().out
        told[command[0]] = [line for line in shown.splitlines() if not _is_key(line)]
    assert all(len(lines) > 3 for lines in told.values())
    assert not any("per row" in line for line in told["show"])  # it may be a sum, or anything
    found = [f"{who}: {line}" for who, lines in told.items() for line in lines if _tells(line)]
    assert found == []


def _is_key(line: str) -> bool:
    return line.startswith(("hisso.", "evaluation.", "training.", "estimator."))


def _tells(line: str) -> bool:
    return bool(OF_PORTFOLIOS.search(line))


def test_a_run_that_learns_nothing_has_no_such_word_either(tmp_path: Path) -> None:
    paths = finished(tmp_path, *OWN, "hisso.reward=user_rewards:deaf", "training.epochs=2")
    told = texts_of(paths)
    assert any("every gradient was exactly 0" in line for line in told)
    assert any("beat an untrained network on validation" in line for line in told)
    hints = ("A single action under softmax",)
    found = [line for line in told if _tells(line) and not any(hint in line for hint in hints)]
    assert found == []


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(run: RunPaths, tmp_path: Path) -> None:
    folds = "evaluation={walk_forward: {folds: 2}}"
    with stopped_after(4):
        assert trial(tmp_path, *OWN, folds).exit_code == 143
    again = finished(tmp_path, *OWN, folds, resume=True)
    assert bit_differences(run, again) == []
    changed = trial(tmp_path, *OWN, "hisso.reward_inputs=[price]", resume=True)
    assert "hisso.reward_inputs" in (changed.message or "")


def test_it_is_evaluated_and_fine_tuned_as_it_is(run: RunPaths, tmp_path: Path) -> None:
    parent = f"init_from={run.root}"
    judged = finished(tmp_path, *OWN, parent, "mode=evaluate", name="judged")
    figures = ("val_reward_mean", "test_reward_mean")
    assert [metrics_of(judged)[name] for name in figures] == [
        metrics_of(run)[name] for name in figures
    ]
    child = finished(
        tmp_path, *OWN, parent, "mode=fine_tune", "training={epochs: 1, lr: 1.0e-9}", name="child"
    )
    for name in figures:
        assert metrics_of(child)[name] == pytest.approx(metrics_of(run)[name], abs=1e-6)
    other = trial(tmp_path, *OWN, parent, "mode=evaluate", "hisso.n_actions=2", name="other")
    assert "actions 1 in init_from, 2 in the data" in (other.message or "")


def test_several_seeds_are_judged_with_their_ensemble(tmp_path: Path, data: dict[str, Any]) -> None:
    paths = finished(tmp_path, *OWN, "training.seeds=2", "training.epochs=1")
    metrics = metrics_of(paths)
    seeds = [PSANNRegressor.load(paths.of_seed(paths.best, seed)) for seed in (42, 43)]
    each = [seed.evaluate_reward(**rows(data, "test")) for seed in seeds]
    assert metrics["test_reward_mean"] == pytest.approx(np.mean(each), abs=1e-15)
    expected = Ensemble(seeds).evaluate_reward(**rows(data, "test"))
    assert metrics["ensemble"]["test_reward_mean"] == expected


def test_act_says_what_such_a_policy_is_good_for(
    run: RunPaths, data: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    policy = load_policy(run.root)
    expected = PSANNRegressor.load(run.best).predict_actions(data["X_test"])
    np.testing.assert_allclose(policy.predict_actions(data["X_test"]), expected, atol=1e-12)
    with pytest.raises(UsageError, match=r"the actions of this one mean what its reward psann\.ba"):
        policy.act()
    assert runs_main(["act", str(run.root)]) == 2
    assert "psann.load_policy(RUN).predict_actions(X)" in capsys.readouterr().err


@pytest.fixture
def archive(tmp_path: Path, data: dict[str, Any]) -> Path:
    np.savez(tmp_path / "hours.npz", **data)
    return tmp_path / "hours.npz"


def test_the_arrays_of_an_archive_have_a_part_in_the_digest(
    run: RunPaths, archive: Path, tmp_path: Path, data: dict[str, Any]
) -> None:
    same = finished(tmp_path, *OWN, f"data={{npz: '{archive}'}}", name="same")
    assert metrics_of(same)["data_sha256"] == metrics_of(run)["data_sha256"]
    assert metrics_of(same)["test_reward_mean"] == metrics_of(run)["test_reward_mean"]
    np.savez(archive, **(data | {"price_test": data["price_test"] + 1e-9}))
    other = finished(tmp_path, *OWN, f"data={{npz: '{archive}'}}", name="other")
    assert metrics_of(other)["data_sha256"] != metrics_of(run)["data_sha256"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"price_val": None, "prise_val": "price_val"}, "Did you mean 'prise_val'?"),
        ({"price_val": None}, "price_val (validation) must be given with X_val: hisso.reward_inp"),
        ({"demand_test": "price_val"}, None),
        ({"demand_train": "price_val"}, "demand_train (training) must have as many rows as X_tr"),
        ({"price_test": "X_test"}, "price_test (test) must have rows of the same shape as"),
        ({"X_test": None}, "must come with X_test, which is not given"),
    ],
)
def test_what_the_reward_is_to_be_given_is_checked_before_training(
    archive: Path,
    tmp_path: Path,
    data: dict[str, Any],
    changed: dict[str, str | None],
    message: str | None,
) -> None:
    arrays = data | {key: None if of is None else data[of] for key, of in changed.items()}
    np.savez(archive, **{key: array for key, array in arrays.items() if array is not None})
    outcome = check(request_of(tmp_path, *OWN, f"data={{npz: '{archive}'}}"))
    if message is None:
        assert outcome.exit_code == 0, outcome.message
    else:
        assert outcome.exit_code == 1 and message in (outcome.message or "")


def test_prices_beside_it_are_judged_by_nobody_and_refused_by_nobody(
    archive: Path, tmp_path: Path, data: dict[str, Any]
) -> None:
    prices = {
        f"prices_{split}": data[f"X_{split}"][:, :4] - 3.0 for split in ("train", "val", "test")
    }
    labels = {f"y_{split}": data[f"X_{split}"][:, :2] for split in ("train", "val", "test")}
    np.savez(archive, **data, **prices, **labels)
    paths = finished(tmp_path, *OWN, f"data={{npz: '{archive}'}}", "training.epochs=1")
    metrics = metrics_of(paths)
    assert metrics["portfolio_metrics"] is None and metrics["doubts"] == []
    assert [row for row in rows_of(paths) if row["level"] == "WARNING"] == []
    assert "prices" in json.dumps([*yaml.safe_load(paths.provenance.read_text())["starts"]])


def test_a_config_of_ten_lines_is_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = Path(__file__).parents[3] / "configs" / "hisso" / "battery.yaml"
    lines = [line for line in template.read_text().splitlines() if not line.startswith("#")]
    assert len(lines) <= 12
    given = ["--config", str(template), "--output-dir", str(tmp_path), "--device", "cpu", "--check"]
    assert main(given) == 0
    told = capsys.readouterr().out
    assert "test        X (1752, 9), time (1752,), price (1752,), demand (1752,)" in told
