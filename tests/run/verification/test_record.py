"""`metrics.json` by itself: strict JSON, every field, each of its type, all in agreement."""

from __future__ import annotations

from typing import Any

import pytest

from psann._strict_json import parse_strict, to_json
from psann.run.directory.fields import FIELDS, LATER, OF_PORTFOLIO, OF_TEST_ROWS
from psann.run.directory.record import RunRecord
from psann.run.verification.record import problems_of_record, problems_of_withheld


def record(**fields: Any) -> dict[str, Any]:
    known = RunRecord()
    known.update(run_id="f00", run_name="run", resumes=0)
    return {**known.as_dict(), **fields}


def test_every_record_that_is_written_is_accepted() -> None:
    assert problems_of_record(record()) == []
    failed = RunRecord()
    failed.update(run_id="f00", run_name="run", best_epoch=3, val_loss=float("nan"))
    failed.fail(ValueError("x"))
    assert problems_of_record(parse_strict(to_json(failed.as_dict()))) == []


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"schema_version": 2}, "must be of schema version 1; it has 2"),
        ({"colour": 1}, "has the unknown field 'colour'"),
        ({"run_id": None}, "run_id must not be null"),
        ({"run_id": 3}, "run_id must be str; got '3'"),
        ({"best_epoch": 1.5}, "best_epoch must be int; got '1.5'"),
        ({"best_epoch": True}, "best_epoch must be int"),
        ({"train_loss": "low"}, "train_loss must be int or float; got 'low'"),
        ({"resume_exact": 1}, "resume_exact must be bool"),
        ({"nonfinite": {}}, "nonfinite must be list"),
        ({"artefacts": []}, "artefacts must be dict"),
        ({"per_seed": []}, "per_seed must be null or tell of several seeds; it has 0"),
        ({"per_seed": [{"seed": 1}]}, "several seeds; it has 1"),
        ({"per_seed": [{"seed": 1}, 2]}, "per_seed.1 must be the figures of a seed; got '2'"),
        ({"per_seed": [{"seed": 1}, {}]}, "per_seed.1 must be the figures of a seed"),
        (
            {"per_seed": [{"seed": 1}, {"seed": 2, "monitor_value": "x"}]},
            "per_seed.1.monitor_value must be int or float; got 'x'",
        ),
        ({"ensemble": {"portfolio_metrics": 3}}, "ensemble.portfolio_metrics must be dict"),
        ({"status": "asleep"}, "status must be one of running"),
        ({"status": ["running"]}, "status must be str"),
        ({"status": "completed"}, "finished_utc must be null exactly while"),
        ({"finished_utc": "2025"}, "finished_utc must be null exactly while"),
        ({"cautions": [""] * 10_001}, "cautions must have at most 10,000 items; it has 10,001"),
        ({"error": "Traceback"}, "error must be given exactly for a run that failed"),
    ],
)
def test_each_wrong_field_is_told(fields: dict[str, Any], message: str) -> None:
    assert message in "\n".join(problems_of_record(record(**fields)))


def test_all_problems_are_told_at_once() -> None:
    lacking = {name: value for name, value in record().items() if name not in ("seed", "epoch")}
    assert problems_of_record(lacking) == ["lacks the field seed", "lacks the field epoch"]
    assert len(problems_of_record(record(seed="x", epoch="y"))) == 2


def test_a_field_that_earlier_releases_lack_may_be_missing_and_no_other() -> None:
    for name, field in FIELDS.items():
        lacking = {key: value for key, value in record().items() if key != name}
        assert (problems_of_record(lacking) == []) is (LATER in field.traits), name


def test_every_figure_of_withheld_rows_is_told_also_at_other_costs_and_times() -> None:
    given = record(**dict.fromkeys((*OF_TEST_ROWS, *OF_PORTFOLIO), 0.5))
    told = "".join(problems_of_withheld(given, judges_test=True))
    assert "portfolio_metrics_cost_3 must be null" in told and "_advance_1 must be null" in told
    assert told.count("must be null") == len((*OF_TEST_ROWS, *OF_PORTFOLIO))
    assert len(problems_of_withheld(given, judges_test=False)) == len(OF_TEST_ROWS)
