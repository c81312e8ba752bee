"""Two runs brought home, verified, compared and reported, by the page alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from pages import Block, Reader, block, missing_lines, shape, words

NODE = block("from_node_to_paper.md", "ssh node")
STEPS = [
    block("from_node_to_paper.md", start)
    for start in (
        "$ hisso-runs pack",
        "$ hisso-runs unpack",
        "$ hisso-runs verify",
        "$ hisso-runs compare",
        "$ hisso-runs report runs/nyse_o runs/nyse_o_slow",
        "$ hisso-runs report runs/nyse_o --format",
    )
]


def _differing(shown: Block, said: str) -> list[str]:
    """Lines that the program does not say in this form, whichever of the two runs is better."""
    star = [line.replace("*", " ") for line in missing_lines(shown, said)]
    like = {shape(line.replace("*", " ")) for line in said.splitlines()}
    return [line for line in star if shape(line) not in like]


@pytest.mark.slow
def test_runs_come_home_and_are_compared(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    trains = [" ".join(words(c)) for c in NODE.commands if "hisso-log-run" in c]
    assert len(trains) == 2
    for train in trains:
        reader.does(f"{train} --set training.epochs=8")
    for step in STEPS:
        (command,) = step.commands
        if "unpack" in command:
            reader.does("mv runs/nyse_o runs/before")
        said = reader.does(command)
        assert _differing(step, said) == [], str(step)
    assert "<svg" in (tmp_path / "report.html").read_text()
    pictures = [*(tmp_path / "nyse_o-figures").iterdir()]
    assert len(pictures) >= 3 and f" {len(pictures)} pictures" in said
