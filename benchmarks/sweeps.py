"""What a sweep claims of markets without signal, and what its engine costs.

    OMP_NUM_THREADS=1 python benchmarks/sweeps.py [--parts chance cost] [--repetitions 20]

`chance`: 24 trials on features that tell nothing (planted rho = 0), again and again with other
noise. `cost`: CPU of the same 24 trials by the command and by a loop in one process.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from measuring import ONE_THREAD, description, save

from psann._yaml_text import to_yaml
from psann.evaluation.comparison import growth_difference
from psann.run.execution.context import RunRequest
from psann.run.execution.runner import execute
from psann.run.reading.reading import RunView, read_run
from psann.run.sweep.config import Sweep, load_sweep
from psann.run.sweep.record import candidates_of

N_TRIALS, SURE = 24, 0.95
CONFIG: dict[str, Any] = {
    "estimator": {
        "target": "psann.PSANNRegressor",
        "params": {"hidden_layers": 1, "hidden_units": 16, "activation": "tanh"},
    },
    # No gate: whatever is best on validation is kept.
    "hisso": {"window": 64, "batch_episodes": 16, "updates_per_epoch": 4},
    "data": {"loader": "psann.datasets.make_planted_signal", "kwargs": {"rho": 0.0, "seed": 0}},
    "training": {"epochs": 10, "lr": 0.01, "threads": 1, "engine": "eager"},
    "evaluation": {"trans_cost": 0.0},
    "device": "cpu",
}
SPACE: dict[str, Any] = {
    "training.lr": {"log": [0.001, 0.1]},
    "estimator.params.hidden_units": [8, 16, 32],
    "estimator.params.weight_decay": {"log": [1e-5, 1e-2]},
}


def made_sweep(folder: Path, *, seed: int) -> Sweep:
    """A random search over the recipe, on noise of this seed."""
    kwargs = {**CONFIG["data"]["kwargs"], "seed": seed}
    config = {**CONFIG, "data": {**CONFIG["data"], "kwargs": kwargs}}
    (folder / "run.yaml").write_text(to_yaml(config))
    sweep = {
        **{"config": "run.yaml", "search": "random", "trials": N_TRIALS, "seed": seed},
        "space": SPACE,
    }
    (folder / "sweep.yaml").write_text(to_yaml(sweep))
    return load_sweep(folder / "sweep.yaml")


def looped(sweep: Sweep, folder: Path, *extra: str, most: int = N_TRIALS) -> list[RunView]:
    """The trials one after the other in this process, with the test rows open."""
    runs = []
    for number in range(min(most, sweep.n_trials)):
        overrides = (*(f"{key}={value}" for key, value in sweep.point(number).items()), *extra)
        outcome = execute(
            RunRequest(
                config=sweep.config_path,
                output_dir=folder,
                run_name=f"t{number:04d}",
                overrides=overrides,
                quiet=True,
            )
        )
        assert outcome.exit_code == 0, outcome.message
        runs.append(read_run(folder / f"t{number:04d}"))
    return runs


def skill(run: RunView, n_trials: int) -> float:
    """Probability that a policy beats 1/N by more than the luckiest of so many would."""
    assert run.evaluation is not None
    net = {name: run.evaluation.net[k] for k, name in enumerate(run.evaluation.names)}
    difference = growth_difference(net["policy"], net["uniform"], periods_per_year=252.0)
    return difference.deflated_sharpe(n_trials)


def claims(seed: int) -> dict[str, Any]:
    """What one sweep without signal claims, by how the policy is chosen and what is counted."""
    with tempfile.TemporaryDirectory() as folder:
        runs = looped(made_sweep(Path(folder), seed=seed), Path(folder) / "runs")
        every = sum(candidates_of(run.metrics) for run in runs)
        by_val = max(runs, key=lambda run: run.metrics["monitor_value"] or 0.0)
        by_test = max(runs, key=lambda run: run.metrics["test_reward_mean"] or 0.0)
        versus = by_test.metrics["versus_uniform"] or {}
        own = by_val.metrics["versus_uniform"] or {}
        return {
            "seed": seed,
            "candidates": every,
            "sweep": skill(by_val, every),
            "by_validation_own_candidates": skill(by_val, candidates_of(by_val.metrics)),
            "by_validation_undeflated": own.get("psr"),
            "by_test_undeflated": versus.get("psr"),
        }


def chance(n_repetitions: int) -> dict[str, Any]:
    """How often something is claimed: a probability above 95 % where there is nothing."""
    found = []
    for seed in range(n_repetitions):
        found.append(claims(seed))
        print(found[-1], flush=True)
    names = [name for name in found[0] if name not in ("seed", "candidates")]
    counts = {name: sum((each[name] or 0.0) > SURE for each in found) for name in names}
    return {"repetitions": found, "claims": counts, "of": n_repetitions}


def cost(n_trials: int) -> dict[str, Any]:
    """CPU seconds and wall time per trial, by the command and by a loop."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sweep = made_sweep(folder, seed=0)
        looped(sweep, folder / "warm", "evaluation.withhold_test=true", most=1)
        began, began_s = _cpu_s(), time.monotonic()
        looped(sweep, folder / "loop", "evaluation.withhold_test=true", most=n_trials)
        loop_s, loop_wall_s = _cpu_s() - began, time.monotonic() - began_s
        found = {"loop": {"cpu_s": loop_s / n_trials, "wall_s": loop_wall_s / n_trials}}
        for trials in (1, n_trials):
            found[f"command, {trials} trials"] = _command(folder, trials)
    one, all_ = found["command, 1 trials"], found[f"command, {n_trials} trials"]
    per_trial = (all_["cpu_s"] - one["cpu_s"]) / (n_trials - 1)
    return {
        **found,
        "worker_ready_cpu_s": one["cpu_s"] - per_trial,
        "cpu_per_trial_over_loop": per_trial / found["loop"]["cpu_s"],
        "cpu_s_per_trial": per_trial,
        "engine_cpu_s_per_trial": (all_["own_cpu_s"] - one["own_cpu_s"]) / (n_trials - 1),
    }


def _command(folder: Path, trials: int) -> dict[str, float]:
    text = (folder / "sweep.yaml").read_text()
    file = folder / f"sweep_{trials}.yaml"
    file.write_text(text.replace(f"trials: {N_TRIALS}", f"trials: {trials}"))
    code = (
        "import resource, sys; from psann.scripts.hisso_runs import main; "
        f"code = main(['sweep', {str(file)!r}, '-o', {str(folder / f'out_{trials}')!r}]); "
        "u = resource.getrusage(resource.RUSAGE_SELF); print(u.ru_utime + u.ru_stime); "
        # Waited for, so that its time and that of the trials counts as this process's.
        "from multiprocessing import forkserver; forkserver._forkserver._stop(); "
        "sys.exit(code)"
    )
    before, began_s = _cpu_s(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **ONE_THREAD},
        capture_output=True,
        text=True,
        check=True,
    )
    return {
        "cpu_s": _cpu_s(resource.RUSAGE_CHILDREN) - before,
        "own_cpu_s": float(done.stdout.splitlines()[-1]),
        "wall_s": time.monotonic() - began_s,
    }


def _cpu_s(who: int = resource.RUSAGE_SELF) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Print what was found and write it to `benchmarks/results/sweeps.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["chance", "cost"])
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--trials", type=int, default=N_TRIALS, help="of the part cost")
    options = parser.parse_args()
    report: dict[str, Any] = description("python benchmarks/sweeps.py")
    if "cost" in options.parts:
        report["cost"] = cost(options.trials)
        print(report["cost"], flush=True)
    if "chance" in options.parts:
        report["chance"] = chance(options.repetitions)
        print(report["chance"]["claims"])
    save("sweeps" if len(options.parts) > 1 else f"sweeps_{options.parts[0]}", report)


if __name__ == "__main__":
    main()
