"""What an update costs on a CUDA device: engines side by side, and what the card itself can do.

Run from the repository root::

    python benchmarks/gpu.py

The cases of the CPU benchmark on a card, timed with CUDA events around whole launches after a
warm-up, the engines in turn; then the rate of plain matrix products and of copies, which are the
floor of case L. Results go to `benchmarks/results/gpu.json` with card and versions. Without a CUDA
device it says so and ends with exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from cases import CASES, Case, series
from measuring import description, median, save

import psann
from psann.training.observers import Observer

_GOALS = {"S": 5_000, "M": 5_000}  # updates per second
_ENGINES = ("eager", "compiled", "captured")
_MEASURE_S = 0.5
_LONG = 10_000_000


class EnoughError(Exception):
    """Raised inside `fit` when all that was asked for is measured."""


class EventTimer(Observer):
    """Updates and device seconds between two launches, by CUDA events.

    Parameters
    ----------
    warm_updates : int
        Updates before the first event: they pay for compiling, capturing and cold caches.
    measure_s : float
        Device seconds between the events, at least.
    """

    def __init__(self, *, warm_updates: int, measure_s: float) -> None:
        self.warm_updates, self.measure_s = warm_updates, measure_s
        self.first: torch.cuda.Event | None = None
        self.first_update = 0
        self.updates, self.seconds = 0, 0.0
        self.decision = ""

    def on_decision(self, decision: Any) -> None:
        """Keep what is said about the engine."""
        if decision.message.startswith("engine "):
            self.decision = decision.message

    def on_launch(self, state: Any) -> None:
        """Record an event; stop when enough time is between the two."""
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        if self.first is None:
            if state.update >= self.warm_updates:
                self.first, self.first_update = event, state.update
            return
        event.synchronize()
        self.seconds = self.first.elapsed_time(event) / 1e3
        self.updates = state.update - self.first_update
        if self.seconds >= self.measure_s:
            raise EnoughError


def measure(case: Case, engine: str, *, mixed_precision: bool = False) -> dict[str, Any]:
    """One measurement of a case; `error` says why an engine cannot run it."""
    X, prices = series(case)
    timer = EventTimer(warm_updates=3 * case.updates_per_epoch, measure_s=_MEASURE_S)
    try:
        model = getattr(psann, case.estimator)(
            **case.params,
            engine=engine,
            device="cuda",
            epochs=_LONG // case.updates_per_epoch,
            random_state=0,
        )
        model.fit(
            X,
            prices=prices,
            hisso={
                "window": case.window,
                "batch_episodes": case.batch_episodes,
                "updates_per_epoch": case.updates_per_epoch,
                "reward": case.reward,
                "transition_penalty": 1e-3,
                "mixed_precision": mixed_precision,
            },
            observers=[timer],
        )
    except EnoughError:
        return {"updates_per_s": timer.updates / timer.seconds, "decision": timer.decision}
    except ValueError as error:
        return {"error": str(error)}
    raise AssertionError("the fit ended before it was measured")


def rate(work: float, action: Callable[[], object], repeats: int) -> float:
    """Work per second of an action, the median over repeats, by CUDA events."""
    for _ in range(3):
        action()
    seconds = []
    for _ in range(repeats):
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        begin.record()
        for _ in range(10):
            action()
        end.record()
        end.synchronize()
        seconds.append(begin.elapsed_time(end) / 1e4)
    return work / median(seconds)


def card_rates(repeats: int) -> dict[str, float]:
    """Matrix products and copies of the sizes of case L, with random numbers."""
    case = CASES["L"]
    rows, width = case.window * case.batch_episodes, case.params["hidden_units"]
    a, b = torch.randn(rows, width, device="cuda"), torch.randn(width, width, device="cuda")
    large = torch.randn(2**26, device="cuda")
    target = torch.empty_like(large)
    flops = 2.0 * rows * width * width
    return {
        "matmul_flops_per_s": rate(flops, lambda: a @ b, repeats),
        "copy_bytes_per_s": rate(2.0 * large.nbytes, lambda: target.copy_(large), repeats),
    }


def arithmetic_share(case: Case, updates_per_s: float, rates: dict[str, float]) -> float:
    """Share of the card's measured matrix rate that a case reaches."""
    width, depth = case.params["hidden_units"], case.params["hidden_layers"]
    weights = case.n_features * width + 2 * depth * width**2 + width * case.n_assets
    flops = 6.0 * weights * case.window * case.batch_episodes  # forward, and twice that backward
    return updates_per_s * flops / rates["matmul_flops_per_s"]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and write `benchmarks/results/gpu.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7, help="measurements per figure")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    if not torch.cuda.is_available():
        print(f"no CUDA device here (torch {torch.__version__}): nothing was measured")
        return 2
    report = description("python benchmarks/gpu.py")
    report |= {"card": torch.cuda.get_device_name(), "cuda": torch.version.cuda, "cases": []}
    report["card_rates"] = rates = card_rates(options.repeats)
    print(f"{report['card']}: {rates['matmul_flops_per_s'] / 1e12:.1f} TFLOP/s in products of L")
    contenders = [(name, engine, False) for name in ("S", "M", "L") for engine in _ENGINES]
    contenders += [("L", "captured", True)]
    answers: dict[tuple[str, str, bool], list[dict[str, Any]]] = {each: [] for each in contenders}
    for _ in range(options.repeats):
        for contender, given in answers.items():
            if not given or "error" not in given[0]:
                name, engine, mixed = contender
                given.append(measure(CASES[name], engine, mixed_precision=mixed))
    for (name, engine, mixed), found in answers.items():
        row: dict[str, Any] = {"case": name, "engine": engine, "mixed_precision": mixed}
        if "error" in found[0]:
            row["error"] = found[0]["error"]
        else:
            row["updates_per_s"] = median([each["updates_per_s"] for each in found])
            row["decision"] = found[0]["decision"]
            if name == "L":
                row["matrix_rate_share"] = arithmetic_share(
                    CASES[name], row["updates_per_s"], rates
                )
        report["cases"].append(row)
        goal = f" (goal {_GOALS[name]:,}/s)" if name in _GOALS else ""
        print({key: value for key, value in row.items() if key != "decision"}, goal, flush=True)
    if not options.no_save:
        save("gpu", report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
