"""Which engine a fit takes: a function of device, size, plan and compiler."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from psann.errors import DeviceError
from psann.nn.network import Network
from psann.nn.wave_resnet import WaveOptions, WaveResNet
from psann.training.engine_choice import (
    EngineChoice,
    PlannedWork,
    choose_engine,
    compiler_problem,
    updates_that_pay,
)
from psann.training.work import work_s
from tiny_training import dense

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
MANY = PlannedWork(n_updates=10**7, rows_per_update=24)


def chosen(asked: Any = "auto", work: PlannedWork = MANY, **how: Any) -> EngineChoice:
    settings = {"device": CPU, "problem_of": lambda device: None, **how}
    return choose_engine(asked, dense(), work, **settings)


def wave(layers: int, units: int, **options: Any) -> Network:
    settings = WaveOptions(hidden_layers=layers, hidden_units=units, **options)
    return WaveResNet(8, 4, options=settings, rng=np.random.default_rng(0))


def work(n_updates: int, rows: int = 24, n_seeds: int = 1) -> PlannedWork:
    return PlannedWork(n_updates=n_updates, rows_per_update=rows, n_seeds=n_seeds)


def test_auto_compiles_from_the_updates_that_pay_on() -> None:
    least = updates_that_pay(dense(), MANY)
    assert chosen(work=work(least - 1)).name == "eager"
    choice = chosen(work=work(least))
    assert (choice.name, choice.least_updates) == ("compiled", least)
    assert f"{least:,} planned updates" in choice.reason


def test_the_more_an_update_computes_the_earlier_compiling_pays() -> None:
    small, large = updates_that_pay(dense(), MANY), updates_that_pay(dense(), work(1, 10**6))
    assert large < small
    assert updates_that_pay(dense(), work(1, 10**4, n_seeds=100)) == large


def test_of_what_is_recorded_more_updates_are_needed_for_compiling_to_pay() -> None:
    cost_s = 25.0 + 0.3 * len(list(dense().parameters()))
    assert updates_that_pay(dense(), MANY) == pytest.approx(cost_s / 0.25e-3, rel=0.01)
    of_the_user = replace(MANY, is_ours=False)
    assert updates_that_pay(dense(), of_the_user) == pytest.approx(cost_s / 1e-3, rel=0.01)
    # Rows of 8 units that are a million numbers with the weights, the most that are recorded.
    most = (1_000_000 - dense().n_products) // 8
    at_most, beyond = (updates_that_pay(dense(), work(1, most + k)) for k in (0, 1))
    arithmetic_s = work_s(dense().n_products, most)
    assert at_most == pytest.approx(cost_s / (0.25e-3 + 0.03 * arithmetic_s), rel=0.01)
    assert beyond == pytest.approx(cost_s / (1e-3 + 0.02 * arithmetic_s), rel=0.01)


def test_every_depth_of_a_growing_network_is_compiled_and_paid_for() -> None:
    growing = wave(4, 8, progressive_depth_initial=1, progressive_depth_growth=2)
    assert growing.n_stages == 3
    assert updates_that_pay(growing, MANY) == pytest.approx(
        3 * updates_that_pay(wave(4, 8), MANY), abs=3
    )


def test_without_a_compiler_auto_is_eager_and_says_so() -> None:
    choice = chosen(problem_of=lambda device: "there is no C++ compiler g++")
    assert choice.name == "eager"
    assert choice.reason == "auto: 10,000,000 planned updates, but there is no C++ compiler g++"


def test_the_probe_is_not_asked_where_nothing_would_be_compiled() -> None:
    def probe(device: torch.device) -> str | None:
        raise AssertionError("asked")

    assert chosen(work=work(3), problem_of=probe).name == "eager"
    assert chosen("eager", problem_of=probe) == EngineChoice(name="eager", reason="as asked")


def test_on_a_gpu_auto_captures_what_is_long_enough() -> None:
    assert chosen(device=CUDA).name == "captured"
    assert chosen(work=work(999), device=CUDA).name == "eager"


@pytest.mark.parametrize("engine", ["eager", "compiled"])
def test_training_that_goes_on_stays_with_its_engine(engine: str) -> None:
    for n_updates in (1, 10**9):
        choice = chosen(work=work(n_updates), resumed=engine)
        assert (choice.name, choice.reason) == (engine, "auto: as when this training began")


def test_an_engine_that_was_asked_for_runs_every_phase() -> None:
    assert chosen("compiled", work(1)) == EngineChoice(name="compiled", reason="as asked")
    assert chosen("captured", work(1), device=CUDA).least_updates == 0


def test_an_engine_that_cannot_run_here_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"captured needs a CUDA device; the device is cpu\. Use"):
        chosen("captured")
    with pytest.raises(DeviceError, match=r"compiled cannot run here: no g\+\+\. Use auto"):
        chosen("compiled", problem_of=lambda device: "no g++")


def test_a_missing_compiler_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert compiler_problem(CPU) == "there is no C++ compiler no-such-compiler"


def test_missing_headers_are_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "python3")  # anything that is there
    monkeypatch.setattr("sysconfig.get_path", lambda name: "/nowhere")
    assert compiler_problem(CPU) == "Python's C headers (Python.h) are not installed"
