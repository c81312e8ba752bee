"""Every template of `configs/hisso` is one that a user can start from."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from psann.estimators.wave_resnet import WaveResNetRegressor
from psann.run.config.load import load_run_config
from psann.run.directory.paths import RunPaths
from psann.scripts.hisso_log_run import main
from trials import metrics_of, rows_of

FOLDER = Path(__file__).parents[1] / "configs" / "hisso"
TEMPLATES = sorted(FOLDER.glob("*.yaml"))
SMOKE = FOLDER / "wave_resnet_cpu_smoke.yaml"

by_template = pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.stem)
# The markets of the others are large.
_LARGE = ("delisted", "nyse_n", "nyse_o", "nyse_o_same_close", "planted_signal", "sp500_20")
few_are_fast = pytest.mark.parametrize(
    "template",
    [
        pytest.param(path, marks=pytest.mark.slow if path.stem in _LARGE else (), id=path.stem)
        for path in TEMPLATES
    ],
)
# The CUDA template says on a CPU that mixed precision has no effect there, as it should.
pytestmark = pytest.mark.usefixtures("own_prices")
tells_of_precision = pytest.mark.filterwarnings("default:mixed_precision has no effect")


def _prices_of(template: Path) -> list[str]:
    """The file that lies beside a user's copy of the template lies elsewhere here."""
    return ["--set", "data.prices=prices.csv"] if template.stem == "own_prices" else []


def test_the_smoke_templates_and_the_cuda_template_are_there() -> None:
    names = {template.stem for template in TEMPLATES}
    assert names >= {"wave_resnet_small", "wave_resnet_cpu_smoke", "dense_cpu_smoke"}


@few_are_fast
@tells_of_precision
def test_a_template_passes_its_check_on_a_cpu(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config", str(template), "--output-dir", str(tmp_path), "--device", "cpu"]
    arguments += _prices_of(template)
    assert main([*arguments, "--check"]) == 0, capsys.readouterr().err
    assert "parameters" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []


@few_are_fast
@tells_of_precision
def test_a_template_runs(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["training.epochs=1", "hisso.updates_per_epoch=1"]
    config = load_run_config(template)
    if config.hisso.warm_start is not None:
        short.append("hisso.supervised.epochs=1")
    if config.training.lr_schedule.warmup_epochs > 1:
        short.append("training.lr_schedule.warmup_epochs=1")
    arguments = ["--config", str(template), "--output-dir", str(tmp_path), "--run-name", "short"]
    arguments += [argument for override in short for argument in ("--set", override)]
    arguments += _prices_of(template)
    assert main([*arguments, "--device", "cpu", "--quiet"]) == 0, capsys.readouterr().err
    metrics = metrics_of(RunPaths(tmp_path / "short"))
    assert metrics["status"] == "completed"
    assert metrics["monitor"] == "val_reward"
    if not config.hisso.is_portfolio:
        assert metrics["portfolio_metrics"] is None and metrics["test_reward_mean"] is not None
        return
    assert metrics["portfolio_metrics"]["n_steps"] > 10
    assert metrics["trans_cost"] == config.evaluation.trans_cost


@by_template
def test_a_template_is_commented(template: Path) -> None:
    lines = template.read_text().splitlines()
    assert lines[0].startswith("# ")
    assert yaml.safe_load(template.read_text())["mode"] == "train"


@pytest.mark.slow
def test_the_smoke_template_emits_every_metric_of_the_specification(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "psann.scripts.hisso_log_run"]
    command += ["--config", str(SMOKE), "--output-dir", str(tmp_path), "--device", "cpu"]
    done = subprocess.run(
        [*command, "--run-name", "smoke"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    paths = RunPaths(tmp_path / "smoke")
    metrics = metrics_of(paths)
    required = "train_loss val_loss best_epoch reward_mean reward_std episodes transition_penalty"
    required += " device duration_seconds throughput_eps_per_sec portfolio_metrics"
    assert set(required.split()) <= set(metrics)
    assert metrics["status"] == "completed"
    for name in ("val_loss", "best_epoch", "episodes", "portfolio_metrics", "device"):
        assert metrics[name] is not None
    assert metrics["duration_seconds"] > 0
    assert metrics["throughput_eps_per_sec"] > 0
    n_epochs = load_run_config(SMOKE).training.epochs
    epochs = rows_of(paths, "epoch")
    assert [row["epoch"] for row in epochs if row["phase"] == "hisso"] == [
        str(n) for n in range(1, n_epochs + 1)
    ]
    assert {"warm_start", "hisso"} <= {row["phase"] for row in rows_of(paths, "decision")}
    for path in (paths.best, paths.warm_start):
        WaveResNetRegressor.load(path)
    assert yaml.safe_load(paths.config_resolved.read_text())["seed"] == metrics["seed"]
    assert json.loads(paths.provenance.read_bytes())["starts"][0]["versions"]["torch"]
    assert "policy" in done.stdout
