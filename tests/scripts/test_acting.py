"""`hisso-runs act` and the programs of `hisso-runs export`, as a user meets them."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from acting_runs import ActingRuns
from made_sweeps import write_sweep
from psann import load_policy
from psann.run.acting.weights_file import read_weights
from psann.run.sweep.record import SweepPaths, read_record
from psann.scripts.hisso_runs import main

Capture = pytest.CaptureFixture[str]


def test_weights_go_to_standard_output_and_all_else_beside_it(
    acting_runs: ActingRuns, capsys: Capture
) -> None:
    assert main(["act", str(acting_runs("prices"))]) == 0
    out, err = capsys.readouterr()
    table = pd.read_csv(io.StringIO(out), comment="#", index_col=0)
    assert np.abs(table.to_numpy() - acting_runs.allocations("prices")).max() < 1e-6
    assert "warning: the newest row is of 2022-05-20" in err


@pytest.mark.parametrize("name", ["w.csv", "w.json", "w.parquet"])
def test_the_newest_row_is_written_and_verified(
    name: str, acting_runs: ActingRuns, tmp_path: Path, capsys: Capture
) -> None:
    run, prices, file = str(acting_runs("prices")), str(acting_runs.prices), tmp_path / name
    assert main(["act", run, "--data", prices, "--last", "-o", str(file)]) == 0
    assert "1 row to 2022-05-20, 3 assets" in capsys.readouterr().out
    assert len(read_weights(file).values) == 1
    assert main(["verify", run, "--weights", str(file), "--data", prices]) == 0
    assert "0 errors, 0 notes" in capsys.readouterr().out
    text = file.read_bytes()
    if name.endswith(".csv"):
        file.write_bytes(text.rpartition(b",")[0] + b",0.5\n")
        assert main(["verify", run, "--weights", str(file)]) == 1
        assert "error: w.csv" in capsys.readouterr().out


def test_trades_are_shown_and_written(
    acting_runs: ActingRuns, tmp_path: Path, capsys: Capture
) -> None:
    held, trades = tmp_path / "held.csv", tmp_path / "trades.csv"
    held.write_text("asset,shares\nAAA,10\ncash,5000\n")
    arguments = ["act", str(acting_runs("prices")), "--last", "-o", str(tmp_path / "w.csv")]
    assert main([*arguments, "--held", str(held), "--trades", str(trades), "--lot", "5"]) == 0
    out = capsys.readouterr().out
    assert "cash left over" in out
    table = pd.read_csv(trades, index_col=0)
    assert (table["shares_after"] % 5 == 0).all()
    assert table.loc["AAA", "shares_held"] == 10


def test_a_journal_is_kept_and_judged_and_stays_as_it_was(
    acting_runs: ActingRuns,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    run = str(acting_runs("prices"))
    since = load_policy(run).act().labels[10]
    arguments = ["act", run, "--since", since, "--judge", "-o", "w.csv"]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert f"from {since} to 2022-05-20" in out
    assert "promised by validation rows" in out
    assert "promised by test rows" in out
    before = Path("prices.jsonl").read_bytes()
    lines = [json.loads(line) for line in before.splitlines()]
    assert [lines[0]["kind"], lines[-1]["kind"]] == ["journal", "judged"]
    assert main(arguments) == 0
    after = Path("prices.jsonl").read_bytes()
    assert after.startswith(before)
    assert len(after.splitlines()) == len(lines) + 1  # a second judgement, and nothing else


def written_to_a_link(words: list[str], link: Path) -> subprocess.CompletedProcess[bytes]:
    """A command of which a file is a link to standard output."""
    link.symlink_to("/dev/stdout")
    command = [sys.executable, "-m", "psann.scripts.hisso_runs", *words]
    return subprocess.run(command, capture_output=True, check=True)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["-o", "--trades"])
def test_a_table_that_goes_to_standard_output_by_a_link_is_all_that_is_written_there(
    option: str, acting_runs: ActingRuns, tmp_path: Path
) -> None:
    held, link = tmp_path / "held.csv", tmp_path / "out.csv"
    held.write_text("asset,shares\nAAA,10\ncash,500\n")
    words = ["act", str(acting_runs("prices")), "--held", str(held), option, str(link)]
    done = written_to_a_link([*words, *(["-o", str(tmp_path / "w.csv")] * (option != "-o"))], link)
    assert b"cash left over" in done.stderr
    n_commas = {line.count(b",") for line in done.stdout.splitlines()[1:]}
    assert len(n_commas) == 1
    assert n_commas != {0}


@pytest.mark.slow
def test_a_program_that_goes_to_standard_output_by_a_link_is_all_that_is_written_there(
    acting_runs: ActingRuns, tmp_path: Path
) -> None:
    link = tmp_path / "p.pt2"
    words = ["export", str(acting_runs("prices")), "--to", "torch-export", "-o", str(link)]
    data = written_to_a_link(words, link).stdout
    assert b"the policy of" not in data
    assert torch.export.load(io.BytesIO(data)).module() is not None


@pytest.mark.slow
@pytest.mark.parametrize("to", ["torch-export", "onnx"])
def test_a_policy_is_exported_as_a_program(
    to: str, acting_runs: ActingRuns, tmp_path: Path, capsys: Capture
) -> None:
    if to == "onnx":
        pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    file = tmp_path / f"policy{'.onnx' if to == 'onnx' else '.pt2'}"
    assert main(["export", str(acting_runs("prices")), "--to", to, "-o", str(file)]) == 0
    out, err = capsys.readouterr()
    assert "the policy of prices" in out
    assert err == ""
    assert file.stat().st_size > 1000


@pytest.mark.slow
def test_the_winner_of_a_sweep_acts_as_it_was_judged_on_the_test_rows(
    acting_runs: ActingRuns, tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    data = {"loader": None, "prices": str(acting_runs.prices)}
    file, sweep = write_sweep(tmp_path, config={"data": data}, trials=2), tmp_path / "out"
    assert main(["sweep", str(file), "-o", str(sweep)]) == 0
    assert main(["act", str(sweep), "-o", "w.csv"]) == 2
    assert "--finish" in capsys.readouterr().err
    assert not Path("w.csv").exists()
    assert main(["sweep", str(file), "-o", str(sweep), "--finish"]) == 0
    chosen = (read_record(SweepPaths(sweep)) or {})["chosen"]["run"]
    assert main(["act", str(sweep), "-o", "w.csv", "--journal", "j.jsonl", "--judge"]) == 0
    with np.load(sweep / "chosen" / "evaluation.npz") as judged:
        wanted = judged["allocations"]
    weights = read_weights(Path("w.csv"))
    assert np.abs(weights.values - wanted).max() < 1e-6
    metrics = json.loads((sweep / "chosen" / "metrics.json").read_text())
    promised = f"promised by test rows: {metrics['versus_uniform']['growth']:+.3f}"
    assert promised in capsys.readouterr().out
    # A file of weights is held against the run that they are of.
    run = sweep / "runs" / chosen
    assert weights.provenance.run_id == load_policy(run).kept.run_id
    assert main(["verify", str(run), "--weights", "w.csv", "--data", data["prices"]]) == 0
    assert main(["export", str(sweep), "--to", "torch-export", "-o", "p.pt2"]) == 0


# ------------------------------------------------------------------------------- what is refused

_Change = Callable[[pd.DataFrame], pd.DataFrame]


def _other_index(table: pd.DataFrame) -> pd.DataFrame:
    dates = pd.to_datetime(table.index[0]) + pd.to_timedelta(7 * np.arange(len(table)), "D")
    return table.set_axis(pd.Index(dates.strftime("%Y-%m-%d"), name="Date"))


def _with(table: pd.DataFrame, place: tuple[int, int], value: object) -> pd.DataFrame:
    changed = table.astype(object)
    changed.iloc[place] = value
    return changed


_BAD_TABLES: dict[str, tuple[_Change, str]] = {
    "another asset": (lambda t: t.rename(columns={"BBB": "XXX"}), "assets must be in the table"),
    "a missing asset": (lambda t: t.drop(columns="CCC"), "got 'CCC'"),
    "too few rows": (lambda t: t.tail(8), "must have 20 rows before the first one to act on"),
    "only old rows": (lambda t: t.head(100), "must have a row after"),
    "another scale": (lambda t: t * 100, "must be on the scale of the run's"),
    "another frequency": (_other_index, "must have their rows as far apart as in training"),
    "a gap": (lambda t: t.drop(index=t.index[-20:-8]), "must have no gap wider than"),
    "a missing price": (lambda t: _with(t, (-1, 0), ""), "AAA must have a price on 2022-05-20"),
    "a text": (lambda t: _with(t, (-1, 0), "n/k"), "n/k"),
    "a negative price": (lambda t: _with(t, (-1, 0), -3.0), "-3"),
    "no rows": (lambda t: t.head(0), "prices.csv"),
}


@pytest.mark.parametrize("name", _BAD_TABLES)
def test_a_table_that_does_not_go_with_the_run_is_refused_and_nothing_written(
    name: str, acting_runs: ActingRuns, tmp_path: Path, capsys: Capture
) -> None:
    change, words = _BAD_TABLES[name]
    run, folder = acting_runs("prices"), tmp_path / "out"
    folder.mkdir()
    data = tmp_path / "prices.csv"
    change(pd.read_csv(acting_runs.prices, index_col=0)).to_csv(data)
    told = ["act", str(run), "--data", str(data), "-o", str(folder / "w.csv")]
    assert main([*told, "--journal", str(folder / "j.jsonl")]) == 1
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in err
    assert out == ""
    assert list(folder.iterdir()) == []


_BAD_OPTIONS: dict[str, tuple[list[str], int, str]] = {
    "no file": (["--data", "nowhere.csv"], 1, "it does not exist"),
    "another ending": (["-o", "w.xlsx"], 2, "-o must end in .csv, .json, .parquet"),
    "no date": (["--since", "soon"], 2, "since must be a date such as"),
    "capital alone": (["--capital", "1000"], 2, "need --held"),
    "no holdings": (["--held", "nowhere.csv"], 1, "nowhere.csv"),
    "no fold": (["--policy", "last_fold"], 2, "needs a run that walked forward"),
    "no option": (["--set", "date"], 2, "--set must be KEY=VALUE"),
    "misspelt options": (
        ["--set", "dat=Date", "--set", "features=assetwise"],
        2,
        "dat says nothing on how a table is read. Did you mean 'date'?\n"
        "--set features=assetwise: features says nothing on how a table is read. Known here: date,",
    ),
    "future": (["--since", "2031-01-01"], 1, "must have a row from 2031-01-01 on"),
}


@pytest.mark.parametrize("name", _BAD_OPTIONS)
def test_an_option_that_cannot_be_meant_is_refused_with_its_code(
    name: str,
    acting_runs: ActingRuns,
    tmp_path: Path,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    options, code, words = _BAD_OPTIONS[name]
    assert main(["act", str(acting_runs("prices")), *options]) == code
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--lot", "--capital", "--stale-after"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "x"])
def test_a_number_that_must_be_positive_is(
    option: str, value: str, acting_runs: ActingRuns, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["act", str(acting_runs("prices")), f"{option}={value}"])
    assert ended.value.code == 2
    assert "must be a finite number greater than 0" in capsys.readouterr().err


def test_nothing_is_written_into_the_run_directory(
    acting_runs: ActingRuns, tmp_path: Path, capsys: Capture
) -> None:
    run = tmp_path / "run"
    shutil.copytree(acting_runs("prices"), run)
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    for options in (["-o", str(run / "w.csv")], ["--journal", str(run / "j.jsonl")]):
        assert main(["act", str(run), *options]) == 2
        assert "must lie outside of" in capsys.readouterr().err
    assert main(["export", str(run), "--to", "torch-export", "-o", str(run / "p.pt2")]) == 2
    assert main(["export", str(run), str(run), "--to", "onnx", "-o", "p.onnx"]) == 2
    assert "writes the policy of one RUN" in capsys.readouterr().err
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == before


def test_data_without_weights_has_no_effect_on_verify(
    acting_runs: ActingRuns, capsys: Capture
) -> None:
    assert main(["verify", str(acting_runs("prices")), "--data", "x.csv"]) == 2
    assert "--data needs --weights" in capsys.readouterr().err


def test_help_and_refusals_bring_no_torch() -> None:
    script = (
        "import sys\nfrom psann.scripts.hisso_runs import main\n"
        "try:\n    main(['act', '--help'])\nexcept SystemExit:\n    pass\n"
        "main(['act', '.', '-o', 'w.xlsx'])\nmain(['act', 'nowhere'])\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
