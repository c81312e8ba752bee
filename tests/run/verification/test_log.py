"""A log that lost, repeated or changed a row says so; the best epoch follows from its rows."""

from __future__ import annotations

import math
from typing import Any

import pytest

from psann.run.directory.columns import COLUMNS
from psann.run.directory.rows import Row
from psann.run.verification.log import check_best, check_log

HEADER = ",".join(COLUMNS).encode() + b"\r\n"


def line(seq: int, *, epoch: int | None = None, **cells: object) -> bytes:
    known: dict[str, object] = {"schema": 1, "seq": seq, "event": "log", "message": "x"}
    if epoch is not None:
        known |= {"event": "epoch", "epoch": epoch, "phase": "hisso", "seed": 1}
    known |= cells
    return ",".join(str(known.get(name, "")) for name in COLUMNS).encode() + b"\r\n"


def problems_of(data: bytes, *, is_over: bool = True) -> tuple[list[str], list[str], list[Row]]:
    errors: list[str] = []
    notes: list[str] = []
    rows = check_log(data, error=errors.append, note=notes.append, is_over=is_over)
    return errors, notes, rows


def test_whole_log_is_read_to_its_end() -> None:
    data = HEADER + line(1) + line(2, epoch=1) + line(4, epoch=2) + line(9, message='"a,""b"')
    errors, notes, rows = problems_of(data)
    assert (errors, notes) == ([], [])
    assert [row["seq"] for row in rows] == [1, 2, 4, 9]
    assert rows[-1]["message"] == 'a,"b'


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "holds no row yet"),
        (HEADER.replace(b"seed", b"sead"), "has the columns of another version"),
        (HEADER.replace(b"event", b"evemt"), "must begin with the header"),
        (HEADER + line(1)[:-2] + b"\n", "must end every line in CRLF"),
        (
            HEADER + line(1)[:-2] + b",\r\n",
            f"line 2 must have {len(COLUMNS)} cells; it has {len(COLUMNS) + 1}",
        ),
        (HEADER + line(1) + line(1), "must number its rows upwards; row 1 is followed by row 1"),
        (HEADER + line(1, schema=2), "schema 2"),
        (HEADER + line(1, event="party"), "event 'party'"),
        (HEADER + line(1).replace(b"x", b"\xff"), "line 2 is no row: it is not in UTF-8"),
        (HEADER + line(1, message='"x'), "line 2 is no row"),
        (HEADER + line(1, message="x" * 200_000), "line 2 is no row"),
        (HEADER + line(1).replace(b"1,1", b"1,one", 1), "a whole number as seq; it has 'one'"),
        (HEADER + line(1, epoch=1, train_loss="big"), "a number as train_loss; it has 'big'"),
        (HEADER + line(1, epoch=1, is_best="tru"), "true or false as is_best; it has 'tru'"),
        (HEADER + line(1, epoch=2), "must go on with epoch 1 of phase hisso; row 1 has epoch 2"),
        (HEADER + line(1, epoch=1) + line(2, epoch=1), "epoch 2 of phase hisso; row 2 has epoch 1"),
        (HEADER + line(1, epoch=1) + line(2, epoch=3), "epoch 2 of phase hisso; row 2 has epoch 3"),
    ],
)
def test_each_flaw_of_a_log_is_told(data: bytes, message: str) -> None:
    errors, _, _ = problems_of(data)
    assert len(errors) == 1
    assert message in errors[0]


def test_each_phase_counts_its_own_epochs() -> None:
    data = HEADER + line(1, epoch=1, phase="warm_start") + line(2, epoch=1)
    assert problems_of(data)[0] == []


def test_torn_last_row_is_an_error_only_at_the_end_of_a_run() -> None:
    data = HEADER + line(1) + b"1,2"
    assert problems_of(data)[0] == ["the last row is torn after 3 bytes"]
    errors, notes, rows = problems_of(data, is_over=False)
    assert (errors, len(notes), len(rows)) == ([], 1, 1)


# --- best epoch ----------------------------------------------------------------------------------

LOSSES = [3.0, 1.0, None, 1.0, math.inf, 2.0]


def epochs(column: str, values: list[float | None]) -> list[Row]:
    data = HEADER + b"".join(
        line(i, epoch=i, **{column: "" if value is None else repr(value)})
        for i, value in enumerate(values, start=1)
    )
    return problems_of(data)[2]


def verdict_on(rows: list[Row], *, is_over: bool = True, **fields: Any) -> list[str]:
    metrics = {
        **{"mode": "train", "monitor": "val_loss", "best_epoch": 2, "monitor_value": 1.0},
        **{"epoch": 6, "train_loss": None, "reward_mean": None, "reward_std": None},
        **{"per_seed": None, "min_improvement": 0.0, "min_significance": None},
        **fields,
    }
    errors: list[str] = []
    check_best(rows, metrics, error=errors.append, note=lambda _: None, is_over=is_over)
    return errors


@pytest.mark.parametrize(
    ("column", "monitor", "sign"),
    [
        ("val_loss", "val_loss", 1.0),
        ("train_loss", "train_loss", 1.0),
        ("val_reward_mean", "val_reward", -1.0),
        ("reward_mean", "reward", -1.0),
    ],
)
def test_first_of_equal_best_epochs_is_the_best(column: str, monitor: str, sign: float) -> None:
    rows = epochs(column, [None if value is None else sign * value for value in LOSSES])
    known = {"monitor": monitor, "monitor_value": sign * 1.0}
    if column in ("train_loss", "reward_mean"):
        known[column] = sign * 1.0
    assert verdict_on(rows, **known) == []
    assert "by the log it must be 2" in verdict_on(rows, **{**known, "best_epoch": 4})[0]
    assert "by the log it must be 2" in verdict_on(rows, **{**known, "monitor_value": 9.0})[0]


def test_figures_are_those_of_the_best_row() -> None:
    rows = epochs("val_loss", LOSSES)
    (message,) = verdict_on(rows, reward_std=0.25)
    assert message == "reward_std is 0.25; the log has None for epoch 2"


def test_untrained_candidate_is_best_only_if_no_epoch_beats_it() -> None:
    rows = epochs("val_loss", LOSSES)
    assert verdict_on(rows, best_epoch=0, monitor_value=1.0) == []
    assert "better epoch, 2" in verdict_on(rows, best_epoch=0, monitor_value=1.5)[0]
    assert "must be known" in verdict_on(rows, best_epoch=0, monitor_value=None)[0]


def test_untrained_candidate_is_best_if_no_epoch_beats_it_by_what_was_asked() -> None:
    rows = epochs("val_loss", LOSSES)
    kept = {"best_epoch": 0, "monitor_value": 1.5}
    assert verdict_on(rows, **kept, min_improvement=0.5) == []
    assert "better epoch, 2" in verdict_on(rows, **kept, min_improvement=0.4)[0]


def test_rows_beyond_the_record_do_not_count_before_the_end() -> None:
    rows = epochs("val_loss", [3.0, 1.0, 0.5])
    assert verdict_on(rows, epoch=2, is_over=False) == []
    assert "tells of 2 epochs, the log of 3" in verdict_on(rows, epoch=2)[0]
    assert verdict_on(rows, epoch=7, is_over=False) == []
    assert verdict_on(rows, epoch=1, is_over=False) == []


def of_two_seeds(**fields: Any) -> list[str]:
    """Two seeds: the first is best at epoch 2 of 3, the second at epoch 1 of 2."""
    rows = [
        *epochs("val_loss", [3.0, 1.0, 2.0]),
        *({**row, "seed": 2} for row in epochs("val_loss", [4.0, 5.0])),
    ]
    nothing = dict.fromkeys(("train_loss", "reward_mean", "reward_std"))
    entries = [
        {"seed": 1, "epoch": 3, "best_epoch": 2, "monitor_value": 1.0, **nothing},
        {"seed": 2, "epoch": 2, "best_epoch": 1, "monitor_value": 4.0, **nothing},
    ]
    known = {"epoch": 3, "best_epoch": 2, "monitor_value": 2.5, "per_seed": entries}
    return verdict_on(rows, **{**known, **fields})


def test_each_seed_is_checked_by_its_own_rows_and_the_mean_by_all() -> None:
    assert of_two_seeds() == []
    entries = [
        {"seed": 1, "epoch": 3, "best_epoch": 3, "monitor_value": 2.0},
        {"seed": 2, "epoch": 3, "best_epoch": 1, "monitor_value": 4.0},
    ]
    assert of_two_seeds(per_seed=entries, monitor_value=3.0, best_epoch=3) == [
        "seed 1: best_epoch is 3 with val_loss 2.0; by the log it must be 2 with 1.0",
        "seed 2: tells of 3 epochs, the log of 2",
    ]
    (message,) = of_two_seeds(monitor_value=2.6)
    assert message == "monitor_value is 2.6; over the seeds of per_seed it is 2.5"
    (message,) = of_two_seeds(best_epoch=1)
    assert message == "best_epoch is 1; of the best seed, 1, it is 2"


def test_means_over_the_seeds_may_differ_by_rounding_and_by_nothing_else() -> None:
    assert of_two_seeds(monitor_value=2.5 * (1 + 1e-12)) == []
    for factor in (1 + 1e-6, 1 - 1e-6):
        (message,) = of_two_seeds(monitor_value=2.5 * factor)
        assert message.endswith("over the seeds of per_seed it is 2.5")


def test_nothing_is_chosen_by_a_run_without_a_monitor() -> None:
    assert verdict_on([], monitor=None, is_over=False) == []
    assert verdict_on([], monitor=None, mode="evaluate") == []
    assert "must be known" in verdict_on([], monitor=None)[0]
