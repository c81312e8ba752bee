"""The choice is by validation, the test rows are opened once, and every candidate is counted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from made_sweeps import made_sweep
from psann.errors import UsageError
from psann.metrics import deflated_sharpe_ratio
from psann.run.directory.metrics import read_metrics
from psann.run.directory.paths import RunPaths
from psann.run.reading.reading import read_run
from psann.run.sweep.config import Sweep
from psann.run.sweep.finish import finish, looks_sentence
from psann.run.sweep.record import SweepPaths, read_record
from psann.run.sweep.worker import WorkOptions, work
from psann.run.verification.verify import verify_run
from trials import change_record


@pytest.fixture(scope="module")
def _worked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    sweep, paths = made_sweep(folder, trials=3)
    assert work(sweep, paths, WorkOptions()).exit_code == 0
    return folder


@pytest.fixture
def there(_worked: Path, tmp_path: Path) -> tuple[Sweep, SweepPaths]:
    """A sweep whose trials are over, of this test alone."""
    shutil.copytree(_worked, tmp_path, dirs_exist_ok=True)
    return made_sweep(tmp_path, trials=3)


def test_the_best_by_validation_is_judged_as_one_of_all_candidates(
    there: tuple[Sweep, SweepPaths],
) -> None:
    sweep, paths = there
    done = finish(sweep, paths)
    assert done.outcome.exit_code == 0, done.outcome.message
    values = {run.name: read_run(run).metrics["monitor_value"] for run in paths.runs.iterdir()}
    best = max(values, key=lambda name: values[name] or -1.0)
    chosen = read_run(paths.chosen)
    assert done.record["chosen"] == {"run": best, "value": values[best], "n_trials": 3 * 5}
    assert (chosen.metrics["mode"], chosen.metrics["n_trials"]) == ("evaluate", 15)
    assert chosen.evaluation is not None
    net = chosen.evaluation.net[0]
    by_hand = deflated_sharpe_ratio(net[1:] / net[:-1] - 1, n_trials=15)
    assert chosen.metrics["deflated_sharpe"] == pytest.approx(by_hand)
    assert verify_run(paths.chosen).errors == ()
    kept = RunPaths(paths.runs / best).best.read_bytes()
    assert (chosen.metrics["parent"] or {})["sha256"] == read_run(paths.runs / best).metrics[
        "best"
    ]["sha256"]  # type: ignore[index]
    assert kept


def test_planted_test_figures_of_a_trial_choose_nothing(there: tuple[Sweep, SweepPaths]) -> None:
    sweep, paths = there
    best = finish(sweep, paths).record["chosen"]
    assert best is not None
    shutil.rmtree(paths.chosen)
    for run in paths.runs.iterdir():
        is_best = run.name == best["run"]
        planted = -9.0 if is_best else 9.0
        change_record(RunPaths(run), test_reward_mean=planted, test_loss=-planted)
    assert finish(sweep, paths).record["chosen"] == best


def test_the_same_choice_is_not_judged_again(there: tuple[Sweep, SweepPaths]) -> None:
    sweep, paths = there
    first = finish(sweep, paths)
    before = {p: p.stat().st_mtime_ns for p in paths.chosen.rglob("*")}
    again = finish(sweep, paths)
    assert (first.is_new, again.is_new) == (True, False)
    assert again.record["n_looks"] == 1
    assert {p: p.stat().st_mtime_ns for p in paths.chosen.rglob("*")} == before


def test_a_look_that_was_cut_short_is_the_same_look(there: tuple[Sweep, SweepPaths]) -> None:
    sweep, paths = there
    finish(sweep, paths)
    shutil.rmtree(paths.chosen)
    again = finish(sweep, paths)
    assert again.is_new and again.record["n_looks"] == 1 and paths.chosen.exists()


def test_more_trials_make_a_second_look_and_more_candidates(
    there: tuple[Sweep, SweepPaths], tmp_path: Path
) -> None:
    sweep, paths = there
    finish(sweep, paths)
    more, _ = made_sweep(tmp_path, trials=4)
    with pytest.raises(UsageError, match=r"t0003 is not\. The command without --finish"):
        finish(more, paths)
    assert work(more, paths, WorkOptions()).exit_code == 0
    done = finish(more, paths)
    assert (done.record["n_looks"], done.record["n_trials"]) == (2, 20)
    assert "looked at 2 times" in looks_sentence(done.record)
    assert len(list(paths.root.glob("chosen.replaced-*"))) == 1
    found = read_record(paths)
    assert found is not None and found["n_looks"] == 2


def test_failed_trials_are_counted_and_never_chosen(
    there: tuple[Sweep, SweepPaths],
) -> None:
    sweep, paths = there
    best = finish(sweep, paths).record["chosen"]
    assert best is not None
    run = RunPaths(paths.runs / best["run"])
    change_record(run, status="failed", error="Trouble", n_trials=None, epoch=2)
    done = finish(sweep, paths)
    assert done.record["chosen"] is not None and done.record["chosen"]["run"] != best["run"]
    # Two epochs and the untrained policy.
    assert done.record["n_trials"] == 5 + 5 + 3


def test_what_is_not_there_yet_is_named(there: tuple[Sweep, SweepPaths]) -> None:
    sweep, paths = there
    shutil.rmtree(paths.runs / "t0001")
    with pytest.raises(UsageError, match=r"t0001 is not in .*runs\. Bring them by"):
        finish(sweep, paths)
    record = read_record(paths)
    assert record is not None and record["n_looks"] == 0 and not paths.chosen.exists()
    paths.journal.unlink()
    assert work(sweep, paths, WorkOptions()).exit_code == 0
    assert read_record(paths) == record


def test_what_a_trial_of_tpe_sets_is_known_by_the_record_alone(tmp_path: Path) -> None:
    sweep, paths = made_sweep(tmp_path, search="tpe", trials=2)
    assert work(sweep, paths, WorkOptions()).exit_code == 0
    whole = paths.record.read_text()
    record = json.loads(whole)
    paths.record.write_text(json.dumps({**record, "trials": record["trials"][:1]}))
    with pytest.raises(UsageError, match=r"does not know t0001\. The command without --finish"):
        finish(sweep, paths)
    assert work(sweep, paths, WorkOptions()).exit_code == 0
    assert paths.record.read_text() == whole


def test_runs_on_other_data_are_refused(there: tuple[Sweep, SweepPaths]) -> None:
    sweep, paths = there
    change_record(RunPaths(paths.runs / "t0001"), data_sha256="0" * 64)
    with pytest.raises(UsageError, match="2 data sets"):
        finish(sweep, paths)


@pytest.mark.parametrize(("changes", "message"), [({"seed": 4}, "this very sweep")])
def test_the_folder_of_another_sweep_or_of_none_is_refused(
    there: tuple[Sweep, SweepPaths], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    _, paths = there
    other, _ = made_sweep(tmp_path, trials=3, **changes)
    with pytest.raises(UsageError, match=message):
        finish(other, paths)
    with pytest.raises(UsageError, match=r"has no sweep\.json"):
        finish(other, SweepPaths(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()


def test_where_no_trial_has_a_value_there_is_nothing_to_choose(
    there: tuple[Sweep, SweepPaths],
) -> None:
    sweep, paths = there
    for run in paths.runs.iterdir():
        change_record(RunPaths(run), status="diverged", error="Trouble")
    with pytest.raises(UsageError, match=r"has a value.*show .*t0000 says why"):
        finish(sweep, paths)
    assert read_metrics(RunPaths(paths.chosen).metrics)[0]["status"] is None
