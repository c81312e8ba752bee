"""The command `hisso-runs`: subcommands, exit codes, what a person sees."""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from faults import exit_code_of, in_child, killed_runs
from foreign import DRAWING, hostile, of_another_version
from forked import close_streams, loading_run
from psann.run.directory.paths import RunPaths
from psann.run.reading.reading import read_runs
from psann.run.verification import replay, torture
from psann.run.verification.torture import Certificate
from psann.scripts import hisso_log_run
from psann.scripts.hisso_runs import build_parser, main
from thinning import slow, thinned
from trials import TROUBLE, finished, metrics_of, tree_of, trial


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunPaths:
    return finished(tmp_path_factory.mktemp("whole"), "training.epochs=2")


@pytest.fixture
def paths(whole: RunPaths, tmp_path: Path) -> RunPaths:
    """A copy that may be hurt."""
    shutil.copytree(whole.root, tmp_path / "out" / "run")
    return RunPaths(tmp_path / "out" / "run")


def test_clean_run_is_one_line_and_exit_code_0(
    paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(paths.root)]) == 0
    out, err = capsys.readouterr()
    assert out == f"{paths.root}: completed, 9 files, 0 errors, 0 notes\n"
    assert err == ""


def test_findings_are_shown_without_drawing_and_exit_code_is_1(
    paths: RunPaths, capsys: pytest.CaptureFixture[str]
) -> None:
    (paths.root / "\x1b[31mred").symlink_to("metrics.json")
    assert main(["verify", str(paths.root), "--replay", "1"]) == 1
    out = capsys.readouterr().out
    assert "error: \\x1b[31mred: is a symbolic link" in out
    assert "1 error, 0 notes" in out
    assert "replay" not in out


def test_ls_lists_in_every_form(paths: RunPaths, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(paths.root.parent)
    assert main(["ls", folder]) == 0
    assert "1 run: 1 completed" in capsys.readouterr().out
    assert main(["ls", folder, "--json", "--where", "epoch == 2"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["metrics"] == metrics_of(paths)
    assert main(["ls", folder, "--csv", "--sort", "seed", "--reverse"]) == 0
    assert capsys.readouterr().out.startswith("run,status,")
    assert main(["ls", folder, "--where", "epoch ="]) == 2
    assert "hisso-runs: --where must be a condition" in capsys.readouterr().err


def test_report_is_one_file_and_one_line(
    paths: RunPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "page.html"
    assert main(["report", str(paths.root), "-o", str(output)]) == 0
    assert capsys.readouterr().out == f"{output}: {output.stat().st_size:,} bytes\n"
    page = output.with_suffix(".md")
    assert main(["report", str(paths.root), "-o", str(page)]) == 0
    assert page.read_text().startswith("# ")
    assert main(["report", str(paths.root), "-o", str(paths.root / "page.html")]) == 2
    assert "-o must lie outside of" in capsys.readouterr().err


READING = (
    ["ls"],
    ["ls", "--json"],
    ["ls", "--csv"],
    ["show"],
    ["show", "--json"],
    ["status"],
    ["compare"],
)


def run_all(
    run: Path, other: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, tuple[int, str]]:
    """Exit code and output of every command that reads; none may write to standard error.

    Where nothing of a run was written yet, there is nothing to compare.
    """
    found = {}
    for command, *flags in READING:
        if command == "compare" and not any(read_runs(run)):
            continue
        extra = [str(other)] if command == "compare" else []
        code = main([command, str(run), *extra, *flags])
        out, err = capsys.readouterr()
        assert err == "", f"{command} {flags} on {run}"
        assert code in (0, 1)
        found[" ".join([command, *flags])] = code, out
    return found


def take_home(run: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report, an archive and tables of a run; or one line that says why not, and nothing left."""
    folder.mkdir()
    for command in (
        ["report", str(run), "-o", str(folder / "page.html")],
        ["pack", str(run), "-o", str(folder / "run.tar.gz")],
        ["export", "--to", "csv", str(run), "-o", str(folder / "tables")],
    ):
        code = main(command)
        out, err = capsys.readouterr()
        if any(read_runs(run)):
            assert (code, err) == (0, ""), command
            assert out
        else:
            assert code == 2
            assert err.startswith("hisso-runs: ")
            assert err.count("\n") == 1


@pytest.mark.parametrize("n_runs", [1, slow(5)])
def test_every_command_reads_runs_that_were_killed_at_random_instants(
    n_runs: int, whole: RunPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for killed in killed_runs(tmp_path, n_runs):
        before = tree_of(killed.root)
        found = run_all(killed.root, whole.root, capsys)
        status = json.loads(found["show --json"][1])["status"]
        is_begun = killed.metrics.exists()
        assert status in (("dead", "completed") if is_begun else ("unknown",))
        assert found["status"][0] == (0 if status == "completed" else 1)
        assert found["show"][1].startswith(f"run: {status}. ")
        take_home(killed.root, killed.root.parent / "home", capsys)
        assert tree_of(killed.root) == before


def test_every_command_reads_diverged_foreign_and_hostile_runs(
    paths: RunPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    TROUBLE.plan(3)
    trial(tmp_path, "hisso.reward=trials.troubled", name="diverged")
    runs = {
        "diverged": tmp_path / "out" / "diverged",
        "completed": of_another_version(paths, tmp_path).root,
        "failed": hostile(paths, tmp_path).root,
    }
    for status, run in runs.items():
        found = run_all(run, paths.root, capsys)
        assert found["status"][0] == (0 if status == "completed" else 1)
        for name, (_, out) in found.items():
            assert status in out, name
            inner = out.replace("\r\n", "") if name == "ls --csv" else out
            assert not [part for part in DRAWING if part in inner], name
        if status == "failed":  # what its directory is called, no run is
            assert main(["pack", str(run), "-o", str(tmp_path / "run.tar.gz")]) == 2
            assert "Rename the directory" in capsys.readouterr().err
            run = run.rename(tmp_path / "renamed")
        take_home(run, tmp_path / f"home of {run.name}", capsys)
    assert "is of schema version '9'" in run_all(runs["completed"], paths.root, capsys)["show"][1]


def test_running_run_is_shown_and_watched_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "out" / "run"
    with loading_run(tmp_path) as living:
        capsys.readouterr()
        found = {}
        for command in (["show"], ["status"], ["ls"]):
            assert main([*command, str(run)]) == 0
            found[command[0]] = capsys.readouterr().out
        assert all("running" in out for out in found.values())
        take_home(run, tmp_path / "home", capsys)
        endings = []

        def pause(seconds: float) -> None:
            living.send_signal(signal.SIGKILL)
            endings.append((seconds, living.wait()))

        monkeypatch.setattr(time, "sleep", pause)
        code = main(["status", str(run), "--watch", "--every", "0.1"])
        assert endings == [(0.1, -signal.SIGKILL)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("run: running.")
    assert lines[-1].startswith("run: dead.")
    assert code == 1


def test_packed_moved_and_unpacked_run_verifies_and_gives_the_same_report(
    paths: RunPaths,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", str(paths.root), "-o", "before.html"]) == 0
    capsys.readouterr()
    assert main(["pack", str(paths.root)]) == 0
    assert capsys.readouterr().out.startswith("run.tar.gz: 8 files of ")
    assert main(["unpack", "run.tar.gz", "--output-dir", "home"]) == 0
    assert capsys.readouterr().out.endswith(" bytes, all as they were packed\n")
    assert main(["verify", "home/run"]) == 0
    assert "0 errors, 0 notes" in capsys.readouterr().out
    assert main(["report", "home/run", "-o", "after.html"]) == 0
    assert Path("after.html").read_bytes() == Path("before.html").read_bytes()
    capsys.readouterr()
    assert main(["unpack", "run.tar.gz", "--output-dir", "home"]) == 2
    assert "must make a new directory" in capsys.readouterr().err
    Path("run.tar.gz").write_bytes(b"x")
    assert main(["unpack", "run.tar.gz"]) == 1
    assert "must be an archive that pack wrote" in capsys.readouterr().err
    (paths.checkpoints / "epoch_000001.safetensors").touch()
    (paths.root / "link").symlink_to("x")
    assert main(["pack", str(paths.root), "-o", "best.tar.gz", "--best-only"]) == 0
    out, err = capsys.readouterr()
    assert "left out: checkpoints/epoch_000001.safetensors\n" in out
    assert err == "not packed, as it is no file of a run: link\n"


def test_export_says_what_it_made(
    paths: RunPaths, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", str(paths.root.parent), "--to", "csv", "-o", str(tmp_path / "tables")]
    assert main(arguments) == 0
    made = [str(tmp_path / "tables" / name) for name in ("runs.csv", "epochs.csv")]
    assert capsys.readouterr().out.splitlines() == made
    assert len(Path(made[1]).read_text().splitlines()) == 3
    assert main(arguments) == 2
    assert "-o must not hold an export" in capsys.readouterr().err


def test_reading_commands_load_no_heavy_library(paths: RunPaths) -> None:
    code = (
        "import sys\n"
        "from psann.scripts.hisso_runs import main\n"
        "run, other = sys.argv[1:]\n"
        "for words in (['ls', run], ['show', run], ['compare', run, other]):\n"
        "    assert main(words) == 0\n"
        "    assert not {'torch', 'numpy', 'pydantic', 'sklearn', 'pandas'} & set(sys.modules)\n"
    )
    other = shutil.copytree(paths.root, paths.root.with_name("copy"))
    arguments = [sys.executable, "-c", code, str(paths.root), str(other)]
    subprocess.run(arguments, capture_output=True, check=True)


def test_directory_that_is_none_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(tmp_path / "none")]) == 2
    assert "hisso-runs: RUN_DIR must be a run directory" in capsys.readouterr().err


def test_replay_says_where_it_begins_and_what_it_found(
    paths: RunPaths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["verify", str(paths.root), "--replay", "2", "--allow-import", "trials"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("replay: trained again from the start: the same bits\n")
    repetition = replay.Repetition(begun_from="epoch 2", differences=["best differs"])
    monkeypatch.setattr(replay, "replay", lambda root, **_: repetition)
    assert main(["verify", str(paths.root), "--replay", "2"]) == 1
    assert (
        "best differs\nreplay: trained again from epoch 2: 1 difference\n"
        in capsys.readouterr().out
    )
    failed = replay.Repetition(begun_from="the start", differences=[], failure="no file")
    monkeypatch.setattr(replay, "replay", lambda root, **_: failed)
    assert main(["verify", str(paths.root), "--replay", "2"]) == 1
    told = "replay: nothing to compare, begun from the start: no file\n"
    assert capsys.readouterr().out.endswith(told)
    assert main(["verify", str(paths.root)]) == 0
    paths.metrics.write_text(json.dumps({**metrics_of(paths), "status": "asleep"}))
    assert main(["verify", str(paths.root)]) == 1


@pytest.mark.parametrize("is_clean", [True, False])
def test_torture_prints_its_certificate(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    is_clean: bool,
) -> None:
    folders: list[Path] = []

    def fake(config: Path, *, kills: int, seed: int, folder: Path, tell: Any) -> Certificate:
        tell("kill 1 of 3")
        folders.append(folder)
        return Certificate(
            config=str(config),
            seed=seed,
            kills_asked=kills,
            kills_landed=kills,
            run={"config_sha256": "ab" * 32},
            differences=[] if is_clean else ["tortured-1: best.safetensors differs"],
        )

    monkeypatch.setattr(torture, "torture", fake)
    arguments = ["torture", "c.yaml", "--kills", "3", "--seed", "5"]
    assert main(arguments) == (0 if is_clean else 1)
    out, err = capsys.readouterr()
    assert err == "kill 1 of 3\n"
    assert out.startswith("clean\n" if is_clean else "NOT CLEAN\n")
    assert "kills that landed  3 of 3\n" in out
    assert "instants by seed   5\n" in out
    assert ("best.safetensors differs" in out) is not is_clean
    assert not folders[0].exists()
    assert main([*arguments, "--output-dir", str(tmp_path / "kept")]) == (0 if is_clean else 1)
    assert folders[1] == tmp_path / "kept"
    assert f"{tmp_path / 'kept' / 'certificate.json'}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["verfy"], "invalid choice: 'verfy'"),
        (["verify"], "RUN_DIR"),
        (["status", "x", "--watch", "--every", "0"], "must be 0.1 to 86400 seconds; got '0'"),
        (["status", "x", "--every", "soon"], "got 'soon'"),
        (["compare"], "RUN"),
        (["verify", "x", "--replay", "0"], "must be a whole number from 1 to 1000000000; got '0'"),
        (["verify", "x", "--replay", "two"], "got 'two'"),
        (["verify", "x", "--repla", "1"], "Did you mean '--replay'?"),
        (["torture", "x"], "--kills"),
        (["torture", "x", "--kills", "3", "--sed=3"], "Did you mean '--seed'?"),
        (["repotr", "x"], "Did you mean 'report'?"),
        (["export", "x", "--to", "cvs", "-o", "d"], "Did you mean 'csv'?"),
    ],
)
def test_bad_command_lines_exit_with_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_no_line_of_any_help_is_wider_than_a_terminal_of_80_columns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    parser = build_parser()
    (commands,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    for each in (hisso_log_run.build_parser(), parser, *commands.choices.values()):
        assert max(map(len, each.format_help().splitlines())) <= 80


def test_help_loads_neither_torch_nor_pydantic() -> None:
    code = (
        "import sys, psann.scripts.hisso_runs as c\n"
        "try:\n    c.main(['verify', '--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'numpy', 'pydantic', 'rich'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "--replay K" in done.stdout


WRITING = (["ls"], ["ls", "--json"], ["ls", "--csv"], ["show"], ["status"], ["verify"])


def hisso_runs(words: list[str], **how: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "psann.scripts.hisso_runs", *words]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, **how)


@pytest.mark.parametrize("words", thinned(WRITING, 4), ids=" ".join)
def test_output_that_cannot_be_written_whole_is_an_error_of_one_line(
    words: list[str], whole: RunPaths
) -> None:
    with open("/dev/full", "w") as full:
        done = hisso_runs([*words, str(whole.root)], stdout=full)
    assert done.returncode == 1
    expected = "hisso-runs: Standard output takes no more: No space left on device.\n"
    assert done.stderr == expected


@pytest.mark.parametrize("is_unbuffered", thinned([False, True]))
def test_output_beyond_the_limit_of_a_file_is_an_error_of_one_line(
    whole: RunPaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_unbuffered: bool
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1" if is_unbuffered else "")
    with (tmp_path / "out.json").open("w") as file:
        limit = (100, 100)
        done = hisso_runs(
            ["show", "--json", str(whole.root)],
            stdout=file,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        )
    assert done.returncode == 1
    assert done.stderr == "hisso-runs: Standard output takes no more: File too large.\n"


def test_a_file_that_cannot_be_written_is_not_taken_for_the_output(
    whole: RunPaths, tmp_path: Path
) -> None:
    done = hisso_runs(
        ["export", str(whole.root), "--to", "csv", "-o", str(tmp_path / "x")],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
    )
    told = f"hisso-runs: File too large ({tmp_path / 'x' / 'runs.csv'})\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_a_report_to_standard_output_is_all_that_is_written_there(
    whole: RunPaths, tmp_path: Path
) -> None:
    link = tmp_path / "stdout"
    link.symlink_to("/dev/stdout")
    done = hisso_runs(["report", str(whole.root), "-o", str(link)], stdout=subprocess.PIPE)
    assert done.stdout.startswith("<!DOCTYPE html>") and done.stdout.endswith("</html>\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_closes_the_pipe_has_what_it_wants(whole: RunPaths) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        done = hisso_runs(["ls", "--json", str(whole.root)], stdout=pipe)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "words",
    [
        slow(["report", "RUN", "-o", "OUT/page.html"]),
        slow(["pack", "RUN", "-o", "OUT/run.tar.gz"]),
        ["export", "RUN", "--to", "csv", "-o", "OUT/tables"],
        ["seal", "RUN"],
        slow(["ls", "RUN"]),
    ],
    ids=lambda words: words[0],
)
def test_nothing_that_a_library_writes_lands_in_a_file_where_there_are_no_streams(
    words: list[str], whole: RunPaths, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(whole.root, run)
    places = {"RUN": str(run), "OUT": str(tmp_path)}
    named = [places.get(word, word).replace("OUT", str(tmp_path)) for word in words]

    def work() -> int:
        close_streams(b"a library shouts")
        main(named)
        return 0

    assert exit_code_of(in_child(work)) == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert words[0] in ("seal", "ls") or any(run not in path.parents for path in files)
    assert not [path for path in files if b"a library shouts" in path.read_bytes()]


def test_standard_output_that_is_closed_is_an_error(whole: RunPaths) -> None:
    done = hisso_runs(["ls", str(whole.root)], preexec_fn=lambda: os.close(1))
    assert done.returncode == 1
    assert done.stderr == "hisso-runs: Standard output takes no more: it is closed.\n"
