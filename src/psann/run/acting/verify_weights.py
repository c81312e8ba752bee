"""Whether a file of weights is what the policy of a run said."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from psann.errors import DataError, FileFormatError, UsageError
from psann.run.acting.weights_file import WeightsFile, read_weights
from psann.run.directory.findings import Finding

if TYPE_CHECKING:
    from psann.run.acting.policy import Policy

_SAME = 1e-6
_SLACK = 1e-9  # of the bounds of a transform, after rounding


def verify_weights(
    run: Path, path: Path, *, data: object = None, allow: Sequence[str] = ()
) -> list[Finding]:
    """Hold a file of weights against its run.

    Parameters
    ----------
    run : Path
        The run directory.
    path : Path
        The file.
    data : path, optional
        What the weights were computed from, to compute them again.
    allow : sequence of str
        As for `psann.load_policy`.

    Returns
    -------
    list of Finding
        Errors: another run, policy or asset; weights that were changed, or that the policy does not
        give. A note where nobody gave the data.
    """
    # Only here: everything else about a run is verified without torch.
    from psann.run.acting.policy import load_policy

    name = path.name
    try:
        file = read_weights(path)
    except FileFormatError as problem:
        return [Finding(name, str(problem).rstrip("."), True)]
    told = file.provenance
    try:
        policy = load_policy(run, policy=told.policy, allow=allow)
    except (UsageError, FileFormatError) as problem:
        return [Finding(name, f"has no policy to be held against: {problem}", True)]
    wanted = {
        "run_id": policy.kept.run_id,
        "policy_sha256": policy.kept.sha256,
        "delay": policy.config.hisso.delay,
        "cash": policy.holds_cash,
    }
    problems = [
        f"{key} is {getattr(told, key)!r}, not {value!r}, as of the run"
        for key, value in wanted.items()
        if getattr(told, key) != value
    ]
    if file.assets != policy.assets:
        problems.append(f"has the assets {', '.join(file.assets[:8])}, not those of the run")
    if not file.is_whole:
        problems.append("its weights are not those that its provenance was written for")
    if not file.labels or told.last_row != file.labels[-1]:
        problems.append(f"its last row is not {told.last_row}")
    problems += _beyond(file, policy.config.hisso.primary_transform)
    if data is not None and not problems:
        problems += _other_weights(file, policy, data)
    found = [Finding(name, problem, True) for problem in problems]
    if data is None:
        found.append(Finding(name, "was not computed again; give --data for that", False))
    return found


def _beyond(file: WeightsFile, transform: str) -> list[str]:
    from psann.hisso.transforms import TRANSFORMS

    of_policy, values, problems = TRANSFORMS[transform], file.values, []
    if not np.isfinite(values).all():
        return ["has weights that are not finite"]
    total = values.sum(axis=1)
    if of_policy.is_long_only and (values < -_SLACK).any():
        problems.append(f"has weights below 0, which {transform} never gives")
    if of_policy.is_long_only and not of_policy.holds_cash and (total > 1 + _SLACK).any():
        problems.append(f"has rows of more than 1, which {transform} never gives")
    return problems


def _other_weights(file: WeightsFile, policy: Policy, data: object) -> list[str]:
    told, first = file.provenance, file.labels[0]
    given: Any = {"accept": told.accepted, "reading": told.reading, "held": told.held}
    try:
        again = policy.act(data, **given)
        if again.rows.dtype.kind == "M" and first not in again.labels:
            again = policy.act(data, since=first, **given)  # as it may have been written
    except (DataError, UsageError) as problem:
        return [f"cannot be computed again: {problem}"]
    if again.provenance.data_sha256 != file.provenance.data_sha256:
        return ["was computed from other data than these"]
    places = {label: place for place, label in enumerate(again.labels)}
    if missing := [label for label in file.labels if label not in places]:
        return [f"has the row {missing[0]}, which these data do not give"]
    rows = [places[label] for label in file.labels]
    difference = float(np.abs(again.values[rows] - file.values).max())
    if difference > _SAME:
        return [f"differs from what the policy says by up to {difference:.2g}"]
    return []
