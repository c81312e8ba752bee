"""Tables and plots of `docs/performance.md`, made from the JSON files in `benchmarks/results`.

Run from the repository root, after the benchmarks::

    python benchmarks/plots.py

Tables replace what stands between `<!-- table NAME -->` and `<!-- end -->`; plots become SVG
files in `docs/images`. What was not measured is left out. Needs matplotlib (`psann[report]`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

from drawing import pyplot
from measuring import HERE, RESULTS

DOCS = HERE.parent / "docs"
PAGE = DOCS / "performance.md"
IMAGES = DOCS / "images"
Result = dict[str, Any]


def results() -> dict[str, Result]:
    """Every report by its name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))}


def measured(result: Result) -> str:
    """One line that says where, when and how a report was made."""
    machine, versions = result["machine"], result["versions"]
    return (
        f"`{result['command']}`, {result['date']}: {machine['processor']}, {machine['cores']} "
        f"cores, load {machine['load']:g} to {result['load_at_the_end']:g}; torch "
        f"{versions['torch']}, Python {versions['python']}."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float | None, digits: int = 2) -> str:
    """A number for a table; a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def of(row: Result, name: str, key: str) -> float | None:
    """A figure of a contender, None if it was not measured."""
    value: float | None = row.get(name, {}).get(key)
    return value


def times(value: float | None) -> str:
    """A ratio for a table."""
    return "-" if value is None else f"{value:.2f}x"


def updates_table(result: Result) -> str:
    """Updates of long runs."""
    rows = [
        [
            row["case"],
            row["what"],
            number(of(row, "published", "cpu_ms_per_update")),
            number(of(row, "eager", "cpu_ms_per_update")),
            times(of(row, "eager", "ratio")),
            number(of(row, "auto", "cpu_ms_per_update"), 3),
            times(of(row, "auto", "ratio")),
            times(row.get("goal")),
            row["auto"].get("decision", "").partition(", ")[0].removeprefix("engine "),
        ]
        for row in result["cases"]
    ]
    head = ["case", "work", "published, ms", "eager, ms", "", "auto, ms", "", "goal", "auto takes"]
    return f"{table(head, rows)}\n\n{measured(result)}"


def floors_table(result: Result) -> str:
    """Arithmetic by itself."""
    rows = [
        [
            row["case"],
            str(row["seeds"]),
            number(row["mflop"], 2),
            number(row["products_ms"], 4),
            number(row["mflop"] / row["products_ms"], 0),
            number(row["functions_ms"], 4),
            number(row.get("compiled_ms"), 4),
            number(row.get("of_floor"), 2),
        ]
        for row in result["cases"]
    ]
    products = ["MFLOP of products", "products, ms", "GFLOP/s"]
    head = ["case", "K", *products, "sin, cos and exp, ms", "compiled update, ms", "of both"]
    return f"{table(head, rows)}\n\n{measured(result)}"


def episodes_table(result: Result) -> str:
    """Episodes per CPU second."""
    rows = [
        [
            row["what"],
            *(
                number(of(row, name, "episodes_per_cpu_s"), 0)
                for name in ("published", "eager", "auto")
            ),
            number(row.get("goal"), 0),
        ]
        for row in result["cases"]
    ]
    made = table(["case", "published", "eager", "auto", "goal"], rows)
    return f"{made}\n\n{measured(result)}"


def seeds_table(result: Result) -> str:
    """Several seeds in one program."""
    rows = [
        [
            row["case"],
            str(row["seeds"]),
            number(of(row, "published", "cpu_ms_per_update")),
            number(of(row, "eager", "cpu_ms_per_update"), 3),
            times(of(row, "eager", "ratio")),
            number(of(row, "auto", "cpu_ms_per_update"), 3),
            times(of(row, "auto", "ratio")),
            row["goal"],
        ]
        for row in result["cases"]
    ]
    head = ["case", "K", "published, ms", "eager, ms per model", "", "auto, ms per model", ""]
    return f"{table([*head, 'goal'], rows)}\n\n{measured(result)}"


def short_table(result: Result) -> str:
    """Short runs with their start-up."""
    rows = [
        [
            row["case"],
            f"{row['updates']:,}",
            *(number(of(row, name, "cpu_s")) for name in ("published", "eager", "auto")),
            times(row.get("ratio")),
            times(row.get("goal")),
        ]
        for row in result["cases"]
    ]
    made = table(["case", "updates", "published, s", "eager, s", "auto, s", "", "goal"], rows)
    return f"{made}\n\n{measured(result)}"


def growth_table(result: Result) -> str:
    """The file beside the memory; the sweeps are a plot."""
    mapped = result["mapped"]
    rows = [
        [
            f"{mapped['n_rows']:,}",
            number(mapped["in_memory_cpu_ms_per_update"]),
            number(mapped["mapped_cpu_ms_per_update"]),
            times(mapped["ratio"]),
            "1.3x",
        ]
    ]
    made = table(["rows", "in memory, ms", "from a warm file, ms", "", "goal"], rows)
    return f"{made}\n\n{measured(result)}"


def assets_table(result: Result) -> str:
    """Updates and memory on many assets."""
    rows = []
    for row in result["cases"]:
        command, program = (row[name]["cpu_ms_per_update"] for name in ("command", "program"))
        rows.append(
            [
                f"{row['assets']:,}",
                number(command),
                number(1e3 * command / row["assets"]),
                number(program),
                times(program / command),
                f"{row['command']['peak_bytes'] / 1e6:,.0f}",
            ]
        )
    head = ["assets", "the command, ms", "us per asset", "a program, ms", "", "memory, MB"]
    return f"{table(head, rows)}\n\n{measured(result)}"


def threads_table(result: Result) -> str:
    """Two runs at once."""
    rows = [
        [
            row["case"],
            row["threads"],
            number(row["alone_ms"]),
            number(row["two_at_once_ms"]),
            times(row["ratio"]),
            f"{result['goal']:g}x" if row["threads"] == "auto" else "",
        ]
        for row in result["cases"]
    ]
    made = table(["case", "threads", "alone, ms", "two at once, ms", "", "goal"], rows)
    return f"{made}\n\n{measured(result)}"


def startup_table(result: Result) -> str:
    """Seconds until the command answers, those of a mistake also in imports of pydantic."""
    seconds = {row["case"]: row["cpu_s"] for row in result["cases"]}
    pydantic = seconds["from pydantic import BaseModel"]
    rows = [
        [
            row["case"],
            number(row["cpu_s"]),
            number(row["goal_s"]),
            times(row["cpu_s"] / pydantic) if row["case"].startswith(("YAML", "bad")) else "",
        ]
        for row in result["cases"]
    ]
    head = ["case", "CPU s", "goal", "of importing pydantic"]
    return f"{table(head, rows)}\n\n{measured(result)}"


def waiting_table(result: Result) -> str:
    """First fits, predictions, best portfolios."""
    rows = [
        [
            row["case"],
            *(number(row[f"{kind}_cpu_s"], 3) for kind in ("targets", "episodes")),
            f"{row['goal_s']:g}",
        ]
        for row in result["first_fits"]
    ]
    first = table(["first fit of a process", "targets, CPU s", "episodes, CPU s", "goal"], rows)
    rows = [
        [
            f"{row['rows']:,}",
            number(row["scikit-learn"]["cpu_ms"], 3),
            *(
                cell
                for name in ("tanh", "sine")
                for cell in (
                    number(row[name]["cpu_ms"], 3),
                    times(row[name]["ratio"]),
                    times(row[name]["goal"]),
                )
            ),
        ]
        for row in result["predictions"]
    ]
    head = ["rows of predict", "scikit-learn tanh, ms", "tanh, ms", "", "goal", "sine, ms", ""]
    second = table([*head, "goal"], rows)
    rows = [
        [
            f"{row['assets']:,}",
            number(row["all_cpu_s"], 3),
            number(row["bcrp_cpu_s"], 3),
            times(row["all_cpu_s"] / row["bcrp_cpu_s"]),
        ]
        for row in result["portfolios"]
    ]
    third = table(["assets of BCRP, 1,000 rows", "all at once, s", "now, s", ""], rows)
    rows = [
        [
            f"{row['assets']:,}",
            *(
                number(row[rule].get(f"{key}_cpu_s"), 3)
                for rule in ("minimum_variance", "risk_parity")
                for key in ("matrix", "now")
            ),
        ]
        for row in result["choices_by_risk"]
    ]
    head = ["assets, 252 moves", "minimum variance, as a matrix, s", "now, s"]
    fourth = table([*head, "risk parity, as a matrix, s", "now, s"], rows)
    return "\n\n".join([first, second, third, fourth, measured(result)])


def reporting_table(result: Result) -> str:
    """Seconds that a report takes, beside a commit before."""
    rows = [
        [
            row["case"],
            number(row.get("before_cpu_s")),
            number(row["now_cpu_s"]),
            times(row["before_cpu_s"] / row["now_cpu_s"] if "before_cpu_s" in row else None),
            times(result["goal"]),
        ]
        for row in result["cases"]
    ]
    head = ["report of", "before, CPU s", "now, CPU s", "", "goal"]
    return f"{table(head, rows)}\n\n{measured(result)}"


def job_table(result: Result) -> str:
    """Seconds of a whole job and of reading its prices, beside a commit before."""
    rows = [
        [
            row["case"],
            number(row["before_cpu_s"]),
            number(row["now_cpu_s"]),
            times(row["ratio"]),
            row["goal"],
        ]
        for row in result["cases"]
    ]
    return f"{table(['', 'before, CPU s', 'now, CPU s', '', 'goal'], rows)}\n\n{measured(result)}"


TABLES: dict[str, Callable[[Result], str]] = {
    "updates": updates_table,
    "floors": floors_table,
    "episodes": episodes_table,
    "seeds": seeds_table,
    "short_runs": short_table,
    "growth": growth_table,
    "assets": assets_table,
    "threads": threads_table,
    "startup": startup_table,
    "waiting": waiting_table,
    "reporting": reporting_table,
    "job": job_table,
}
_COMMANDS = {name: f"python benchmarks/{name}.py" for name in TABLES} | {
    name: f"python benchmarks/cpu.py --only {name}"
    for name in ("updates", "episodes", "seeds", "short_runs")
}
_COMMANDS["waiting"] = "OMP_NUM_THREADS=1 python benchmarks/waiting.py"
_AXES = {
    "n_rows": "rows of the series",
    "n_assets": "assets (5 features each)",
    "window": "steps per window",
    "batch_episodes": "episodes per update",
}


def growth_plot(result: Result) -> None:
    """Cost of an update along each sweep, with the line of proportional growth."""
    figure, axes = pyplot("svg").subplots(1, len(_AXES), figsize=(11, 2.8), sharey=True)
    for axis, (name, label) in zip(axes, _AXES.items(), strict=True):
        sweep = result["sweeps"][name]
        values, costs = sweep["values"], sweep["cpu_ms_per_update"]
        axis.loglog(values, costs, marker="o", color="#1f5f8b", label="measured")
        if name != "n_rows":
            line = [costs[-1] * value / values[-1] for value in values]
            axis.loglog(values, line, linestyle=":", color="#888888", label="proportional")
        axis.set_xlabel(label)
        axis.grid(alpha=0.3, which="both")
    axes[0].set_ylabel("CPU ms per update")
    axes[-1].legend(frameon=False)
    save_plot(figure, "growth")


def speed_plot(result: Result) -> None:
    """Milliseconds of an update by case: published, eager, auto."""
    rows = [row for row in result["cases"] if "published" in row]
    figure, axis = pyplot("svg").subplots(figsize=(7, 3))
    names = {"published": "#888888", "eager": "#1f5f8b", "auto": "#d9822b"}
    for shift, (name, colour) in enumerate(names.items()):
        places = [k + 0.27 * (shift - 1) for k in range(len(rows))]
        heights = [of(row, name, "cpu_ms_per_update") or 0.0 for row in rows]
        axis.bar(places, heights, width=0.25, color=colour, label=name)
    axis.set_yscale("log")
    axis.set_xticks(range(len(rows)), [row["case"] for row in rows])
    axis.set_ylabel("CPU ms per update")
    axis.grid(alpha=0.3, axis="y")
    axis.legend(frameon=False)
    save_plot(figure, "speed")


def save_plot(figure: Any, name: str) -> None:
    """Write a small SVG whose bytes depend on the data only."""
    IMAGES.mkdir(exist_ok=True)
    plt = pyplot("svg")
    plt.rcParams.update({"svg.hashsalt": "psann", "svg.fonttype": "none"})
    figure.savefig(IMAGES / f"{name}.svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
    print(f"written: docs/images/{name}.svg")


def filled(page: str, found: dict[str, Result]) -> str:
    """The page with the tables of what was measured."""
    for name, make in TABLES.items():
        pattern = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        assert len(pattern.findall(page)) == 1, f"docs/performance.md needs one table {name}"
        text = make(found[name]) if name in found else f"Not measured yet: `{_COMMANDS[name]}`."
        page = pattern.sub(lambda m, text=text: f"{m[1]}\n{text}\n\n{m[2]}", page)
    return page


def main() -> None:
    """Fill the page and draw the plots."""
    found = results()
    PAGE.write_text(filled(PAGE.read_text(), found))
    print("written: docs/performance.md")
    if "growth" in found:
        growth_plot(found["growth"])
    if "updates" in found:
        speed_plot(found["updates"])


if __name__ == "__main__":
    main()
