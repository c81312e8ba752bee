"""The command: flags, exit codes, what a person sees, and real processes that are stopped."""

from __future__ import annotations

import builtins
import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

import psann
import trials
from bad_data import BAD, BAD_FOR_REWARDS
from configs import BAD as BAD_CONFIGS
from configs import SAMPLE
from faults import let_time_pass
from forked import Forked
from psann.estimators.dense import PSANNRegressor
from psann.run.directory.paths import RunPaths
from psann.run.verification.verify import verify_run
from psann.scripts.hisso_log_run import build_parser, main
from thinning import thinned
from trials import metrics_of, rows_of, tree_of, write_config

TESTS = Path(trials.__file__).parent
# One thread each, as the machine is shared; the modules of the tests are those of the user.
PATHS = os.pathsep.join([str(TESTS), str(Path(psann.__file__).parents[1])])
ENVIRONMENT = {**os.environ, "PYTHONPATH": PATHS, "OMP_NUM_THREADS": "1", "TERM": "xterm"}


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Arguments of a small run named `run` in `tmp_path/out`."""
    config = write_config(tmp_path)
    return ["--config", str(config), "--output-dir", str(tmp_path / "out"), "--run-name", "run"]


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "out" / "run")


def usage_error(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a refused command line says; it never gets to work."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    return capsys.readouterr().err


# --- command line --------------------------------------------------------------------------------


def test_a_run_shows_its_result_on_stdout_and_its_way_on_stderr(
    command: list[str], paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--device", "cpu", "--seed", "7"]) == 0
    shown = capsys.readouterr()
    for word in ("growth (log)", "policy", "1/N", "buy and hold", "completed", str(paths.metrics)):
        assert word in shown.out
    assert "INFO train, seed 7 (command line)" in shown.err
    assert "hisso 4/4" in shown.err
    (start,) = json.loads(paths.provenance.read_bytes())["starts"]
    assert start["argv"] == ["hisso-log-run", *command, "--device", "cpu", "--seed", "7"]


def test_quiet_leaves_one_line(
    command: list[str], paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--quiet"]) == 0
    shown = capsys.readouterr()
    assert shown.err == ""
    (line,) = shown.out.splitlines()
    assert line.startswith("run: completed, ")
    assert line.endswith(str(paths.root))


def test_set_wins_over_the_file_and_the_last_one_over_the_first(
    command: list[str], paths: RunPaths
) -> None:
    overrides = ["--set", "training.epochs=3", "--set", "training.epochs=2", "--quiet"]
    assert main([*command, *overrides]) == 0
    assert metrics_of(paths)["epochs_total"] == 2


def test_flags_reach_the_run(command: list[str], paths: RunPaths) -> None:
    command += ["--quiet", "--set", "training.epochs=1"]
    assert main(command) == 0
    assert not paths.epoch(1).exists()
    assert main([*command, "--keep-checkpoints"]) == 2
    assert main([*command, "--keep-checkpoints", "--overwrite"]) == 0
    assert paths.epoch(1).exists()


def test_modes_and_only_import_reach_the_run(
    command: list[str], paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--quiet", "--only-import", "trials"]) == 0
    other = [*command[:-1], "judged", "--quiet", "--init-from", str(paths.root)]
    assert main([*other, "--mode", "evaluate", "--only-import", "mine"]) == 1
    assert "outside of --only-import mine" in capsys.readouterr().err
    assert main([*other, "--mode", "evaluate"]) == 0
    judged = RunPaths(paths.root.with_name("judged"))
    assert metrics_of(judged)["portfolio_metrics"] == metrics_of(paths)["portfolio_metrics"]


def test_check_prints_the_plan_and_writes_nothing(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--check"]) == 0
    shown = capsys.readouterr()
    assert "PSANNRegressor, 74 parameters" in shown.out
    assert "32 episodes" in shown.out
    assert shown.err == ""
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_check_tells_every_problem_of_its_stage(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = ["--set", "estimator.params.hiden_units=3", "--set", "data.kwargs={sed: 1}"]
    assert main([*command, "--check", *bad]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[0] == "hisso-log-run:"
    assert "Did you mean 'hidden_units'?" in shown.err
    assert "Did you mean 'seed'?" in shown.err
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sed", "3"], "Did you mean '--seed'?"),
        (["--keep-checkpoint"], "Did you mean '--keep-checkpoints'?"),
        (["--over"], "unrecognized arguments: --over"),
        (["--outputdir=x"], "Did you mean '--output-dir'?"),
        (["--seed", "-1"], "must be a whole number from 0 to 4294967295; got '-1'"),
        (["--seed", "1.5"], "got '1.5'"),
        (["--seed", "4294967296"], "got '4294967296'"),
        (["--seed", "٣"], "must be a whole number"),
        (["--max-time", "0"], "must be a finite number greater than 0; got '0'"),
        (["--max-time", "nan"], "must be a finite number greater than 0"),
        (["--max-time", "inf"], "must be a finite number greater than 0"),
        (["--max-time", "soon"], "got 'soon'"),
        (["--preempt-exit-code", "256"], "must be a whole number from 0 to 255; got '256'"),
        (["--mode", "tune"], "invalid choice: 'tune'"),
        (["--resume", "--overwrite"], "not allowed with argument"),
    ],
)
def test_a_bad_command_line_is_refused_and_creates_nothing(
    command: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert message in usage_error([*command, *arguments], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


@pytest.mark.parametrize("missing", ["--config", "--output-dir"])
def test_a_missing_argument_is_named(
    command: list[str], capsys: pytest.CaptureFixture[str], missing: str
) -> None:
    at = command.index(missing)
    assert missing in usage_error([*command[:at], *command[at + 2 :]], capsys)


def test_a_check_writes_nothing_and_needs_no_place_for_it(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = command.index("--output-dir")
    assert main([*command[:at], *command[at + 2 :], "--check"]) == 0
    assert capsys.readouterr().out.startswith("run ")
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_help_names_every_flag_exit_code_and_document(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    for action in build_parser()._actions:
        assert action.option_strings[-1] in shown
        assert action.help
    for word in ("diverged", "75", "143", "docs/config.md"):
        assert word in shown


def test_a_bad_run_name_is_exit_code_2(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command[:-1], "../out"]) == 2
    assert capsys.readouterr().err.startswith("hisso-log-run: --run-name must be 1 to 100 ")
    assert main([*command[:-1], ""]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_an_interrupt_outside_of_the_run_is_exit_code_130(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("psann.run.execution.runner.claim_directory", interrupt)
    assert main(command) == 130
    assert capsys.readouterr().err == "hisso-log-run: interrupted\n"


def test_an_interrupt_during_the_imports_is_exit_code_130(
    command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import_module = builtins.__import__

    def interrupted(name: str, *rest: Any) -> Any:
        if name == "psann.run.execution.runner":
            raise KeyboardInterrupt
        return import_module(name, *rest)

    monkeypatch.setattr(builtins, "__import__", interrupted)
    assert main(command) == 130


INTERRUPTED_START = """
import runpy, sys

_, imported, module, *arguments = sys.argv

class Interrupt:
    @staticmethod
    def find_spec(name, *rest):
        if name == imported:
            raise KeyboardInterrupt

sys.modules.pop(imported, None)
sys.meta_path.insert(0, Interrupt)
sys.argv[1:] = arguments
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize(
    ("script", "imported"),
    thinned(
        itertools.product(
            ("hisso_log_run", "hisso_runs"),
            ("argparse", "psann.run.execution.runner", "typing", "psann.errors"),
        ),
        3,
    ),
)
def test_an_interrupt_at_the_first_imports_is_one_line_and_no_traceback(
    command: list[str], tmp_path: Path, imported: str, script: str
) -> None:
    arguments = command
    if script == "hisso_runs":
        arguments = ["ls", str(tmp_path)]
        if imported == "psann.run.execution.runner":
            imported = "psann.run.reading.listing"
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_START, imported, f"psann.scripts.{script}", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr in ("", "interrupted\n", "hisso-log-run: interrupted\n")
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_the_package_itself_brings_no_import_that_takes_time() -> None:
    """So that a script is there to hear Ctrl-C."""
    show = "import sys; known = set(sys.modules); import psann.scripts; "
    show += "print(*(set(sys.modules) - known))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", show],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name for name in done.stdout.split() if not name.startswith(("psann", "importlib"))}
    assert loaded <= {"__future__", "_frozen_importlib", "_frozen_importlib_external", "warnings"}


@pytest.mark.parametrize("output_dir", ["out", "{tmp_path}/out"])
def test_a_current_directory_that_is_gone_is_told_and_nothing_is_claimed(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    output_dir: str,
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    command[command.index("--output-dir") + 1] = output_dir.format(tmp_path=tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(command)
    assert caught.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("hisso-log-run: The current directory must exist; it cannot be found")
    assert len(shown.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["trial.yaml"]


def test_paths_are_told_without_detours(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detour = str(tmp_path / "elsewhere" / ".." / "out")
    assert main([*command, "--output-dir", detour, "--check"]) == 0
    assert f"run         {tmp_path}/out/run\n" in capsys.readouterr().out


# --- endings as a person sees them ---------------------------------------------------------------


def test_one_problem_is_one_line_and_several_are_a_block(
    command: list[str], paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--set", "hisso.windw=3", "--set", "training.lr=x"]) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines() == [
        "hisso-log-run:",
        "  --set hisso.windw=3: hisso.windw is no known key. Did you mean 'window'?",
        '  --set training.lr=x: training.lr must be a number greater than 0; got "x".',
        f"  See {paths.metrics}, field error.",
    ]


def test_a_bug_of_the_loader_is_named_and_its_traceback_kept_in_the_record(
    command: list[str], paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--set", "data.loader=trials.raising"]) == 1
    shown = capsys.readouterr().err
    assert "  RuntimeError: the database is down (at trials.py:" in shown
    assert "Traceback" not in shown
    assert "in raising" in metrics_of(paths)["error"]


def test_a_run_that_diverged_shows_what_is_kept(
    command: list[str], paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    trials.TROUBLE.plan(5)
    assert main([*command, "--quiet", "--set", "hisso.reward=trials.troubled"]) == 3
    shown = capsys.readouterr()
    assert "phase hisso, epoch 3, update 1: the reward trials.troubled is not finite" in shown.err
    assert shown.out.startswith("run: diverged, ")


def test_a_preempted_run_says_so_and_takes_the_exit_code_asked_for(
    command: list[str],
    paths: RunPaths,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    let_time_pass(monkeypatch, at_update=5, minutes=0.5)
    limit = ["--max-time", "0.5", "--preempt-exit-code", "99"]
    assert main([*command, "--set", trials.TROUBLED, *limit]) == 99
    shown = capsys.readouterr()
    assert "hisso-log-run: The run was stopped by the time limit of 0.5 minutes. " in shown.err
    assert "Not complete: preempted after epoch 2 of 4" in shown.out
    assert str(paths.best) in shown.out


def test_a_message_can_neither_leak_a_secret_nor_command_the_terminal(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "--set", 'hisso.reward="\\e[31mred"', "--set", "mode=token=abc123"]) == 1
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "abc123" not in shown


def _temporaries(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.suffix == ".tmp"]


def assert_refused_cleanly(paths: RunPaths, shown: str) -> None:
    """A user's mistake: told on the console without a traceback, recorded with one."""
    assert "Traceback" not in shown
    metrics = metrics_of(paths)
    assert (metrics["status"], metrics["phase"]) == ("failed", "setup")
    assert metrics["error"].startswith("Traceback (most recent call last):")
    assert not paths.checkpoints.exists()
    assert not _temporaries(paths.root)
    assert rows_of(paths)[-1]["message"] == "failed, exit code 1"


@pytest.mark.parametrize(
    ("old", "new", "message"), thinned(BAD_CONFIGS.values(), 9), ids=BAD_CONFIGS
)
def test_bad_configurations_fail_with_every_problem_on_the_console(
    command: list[str],
    paths: RunPaths,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    message: str,
) -> None:
    config = Path(command[1])
    config.write_text(SAMPLE.replace(old, new, 1) + "unheard_of: 1\n")
    assert main(command) == 1
    shown = capsys.readouterr().err
    assert message.removeprefix("run.yaml ").replace("run.yaml", "trial.yaml") in shown
    assert "unheard_of is no known key" in shown
    assert_refused_cleanly(paths, shown)


BAD_DATA = BAD | BAD_FOR_REWARDS


@pytest.mark.parametrize("case", thinned(BAD_DATA, 9))
def test_bad_data_fail_before_training_with_the_place_on_the_console(
    command: list[str], paths: RunPaths, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    _, fragment = BAD_DATA[case]
    data = f"data={{loader: bad_data.load, kwargs: {{case: {case}}}}}"
    assert main([*command, "--set", "hisso.window=8", "--set", data]) == 1
    shown = capsys.readouterr().err
    assert fragment in shown
    assert_refused_cleanly(paths, shown)


def test_there_are_at_least_forty_bad_configurations_and_data_sets() -> None:
    assert min(len(BAD_CONFIGS), len(BAD_DATA)) >= 40


def test_a_configuration_of_the_published_0_12_runs_unchanged(
    command: list[str], paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    published = {
        "estimator": {
            "target": "psann.WaveResNetRegressor",
            "params": {
                "hidden_layers": 1,
                "hidden_units": 4,
                "epochs": 2,
                "batch_size": 16,
                "lr": 0.002,
                "random_state": 11,
                "device": "cpu",
                "preserve_shape": False,
                "data_format": "channels_first",
                "w0_warmup_epochs": 1,
                "progressive_depth_initial": 1,
                "progressive_depth_interval": 1,
                "weight_decay": 0.0001,
                "optimizer": "adam",
                "patience": 5,
                "early_stopping": True,
            },
        },
        "hisso": {
            "enabled": True,
            "window": 12,
            "trans_cost": 0.002,
            "episodes_per_batch": 3,
            "updates_per_epoch": 2,
            "lr_max": 0.01,
            "lr_min": 0.001,
            "primary_transform": "softmax",
            "supervised": {"y_key": "y_train", "epochs": 1, "batch_size": 16},
        },
        "training": {"verbose": 1},
        "data": {
            "loader": "psann.scripts.hisso_log_run.toy_hisso_dataset",
            "kwargs": {"steps": 96, "features": 4, "seed": 3},
        },
        "evaluation": {"portfolio_prices_key": "prices_test", "trans_cost": 0.002},
    }
    Path(command[1]).write_text(yaml.safe_dump(published))
    assert main(command) == 0, capsys.readouterr().err
    metrics = metrics_of(paths)
    assert (metrics["seed"], metrics["epochs_total"], metrics["episodes"]) == (11, 2, 12)
    assert metrics["portfolio_metrics"] is not None
    assert [float(row["lr"]) for row in rows_of(paths, "epoch")] == pytest.approx(
        [0.002, 0.01, 0.001]  # one epoch of warm start, then the linear schedule
    )
    notes = [row["message"] for row in rows_of(paths, "config")]
    assert "hisso.trans_cost of psann 0.12 became hisso.transition_penalty" in notes
    resolved = paths.config_resolved.read_text()
    for gone in ("trans_cost: 0.002\n  input", "episodes_per_batch", "early_stopping", "verbose"):
        assert gone not in resolved.partition("recorded:")[0]


# --- real processes ------------------------------------------------------------------------------

START_UP = """\
import contextlib, io, sys
from pathlib import Path
from psann.scripts.hisso_log_run import main

HEAVY = ("torch", "numpy", "sklearn", "rich", "scipy", "pandas")
folder = Path(sys.argv[1])
(folder / "bad.yaml").write_text("mode: trian\\nzebra: 1\\n")
(folder / "bad.json").write_text("{")
common = ["--config", str(folder / "bad.yaml"), "--output-dir", str(folder / "out")]
(folder / "out" / "there").mkdir(parents=True)
(folder / "out" / "there" / "thesis.tex").write_text("precious")
for arguments in (
    ["--help"],
    [*common, "--sed", "3"],
    [*common, "--run-name", "../x"],
    [*common, "--run-name", "there"],
    [*common, "--run-name", "a"],
    [*common, "--check"],
    ["--config", str(folder / "bad.json"), *common[2:], "--run-name", "b"],
    ["--config", str(folder / "none.yaml"), *common[2:], "--run-name", "c"],
):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        try:
            code = main(arguments)
        except SystemExit as error:
            code = error.code
    loaded = [name for name in HEAVY if name in sys.modules]
    print(code, arguments[-1] if len(arguments) < 6 else arguments[-2:], loaded)
"""


def test_help_and_refusals_import_none_of_the_heavy_libraries(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", START_UP, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env=ENVIRONMENT,
    )
    codes = [line.split(" ")[0] for line in done.stdout.splitlines()]
    assert codes == ["0", "2", "2", "2", "1", "1", "1", "1"]
    assert all(line.endswith(" []") for line in done.stdout.splitlines()), done.stdout


@pytest.mark.parametrize(("asked", "found"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_sleep_unless_the_user_decides_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, found: str
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", asked or "")
    if asked is None:
        monkeypatch.delenv("OMP_WAIT_POLICY")
    assert main(["--config", str(tmp_path / "none.yaml"), "--output-dir", str(tmp_path)]) == 1
    assert os.environ["OMP_WAIT_POLICY"] == found


def start(command: Sequence[str]) -> Forked:
    return Forked(lambda: main(list(command)))


def wait_for_an_epoch(paths: RunPaths, process: Forked) -> None:
    """Return once the log holds a whole row of a HISSO epoch."""
    while process.poll() is None:
        if paths.events.exists() and b",epoch,hisso," in paths.events.read_bytes():
            return
        time.sleep(0.02)  # leaves the one core to the run
    raise AssertionError(process.communicate()[1])


@pytest.mark.parametrize(
    ("number", "exit_code", "status"),
    [
        (signal.SIGTERM, 143, "preempted"),
        pytest.param(signal.SIGINT, 130, "interrupted", marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 143, "preempted", marks=pytest.mark.slow),
        pytest.param(signal.SIGUSR1, 143, "preempted", marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_a_real_run_with_best_and_record_in_order(
    command: list[str], paths: RunPaths, number: signal.Signals, exit_code: int, status: str
) -> None:
    long = ("--set", "training.epochs=100000", "--set", "training.engine=eager")
    process = start([*command, *long])
    wait_for_an_epoch(paths, process)
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == exit_code, err
    assert f"The run was stopped by {number.name}." in err
    assert f"Not complete: {status} after epoch" in out
    metrics = metrics_of(paths)
    assert metrics["status"] == status
    assert metrics["best"]["sha256"] == tree_of(paths.root)["checkpoints/best.safetensors"]
    assert PSANNRegressor.load(paths.best).best_epoch_ == metrics["best_epoch"]
    assert not _temporaries(paths.root)


@pytest.mark.slow
def test_a_signal_ends_a_real_loader_at_once(command: list[str], paths: RunPaths) -> None:
    ready = paths.root.parent.parent / "ready"
    data = f"data={{loader: trials.slow, kwargs: {{ready: {ready}}}}}"
    process = start([*command, "--set", data])
    while not ready.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 143, err
    assert (metrics_of(paths)["status"], metrics_of(paths)["phase"]) == ("preempted", "setup")


def test_a_pipe_gets_plain_text_and_the_table_goes_to_stdout(
    command: list[str], paths: RunPaths
) -> None:
    process = start([*command, "--set", "training.epochs=40"])
    out, err = process.communicate()
    assert process.returncode == 0, err
    assert "\x1b" not in out + err
    assert "\r" not in out + err
    assert "\npolicy  " in out
    assert "hisso 40/40" in err
    assert len(err.splitlines()) < 35  # where a line tells of ten seconds, or of ten epochs
    assert len(rows_of(paths, "epoch")) == 40


def _read_terminal(main_end: int) -> Iterator[bytes]:
    while True:
        try:
            data = os.read(main_end, 65536)
        except OSError:  # the other end is closed
            return
        if not data:
            return
        yield data


def test_a_terminal_gets_a_bar_that_moves_and_one_block_on_failure(
    command: list[str], paths: RunPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    main_end, other_end = pty.openpty()

    def twice() -> int:
        first = main(command)
        sys.stdout.write("and now\n")
        return 10 * first + main([*command, "--overwrite", "--set", "hisso.windw=1"])

    process = Forked(twice, terminal=other_end)
    os.close(other_end)
    shown = b"".join(_read_terminal(main_end)).decode()
    os.close(main_end)
    assert process.wait() == 1
    run, _, failure = shown.partition("and now\r\n")
    assert "━" in run
    assert "4/4" in run
    assert "\x1b[?25h" in run  # the cursor is back
    assert "\npolicy  " in run
    assert failure.splitlines()[-1] == (
        "hisso-log-run: --set hisso.windw=1: hisso.windw is no known key. Did you mean 'window'?"
    )
    assert "Traceback" not in failure


@pytest.mark.slow
def test_a_run_needs_neither_streams_nor_environment_as_under_cron(
    command: list[str], paths: RunPaths
) -> None:
    shell = 'exec env -i "$@" 0<&- 1>&- 2>&-'
    tests = f"PYTHONPATH={ENVIRONMENT['PYTHONPATH']}"
    python = [tests, sys.executable, "-m", "psann.scripts.hisso_log_run"]
    done = subprocess.run(
        ["bash", "-c", shell, "-", *python, *command], check=False, start_new_session=True
    )
    assert done.returncode == 0
    assert metrics_of(paths)["status"] == "completed"
    assert verify_run(paths.root).errors == ()


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.slow
def test_a_console_that_is_gone_never_ends_a_run(
    command: list[str], paths: RunPaths, closed: str
) -> None:
    number = {"stdout": 1, "stderr": 2}[closed]
    shell = f'exec "$@" {number}>&-'
    done = subprocess.run(
        ["bash", "-c", shell, "-", sys.executable, "-m", "psann.scripts.hisso_log_run", *command],
        env=ENVIRONMENT,
        check=False,
    )
    assert done.returncode == 0
    assert metrics_of(paths)["status"] == "completed"


@pytest.mark.parametrize(
    ("text", "signals"),
    [
        ("TERM", ("SIGTERM",)),
        ("sigusr2,XCPU,XCPU", ("SIGUSR2", "SIGXCPU")),
        ("none", ()),
    ],
)
def test_the_signals_of_preemption_can_be_narrowed(text: str, signals: tuple[str, ...]) -> None:
    options = build_parser().parse_args(
        ["--config", "c", "--output-dir", "d", "--preempt-signals", text]
    )
    assert tuple(each.name for each in options.preempt_signals) == signals


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preempt-signals", "TERM,KILL"], "got 'KILL' in 'TERM,KILL'"),
        (["--config="], "--config: must be a path; got an empty one"),
        (["--output-dir=$NOWHERE/runs"], r"leave $NOWHERE as it is"),
        (["--config=~nobody-here/c.yaml"], "nobody is called 'nobody-here' here"),
    ],
)
def test_what_cannot_be_meant_is_a_bad_command_line(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        build_parser().parse_args(["--config", "c", "--output-dir", "d", *words])
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_a_tilde_behind_an_equals_sign_is_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    options = build_parser().parse_args(["--config=~/c.yaml", "--output-dir=~/runs"])
    assert (options.config, options.output_dir) == (Path("/home/me/c.yaml"), Path("/home/me/runs"))


def test_a_plan_that_cannot_be_written_whole_is_an_error_of_one_line(command: list[str]) -> None:
    def check() -> int:
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
        return main([*command, "--check"])

    process = Forked(check)
    _, err = process.communicate()
    assert process.returncode == 1
    told = "hisso-log-run: Standard output takes no more: No space left on device."
    assert err.splitlines()[-1] == told
