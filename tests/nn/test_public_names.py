"""The networks are public torch modules: a frozen list, docstrings, an example that learns."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import torch

import psann.nn

EXTENDING = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


def test_the_public_names_are_these() -> None:
    assert psann.nn.__all__ == [
        "AssetwiseNetwork",
        "DenseNetwork",
        "Network",
        "NetworkShape",
        "ResidualNetwork",
        "SineOptions",
        "SineParam",
        "StateOptions",
        "UnitOptions",
        "WaveOptions",
        "WaveResNet",
    ]


def test_every_public_class_says_what_it_is_and_networks_are_modules() -> None:
    for name in psann.nn.__all__:
        public = getattr(psann.nn, name)
        assert inspect.getdoc(public)
        if name.endswith(("Network", "Net", "Param")):
            assert issubclass(public, torch.nn.Module)
            assert public.forward.__doc__


def test_the_example_of_the_page_learns_a_fast_wave() -> None:
    section = EXTENDING.read_text().partition("## The networks as torch modules")[2]
    (block,) = re.findall(r"```python\n(.*?)```", section.partition("\n## ")[0], flags=re.DOTALL)
    assert len(block.splitlines()) <= 12
    names: dict[str, Any] = {}
    exec(compile(block, "docs/extending.md", "exec"), names)
    assert names["loss"].item() < 0.01
