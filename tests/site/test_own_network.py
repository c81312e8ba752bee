"""A network of one's own that the command trains, by the pages alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import Reader, block
from psann.run import read_run

NETWORK = block("extending.md", "# my_networks.py")
NAMED = block("extending.md", "estimator: {target: my_networks")


@pytest.mark.slow
def test_a_network_of_ones_own_is_trained_judged_and_acts(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    reader.writes("my_networks.py", NETWORK)
    data = "data: {loader: psann.datasets.make_smoke_market, kwargs: {rows: 200}}"
    reader.writes("own.yaml", NAMED, "hisso: {window: 16}", data, "training: {epochs: 2}")
    train = "python -m psann.scripts.hisso_log_run --config own.yaml --output-dir runs --device cpu"
    for name in ("own", "again"):
        reader.does(f"{train} --run-name {name}")
    runs = [tmp_path / "runs" / name for name in ("own", "again")]
    assert read_run(runs[0]).status == "completed"
    first, again = (run / "checkpoints" / "best.safetensors" for run in runs)
    assert first.read_bytes() == again.read_bytes()
    act = "PYTHONPATH=. hisso-runs act runs/own --last -o w.csv"
    assert "--allow-import" in reader.does(act, code=1)
    reader.does(f"{act} --allow-import my_networks")
    weights = (tmp_path / "w.csv").read_text().splitlines()[-1].split(",")[1:]
    assert sum(map(float, weights)) == pytest.approx(1.0)
