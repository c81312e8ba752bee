"""Trains benchmark cases in a process of its own, with whichever psann it can import.

Started by the other benchmarks, in this environment or in the one of the published package: reads
one job per line of JSON, answers with one line. Both packages are driven by what they promise
their users: `fit`, and a function of theirs that is called in every update or launch.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from cases import CASES, Case, series


class EnoughError(Exception):
    """Raised inside `fit` when all that was asked for is measured."""


class Meter:
    """Times a span of updates after the first ones, which pay for caches and compilers.

    Parameters
    ----------
    warm_s, measure_s : float
        Seconds, at least.
    clock : {"cpu", "wall"}
        Which seconds; on a busy machine those of the wall would measure the neighbours.
    """

    def __init__(self, *, warm_s: float, measure_s: float, clock: str = "cpu") -> None:
        self.warm_s, self.measure_s = warm_s, measure_s
        self.clock = 2 if clock == "cpu" else 1
        self.begin: float | None = None
        self.first: tuple[int, float, float] | None = None
        self.last: tuple[int, float, float] | None = None

    def tick(self, update: int) -> None:
        """Note that so many updates are done."""
        now = (update, time.perf_counter(), time.process_time())
        if self.begin is None:
            self.begin = now[self.clock]  # what came before is setup, or the compiler
        elif self.first is None:
            if now[self.clock] - self.begin >= self.warm_s:
                self.first = now
        elif now[self.clock] - self.first[self.clock] >= self.measure_s:
            self.last = now
            raise EnoughError

    def result(self) -> dict[str, float]:
        """Updates and seconds between the two marks."""
        assert self.first is not None and self.last is not None, "the fit ended too early"
        updates, wall_s, cpu_s = (b - a for a, b in zip(self.first, self.last, strict=True))
        return {"updates": updates, "wall_s": wall_s, "cpu_s": cpu_s}


def fit_published(case: Case, epochs: int, seed: int, tick: Callable[[int], None] | None) -> None:
    """Fit the published package's estimator; its context extractor is called once per update."""
    from psann.episodes import multiplicative_return_reward

    import psann

    X, prices = series(case, seed=seed)
    done = 0

    def context(inputs: Any) -> Any:
        nonlocal done
        if tick is not None:
            tick(done)
        done += 1
        return inputs[..., : case.n_assets]

    params = dict(case.params)
    params["activation_type"] = params.pop("activation", "psann")
    if case.estimator == "WaveResNetRegressor":
        params |= {"w0_warmup_epochs": 0, "residual_alpha_init": 0.1}
    else:
        params["w0"] = 1.0
    model = getattr(psann, case.estimator)(
        **params, epochs=epochs, lr=1e-3, random_state=seed, device="cpu"
    )
    model.fit(
        X,
        prices.astype("float32"),
        hisso=True,
        verbose=0,
        hisso_window=case.window,
        hisso_batch_episodes=case.batch_episodes,
        hisso_updates_per_epoch=case.updates_per_epoch,
        hisso_primary_transform="softmax",
        hisso_transition_penalty=1e-3,
        hisso_reward_fn=multiplicative_return_reward,
        hisso_context_extractor=context,
    )


def fit_ours(
    case: Case, epochs: int, seed: int, tick: Callable[[int], None] | None, job: dict[str, Any]
) -> list[str]:
    """Fit this package's estimator, or one per seed; returns what it decided on the way."""
    import psann
    from psann.training.observers import Observer

    X, prices = series(case, seed=seed)
    decisions: list[str] = []

    class Ticker(Observer):
        def on_decision(self, decision: Any) -> None:
            decisions.append(decision.message)

        def on_launch(self, state: Any) -> None:
            if tick is not None and state.seed == seed:  # of several seeds, the first
                tick(state.update)

    model = getattr(psann, case.estimator)(
        **case.params,
        **{"threads": 1, "device": "cpu", **job.get("settings", {})},
        epochs=epochs,
        lr=1e-3,
        clip_norm=1.0,
        random_state=seed,
    )
    hisso = {
        "window": case.window,
        "batch_episodes": case.batch_episodes,
        "updates_per_epoch": case.updates_per_epoch,
        "reward": case.reward,
        "transition_penalty": 1e-3,
    }
    how = {"prices": prices, "hisso": hisso, "observers": [Ticker()]}
    with contextlib.suppress(EnoughError), tempfile.TemporaryDirectory() as folder:
        if job.get("mapped"):
            np.save(f"{folder}/X.npy", X)
            X = np.load(f"{folder}/X.npy", mmap_mode="r")
        if "seeds" in job:
            psann.fit_seeds(model, range(seed, seed + job["seeds"]), X, **how)
        else:
            model.fit(X, **how)
    return decisions


def is_published() -> bool:
    """Whether the psann of this environment is the published one."""
    import psann

    return "engine" not in inspect.signature(psann.PSANNRegressor).parameters


def work(job: dict[str, Any]) -> dict[str, Any]:
    """One measurement, or one complete fit where `measure_s` is not given."""
    case = replace(CASES[job["case"]], **job.get("changes", {}))
    if job.get("keeps_memory"):
        from psann._allocator import keep_freed_memory

        keep_freed_memory()
    epochs = max(1, job["planned_updates"] // case.updates_per_epoch)
    meter = None
    if "measure_s" in job:
        meter = Meter(
            warm_s=job.get("warm_s", 0.3),
            measure_s=job["measure_s"],
            clock=job.get("clock", "cpu"),
        )
    tick = None if meter is None else meter.tick
    decisions: list[str] = []
    if is_published():
        with contextlib.suppress(EnoughError):
            fit_published(case, epochs, 0, tick)
    else:
        decisions = fit_ours(case, epochs, 0, tick, job)
    result: dict[str, Any] = {"decisions": decisions}
    if meter is not None:
        result |= meter.result()
        result["episodes"] = result["updates"] * case.batch_episodes
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result["peak_bytes"] = peak * 1024
    return result


def main() -> None:
    for line in sys.stdin:
        try:
            answer = work(json.loads(line))
        except ValueError as error:  # a setting that this release does not have
            answer = {"error": str(error)}
        print("answer", json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
