"""Two runs are the same to the last bit, or it is said where they are not."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import pytest

from psann.run.directory.columns import LATER_COLUMNS
from psann.run.directory.paths import RunPaths
from trials import bit_differences, change_log, change_record, metrics_of


@pytest.fixture
def original(runs_of_before: Path) -> RunPaths:
    """A run with a warm start, as an earlier release made it."""
    return RunPaths(runs_of_before / "wave")


@pytest.fixture
def copy(original: RunPaths, tmp_path: Path) -> RunPaths:
    return RunPaths(Path(shutil.copytree(original.root, tmp_path / "copy")))


def test_times_and_identity_are_no_difference(original: RunPaths, copy: RunPaths) -> None:
    change_record(copy, duration_seconds=9.0, resumes=3, run_id="x")
    change_log(copy, "step_s", "9.0")
    assert bit_differences(original, copy) == []


def test_every_kind_of_difference_is_named(original: RunPaths, copy: RunPaths) -> None:
    copy.warm_start.write_bytes(copy.best.read_bytes())
    change_log(copy, "lr", "0.5")
    change_record(copy, val_loss=0.5)
    rows, record, file = bit_differences(original, copy)
    assert file == "checkpoints/warm_start.safetensors differs"
    assert rows.startswith("seed 3, phase hisso, epoch 4: lr ")
    assert record.startswith("metrics.json: val_loss ")


def test_missing_rows_and_files_are_differences(original: RunPaths, copy: RunPaths) -> None:
    copy.best.unlink()
    change_log(copy, "event", "log")
    found = bit_differences(original, copy)
    assert found[0] == "one log has 6 rows of epochs, the other 5"
    assert found[-1] == "only one has checkpoints/best.safetensors"


def test_a_file_that_an_archive_was_made_without_is_no_difference(
    original: RunPaths, copy: RunPaths
) -> None:
    name = copy.warm_start.relative_to(copy.root).as_posix()
    copy.warm_start.unlink()
    content = {"schema_version": 1, "files": {}, "left_out": [name]}
    copy.packing_list.write_text(json.dumps(content))
    assert bit_differences(original, copy) == []


def test_a_zero_of_another_sign_is_a_difference(original: RunPaths, copy: RunPaths) -> None:
    change_record(copy, val_loss=0.0)
    other = RunPaths(Path(shutil.copytree(copy.root, copy.root.with_name("other"))))
    change_record(other, val_loss=-0.0)
    assert bit_differences(copy, other) == ["metrics.json: val_loss 0.0 / -0.0"]


@pytest.mark.parametrize("column", sorted(LATER_COLUMNS))
def test_a_column_that_a_release_did_not_know_is_no_difference(
    column: str, original: RunPaths, copy: RunPaths
) -> None:
    with copy.events.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row[column] = "0.5" if row["event"] == "epoch" else ""
    with copy.events.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert bit_differences(original, copy) == []
    assert metrics_of(copy) == metrics_of(original)


@pytest.mark.parametrize("file", ["best", "warm_start", "epoch_000001", "fold_1", "placebo_1"])
def test_estimators_of_each_kind_are_compared_byte_by_byte(
    original: RunPaths, copy: RunPaths, file: str
) -> None:
    other = RunPaths(Path(shutil.copytree(copy.root, copy.root.with_name("other"))))
    name = f"{file}.safetensors"
    (copy.checkpoints / name).write_bytes(b"one")
    (other.checkpoints / name).write_bytes(b"other")
    assert bit_differences(copy, other) == [f"checkpoints/{name} differs"]
    assert bit_differences(other, copy) == [f"checkpoints/{name} differs"]


def test_what_was_kept_on_request_is_no_difference_where_one_lacks_it(
    original: RunPaths, copy: RunPaths
) -> None:
    (copy.checkpoints / "epoch_000001.safetensors").write_bytes(b"one")
    assert bit_differences(original, copy) == []
    (copy.checkpoints / "fold_001.safetensors").write_bytes(b"one")
    assert bit_differences(original, copy) == ["only one has checkpoints/fold_001.safetensors"]


def test_figures_are_compared_to_the_last_digit(original: RunPaths, copy: RunPaths) -> None:
    was = metrics_of(copy)["test_reward_mean"]
    now = math.nextafter(was, math.inf)
    change_record(copy, test_reward_mean=now)
    copy.evaluation.write_bytes(b"other")
    assert bit_differences(original, copy) == [
        f"metrics.json: test_reward_mean {was!r} / {now!r}",
        "evaluation.npz differs",
    ]


def test_of_many_rows_that_differ_five_are_shown(original: RunPaths, copy: RunPaths) -> None:
    with copy.events.open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row["update"] = "99" if row["event"] == "epoch" else row["update"]
    with copy.events.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found = bit_differences(original, copy)
    assert len(found) == 6
    assert found[0].startswith("seed 3, phase warm_start, epoch 1: update ")
    assert found[-1] == "1 more rows of epochs"
