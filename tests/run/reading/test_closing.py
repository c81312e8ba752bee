"""What a command prints at its end: the table, the sentences, where the files lie."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from made_records import FIGURES, finished
from psann.run.directory.paths import RunPaths
from psann.run.directory.record import RunRecord
from psann.run.reading.closing import show_result
from psann.run.reading.reading import RunView
from psann.run.reading.tables import result_table


def view(record: RunRecord, folder: Path) -> RunView:
    metrics = record.as_dict()
    return RunView(
        path=folder / "first",
        metrics=metrics,
        status=metrics["status"] or "",
        status_reason="",
        metrics_problems=(),
    )


def shown(record: RunRecord, folder: Path, *, quiet: bool = False) -> str:
    stream = io.StringIO()
    show_result(view(record, folder), stream=stream, quiet=quiet)
    return stream.getvalue()


def test_result_shows_the_policy_beside_the_baselines(tmp_path: Path) -> None:
    text = shown(finished(), tmp_path)
    assert "Test rows, net of 10 bp" in text
    rows = {line[:23].strip(): line[23:].split() for line in text.splitlines()}
    assert rows["strategy"] == ["wealth", "gross", "growth", "Sharpe", "drawdown", "traded"]
    assert rows["policy"] == ["23.30", "+0.500", "+0.250", "1.50", "-12.5%", "0.0625"]
    late = ["23.30", "+0.500", "+0.188", "1.50", "-12.5%", "0.0625"]
    assert rows["policy, one row later"] == late
    assert rows["1/N"] == ["2.21", "+0.500", "+0.125", "1.50", "-12.5%", "0.0625"]
    assert rows["buy and hold"] == ["23.30", "+0.500", "+0.250", "-", "-12.5%", "0.0625"]
    assert rows["best training asset"][0] == "1.23e+09"
    assert rows["OLMAR-1"] == rows["BCRP in hindsight (*)"]
    assert "(*) chosen on these very rows: unattainable." in " ".join(text.split())
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert not [line for line in text.splitlines() if line != line.rstrip()]


def test_wealth_beyond_a_million_keeps_its_column(tmp_path: Path) -> None:
    text = shown(finished(portfolio_metrics={**FIGURES, "cum_return": 4.321e22}), tmp_path)
    assert "4.32e+22" in text


def test_result_ends_with_figures_and_the_files_that_exist(tmp_path: Path) -> None:
    paths = RunPaths(tmp_path / "first")
    paths.root.mkdir()
    paths.metrics.touch()
    text = shown(finished(), tmp_path)
    result = "first: completed, training reward 0.125, validation reward 0.0625, best epoch 12\n"
    assert result + "  15,360 episodes, 5,230 episodes/s, 00:00\n" in text
    assert str(paths.metrics) in text
    assert str(paths.best) not in text


def test_quiet_result_is_one_line(tmp_path: Path) -> None:
    text = shown(finished(), tmp_path, quiet=True)
    assert text.count("\n") == 1
    assert text.startswith("first: completed, training reward 0.125")
    assert text.rstrip().endswith(str(tmp_path / "first"))


def test_run_without_prices_has_no_table(tmp_path: Path) -> None:
    record = finished(portfolio_metrics=None, baselines=None)
    assert result_table(view(record, tmp_path)) is None
    assert "first: completed" in shown(record, tmp_path)


def test_a_run_on_targets_ends_with_its_losses(tmp_path: Path) -> None:
    rewards = dict.fromkeys(("reward_mean", "val_reward_mean", "portfolio_metrics", "baselines"))
    losses = {"train_loss": 0.5, "val_loss": 0.25, "test_loss": 0.75}
    text = shown(finished(**rewards, **losses, episodes=0), tmp_path)
    assert "completed, training loss 0.5, validation loss 0.25, test loss 0.75, best" in text
    assert "episodes," not in text


def test_result_of_a_run_that_failed_before_it_knew_anything(tmp_path: Path) -> None:
    record = RunRecord()
    try:
        raise ValueError("X_train is missing")
    except ValueError as error:
        record.fail(error)
    text = shown(record, tmp_path)
    assert "Not complete: failed before training. ValueError: X_train is missing" in text


def test_test_rows_too_few_for_a_delay_have_no_row_of_it(tmp_path: Path) -> None:
    assert "one row later" not in shown(finished(portfolio_metrics_delay_1=None), tmp_path)


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_result_on_a_console_that_is_gone_or_missing_is_silence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = view(finished(), Path("runs"))
    show_result(run, stream=Broken())
    monkeypatch.setattr("sys.stdout", None)
    show_result(run)
