"""A record that was read holds only what its fields may hold, and tells of the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from psann.run.directory.fields import FIELDS, LATER
from psann.run.directory.metrics import read_metrics
from psann.run.directory.record import RunRecord


def written(folder: Path, **fields: Any) -> Path:
    file = folder / "metrics.json"
    known = RunRecord()
    known.update(run_id="f00", run_name="run", resumes=0)
    file.write_text(json.dumps({**known.as_dict(), **fields}))
    return file


def test_every_field_of_a_sound_record_is_taken_as_it_is(tmp_path: Path) -> None:
    figures = {"sharpe": 1.5, "psr": None, "n_steps": 12}
    versus = {"growth": 0.1, "low": -0.1, "high": 0.3, "is_distinguishable": False}
    told = {
        "portfolio_metrics": figures,
        "baselines": {"uniform": figures},
        "versus_uniform": versus,
        "per_seed": [{"seed": 1, "val_loss": 0.5, "portfolio_metrics": figures}, {"seed": 2}],
        "walk_forward": {"versus_uniform": versus, "folds": [{"fold": 1, "train": [0, 9]}]},
        "placebo": {"n": 2, "growth": None, "growths": [0.1, 0.2]},
        "timing": {"step_s": 1.5, "profile": {"forward_s": 0.5}},
        "artefacts": {"a/b.c": {"bytes": 1, "sha256": "x"}},
    }
    record, problems = read_metrics(written(tmp_path, **told))
    assert problems == []
    assert {name: record[name] for name in told} == told  # type: ignore[literal-required]


@pytest.mark.parametrize(
    ("fields", "named", "kept"),
    [
        ({"train_loss": "low"}, "train_loss", None),
        ({"best_epoch": 1.5}, "best_epoch", None),
        ({"best_epoch": True}, "best_epoch", None),
        ({"status": "asleep"}, "status", None),
        ({"baselines": {"x": 3, "y": {"psr": 1}}}, "baselines.x", {"y": {"psr": 1}}),
        ({"baselines": {"<b>": {}}}, "a key of baselines", {}),
        ({"versus_uniform": {"growth": "up", "low": 1.0}}, "versus_uniform.growth", {"low": 1.0}),
        ({"placebo": {"growths": [0.1, "x"], "n": 2}}, "placebo.growths", {"n": 2}),
        ({"per_seed": [{"seed": 1, "epoch": "x"}, 2]}, "per_seed.0.epoch", [{"seed": 1}]),
        ({"ensemble": {"versus_uniform": 3}}, "ensemble.versus_uniform", {}),
    ],
)
def test_a_value_of_a_wrong_kind_is_named_and_left_out_at_any_depth(
    fields: dict[str, Any], named: str, kept: object, tmp_path: Path
) -> None:
    record, problems = read_metrics(written(tmp_path, **fields))
    (name,) = fields
    assert record[name] == kept  # type: ignore[literal-required]
    assert problems[-1].startswith("metrics.json has values that cannot be read: ")
    assert named in problems[-1]


def test_a_record_of_an_earlier_release_lacks_later_fields_without_a_word(tmp_path: Path) -> None:
    file = written(tmp_path)
    content = json.loads(file.read_text())
    later = [name for name, field in FIELDS.items() if LATER in field.traits]
    file.write_text(json.dumps({k: v for k, v in content.items() if k not in later}))
    record, problems = read_metrics(file)
    assert problems == []
    assert list(record) == list(FIELDS)
    del content["seed"]
    file.write_text(json.dumps(content))
    assert read_metrics(file)[1] == ["metrics.json lacks seed."]


def test_a_record_that_cannot_be_read_is_one_sentence_and_no_value(tmp_path: Path) -> None:
    for text, why in (("{", "it is not strict JSON"), ("[]", "it is not strict JSON")):
        (tmp_path / "metrics.json").write_text(text)
        record, (problem,) = read_metrics(tmp_path / "metrics.json")
        assert why in problem
        assert record["status"] is None
    _, (problem,) = read_metrics(tmp_path / "none" / "metrics.json")
    assert problem.startswith("metrics.json is missing")
