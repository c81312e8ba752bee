"""Folds and placebos: trained as said, judged as one, and never trained twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import odd_loaders
import trials
from made_tables import prices, write
from psann._npz import npz_bytes, read_npz
from psann.errors import TrainingInterrupted
from psann.estimators.dense import PSANNRegressor
from psann.evaluation.judgement import Terms, excess_growth, judge_baselines, judge_policy
from psann.evaluation.placebo import shuffled_order, shuffled_prices
from psann.run.config.load import load_run_config
from psann.run.directory.paths import RunPaths
from psann.run.execution.plan import describe_plan
from psann.run.execution.studies import StudyObserver, StudyRoom
from psann.run.verification.verify import verify_run
from thinning import slow, thinned
from trials import bit_differences, finished, metrics_of, rows_of, trial

STUDIES = ("evaluation.walk_forward={folds: 2, gap: 1}", "evaluation.placebo=2")
CONTINUOUS = "data.loader=trials.continuous"
TERMS = Terms(trans_cost=0.001, initial="cash")


def kept(paths: RunPaths, name: str) -> PSANNRegressor:
    return PSANNRegressor.load(paths.study(name))


def joined(data: dict[str, Any], kind: str) -> np.ndarray:
    return np.concatenate([data[f"{kind}_{split}"] for split in ("train", "val", "test")])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    """A run with both studies that nothing disturbed."""
    return finished(tmp_path_factory.mktemp("runs"), CONTINUOUS, *STUDIES)


def test_each_fold_is_a_training_on_its_own_rows(whole: RunPaths) -> None:
    data, told = trials.continuous(), metrics_of(whole)["walk_forward"]["folds"]
    assert [fold["judged"] for fold in told] == [[60, 68], [68, 75]]
    X, prices = joined(data, "X"), joined(data, "prices")
    for fold in told:
        alone = PSANNRegressor(
            hidden_layers=1, hidden_units=8, epochs=4, lr=0.05, random_state=42, device="cpu"
        )
        train, validation = slice(*fold["train"]), slice(*fold["validation"])
        assert validation.stop - validation.start == 20
        alone.fit(
            X[train],
            prices=prices[train],
            hisso={"window": 6, "batch_episodes": 4, "updates_per_epoch": 2}
            | {"transition_penalty": 0.001},
            validation_data={"X": X[validation], "prices": prices[validation]},
        )
        rows = slice(*fold["judged"])
        np.testing.assert_array_equal(
            alone.predict_actions(X[rows]),
            kept(whole, f"fold_{fold['fold']:03d}").predict_actions(X[rows]),
        )
        assert [alone.best_epoch_] == fold["best_epochs"]


def test_the_folds_are_judged_as_one_sequence(whole: RunPaths) -> None:
    data, metrics = trials.continuous(), metrics_of(whole)
    X, prices = joined(data, "X"), joined(data, "prices")
    parts = [
        kept(whole, f"fold_{fold['fold']:03d}").predict_actions(X[slice(*fold["judged"])])
        for fold in metrics["walk_forward"]["folds"]
    ]
    # As one, the change between the folds is paid for against drifted holdings.
    verdict = judge_policy(np.concatenate(parts), prices[60:], terms=TERMS)
    told = metrics["walk_forward"]
    assert told["portfolio_metrics"] == pytest.approx(verdict.judgement.figures, abs=1e-12)
    assert told["portfolio_metrics"]["n_steps"] == 14
    assert told["versus_uniform"]["growth"] == verdict.versus_uniform.growth
    assert list(told["baselines"]) == list(metrics["baselines"])
    series = read_npz(whole.walk_forward).arrays
    assert series["fold"].tolist() == [1] * 8 + [2] * 7
    assert series["time"].tolist() == list(range(60, 75))
    np.testing.assert_allclose(series["allocations"], np.concatenate(parts), atol=1e-7)


def test_folds_stand_beside_rules_that_know_who_was_there_before(tmp_path: Path) -> None:
    odd = ("data.loader=odd_loaders.odd", "data.kwargs={change: a late asset}")
    paths = finished(tmp_path, *odd, "evaluation.walk_forward={folds: 2}", "training.epochs=1")
    told, data = metrics_of(paths)["walk_forward"], odd_loaders.odd("a late asset")
    first = told["folds"][0]["judged"][0]
    prices, active = joined(data, "prices"), joined(data, "active")
    judged = judge_baselines(
        prices[first:],
        terms=TERMS,
        earlier=[prices[:first]],
        active=active[first:],
        earlier_active=[active[:first]],
    )
    assert list(told["baselines"]) == list(judged)
    for name, judgement in judged.items():
        assert told["baselines"][name] == pytest.approx(judgement.figures, abs=1e-12), name


@pytest.mark.parametrize(
    ("every", "starts"),
    thinned(
        [
            ("quarter", ["2020-08-14", "2020-10-02", "2021-01-01"]),
            ("year", ["2020-08-14", "2021-01-01"]),
            ("month", ["2020-08-14", "2020-09-04", "2020-10-02", "2020-11-06", "2020-12-04"]),
        ]
    ),
)
def test_a_run_judges_a_fold_of_each_calendar_period_of_its_table(
    every: str, starts: list[str], tmp_path: Path
) -> None:
    fridays = np.arange("2019-06-07", "2021-02-27", 7, dtype="datetime64[D]")
    quotes = prices(len(fridays), 2).tolist()
    rows = [[day, *row] for day, row in zip(fridays, quotes, strict=True)]
    data = {
        "prices": str(write(tmp_path / "weekly.csv", ["Date", "X", "Y"], rows)),
        "split": {"val": "2020-04-03", "test": "2020-08-14"},
        "features": [{"moves": {"rows": 1}}],
    }
    evaluation = {"walk_forward": {"every": every}, "periods_per_year": 52, "trans_cost": 0.001}
    evaluation["portfolio_prices_key"] = "prices_test"
    config = {**trials.CONFIG, "data": data, "evaluation": evaluation, "training": {"epochs": 1}}
    paths = finished(tmp_path, config=trials.write_config(tmp_path, config))

    folds = metrics_of(paths)["walk_forward"]["folds"]
    known = fridays[1:]  # a move needs the row before
    judged = [known[slice(*fold["judged"])] for fold in folds]
    found = [str(days[0]) for days in judged]
    assert found[:5] == starts
    assert (np.concatenate(judged) == known[known >= np.datetime64("2020-08-14")]).all()
    for fold, days in zip(folds, judged, strict=True):
        assert fold["train"][1] <= fold["validation"][0] < fold["validation"][1]
        assert fold["validation"][1] == fold["judged"][0]
        months = (
            days.astype("datetime64[M]").astype(int)
            // {"year": 12, "quarter": 3, "month": 1}[every]
        )
        assert len(set(months.tolist())) == 1
    series = read_npz(paths.walk_forward).arrays
    firsts = [series["time"][series["fold"] == fold["fold"]][0] for fold in folds]
    assert [str(time)[:10] for time in firsts] == found
    told = [
        row["message"] for row in rows_of(paths, "evaluation") if row["phase"] == "walk_forward"
    ]
    assert [f"fold {k + 1} of {len(found)}" in line for k, line in enumerate(told)] == [True] * len(
        found
    )


def test_a_placebo_is_trained_and_judged_on_shuffled_moves(whole: RunPaths) -> None:
    data, metrics = trials.continuous(), metrics_of(whole)
    told = metrics["placebo"]
    assert told["growth"] == metrics["versus_uniform"]["growth"]
    growths = []
    for number in (1, 2):
        order = shuffled_order(15, seed=42, number=number, span="test")
        growths.append(
            excess_growth(
                kept(whole, f"placebo_{number:03d}").predict_actions(data["X_test"]),
                shuffled_prices(data["prices_test"], order),
                terms=TERMS,
            )
        )
    assert told["growths"] == growths
    assert told["share_as_good"] == sum(g >= told["growth"] for g in growths) / 2
    assert told["n"] == 2
    best, first = PSANNRegressor.load(whole.best), kept(whole, "placebo_001")
    assert not np.array_equal(
        best.predict_actions(data["X_test"]), first.predict_actions(data["X_test"])
    )


def test_the_log_has_every_epoch_of_every_study_under_its_own_phase(whole: RunPaths) -> None:
    rows = [(row["phase"], row["fold"]) for row in rows_of(whole, "epoch")]
    expected = [("hisso", "")] * 4
    for phase in ("walk_forward", "placebo"):
        expected += [(phase, "1")] * 4 + [(phase, "2")] * 4
    assert rows == expected
    assert verify_run(whole.root).findings == ()
    assert metrics_of(whole)["timing"]["studies_s"] > 0


def test_the_plan_tells_of_studies(tmp_path: Path) -> None:
    config = load_run_config(trials.write_config(tmp_path), overrides=[CONTINUOUS, *STUDIES])
    plan = describe_plan(config, RunPaths(tmp_path / "out" / "planned"))
    assert "then again  2 walk-forward folds, 2 placebos" in plan


def test_studies_leave_the_main_result_as_it_is(whole: RunPaths, tmp_path: Path) -> None:
    plain = finished(tmp_path, CONTINUOUS)
    assert plain.best.read_bytes() == whole.best.read_bytes()
    assert plain.evaluation.read_bytes() == whole.evaluation.read_bytes()
    ours, theirs = metrics_of(whole), metrics_of(plain)
    assert (theirs["walk_forward"], theirs["placebo"]) == (None, None)
    for name in ("epoch", "best_epoch", "monitor_value", "portfolio_metrics", "episodes"):
        assert ours[name] == theirs[name]


@pytest.fixture
def n_fits(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the studies whose training began."""
    began: list[str] = []
    of_old = StudyObserver.__init__

    def init(observer: StudyObserver, context: Any, study: Any, **how: Any) -> None:
        began.append(study.name)
        of_old(observer, context, study, **how)

    monkeypatch.setattr(StudyObserver, "__init__", init)
    return began


def stop_at(
    patch: pytest.MonkeyPatch, *, phase: str, number: int, epoch: int, error: BaseException
) -> None:
    on_epoch = StudyObserver.on_epoch

    def stopping(observer: Any, record: Any, state: Any) -> None:
        on_epoch(observer, record, state)
        fold = observer._events._fold
        if (observer._phase, fold, record.epoch) == (phase, number, epoch):
            raise error

    patch.setattr(StudyObserver, "on_epoch", stopping)


@pytest.mark.parametrize(
    ("phase", "number", "epoch", "left"),
    [
        slow(("walk_forward", 1, 1, ["fold_001", "fold_002", "placebo_001", "placebo_002"])),
        slow(("walk_forward", 2, 4, ["fold_002", "placebo_001", "placebo_002"])),
        ("placebo", 2, 2, ["placebo_002"]),
    ],
)
def test_a_run_that_goes_on_repeats_no_finished_study_and_ends_the_same(
    whole: RunPaths,
    tmp_path: Path,
    n_fits: list[str],
    phase: str,
    number: int,
    epoch: int,
    left: list[str],
) -> None:
    asked = TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, phase=phase, number=number, epoch=epoch, error=asked)
        outcome = trial(tmp_path, CONTINUOUS, *STUDIES)
    assert outcome.exit_code == 143
    assert outcome.paths is not None
    assert metrics_of(outcome.paths)["phase"] == phase
    assert verify_run(outcome.paths.root).errors == ()
    n_fits.clear()
    paths = finished(tmp_path, CONTINUOUS, *STUDIES, resume=True)
    assert n_fits == left
    assert bit_differences(whole, paths) == []
    assert verify_run(paths.root).findings == ()
    assert metrics_of(paths)["resume_exact"] is True


def test_a_crash_between_the_writes_of_a_study_repeats_that_study_only(
    whole: RunPaths, tmp_path: Path, n_fits: list[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        commit = StudyRoom._commit

        def crashing(room: StudyRoom, name: str) -> None:
            if name == "fold_002":
                raise RuntimeError("the machine is gone")
            commit(room, name)

        patch.setattr(StudyRoom, "_commit", crashing)
        assert trial(tmp_path, CONTINUOUS, *STUDIES).exit_code == 1
    n_fits.clear()
    paths = finished(tmp_path, CONTINUOUS, *STUDIES, resume=True)
    assert n_fits[0] == "fold_002"
    assert bit_differences(whole, paths) == []
    assert verify_run(paths.root).findings == ()


@pytest.mark.slow
def test_an_estimator_that_was_damaged_meanwhile_is_trained_again_and_logged_once(
    whole: RunPaths, tmp_path: Path, n_fits: list[str]
) -> None:
    asked = TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, phase="placebo", number=1, epoch=1, error=asked)
        outcome = trial(tmp_path, CONTINUOUS, *STUDIES)
    assert outcome.paths is not None
    outcome.paths.study("fold_001").write_bytes(b"half")
    n_fits.clear()
    paths = finished(tmp_path, CONTINUOUS, *STUDIES, resume=True)
    assert n_fits == ["fold_001", "placebo_001", "placebo_002"]
    assert bit_differences(whole, paths) == []
    assert verify_run(paths.root).errors == ()


@pytest.mark.slow
def test_with_more_epochs_than_before_studies_begin_anew(tmp_path: Path, n_fits: list[str]) -> None:
    asked = TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, phase="walk_forward", number=2, epoch=1, error=asked)
        assert trial(tmp_path, CONTINUOUS, *STUDIES).exit_code == 143
    n_fits.clear()
    finished(tmp_path, CONTINUOUS, *STUDIES, "training.epochs=5", resume=True)
    assert n_fits == ["fold_001", "fold_002", "placebo_001", "placebo_002"]


def test_evaluating_trains_no_study_and_says_so(whole: RunPaths, tmp_path: Path) -> None:
    paths = finished(tmp_path, CONTINUOUS, *STUDIES, "mode=evaluate", init_from=str(whole.root))
    assert metrics_of(paths)["walk_forward"] is None
    messages = [row["message"] for row in rows_of(paths, "evaluation")]
    assert any(text.startswith("Walk-forward and placebo are left out") for text in messages)


def test_changed_series_of_folds_are_found(whole: RunPaths, tmp_path: Path) -> None:
    paths = finished(tmp_path, CONTINUOUS, STUDIES[0], "training.epochs=1")
    arrays = dict(read_npz(paths.walk_forward).arrays)
    arrays["net"] = arrays["net"] * 1.01
    paths.walk_forward.write_bytes(npz_bytes(arrays))
    messages = "\n".join(map(str, verify_run(paths.root).errors))
    assert "walk_forward.npz: policy ends at" in messages


def test_a_warm_start_is_part_of_every_study(tmp_path: Path) -> None:
    paths = finished(
        tmp_path, CONTINUOUS, *STUDIES, "hisso.supervised={epochs: 2}", "training.epochs=1"
    )
    phases = [row["phase"] for row in rows_of(paths, "epoch")]
    assert phases[3:6] == ["walk_forward.warm_start"] * 2 + ["walk_forward"]
    assert verify_run(paths.root).findings == ()


def test_a_refit_is_part_of_every_study_and_its_log(tmp_path: Path) -> None:
    refit = "hisso.refit=true"
    paths = finished(tmp_path, CONTINUOUS, "evaluation.walk_forward={folds: 1}", refit)
    phases = [row["phase"] for row in rows_of(paths, "epoch") if row["fold"]]
    assert phases[:4] == ["walk_forward"] * 4
    assert set(phases[4:]) == {"walk_forward.refit"}
    assert verify_run(paths.root).findings == ()


def test_several_seeds_are_judged_by_the_mean_of_their_actions(
    tmp_path: Path, n_fits: list[str]
) -> None:
    asked_for = (CONTINUOUS, STUDIES[0], "evaluation.placebo=1")
    asked_for += ("training.seeds=2", "training.epochs=2")
    whole = finished(tmp_path, *asked_for, name="whole")
    assert verify_run(whole.root).findings == ()
    asked = TrainingInterrupted("SIGTERM", status="preempted", exit_code=143)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, phase="walk_forward", number=2, epoch=1, error=asked)
        assert trial(tmp_path, *asked_for).exit_code == 143
    n_fits.clear()
    paths = finished(tmp_path, *asked_for, resume=True)
    assert n_fits == ["fold_002", "placebo_001"]
    assert bit_differences(whole, paths) == []
    data, metrics = trials.continuous(), metrics_of(paths)
    assert metrics["placebo"]["growth"] == metrics["ensemble"]["versus_uniform"]["growth"]
    X, series = joined(data, "X"), read_npz(paths.walk_forward).arrays
    for fold in metrics["walk_forward"]["folds"]:
        rows = slice(*fold["judged"])
        members = [kept(paths, f"fold_{fold['fold']:03d}_seed{seed}") for seed in (42, 43)]
        mean = np.mean([member.predict_actions(X[rows]) for member in members], axis=0)
        np.testing.assert_allclose(
            series["allocations"][series["fold"] == fold["fold"]], mean, atol=1e-7
        )
        assert fold["best_epochs"] == [member.best_epoch_ for member in members]


def test_rows_after_a_fold_change_neither_its_policy_nor_what_it_did(
    whole: RunPaths, tmp_path: Path
) -> None:
    # Rows 68 on are judged by the second fold, so that only its training may see them.
    later = "data={loader: trials.continuous, kwargs: {corrupt_test_from: 8}}"
    paths = finished(tmp_path, later, STUDIES[0])
    assert paths.best.read_bytes() == whole.best.read_bytes()
    assert paths.study("fold_001").read_bytes() == whole.study("fold_001").read_bytes()
    ours, theirs = (read_npz(run.walk_forward).arrays for run in (paths, whole))
    np.testing.assert_array_equal(ours["allocations"][:8], theirs["allocations"][:8])
    assert not np.array_equal(ours["allocations"][8:], theirs["allocations"][8:])
    ours, theirs = (read_npz(run.evaluation).arrays for run in (paths, whole))
    np.testing.assert_array_equal(ours["allocations"][:8], theirs["allocations"][:8])
    np.testing.assert_array_equal(ours["net"][:-1, :8], theirs["net"][:-1, :8])
    assert ours["names"][-1] == "bcrp_hindsight"
