"""What an update costs on one thread of a CPU, beside the published package on the same work.

Run from the repository root (or `make bench`)::

    python benchmarks/cpu.py

Same network, series, windows, episodes, optimiser and clip; the packages take turns, so that a
busy moment of the machine meets both. Figures are medians of CPU seconds, with wall seconds in
the JSON file. Four tables: updates after the compiler has been paid (`auto` as planned for a long
run); whole short runs with start-up; episodes; K seeds at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from cases import CASES
from measuring import PUBLISHED, WholeProcess, Worker, description, median, published_python, save

# As many updates as make `auto` take the compiler, if it ever does.
_LONG = 10_000_000
_GOALS = {"S": 20.0, "M": 4.0, "M-320": 8.0, "M-1000": 4.0, "L": 1.5}
_EAGER_GOALS = {"S": 2.1, "M": 1.6, "M-320": 4.7, "L": 1.1}
_EPISODES_GOALS = {"episodes-tanh": 10_000, "episodes-sine": 6_000}
_SEEDS_GOALS = {("S", 16): "150x compiled", ("S", 64): "55x eager", ("M", 8): "4x"}
_SHORT = {"S": 4096, "M": 512}
_Contenders = dict[str, Callable[[], dict[str, Any]]]


def in_turn(contenders: _Contenders, repeats: int) -> dict[str, list[dict[str, Any]]]:
    """Answers of every contender, one of each per round.

    One that cannot is asked once only, and so is `auto` where it chose the eager engine: it would
    measure that a second time.
    """
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, measure in contenders.items():
            if not answers[name] or not is_settled(name, answers[name][0]):
                answers[name].append(measure())
    if "auto" in answers and "error" not in answers["auto"][0] and len(answers["auto"]) < repeats:
        decisions = answers["auto"][0]["decisions"]
        answers["auto"] = [{**answer, "decisions": decisions} for answer in answers["eager"]]
    return answers


def is_settled(name: str, answer: dict[str, Any]) -> bool:
    """Whether one answer of a contender is enough."""
    decisions = answer.get("decisions", [])
    is_eager = any(decision.startswith("engine eager") for decision in decisions)
    return "error" in answer or (name == "auto" and is_eager)


class Team:
    """One worker per package, so that each keeps its caches and none sees the other's."""

    def __init__(self, published: str | None, measure_s: float) -> None:
        self.ours = Worker(sys.executable)
        self.published = None if published is None else Worker(published)
        self.measure_s = measure_s

    def contenders(self, case: str, engines: Sequence[str]) -> _Contenders:
        """How to measure a case: the published package, and ours by engine."""
        job = {"case": case, "planned_updates": _LONG, "measure_s": self.measure_s}

        def ours(engine: str) -> Callable[[], dict[str, Any]]:
            return lambda: self.ours.ask({**job, "settings": {"engine": engine}})

        found: _Contenders = {engine: ours(engine) for engine in engines}
        if (published := self.published) is not None:
            found = {"published": lambda: published.ask(job), **found}
        return found

    def close(self) -> None:
        """End the workers."""
        for worker in (self.ours, self.published):
            if worker is not None:
                worker.close()


def per_update_ms(answers: Sequence[dict[str, Any]], clock: str = "cpu_s") -> float | None:
    """Median milliseconds per update; None for a contender that could not."""
    if not answers or "error" in answers[0]:
        return None
    return median([1e3 * answer[clock] / answer["updates"] for answer in answers])


def summarised(case: str, answers: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The row of a case in the JSON file."""
    row: dict[str, Any] = {"case": case, "what": CASES[case].what, "repeats": len(answers["eager"])}
    published = per_update_ms(answers.get("published", []))
    for name, given in answers.items():
        if "error" in given[0]:
            row[name] = {"error": given[0]["error"]}
            continue
        cpu, wall = per_update_ms(given), per_update_ms(given, "wall_s")
        assert cpu is not None
        row[name] = {
            "cpu_ms_per_update": cpu,
            "wall_ms_per_update": wall,
            "cpu_ms_each": [round(1e3 * a["cpu_s"] / a["updates"], 4) for a in given],
            "episodes_per_cpu_s": 1e3 * CASES[case].batch_episodes / cpu,
            "decision": next((d for d in given[0]["decisions"] if d.startswith("engine ")), None),
        }
        if published is not None and name != "published":
            row[name]["ratio"] = published / cpu
    return row


def updates(team: Team, repeats: int) -> list[dict[str, Any]]:
    """Updates of long runs, with the compiler paid."""
    engines = ("eager", "auto")
    print("\n1. milliseconds of CPU per update, and times faster than the published package")
    print(
        f"{'case':<8}{'published':>10}{'eager':>9}{'':>8}{'goal':>7}{'auto':>9}{'':>8}{'goal':>7}"
    )
    rows = []
    for case in _GOALS:
        row = summarised(case, in_turn(team.contenders(case, engines), repeats))
        rows.append(row | {"goal": _GOALS[case]})
        cells = [cell(row.get("published"), "cpu_ms_per_update", 10)]
        for engine, goals in (("eager", _EAGER_GOALS), ("auto", _GOALS)):
            goal = f"{goals[case]:g}x" if case in goals else ""
            cells += [cell(row[engine], "cpu_ms_per_update", 9), times(row[engine]), f"{goal:>7}"]
        print(f"{case:<8}{''.join(cells)}  {row['auto'].get('decision', '')}", flush=True)
    return rows


def cell(result: dict[str, Any] | None, key: str, width: int) -> str:
    """A number of a table, or a dash."""
    value = None if result is None else result.get(key)
    return f"{'-':>{width}}" if value is None else f"{value:>{width}.3f}"


def times(result: dict[str, Any]) -> str:
    """A ratio of a table, or a dash."""
    return f"{result['ratio']:>7.2f}x" if "ratio" in result else f"{'-':>8}"


def short_runs(published: str | None, repeats: int) -> list[dict[str, Any]]:
    """Whole processes: start, imports, a short fit."""
    print("\n2. a whole short run with its start-up, CPU seconds of the process")
    rows = []
    for case, updates in _SHORT.items():
        job = {"case": case, "planned_updates": updates}

        def process(python: str, engine: str, job: dict[str, Any] = job) -> dict[str, Any]:
            return dict(WholeProcess(python, {**job, "settings": {"engine": engine}}).wait())

        contenders: _Contenders = {
            engine: lambda engine=engine, process=process: process(sys.executable, engine)
            for engine in ("eager", "auto")
        }
        if published is not None:
            contenders["published"] = lambda process=process: process(published, "")
        answers = in_turn(contenders, repeats)
        row: dict[str, Any] = {"case": case, "updates": updates, "repeats": repeats, "goal": 1.5}
        for name, given in answers.items():
            row[name] = {key: median([a[key] for a in given]) for key in given[0]}
        if published is not None:
            row["ratio"] = row["published"]["cpu_s"] / row["auto"]["cpu_s"]
        rows.append(row)
        seconds = ", ".join(f"{name} {row[name]['cpu_s']:.2f} s" for name in answers)
        against = f"; auto is {row['ratio']:.2f}x the published (goal 1.5x)" if published else ""
        print(f"{case}, {updates} updates: {seconds}{against}", flush=True)
    return rows


def episodes(team: Team, repeats: int) -> list[dict[str, Any]]:
    """Episodes per CPU second, drift-aware reward; the published package has its own reward."""
    print("\n3. episodes per CPU second")
    rows = []
    for case in (name for name in CASES if name.startswith("episodes")):
        answers = in_turn(team.contenders(case, ("eager", "auto")), repeats)
        row = summarised(case, answers)
        rows.append(row | {"goal": _EPISODES_GOALS.get(case)})
        figures = ", ".join(
            f"{name} {row[name]['episodes_per_cpu_s']:,.0f}"
            for name in answers
            if "error" not in row[name]
        )
        goal = f" (goal {_EPISODES_GOALS[case]:,})" if case in _EPISODES_GOALS else ""
        print(f"{case}: {figures}{goal}", flush=True)
    return rows


def seeds(team: Team, repeats: int) -> list[dict[str, Any]]:
    """Several seeds in one program, per model and update, beside one published run."""
    print("\n4. K seeds at once: milliseconds of CPU per update and model")
    rows = []
    for case, k in _SEEDS_GOALS:
        job = {"case": case, "planned_updates": _LONG, "measure_s": team.measure_s}

        def group(engine: str, job: dict[str, Any] = job, k: int = k) -> dict[str, Any]:
            answer = team.ours.ask({**job, "seeds": k, "settings": {"engine": engine}})
            if "error" not in answer:
                answer["updates"] *= k
            return answer

        contenders = team.contenders(case, ())
        for engine in ("eager", "auto"):
            contenders[engine] = lambda engine=engine, group=group: group(engine)
        answers = in_turn(contenders, repeats)
        row = summarised(case, answers) | {"seeds": k, "goal": _SEEDS_GOALS[case, k]}
        rows.append(row)
        figures = ", ".join(
            f"{engine} {cell(row[engine], 'cpu_ms_per_update', 0)} ({times(row[engine]).strip()})"
            for engine in ("eager", "auto")
        )
        published = cell(row.get("published"), "cpu_ms_per_update", 0)
        print(
            f"{case}, K={k}: published {published}, {figures}; goal {_SEEDS_GOALS[case, k]}",
            flush=True,
        )
    return rows


SECTIONS = ("updates", "short_runs", "episodes", "seeds")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print, and write a file per section to `benchmarks/results`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=7, help="measurements per figure")
    parser.add_argument("--measure-s", type=float, default=1.0, help="CPU seconds of each")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args(argv)
    published, repeats = published_python(), options.repeats
    print(f"load {os.getloadavg()[0]:.1f}, {repeats} measurements per figure, in turn")
    team = Team(published, options.measure_s)
    measurements: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "updates": lambda: updates(team, repeats),
        "short_runs": lambda: short_runs(published, repeats),
        "episodes": lambda: episodes(team, repeats),
        "seeds": lambda: seeds(team, repeats),
    }
    for name in options.only:
        report = description(f"python benchmarks/cpu.py --only {name}")
        report |= {"published": published and PUBLISHED, "repeats": repeats}
        report["cases"] = measurements[name]()
        report["load_at_the_end"] = round(os.getloadavg()[0], 2)
        if not options.no_save:
            save(name, report)
    team.close()


if __name__ == "__main__":
    main()
