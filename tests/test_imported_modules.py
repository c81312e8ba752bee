"""What work brings into a process: seconds of imports are seconds that a user waits for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from faults import assert_survives, unhurt
from trials import write_config

# Seconds each, and needed only by those who compile.
COMPILERS = {"sympy", "torch._dynamo", "torch._inductor"}
# What scikit-learn brings along wherever it is imported.
SCIENCE = {"pandas", "scipy", "sklearn"}

QUIETLY = """
import contextlib, io
def quietly(main, *arguments):
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(arguments) == 0, out.getvalue()
"""
VERIFIED = """
from psann.scripts import hisso_runs
quietly(hisso_runs.main, "verify", {stopped!r})
tell("verified")
"""

BELOW_ESTIMATORS = """
import psann.baselines, psann.datasets, psann.metrics, psann.training.supervised
import psann.evaluation.comparison, psann.evaluation.judgement, psann.evaluation.walk_forward
import psann.hisso.trainer, psann.nn.dense, psann.nn.residual, psann.nn.wave_resnet
tell("below estimators")
"""

WORK = """
import unittest.mock
from psann._lean_imports import import_scikit_learn
import_scikit_learn()
from planted import fit_hisso, planted, quick
from psann import Ensemble, PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor, fit_seeds
import sklearn.preprocessing  # some hundredths of a second, paid by who asks for a scaler

rows = planted()
X, y = rows["X"], rows["X"][:, 0]
tell("imports")
# What every installed package says of itself is for those who have names of columns.
with unittest.mock.patch("importlib.metadata.entry_points", None):
    quick().fit(X, y, validation_data=(X, y)).predict(X)
bodies = [
    (PSANNRegressor, {"activation": "tanh"}), (ResPSANNRegressor, {"stateful": True}),
    (WaveResNetRegressor, {"norm": "rms"}),
    (WaveResNetRegressor, {"norm": "weight", "dropout": 0.1}),
]
for cls, params in bodies:
    name = f"{cls.__name__} {params}"
    model = quick(cls, scaler="standard", epochs=2, **params).fit(X, y, validation_data=(X, y))
    tell(f"fit of {name}")
    fit_hisso(quick(cls, **params), {"refit": True, "temperature_scaling": True})
    tell(f"episodes of {name}")
    cls.from_bytes(model.to_bytes()).predict(X)
    tell(f"file of {name}")
Ensemble(fit_seeds(quick(), [1, 2], X, y)).predict(X)
tell("seeds")
"""


# The plainest, in which a name such as that of the folder below is no text.
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def modules_after(work: str, *arguments: str) -> dict[str, set[str]]:
    """What a process has imported after each step that it tells of."""
    script = f"""
import sys
sys.path[:0] = {sys.path!r}
def tell(step):
    print(json.dumps([step, sorted(sys.modules)]), flush=True)
import json
{work}
"""
    command, plain = [sys.executable, "-c", script, *arguments], {**os.environ, **C_LOCALE}
    done = subprocess.run(command, capture_output=True, text=True, env=plain)
    assert done.returncode == 0, done.stderr
    return {step: set(names) for step, names in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("run") / "läufe"


@pytest.fixture(scope="module")
def told(runs_of_before: Path, folder: Path) -> dict[str, set[str]]:
    """By step: what both kinds of work need is imported once, and each goes on for itself."""
    first = QUIETLY + VERIFIED.format(stopped=str(runs_of_before / "stopped")) + BELOW_ESTIMATORS
    apart = "import os\nif os.fork():\n    assert os.wait()[1] == 0\nelse:\n"
    apart += textwrap.indent(WORK + "os._exit(0)\n", "    ")
    return modules_after(first + apart + RUN, str(write_config(folder)), str(folder / "out"))


def test_a_run_with_resume_states_is_verified_without_torch(told: Any) -> None:
    assert told["verified"] & {"torch", *SCIENCE} == set()


def test_what_lies_below_the_estimators_needs_no_scikit_learn(told: Any) -> None:
    assert told["below estimators"] & (SCIENCE | COMPILERS) == set()


def test_nothing_that_is_not_compiled_imports_a_compiler(told: Any) -> None:
    assert {step: found for step, names in told.items() if (found := names & COMPILERS)} == {}


def test_work_imports_next_to_nothing_that_was_not_there_before(told: Any) -> None:
    before = told["imports"]
    packages = {name.split(".")[0] for name in before}
    of_fits = [step for step in told if step.startswith(("fit", "episodes", "file", "seeds"))]
    assert len(of_fits) == 13
    for step, names in ((step, told[step]) for step in of_fits):
        assert {name.split(".")[0] for name in names} <= packages, step
        assert len(names - before) <= 5, (step, names - before)


REFUSED = """
tell("start")
from psann.scripts import hisso_log_run
assert hisso_log_run.main(("--config", sys.argv[1], "--check")) == 1
tell("refused")
"""
# With e-mail, sockets and compressed files, for plug-ins that are switched off.
PACKAGES = {"importlib.metadata", "email", "zipfile", "socket"}


def test_a_mistake_in_a_configuration_is_told_by_pydantic_and_yaml_alone(tmp_path: Path) -> None:
    config = write_config(tmp_path, {"hisso": {"windw": 3}})
    told = modules_after(REFUSED, str(config))
    names = told["refused"] - told["start"]
    assert names & {"torch", "numpy", "rich", *SCIENCE, *PACKAGES} == set()
    # Nothing is trained, kept or timed: of psann too only what reads and judges the file.
    assert names & {"ctypes", "psann.training.history", "psann._allocator"} == set()
    assert {"pydantic", "yaml"} <= names


RUN = """
from psann.scripts import hisso_log_run
asked = ("--config", sys.argv[1], "--output-dir", sys.argv[2], "--run-name", "run", "--quiet")
quietly(hisso_log_run.main, *asked, "--check")
tell("check")
quietly(hisso_log_run.main, *asked)
tell("run")
"""
ASKED_FOR = """
import pandas
from scipy import stats
assert pandas.DataFrame([1.0]).size == 1 and stats.norm.cdf(0.0) == 0.5
tell("asked for")
"""


def test_a_run_imports_neither_pandas_nor_statistics(told: Any) -> None:
    unused = {"pandas", "scipy.stats", "sklearn.preprocessing", "sklearn.metrics", *COMPILERS}
    assert (told["check"] | told["run"]) & unused == set()
    assert {"torch", "sklearn.base"} <= told["run"]


@pytest.mark.slow  # seconds, for both are large
def test_who_asks_for_pandas_or_statistics_after_a_run_gets_them(tmp_path: Path) -> None:
    work = QUIETLY + RUN + ASKED_FOR
    told = modules_after(work, str(write_config(tmp_path)), str(tmp_path / "out"))
    assert {"pandas", "scipy.stats"} <= told["asked for"] - told["run"]


def test_a_run_in_the_c_locale_writes_the_same(told: Any, folder: Path, tmp_path: Path) -> None:
    assert_survives(folder, unhurt(tmp_path))
