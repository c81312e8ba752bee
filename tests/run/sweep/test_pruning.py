"""When a trial is stopped: the rules by hand, and a sweep that stops what learns nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_sweeps import made_sweep
from psann.run.sweep import pruning
from psann.run.sweep.config import PruneOptions
from psann.run.sweep.finish import finish
from psann.run.sweep.pruning import is_behind
from psann.run.sweep.worker import WorkOptions, work
from psann.run.verification.verify import verify_run
from trials import metrics_of

MEDIAN = PruneOptions(by="median", from_epoch=4)
ASHA = PruneOptions(by="asha", from_epoch=2)
# At epoch 4 they have 1, 2, 3, 4; the last was never seen there.
OTHERS = {0: {2: 1.0, 9: 5.0}, 1: {4: 2.0}, 2: {3: 3.0, 4: 3.0}, 3: {1: 4.0, 5: 9.0}, 4: {3: 9.0}}


@pytest.mark.parametrize(
    ("own", "is_stopped"),
    [({4: 2.4}, True), ({4: 2.6}, False), ({3: 0.0}, False), ({2: 9.0, 4: 2.4}, True)],
)
def test_the_median_stops_what_is_worse_than_half_at_the_same_epoch(
    own: dict[int, float], is_stopped: bool
) -> None:
    assert is_behind(own, OTHERS, MEDIAN) is is_stopped


def test_nobody_is_stopped_beside_too_few() -> None:
    few = {number: OTHERS[number] for number in range(3)}
    assert not is_behind({4: -9.0}, few, MEDIAN)


@pytest.mark.parametrize(
    ("own", "is_stopped"),
    [
        ({6: 2.5}, True),  # of 1, 2, 3, 4 and itself the best one goes on
        ({6: 4.5}, False),
        ({7: 2.5}, True),  # the first report beyond the rung 6
        ({6: 4.5, 7: 0.0}, False),  # was let past
        ({1: 0.0}, False),
    ],
)
def test_asha_lets_the_best_third_past_each_rung(own: dict[int, float], is_stopped: bool) -> None:
    others = {number: {1: 0.0, 6: value, 7: value} for number, value in enumerate((1.0, 2, 3, 4))}
    assert is_behind(own, others, ASHA) is is_stopped


def test_a_sweep_stops_what_learns_nothing_and_counts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "EVERY_S", 0.0)
    sweep, paths = made_sweep(
        tmp_path,
        search="grid",
        trials=None,
        space={"training.lr": [0.05, 0.06, 0.07, 0.08, 1e-9]},
        prune={"by": "median", "from_epoch": 3},
        config={"training": {"epochs": 8}},
    )
    done = work(sweep, paths, WorkOptions())
    assert (done.exit_code, done.record["order_dependent"]) == (0, True)
    last = done.record["trials"][-1]
    assert (last["status"], last["value"], last["candidates"]) == ("pruned", None, 4)
    metrics = metrics_of(paths.run(4))
    assert (metrics["status"], metrics["epoch"], metrics["error"]) == ("pruned", 3, None)
    assert metrics["monitor_value"] is not None and paths.run(4).best.exists()
    assert verify_run(paths.run(4).root).errors == ()
    # Over for good, also for whoever comes later.
    before = paths.run(4).metrics.read_bytes()
    assert work(sweep, paths, WorkOptions()).exit_code == 0
    assert paths.run(4).metrics.read_bytes() == before
    chosen = finish(sweep, paths).record
    assert chosen["n_trials"] == sum(row["candidates"] for row in chosen["trials"])
