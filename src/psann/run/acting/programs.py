"""A policy that leaves the library: one file that torch, or onnxruntime, runs without psann."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from psann._whole_file import write_whole
from psann.errors import PsannError, UsageError, unavailable
from psann.estimators._program import PolicyProgram
from psann.run.acting.policy import Policy
from psann.run.directory.paths import check_output

To = Literal["torch-export", "onnx"]

SUFFIXES: dict[To, str] = {"torch-export": ".pt2", "onnx": ".onnx"}
FACTS = "psann.json"
"""Name under which a program of torch carries what is known of it."""
INSTALL = 'pip install "psann[onnx]"'
_EXAMPLE_ROWS = 3  # any number but 1, which torch takes for a constant
_CHECKED_ROWS = 64
_SAME = 1e-6


def check_program_output(path: Path, to: To, run: Path) -> None:
    """Refuse a file that cannot be written, before torch is asked for anything.

    Raises
    ------
    UsageError
        If its ending is another, it is a directory, or it lies in the run directory.
    """
    if path.suffix != SUFFIXES[to]:
        raise UsageError(f"-o must be a file whose name ends in {SUFFIXES[to]}; got {path}.")
    check_output(path, run)


def export_policy(policy: Policy, path: Path, *, to: To) -> Path:
    """Write scaler, network and transform as one program, checked against the policy first.

    Parameters
    ----------
    policy : Policy
    path : Path
        Replaced as a whole if it is there.
    to : {"torch-export", "onnx"}
        A program of `torch.export`, or of ONNX.

    Returns
    -------
    Path

    Raises
    ------
    PsannError
        If what ONNX needs is not installed, or the program does not do what the policy does.

    Notes
    -----
    Inputs are `X (rows, ...)`, the features in the order of training, then, where training had
    them, `context (rows, C)` and `active (rows, M)`, 1 for who can be held; all float64, with any
    number of rows. The output is `(rows, M)`, float64.
    """
    if policy.sees_held:
        raise UsageError(
            "RUN must have a policy whose rows do not follow from each other; this one sees what "
            "it holds (hisso.held_weights). psann.load_policy(RUN).predict_actions acts."
        )
    program = PolicyProgram(policy.kept.members).eval()
    inputs = _example(policy, _EXAMPLE_ROWS)
    rows = torch.export.Dim("rows", min=1)
    shapes = {name: {0: rows} for name in inputs}
    facts = json.dumps(_facts(policy, inputs))
    with torch.no_grad(), _quiet():
        if to == "onnx":
            data, run = _onnx(program, inputs, shapes, facts)
        else:
            X, others = _apart(inputs)
            exported = torch.export.export(
                program, (X,), kwargs=others, dynamic_shapes=shapes, strict=False
            )
            content = io.BytesIO()
            torch.export.save(exported, content, extra_files={FACTS: facts})
            data = content.getvalue()
            run = torch.export.load(io.BytesIO(data)).module()
    _check(policy, run)
    return write_whole(path, data)


def _onnx(
    program: PolicyProgram, inputs: dict[str, Tensor], shapes: dict[str, Any], facts: str
) -> tuple[bytes, Any]:
    try:
        import onnx  # noqa: F401 (asked for here, so that what is missing is named)
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        why = unavailable(error, install=INSTALL)
        raise PsannError(f"ONNX needs onnx, onnxscript and onnxruntime, and {why}") from error
    X, others = _apart(inputs)
    made = torch.onnx.export(
        program,
        (X,),
        kwargs=others,
        dynamic_shapes=shapes,
        input_names=list(inputs),
        output_names=["weights"],
        dynamo=True,
        verbose=False,
    )
    assert made is not None
    model = made.model_proto
    model.metadata_props.add(key="psann", value=facts)
    data: bytes = model.SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])

    def run(X: Tensor, **given: Tensor) -> Tensor:
        arrays = {name: tensor.numpy() for name, tensor in {"X": X, **given}.items()}
        return torch.from_numpy(session.run(None, arrays)[0])

    return data, run


def _apart(inputs: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """X, which is given by its place, and what is given by name."""
    return inputs["X"], {name: tensor for name, tensor in inputs.items() if name != "X"}


def _example(policy: Policy, n_rows: int) -> dict[str, Tensor]:
    """Inputs of a policy with made numbers, by name."""
    first = policy.kept.members[0]
    draws = np.random.default_rng(0)
    inputs = {"X": torch.from_numpy(draws.standard_normal((n_rows, *first.row_shape)))}
    if first.n_context_:
        inputs["context"] = torch.from_numpy(draws.standard_normal((n_rows, first.n_context_)))
    if policy.recipe is not None and policy.recipe.with_members:
        members = draws.random((n_rows, first.n_outputs_)) < 0.7
        inputs["active"] = torch.from_numpy(members.astype(np.float64))
    return inputs


def _check(policy: Policy, run: Any) -> None:
    """Hold a program against the estimators, for many rows and for one."""
    for n_rows in (_CHECKED_ROWS, 1):
        inputs = _example(policy, n_rows)
        arrays = {name: tensor.numpy() for name, tensor in inputs.items()}
        wanted = policy.of_estimators(**arrays)
        X, others = _apart(inputs)
        found = run(X, **others).detach().numpy()
        if found.shape != wanted.shape or not np.abs(found - wanted).max() <= _SAME:
            raise PsannError(
                "the program does not do what the policy does, and is not written. Please report "
                "it with the configuration of the run."
            )


def _facts(policy: Policy, inputs: dict[str, Tensor]) -> dict[str, Any]:
    kept, recipe = policy.kept, policy.recipe
    names = kept.feature_names if recipe is None else recipe.names
    return {
        "run_id": kept.run_id,
        "run_name": kept.run_name,
        "policy": kept.policy,
        "policy_sha256": kept.sha256,
        "psann_version": kept.psann_version,
        "inputs": list(inputs),
        "assets": list(policy.assets),
        "features": None if names is None else list(names),
        "recipe": None if recipe is None else recipe.model_dump(),
        "delay": policy.config.hisso.delay,
        "cash": policy.holds_cash,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what torch's exporters say of themselves off the user's terminal."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
