"""CPU seconds until the commands answer: help, mistakes, a first update, looks at a run; imports.

Run from the repository root::

    python benchmarks/startup.py

Each case is a process of its own, the cases in turn, so that a busy moment of the machine meets
all of them. The figure is user plus system time of the whole process, as the kernel counts it.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from measuring import cpu_seconds, description, median, save

BAD_CONFIG = """\
estimator: {target: psann.PSANNRegressor, params: {hidden_units: 32}}
hisso: {windw: 3, transition_penalty: -1}
data: {loader: psann.datasets.load_olps, kwargs: {name: nyse_o}}
training: {lr: fast}
"""
# A whole run of one update, from the command to its last file.
FIRST_UPDATE = """\
estimator: {target: psann.PSANNRegressor, params: {hidden_layers: 1, hidden_units: 32}}
hisso: {window: 24, batch_episodes: 8, updates_per_epoch: 1}
data: {loader: psann.datasets.make_smoke_market, kwargs: {rows: 200}}
training: {epochs: 1, engine: eager}
"""
# What a run takes of psann, torch and scikit-learn before it reads its data.
IMPORTS = "from psann.run.execution import runner; runner._load_libraries()"
PYDANTIC = "from pydantic import BaseModel"
# The least of what a configuration in YAML needs of pydantic: reading, and one model of one field.
MODEL = """\
import yaml
from pydantic import BaseModel
class One(BaseModel):
    x: int = 0
One(**yaml.safe_load("x: 1"))
"""
# A mistake in a configuration may cost so many times what importing pydantic does.
TIMES_PYDANTIC = 1.3
_OF_RUNS = ("status", "ls", "show", "verify")
GOALS_S = {
    "--help": 0.3,
    "misspelt flag": 0.3,
    "a run of one update": 5.0,
    "hisso-runs verify": 1.0,
}
_LOG_RUN, _RUNS = ["-m", "psann.scripts.hisso_log_run"], ["-m", "psann.scripts.hisso_runs"]


def cases_in(folder: Path) -> dict[str, list[str]]:
    """What Python is started with, in a folder with what that needs."""
    (folder / "bad.yaml").write_text(BAD_CONFIG)
    (folder / "first.yaml").write_text(FIRST_UPDATE)
    run = [*_LOG_RUN, "--config", "bad.yaml", "--output-dir", "out"]
    first = [*_LOG_RUN, "--config", "first.yaml", "--output-dir", "out", "--device", "cpu"]
    cpu_seconds([*first, "--run-name", "kept"], folder=folder)
    return {
        "--help": [*_LOG_RUN, "--help"],
        "misspelt flag": [*run, "--outptu-dir", "x"],
        PYDANTIC: ["-c", PYDANTIC],
        "YAML and a model of one field": ["-c", MODEL],
        "bad configuration, --check": [*run, "--check"],
        "bad configuration, run": run,
        "imports of a run": ["-c", IMPORTS],
        "a run of one update": first,
        "a good configuration, --check": [*first, "--check"],
        **{f"hisso-runs {name}": [*_RUNS, name, "out/kept"] for name in _OF_RUNS},
    }


def goal_s(case: str, pydantic_s: float) -> float | None:
    """CPU seconds that a case may take; None where nothing is asked."""
    if case.startswith("bad configuration"):
        return TIMES_PYDANTIC * pydantic_s
    return GOALS_S.get(case)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    times: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = cases_in(folder)
        for _ in range(options.repeats):
            for case, arguments in cases.items():
                seconds = cpu_seconds(arguments, folder=folder, may_fail="bad.yaml" in arguments)
                times.setdefault(case, []).append(seconds)
    report = description("python benchmarks/startup.py") | {"repeats": options.repeats, "cases": []}
    print(f"load {os.getloadavg()[0]:.1f}; {options.repeats} starts each; seconds of CPU")
    print(f"{'case':<32}{'median':>8}{'lowest':>8}{'highest':>9}{'goal':>6}")
    for case, values in times.items():
        goal = goal_s(case, median(times[PYDANTIC]))
        row = {"case": case, "cpu_s": median(values), "goal_s": goal}
        report["cases"].append(row)
        print(
            f"{case:<32}{row['cpu_s']:>8.3f}{min(values):>8.3f}{max(values):>9.3f}"
            f"{'-' if goal is None else format(goal, '.2f'):>6}"
        )
    report["load_at_the_end"] = round(os.getloadavg()[0], 2)
    if not options.no_save:
        save("startup", report)


if __name__ == "__main__":
    main()
