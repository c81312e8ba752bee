"""A policy leaves the library as one file that runs without it.

Here is what torch's exporters make of it, which take seconds even to be imported; that the program
itself acts as its estimators do, of every kind, is in `estimators/test_program.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from acting_runs import ActingRuns
from psann.errors import PsannError, UsageError
from psann.run.acting import programs
from psann.run.acting.programs import FACTS, check_program_output, export_policy

WITHOUT_PSANN = """\
import sys
import numpy, torch
sys.modules["psann"] = None
program = torch.export.load(sys.argv[1]).module()
with numpy.load(sys.argv[2]) as arrays:
    given = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
numpy.save(sys.argv[3], program(given.pop("X"), **given).numpy())
"""


def _inputs(policy: object, n_rows: int) -> dict[str, np.ndarray]:
    draws = np.random.default_rng(5)
    first = policy.kept.members[0]
    inputs = {"X": draws.standard_normal((n_rows, first.n_features_in_))}
    if policy.recipe is not None and policy.recipe.with_members:
        inputs["active"] = (draws.random((n_rows, first.n_outputs_)) < 0.6).astype(np.float64)
    return inputs


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["features", "holes", "stateful", "late"])
def test_a_program_of_torch_runs_without_psann_and_says_the_same(
    kind: str, acting_runs: ActingRuns, tmp_path: Path
) -> None:
    policy = acting_runs.policy(kind)
    path = export_policy(policy, tmp_path / "policy.pt2", to="torch-export")
    inputs = _inputs(policy, 9)
    np.savez(tmp_path / "rows.npz", **inputs)
    script = tmp_path / "alone.py"
    script.write_text(WITHOUT_PSANN)
    command = [sys.executable, str(script), str(path), "rows.npz", "weights.npy"]
    subprocess.run(command, check=True, cwd=tmp_path, timeout=300)
    found = np.load(tmp_path / "weights.npy")
    assert np.abs(found - policy.of_estimators(**inputs)).max() < 1e-6


@pytest.mark.slow
def test_a_program_takes_any_number_of_rows_and_knows_where_it_comes_from(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    policy = acting_runs.policy("seeds")
    path = export_policy(policy, tmp_path / "policy.pt2", to="torch-export")
    extra = {FACTS: ""}
    program = torch.export.load(path, extra_files=extra).module()
    for n_rows in (1, 2, 100):
        inputs = _inputs(policy, n_rows)
        found = program(torch.from_numpy(inputs["X"])).numpy()
        assert np.abs(found - policy.of_estimators(**inputs)).max() < 1e-6
    facts = json.loads(extra[FACTS])
    assert facts["delay"] == policy.terms_on({}).delay == 0
    assert facts["policy_sha256"] == policy.kept.sha256
    assert facts["features"] == policy.recipe.names
    assert facts["assets"] == list(policy.assets)
    assert facts["recipe"]["scales"] == policy.recipe.scales


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["holes", "prices", "wave", "assetwise"])
def test_onnxruntime_says_what_the_policy_says(
    kind: str, acting_runs: ActingRuns, tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    policy = acting_runs.policy(kind)
    path = export_policy(policy, tmp_path / "policy.onnx", to="onnx")
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for n_rows in (1, 7):
        inputs = _inputs(policy, n_rows)
        (found,) = session.run(None, inputs)
        assert np.abs(found - policy.of_estimators(**inputs)).max() < 1e-6
    facts = json.loads(session.get_modelmeta().custom_metadata_map["psann"])
    assert facts["run_id"] == policy.kept.run_id


@pytest.mark.slow
def test_without_the_extra_onnx_names_what_to_install(
    acting_runs: ActingRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(PsannError, match=r"pip install \"psann\[onnx\]\""):
        export_policy(acting_runs.policy("prices"), tmp_path / "p.onnx", to="onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_program_that_does_something_else_is_not_written(
    acting_runs: ActingRuns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = acting_runs.policy("prices")
    first = policy.kept.members[0]
    right = programs.PolicyProgram(policy.kept.members)
    with torch.no_grad():
        right.members[0].offset += 0.1
    monkeypatch.setattr(programs, "PolicyProgram", lambda members: right)
    with pytest.raises(PsannError, match="does not do what the policy does, and is not written"):
        export_policy(policy, tmp_path / "p.pt2", to="torch-export")
    assert list(tmp_path.iterdir()) == []
    assert first is policy.kept.members[0]


def test_a_place_where_no_program_may_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name ends in \.pt2"):
        check_program_output(tmp_path / "p.onnx", "torch-export", tmp_path / "run")
    with pytest.raises(UsageError, match="must lie outside of"):
        check_program_output(tmp_path / "run" / "p.onnx", "onnx", tmp_path / "run")
