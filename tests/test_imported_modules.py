"""What work brings into a process: seconds of imports are seconds that a user waits for."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Seconds each, and needed only by those who compile.
COMPILERS = {"sympy", "torch._dynamo", "torch._inductor"}
# What scikit-learn brings along wherever it is imported.
SCIENCE = {"pandas", "scipy", "sklearn"}

BELOW_ESTIMATORS = """
import psann.baselines, psann.datasets, psann.metrics, psann.training.supervised
import psann.evaluation.comparison, psann.evaluation.judgement, psann.evaluation.walk_forward
import psann.hisso.trainer, psann.nn.dense, psann.nn.residual, psann.nn.wave_resnet
tell("below estimators")
"""

WORK = """
from planted import fit_hisso, planted, quick
from psann import Ensemble, PSANNRegressor, ResPSANNRegressor, WaveResNetRegressor, fit_seeds

rows = planted()
X, y = rows["X"], rows["X"][:, 0]
tell("imports")
bodies = [
    (PSANNRegressor, {"activation": "tanh"}), (PSANNRegressor, {"stateful": True}),
    (ResPSANNRegressor, {"stateful": True}), (WaveResNetRegressor, {"dropout": 0.1}),
    (WaveResNetRegressor, {"norm": "rms"}), (WaveResNetRegressor, {"norm": "weight"}),
]
for cls, params in bodies:
    name = f"{cls.__name__} {params}"
    model = quick(cls, scaler="standard", **params).fit(X, y, validation_data=(X, y))
    tell(f"fit of {name}")
    fit_hisso(quick(cls, **params), {"refit": True, "temperature_scaling": True})
    tell(f"episodes of {name}")
    cls.from_bytes(model.to_bytes()).predict(X)
    tell(f"file of {name}")
Ensemble(fit_seeds(quick(), [1, 2], X, y)).predict(X)
tell("seeds")
"""


def modules_after(work: str) -> dict[str, set[str]]:
    """What a process has imported after each step that it tells of."""
    script = f"""
import sys
sys.path[:0] = {sys.path!r}
def tell(step):
    print(json.dumps([step, sorted(sys.modules)]))
import json
{work}
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {step: set(names) for step, names in map(json.loads, done.stdout.splitlines())}


@pytest.fixture(scope="module")
def told() -> dict[str, set[str]]:
    return modules_after(BELOW_ESTIMATORS + WORK)


def test_what_lies_below_the_estimators_needs_no_scikit_learn(told: Any) -> None:
    assert told["below estimators"] & (SCIENCE | COMPILERS) == set()


def test_nothing_that_is_not_compiled_imports_a_compiler(told: Any) -> None:
    assert {step: found for step, names in told.items() if (found := names & COMPILERS)} == {}


def test_work_imports_next_to_nothing_that_was_not_there_before(told: Any) -> None:
    before = told["imports"]
    packages = {name.split(".")[0] for name in before}
    for step, names in told.items():
        assert {name.split(".")[0] for name in names} <= packages, step
        assert len(names - before) <= 5, (step, names - before)


def test_a_run_with_resume_states_is_verified_without_torch(runs_of_before: Path) -> None:
    told = modules_after(f"""
import contextlib, io
from psann.scripts.hisso_runs import main
with contextlib.redirect_stdout(io.StringIO()) as out:
    assert main(["verify", {str(runs_of_before / "stopped")!r}]) == 0, out.getvalue()
tell("verified")
""")
    assert told["verified"] & {"torch", *SCIENCE} == set()
