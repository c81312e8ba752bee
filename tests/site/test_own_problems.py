"""Every block of `docs/own_problems.md` does what it says."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from pages import ROOT, block, blocks
from psann import PSANNRegressor
from psann.scripts.hisso_log_run import main

YAML, PYTHON = (
    [each.text for each in blocks("own_problems.md") if each.kind == kind]
    for kind in ("yaml", "python")
)
(COMMAND,) = block("own_problems.md", "hisso-log-run").commands
ENDING = block("own_problems.md", "battery: completed").text
COMPARED = block("own_problems.md", "do nothing").text


def test_the_configuration_is_that_of_the_template() -> None:
    template = (ROOT / "configs" / "hisso" / "battery.yaml").read_text()
    assert yaml.safe_load(template) == {"mode": "train", **yaml.safe_load(YAML[0])}


def test_the_reward_of_the_page_is_learnt() -> None:
    space: dict[str, Any] = {}
    exec(PYTHON[1], space)
    hisso = yaml.safe_load(YAML[1])["hisso"]
    assert hisso.pop("reward") == "my_house:comfort"
    outside = 10 + 5 * np.sin(np.arange(200) / 4)
    price = np.full(200, 0.1)
    given = {"reward_inputs": {"outside": outside, "price": price}}
    policy = PSANNRegressor(hidden_layers=1, hidden_units=8, epochs=80, lr=3e-2, random_state=0)
    policy.fit(outside[:, None] / 10, hisso={**hisso, "reward": space["comfort"]}, **given)
    actions = policy.predict_actions(outside[:, None] / 10)[:, 0]
    # (20 - outside) / 10, less half a price's worth of a degree.
    np.testing.assert_allclose(actions, (20 - outside - 0.05) / 10, atol=0.1)


@pytest.mark.slow
def test_the_run_of_the_page_saves_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = COMMAND.split()[1:]
    arguments[1] = str(ROOT / arguments[1])
    assert main(arguments) == 0
    told = r"reward ([-0-9.]+)"
    found = re.findall(told, capsys.readouterr().out)[-3:]
    expected = re.findall(told, ENDING)
    np.testing.assert_allclose(list(map(float, found)), list(map(float, expected)), atol=1e-3)
    with redirect_stdout(io.StringIO()) as printed:
        exec(PYTHON[0], {})
    lines = [line.rpartition(" ") for line in printed.getvalue().splitlines()]
    wanted = [line.rpartition(" ") for line in COMPARED.splitlines()]
    assert [line[0] for line in lines] == [line[0] for line in wanted]
    np.testing.assert_allclose(
        [float(line[2]) for line in lines], [float(line[2]) for line in wanted], atol=1e-3
    )
