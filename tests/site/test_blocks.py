"""Every block of the README and the docs is run, read, or held against what a program says."""

from __future__ import annotations

import argparse
import ast
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pages import PAGES, ROOT, Block, Reader, block, blocks, missing_lines, words
from psann.run.config.load import load_run_config
from psann.scripts import hisso_log_run, hisso_runs
from trials import finished

ALL = [each for page in PAGES for each in blocks(page)]
COMMANDS = ("hisso-", "python ", "make ", "OMP_NUM_THREADS=", "pip ", "pytest ", "cp ", "$ ")
COMMANDS += ("ssh ", "docker ", "rsync ", "sbatch ", "while ", "home$ ", ". .venv")
# What cannot be done here: the commands are parsed, and what they name of ours must be there.
FOREIGN = {
    "apptainer": "needs Apptainer",
    "docker": "needs a daemon",
    "pip": "would change the environment that runs this",
    "pytest": "is the suite itself",
    "rsync": "needs the node",
    "sbatch": "needs Slurm, with which tests/run/sweep has its own",
    "scontrol": "needs Slurm",
    "srun": "needs Slurm",
    "ssh": "needs the node",
}
SHELL = {
    ".",
    "then",
    "cd",
    "code=$?",
    "cp",
    "do",
    "done",
    "exit",
    "fi",
    "if",
    "make",
    "python",
    "while",
}
# Blocks that begin as a command does, and are none: a message, and a list.
SAID = ("hisso-runs: ", "hisso-runs ls [DIR]")
# Pictures in letters, of which no program says a word.
DRAWN = ("performance.md", "structure.md")


def _is_console(each: Block) -> bool:
    is_bare = each.kind == "" and each.text.startswith(COMMANDS)
    return each.kind == "bash" or (is_bare and not each.text.startswith(SAID))


def _ids(found: list[Block]) -> list[str]:
    return [str(each) for each in found]


# ---------------------------------------------------------------- Python

PYTHON = [page for page in PAGES if any(each.kind == "python" for each in blocks(page))]
# Pages whose blocks other tests run, with more to say of them.
ELSEWHERE = {
    "acting.md": "site/test_act.py",
    "own_problems.md": "site/test_own_problems.py",
    "sine_units.md": "test_benchmarks.py",
}


def _runs_of_the_page(folder: Path) -> None:
    shutil.copytree(finished(folder / "made", "training.epochs=2").root, folder / "runs" / "first")


BEFORE: dict[str, Callable[[Path], Any]] = {"reading.md": _runs_of_the_page}
AFTER: dict[str, Callable[[dict[str, Any], Path], bool]] = {
    "README.md": lambda names, _: names["actions"].shape == (1132, 36),
    "extending.md": lambda names, _: names["loss"].item() < 0.01,
    "migration.md": lambda names, folder: (folder / "runs" / "first" / "metrics.json").is_file(),
    "reading.md": lambda names, _: len(names["found"].runs) == 1,
}


@pytest.mark.parametrize("page", [page for page in PYTHON if page not in ELSEWHERE])
def test_blocks_of_python_run_one_after_the_other(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    BEFORE.get(page, lambda folder: None)(tmp_path)
    names: dict[str, Any] = {"__name__": page}
    for each in blocks(page):
        if each.kind == "python":
            # Two epochs of the README's sixty say as much of whether it runs.
            exec(compile(each.text.replace("epochs=60", "epochs=2"), str(each), "exec"), names)
    assert AFTER.get(page, lambda names, folder: True)(names, tmp_path)


def test_pages_whose_python_others_run_are_named_there() -> None:
    for page, test in ELSEWHERE.items():
        assert page in (ROOT / "tests" / test).read_text()


# ---------------------------------------------------------------- YAML

YAML = [each for each in ALL if each.kind == "yaml" and each.page != "sweeps.md"]
WHOLE = {
    "estimator": {"target": "psann.PSANNRegressor"},
    "data": {"loader": "psann.datasets.make_smoke_market"},
    "training": {"epochs": 1},
}


@pytest.mark.parametrize("each", YAML, ids=_ids(YAML))
def test_blocks_of_yaml_are_parts_of_a_configuration(each: Block, tmp_path: Path) -> None:
    part = yaml.safe_load(each.text) or {}
    if "features" in part:
        part = {"data": {"prices": "prices.csv", **part}}
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({**WHOLE, **part}))
    config = load_run_config(path)
    for section, said in part.items():
        assert set(said) <= set(type(getattr(config, section)).model_fields), section
    path.write_text(yaml.safe_dump({**WHOLE, **part, "unknown": 1}))
    with pytest.raises(ValueError, match="unknown"):
        load_run_config(path)


def test_the_blocks_of_sweeps_are_read_as_sweeps() -> None:
    assert '"sweeps.md"' in (ROOT / "tests" / "run" / "sweep" / "test_config.py").read_text()


# ---------------------------------------------------------------- the console

CONSOLE = [each for each in ALL if _is_console(each) or each.kind == "cron"]


def _parser(command: list[str]) -> argparse.ArgumentParser | None:
    """The parser of a command of ours, which is left with its arguments alone."""
    if command[:2] == ["python", "-m"]:
        command[:2] = [command.pop(2).rpartition(".")[2].replace("_", "-")]
    name = command.pop(0)
    if name == "hisso-log-run":
        return hisso_log_run.build_parser()
    return hisso_runs.build_parser() if name == "hisso-runs" else None


def _parse(command: str) -> None:
    """Parse a command of ours, or hold what a foreign one names of ours against the tree."""
    given = words(command)
    if not given or given[0] == "-c":
        return
    files = [w for w in given if w.startswith(("configs/", "benchmarks/", "tests/"))]
    for file in files:
        assert (ROOT / file).exists(), command
    if given[0] == "make":
        assert f"\n{given[1]}:" in (ROOT / "Makefile").read_text(), command
    elif given[:2] == ["pip", "install"]:
        extra = re.search(r"\[(\w+)\]", given[2])
        assert extra and f"\n{extra[1]} = [" in (ROOT / "pyproject.toml").read_text(), command
    elif "hisso-log-run" in given or "hisso-runs" in given or given[:2] == ["python", "-m"]:
        first = next(i for i, word in enumerate(given) if word.startswith(("hisso-", "python")))
        given = given[first:]
        parser = _parser(given)
        assert parser is not None, command
        parser.parse_args([word for word in given if word != "-"])
    else:
        assert given[0] in FOREIGN or given[0] in SHELL, command


@pytest.mark.parametrize("each", CONSOLE, ids=_ids(CONSOLE))
def test_commands_are_some_that_there_are(each: Block) -> None:
    whole = each.text if each.kind == "bash" else "\n".join(each.commands)
    if each.kind != "cron":
        done = subprocess.run(["bash", "-n"], input=whole, text=True, capture_output=True)
        assert done.returncode == 0, done.stderr
    for command in each.commands:
        # Without a prompt, the times of cron, and what is said beside it.
        command = re.sub(r"^(home|node)\$ +|^30( \S+){4} +|\s+# .*| {3,}.*", "", command)
        for part in re.split(r" && |; (?!print|optuna)| \| ", command):
            _parse(part)


# ---------------------------------------------------------------- what programs say

SUBCOMMANDS = block("reading.md", "hisso-runs ls [DIR]")
TREE = block("artefacts.md", "runs/hisso/first/")
TRAIN = block("README.md", ". .venv/bin/activate")
FIRST_MARKET = block("README.md", "== nyse_o")
SECOND_MARKET = block("README.md", "Test rows 2016-05-20")
PROFILE = block("performance.md", "python -m psann.scripts.hisso_log_run --config")
PROFILED = block("performance.md", "Where the time went")


def test_the_page_on_reading_lists_the_subcommands_that_there_are() -> None:
    shown = re.findall(r"(?:^hisso-runs |RUN, )([a-z]+)", SUBCOMMANDS.text, re.MULTILINE)
    (choices,) = (
        action.choices
        for action in hisso_runs.build_parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    assert len(shown) == 10 and set(shown) <= set(choices)


def test_the_page_on_artefacts_shows_the_files_that_a_run_has(tmp_path: Path) -> None:
    run = finished(tmp_path, "training.epochs=2", keep_checkpoints=True).root
    have = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    folder, shown = "", []
    for line in TREE.text.splitlines()[1:]:
        name = line.split()[0]
        folder = folder if line.startswith("    ") else name if name.endswith("/") else ""
        shown.append(f"{folder}{name}" if folder != name else name)
    numbered = {re.sub(r"\d+", "1", name) for name in shown}
    assert {re.sub(r"\d+", "1", name) for name in have} <= numbered


@pytest.mark.slow
def test_the_readme_shows_what_its_commands_say(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    activate, first, *others = TRAIN.commands
    said = reader.does(f"{activate} && {first}").replace("first: ", "nyse_o: ")
    assert [line for line in missing_lines(FIRST_MARKET, said) if line != "== nyse_o"] == []
    said = reader.does(first.replace("nyse_o", "sp500_20").replace("first", "second"))
    assert missing_lines(SECOND_MARKET, said) == []
    for command in others:
        reader.does(command)
    assert sorted(path.name for path in (tmp_path / "runs" / "hisso").iterdir()) == [
        *("first", "judged", "second", "tuned"),
    ]


@pytest.mark.slow
def test_the_profile_of_the_page_is_that_of_its_command(tmp_path: Path) -> None:
    (command,) = PROFILE.commands
    said = Reader(tmp_path).does(f"{command} --set training.epochs=2")
    assert missing_lines(PROFILED, said) == []


# ---------------------------------------------------------------- all of them


def _held() -> set[Block]:
    """Blocks that a script of this folder names, as `block("page.md", "begins so")`."""
    scripts = Path(__file__).parent.glob("test_*.py")
    text = "".join(path.read_text() for path in scripts)
    calls = re.findall(r'\bblock\(\s*"([^"]+)",\s*"([^"]+)"', text)
    calls += [("from_node_to_paper.md", start) for start in re.findall(r'"(\$ hisso[^"]+)"', text)]
    return {block(page, ast.literal_eval(f'"{start}"')) for page, start in calls if page in PAGES}


def test_no_block_is_left_alone() -> None:
    held = _held() | {*YAML, *CONSOLE}
    left = [
        str(each)
        for each in ALL
        if each not in held
        and each.kind != "python"
        and not each.kind.startswith("{")  # of the site, which is built strictly
        and each.page not in (*DRAWN, "sweeps.md")
    ]
    assert left == []
    unsaid = [
        str(each)
        for each in CONSOLE
        if "$ " in each.text and each.answer and each not in _held() and each.page != "sweeps.md"
    ]
    assert unsaid == []
