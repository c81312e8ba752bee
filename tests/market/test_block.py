"""The keys of a table of prices in a config: those of the three steps, and the files they name."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from made_panels import walks
from made_tables import prices, wide
from psann.errors import ConfigError
from psann.market import load_prices
from psann.market.block import PRICE_KEYS, PricesBlock
from psann.run.config.load import config_sha256, dump_resolved, load_run_config
from psann.run.config.model import RunConfig
from psann.run.directory.paths import RunPaths
from psann.scripts.hisso_log_run import main
from psann.scripts.hisso_runs import main as hisso_runs
from trials import metrics_of

CONFIG = {
    "estimator": {"target": "psann.PSANNRegressor", "params": {"hidden_units": 4}},
    "hisso": {"window": 10, "batch_episodes": 4, "updates_per_epoch": 1},
    "training": {"epochs": 2},
    "evaluation": {"portfolio_prices_key": "prices_test"},
}


def _config(folder: Path, **data: object) -> Path:
    path = folder / "own.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, "data": data}))
    return path


def _load(folder: Path, **data: object) -> RunConfig:
    return load_run_config(_config(folder, **data))


def test_the_keys_are_the_options_of_the_three_steps_with_the_same_defaults() -> None:
    options = inspect.signature(load_prices).parameters
    assert set(PRICE_KEYS) == set(options)
    for name, option in options.items():
        if name != "prices":
            assert PRICE_KEYS[name] == option.default


def test_files_are_relative_to_the_config_and_on_the_command_line_to_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    data = _load(tmp_path, prices=["a.csv", "b.csv"], universe="u.csv").data
    assert data.prices == [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")]
    assert data.universe == str(tmp_path / "u.csv")
    path = _config(tmp_path, prices="a.csv")
    again = load_run_config(path, overrides=["data.prices=c.csv"])
    assert again.data.prices == str(tmp_path / "elsewhere" / "c.csv")


def test_only_what_was_said_is_passed_on(tmp_path: Path) -> None:
    data = _load(tmp_path, prices="a.csv", split={"val": "2020-01-02", "test": 0.2}, gap=0).data
    assert data.arguments == {
        "prices": str(tmp_path / "a.csv"),
        "split": {"val": "2020-01-02", "test": 0.2},
    }


def test_the_resolved_config_has_the_keys_only_where_there_is_a_table(tmp_path: Path) -> None:
    own = yaml.safe_load(dump_resolved(_load(tmp_path, prices="a.csv")))["data"]
    assert set(PRICE_KEYS) - {"arrays"} <= set(own)
    other = yaml.safe_load(dump_resolved(_load(tmp_path, npz="a.npz")))["data"]
    assert not set(PRICE_KEYS) & set(other)


def test_the_digest_of_a_config_does_not_depend_on_where_the_table_lies(tmp_path: Path) -> None:
    digests = {config_sha256(_load(tmp_path, prices=name)) for name in ("a.csv", "b.csv")}
    assert len(digests) == 1
    assert config_sha256(_load(tmp_path, prices="a.csv", gap=3)) not in digests


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"csv": "a.csv"}, r"data\.csv .*write data\.prices"),
        ({"prices": "a.csv", "npz": "a.npz"}, "prices cannot be combined with npz"),
        ({"prices": "a.csv", "kwargs": {"a": 1}}, "prices cannot be combined with kwargs"),
        ({"npz": "a.npz", "price": "Close", "gap": 1}, r"price, gap say how prices are read"),
        ({"prices": "a.csv", "mmap": True}, "mmap has no effect on prices"),
        ({"prices": "a.csv", "assets": [7]}, r"data\.assets"),
        ({"prices": "a.csv", "features": "defualt"}, r"data\.features"),
        ({"prices": "a.csv", "split": {"valid": 0.2}}, r"data\.split"),
        ({"prices": "$NOWHERE/a.csv"}, "must be a path with every variable filled in"),
        ({"prices": "a.csv", "date_column": "Date"}, r"data\.date_column is no known key"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_key(
    data: dict[str, object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        _load(tmp_path, **data)


def test_the_keys_are_checked_without_numpy() -> None:
    code = "import sys; import psann.market.block; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_each_key_is_described_once() -> None:
    assert inspect.getsource(PricesBlock).count('    """') >= len(PRICE_KEYS)


def test_a_table_is_trained_on_by_its_name_and_the_check_tells_what_was_understood(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wide(tmp_path / "prices.csv", prices(200, 3), ["AAA", "BBB", "CCC"])
    path = _config(tmp_path, prices="prices.csv", split={"val": 0.2, "test": 0.2})
    arguments = ["--config", str(path), "--output-dir", str(tmp_path / "runs"), "--device", "cpu"]
    assert main([*arguments, "--check"]) == 0
    told = capsys.readouterr()
    text = told.out + told.err
    for word in ("layout", "wide: a column for each asset", "AAA, BBB, CCC", "train: "):
        assert word in text, text
    assert "date: Date" in text
    assert main([*arguments, "--run-name", "own", "--quiet"]) == 0
    metrics = metrics_of(RunPaths(tmp_path / "runs" / "own"))
    assert metrics["status"] == "completed"
    spans = metrics["spans"]
    assert set(spans) == {"train", "val", "test"}
    assert spans["train"]["first"] < spans["train"]["last"] < spans["val"]["first"]


def test_a_table_with_holes_is_trained_judged_and_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = walks(300, 4)
    table[50:53, 1] = table[:40, 2] = table[280:, 3] = np.nan
    wide(tmp_path / "prices.csv", table, ["A", "B", "C", "D"])
    path = _config(tmp_path, prices="prices.csv", ended={"default": -0.3}, rows=0.1)
    arguments = ["--config", str(path), "--output-dir", str(tmp_path), "--device", "cpu"]
    more = ["--run-name", "own", "--set", "evaluation.walk_forward={folds: 2}"]
    assert main([*arguments, *more, "--quiet"]) == 0, capsys.readouterr().err
    run = RunPaths(tmp_path / "own")
    assert hisso_runs(["verify", str(run.root)]) == 0, capsys.readouterr().out
    metrics = metrics_of(run)
    assert metrics["spans"]["train"]["members"] == "3 to 4"
    assert set(metrics["ends"]) == {"0", "-1"}
    assert metrics["doubts"] == []
    assert main([*arguments, "--check", "--set", "evaluation.placebo=1"]) != 0
    assert "shuffles moves, which halts and ends do not survive" in capsys.readouterr().err
