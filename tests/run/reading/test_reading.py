"""Reading runs back: whole, killed, running, half copied, foreign, hostile."""

from __future__ import annotations

import io
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import psann.run
from faults import killed_runs
from foreign import change
from forked import loading_run
from psann._terminal import Terminal
from psann.errors import UsageError
from psann.run.directory.fields import FIELDS
from psann.run.directory.paths import RunPaths
from psann.run.reading.listing import list_runs, show_table
from psann.run.reading.reading import flat, read_run, read_runs
from thinning import slow
from trials import TROUBLE, finished, metrics_of, rows_of, trial


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("whole"), "training.epochs=3")


@pytest.fixture
def paths(whole: RunPaths, tmp_path: Path) -> RunPaths:
    """A copy that may be hurt."""
    shutil.copytree(whole.root, tmp_path / "run")
    return RunPaths(tmp_path / "run")


# --- one run -------------------------------------------------------------------------------------


def test_finished_run_reads_back_whole(whole: RunPaths) -> None:
    run = read_run(whole.root)
    assert (run.status, run.name, run.problems) == ("completed", "run", ())
    assert run.metrics == metrics_of(whole)
    assert run.config["training"]["epochs"] == 3
    assert run.config["data"]["loader"] == "trials.market"
    assert run.starts[-1]["process"]["pid"] == os.getpid()
    logged = rows_of(whole, "epoch")
    assert [row["epoch"] for row in run.epochs] == [1, 2, 3]
    assert [row["val_reward_mean"] for row in run.epochs] == [
        float(row["val_reward_mean"]) for row in logged
    ]
    assert run.epochs[0]["is_best"] is True
    assert run.epochs[0]["fold"] is None
    assert len(run.events) == len(rows_of(whole))


def test_figures_are_looked_up_by_dotted_key(whole: RunPaths) -> None:
    run = read_run(whole.root)
    sharpe = metrics_of(whole)["portfolio_metrics"]["sharpe"]
    assert run.figure("portfolio_metrics.sharpe") == sharpe
    for key in ("status", "portfolio_metrics", "portfolio_metrics.x", "seed.x", "", "resume_exact"):
        assert run.figure(key) is None


def test_directory_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"RUN must be a run directory; .*nowhere does not exist"):
        read_run("nowhere")
    with pytest.raises(UsageError, match=r"PATH must be a directory of runs; .* does not exist"):
        read_runs("nowhere")


@pytest.mark.parametrize("n_runs", [1, slow(4)])
def test_run_killed_at_random_instants_is_dead_and_read_as_far_as_it_goes(
    tmp_path: Path, n_runs: int
) -> None:
    for paths in killed_runs(tmp_path, n_runs):
        run = read_run(paths.root)
        if paths.metrics.exists():
            # Killed between the last record and the end, it is as good as whole.
            assert run.status in ("dead", "completed")
            assert run.metrics_problems == ()
        else:
            assert run.status == "unknown"
        assert run.problems == () or run.status != "completed"
        numbers = [row["epoch"] for row in run.epochs if row["phase"] == "hisso"]
        assert numbers == list(range(1, len(numbers) + 1))


def test_living_run_is_running_and_its_log_is_read_up_to_now(tmp_path: Path) -> None:
    original = tmp_path / "out" / "run"
    with loading_run(tmp_path):
        shutil.copytree(original, tmp_path / "copy")
        living, copy = read_run(original), read_run(tmp_path / "copy")
    assert (living.status, living.problems) == ("running", ())
    assert "holds the lock" in living.status_reason
    assert living.events[0]["event"] == "run_start"
    assert copy.status == "running"
    assert "ago" in copy.status_reason
    assert read_run(original).status == read_run(tmp_path / "copy").status == "dead"


def test_diverged_run_is_read(tmp_path: Path) -> None:
    TROUBLE.plan(3)
    assert trial(tmp_path, "hisso.reward=trials.troubled").exit_code == 3
    run = read_run(tmp_path / "out" / "run")
    assert (run.status, run.problems) == ("diverged", ())
    assert "DivergedError" in run.metrics["error"]
    assert len(run.epochs) == 1


def test_record_of_another_version_gives_what_is_common_and_says_so(paths: RunPaths) -> None:
    change(paths, schema_version=7, colour="red", seed="forty-two", status="asleep")
    run = read_run(paths.root)
    assert run.status == "unknown"
    assert run.metrics["seed"] is None
    assert run.metrics["val_loss"] == metrics_of(paths)["val_loss"]
    assert set(run.metrics) == set(FIELDS)
    text = " ".join(run.problems)
    assert "schema version '7'; this psann knows version 1" in text
    assert "values that cannot be read: seed, status" in text


def test_figures_are_numbers_or_told(paths: RunPaths) -> None:
    figures = {"sharpe": 1.5, "psr": "high", "<b>": 1.0, "deep": {"x": [1.0, None], "y": ["z"]}}
    per_seed = [{"seed": 1, "val_loss": "low", "is_best": True}, "seed 2"]
    change(paths, portfolio_metrics=figures, per_seed=per_seed)
    run = read_run(paths.root)
    assert run.metrics["portfolio_metrics"] == {"sharpe": 1.5}
    assert run.metrics["per_seed"] == [{"seed": 1, "is_best": True}]
    (problem,) = run.metrics_problems
    assert problem == (
        "metrics.json has values that cannot be read: a key of portfolio_metrics, "
        "portfolio_metrics.psr, portfolio_metrics.deep, per_seed, per_seed.0.val_loss."
    )


def test_log_of_another_version_gives_the_columns_in_common(paths: RunPaths) -> None:
    paths.events.write_text("event,epoch,mood,train_loss\r\nepoch,1,good,0.5\r\nepoch,x,bad,1\r\n")
    run = read_run(paths.root)
    assert len(run.epochs) == 1
    assert run.epochs[0]["mood"] == "good"
    assert run.epochs[0]["train_loss"] == 0.5
    assert run.epochs[0]["val_loss"] is None
    text = " ".join(run.problems)
    assert "columns of another version" in text
    assert "1 row that cannot be read: line 3 must have a whole number as epoch; it has 'x'" in text


@pytest.mark.parametrize("name", ["metrics.json", "events.csv", "config_resolved.yaml"])
def test_missing_file_of_half_a_copy_is_told(paths: RunPaths, name: str) -> None:
    (paths.root / name).unlink()
    assert any(f"{name} is missing" in text for text in read_run(paths.root).problems)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff", b'{"a": NaN}', b'{"a": 1, "a": 2}', b"[" * 100_000, b"- a\n- b\n"],
)
def test_damaged_files_become_sentences(paths: RunPaths, content: bytes) -> None:
    for file in (paths.metrics, paths.provenance, paths.config_resolved, paths.events):
        file.write_bytes(content)
    run = read_run(paths.root)
    assert (run.status, run.epochs) == ("unknown", ())
    told = " ".join(run.problems)
    assert "metrics.json cannot be read" in told
    assert all(text.endswith(".") for text in run.problems)


@pytest.mark.parametrize("kind", ["link", "pipe", "directory", "huge"])
def test_what_is_no_plain_file_is_not_read(paths: RunPaths, tmp_path: Path, kind: str) -> None:
    for file in (paths.metrics, paths.events, paths.config_resolved, paths.provenance):
        file.rename(tmp_path / file.name)
        if kind == "link":
            file.symlink_to(tmp_path / file.name)
        elif kind == "pipe":
            os.mkfifo(file)
        elif kind == "directory":
            file.mkdir()
        else:
            with file.open("wb") as sparse:
                sparse.truncate(2**40)
    run = read_run(paths.root)
    assert (run.status, run.config, run.events, run.starts) == ("unknown", {}, (), ())
    reason = "bytes, more than" if kind == "huge" else "no plain file"
    assert sum(reason in text for text in run.problems) == 4


def test_short_file_of_half_a_copy_is_told(paths: RunPaths) -> None:
    paths.best.write_bytes(b"")
    (problem,) = read_run(paths.root).problems
    assert problem.startswith("checkpoints/best.safetensors must have ")
    change(paths, artefacts={"a": 3, "../b": {"bytes": "x"}})
    assert len(read_run(paths.root).problems) == 2


# --- evaluation ----------------------------------------------------------------------------------


def series(**arrays: Any) -> dict[str, Any]:
    whole = {
        "names": np.array(["policy", "uniform"]),
        "net": np.ones((2, 5)),
        "gross": np.ones((2, 5)),
        "allocations": np.ones((5, 3), dtype=np.float32),
        "time": np.arange(5),
        "assets": np.array(["a", "b", "<c>"]),
    }
    return {name: array for name, array in {**whole, **arrays}.items() if array is not None}


def test_evaluation_is_read_with_and_without_its_optional_arrays(paths: RunPaths) -> None:
    file = paths.evaluation
    np.savez(file, **series())
    found = read_run(paths.root).evaluation
    assert found is not None
    assert (found.names, found.assets) == (("policy", "uniform"), ("a", "b", "<c>"))
    assert found.net.shape == (2, 5)
    assert found.allocations.shape == (5, 3)
    np.savez(file, **series(time=None, assets=None))
    found = read_run(paths.root).evaluation
    assert found is not None
    assert found.time is found.assets is None


@pytest.mark.parametrize(
    "arrays",
    [
        {"net": None},
        {"net": np.ones((2, 4))},
        {"gross": np.ones(5)},
        {"net": np.ones(5), "gross": np.ones(5)},
        {"allocations": np.ones((4, 3))},
        {"allocations": np.array([["x"] * 3] * 5)},
        {"time": np.arange(4)},
        {"assets": np.array(["a"])},
        {"names": np.array([{}, {}], dtype=object)},
    ],
)
def test_evaluation_that_makes_no_sense_is_told(paths: RunPaths, arrays: dict[str, Any]) -> None:
    np.savez(paths.evaluation, **series(**arrays))
    run = read_run(paths.root)
    assert run.evaluation is None
    assert any("evaluation.npz cannot be read" in text for text in run.problems)


def test_run_without_evaluation_has_none(whole: RunPaths, tmp_path: Path) -> None:
    assert read_run(tmp_path).evaluation is None


# --- many runs -----------------------------------------------------------------------------------


def test_runs_are_found_at_any_depth_and_once(paths: RunPaths, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("b", "a/x", "a/y.replaced-1"):
        shutil.copytree(paths.root, runs / name)
    shutil.copytree(paths.root, runs / "b" / "attempts" / "001")
    (runs / "link").symlink_to(runs / "b")
    (runs / "loop").symlink_to(runs)
    other = runs / "another tool"
    other.mkdir()
    (other / "metrics.json").write_text("{}")
    found = read_runs(runs)
    assert [found.name_of(run) for run in found] == ["a/x", "a/y.replaced-1", "b"]
    alone = read_runs(runs / "b")
    assert [alone.name_of(run) for run in alone] == ["b"]
    assert len(read_runs(other)) == 0


def test_a_table_without_pandas_says_what_to_install(
    paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = psann.run.read_runs(paths.root)
    monkeypatch.setitem(sys.modules, "pandas", None)
    for table in ("runs", "configs", "epochs"):
        with pytest.raises(UsageError, match=r"needs pandas, and pandas is .*: pip install pandas"):
            getattr(found, table)


def test_tables_hold_every_run_and_every_epoch(paths: RunPaths, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name in ("a", "b"):
        shutil.copytree(paths.root, runs / name)
    (runs / "b" / "metrics.json").write_text("{")
    found = psann.run.read_runs(runs)
    assert list(found.runs["run"]) == ["a", "b"]
    assert list(found.runs["status"]) == ["completed", "unknown"]
    metrics = metrics_of(paths)
    assert found.runs["portfolio_metrics.sharpe"][0] == metrics["portfolio_metrics"]["sharpe"]
    assert math.isnan(found.runs["val_loss"][1])
    assert not [name for name in found.runs if name.startswith("artefacts")]
    assert list(found.epochs["run"]) == ["a"] * 3 + ["b"] * 3
    logged = pd.read_csv(io.BytesIO(paths.events.read_bytes()), dtype=str)
    expected = logged.loc[logged["event"] == "epoch", "train_loss"]
    assert list(found.epochs["train_loss"]) == list(map(float, expected)) * 2
    assert list(found.configs["training.epochs"]) == [3, 3]


def test_tables_of_no_run_are_empty(tmp_path: Path) -> None:
    found = read_runs(tmp_path)
    assert len(found.runs) == len(found.epochs) == 0
    assert "val_loss" in found.epochs


def test_nested_mappings_become_dotted_keys() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": {}}, "e": [1]}) == {"a.b.c": 1, "a.d": {}, "e": [1]}


def test_reading_imports_neither_torch_nor_pandas_nor_numpy(whole: RunPaths) -> None:
    code = (
        "import sys, psann.run\n"
        "assert 'psann.run.reading.reading' not in sys.modules\n"
        "runs = psann.run.read_runs(sys.argv[1])\n"
        "assert [len(run.epochs) for run in runs] == [3] and runs.views[0].config\n"
        "assert not {'torch', 'numpy', 'pandas', 'pydantic', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(whole.root)], check=True)


def test_runs_are_read_after_the_current_directory_has_changed(
    whole: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.root, tmp_path / "runs" / "a")
    monkeypatch.chdir(tmp_path)
    runs, run = read_runs("runs"), read_run("runs/a")
    monkeypatch.chdir("/")
    assert [len(each.epochs) for each in (*runs, run)] == [len(read_run(whole.root).epochs)] * 2
    assert [runs.name_of(each) for each in runs] == ["a"]
    assert run.problems == ()


def test_a_run_that_has_moved_meanwhile_is_said_to_have_and_not_to_be_half(
    whole: RunPaths, tmp_path: Path
) -> None:
    shutil.copytree(whole.root, tmp_path / "a")
    run = read_run(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert run.problems == (
        f"{tmp_path / 'a'} is no longer there: it was moved, or its file system is not mounted.",
    )


def test_runs_are_found_beside_a_stray_configuration_and_not_in_trash(
    whole: RunPaths, tmp_path: Path
) -> None:
    (tmp_path / "config_resolved.yaml").write_text("seed: 1\n")
    for folder in ("a", ".Trash-1000/b", "Trash/c", "$RECYCLE.BIN/d", ".hidden/e", "deep/er/f"):
        shutil.copytree(whole.root, tmp_path / folder)
    runs = read_runs(tmp_path)
    assert [runs.name_of(run) for run in runs] == ["a", "deep/er/f"]


def test_directories_that_may_not_be_read_are_named(
    whole: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole.root, tmp_path / "a")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(folder: Path) -> Any:  # the suite may run as root, who may read everything
        if Path(folder).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    runs, stream = read_runs(tmp_path), io.StringIO()
    assert (len(runs), runs.unreadable) == (1, (tmp_path / "closed",))
    show_table(list_runs(runs), Terminal(stream))
    assert f"{tmp_path / 'closed'}: may not be looked into" in stream.getvalue()


def test_runs_are_read_where_there_is_no_fcntl(whole: RunPaths, tmp_path: Path) -> None:
    other = shutil.copytree(whole.root, tmp_path / "other")
    code = f"""
import sys
sys.modules["fcntl"] = sys.modules["resource"] = None
from psann.scripts.hisso_runs import main
run = {str(whole.root)!r}
codes = [main([word, run]) for word in ("ls", "show", "status")]
codes.append(main(["compare", run, {str(other)!r}]))
from psann.run import read_runs
heavy = [name for name in ("torch",) if name in sys.modules]
codes.append(main(["verify", run]))  # which reads tensors
home = {str(tmp_path)!r}
codes.append(main(["report", run, "-o", home + "/page.html"]))
codes.append(main(["export", "--to", "csv", run, "-o", home + "/tables"]))
codes.append(main(["pack", run, "-o", home + "/run.tar.gz"]))
codes.append(main(["unpack", home + "/run.tar.gz", "--output-dir", home + "/unpacked"]))
print(codes, len(read_runs(run)), heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "[0, 0, 0, 0, 0, 0, 0, 0, 0] 1 []"
