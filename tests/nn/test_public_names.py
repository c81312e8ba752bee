"""The networks are public torch modules: a frozen list, docstrings."""

from __future__ import annotations

import inspect

import torch

import psann.nn


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
