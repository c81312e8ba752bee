"""The shape of the source tree: floors, sizes, names, and the few places where a thing may be."""

from __future__ import annotations

import ast
import functools
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

from source_tree import SRC, trees

MODULES = [*trees()]

# Top-level module or package of psann -> floor. A module imports only lower floors; within a
# floor, packages see themselves and the names written before them in the same row.
FLOORS: list[list[str]] = [
    [
        "errors",
        "_typing",
        "_descriptor",
        "_imports",
        "_lean_imports",
        "_published",
        "_tree",
        "_model_keys",
        "_model_problems",
        "_models",
        "_plain_files",
        "_strict_yaml",
        "_yaml_text",
        "_mapped",
        "_table_columns",
        "_inputs",
        "_labels",
        "_rates",
        "_frames",
        "_text",
        "_strict_json",
        "_allocator",
        "_file_lock",
        "_digest",
        "_whole_file",
        "_plain_tar",
        "_conditions",
        "_npz",
        "_terminal",
        "_paths",
        "_process",
        "_signals",
        "_machine",
        "_git",
        "_origin",
    ],
    ["_numerics", "_seed", "_device", "_tensor_file", "losses", "holdings", "halts", "accounting"],
    [
        "presentation",
        "metrics",
        "baselines",
        "covariance",
        "plausibility",
        "market",
        "datasets",
        "battery",
        "nn",
    ],
    ["training"],
    ["hisso"],
    ["estimators"],
    ["evaluation", "run"],
    ["scripts"],
]
RANK = {name: (floor, place) for floor, row in enumerate(FLOORS) for place, name in enumerate(row)}
# Rooms of psann.run, by floor: a room sees lower floors and, within its own, only itself.
ROOMS: list[list[str]] = [
    ["directory"],
    ["config", "data"],
    ["execution", "reading"],
    ["acting"],
    ["report", "verification"],
    ["sweep"],
]
ROOM_FLOOR = {room: floor for floor, row in enumerate(ROOMS) for room in row}
FORBIDDEN_NAMES = {"utils", "helpers", "misc", "common", "shared"}
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 400, 60
# Of `run/` with docstrings, without the rooms that came later; and of `Any` in 1000 lines of it.
LATER_ROOMS, MOST_LINES_OF_RUN, MOST_ANY = {"acting", "sweep"}, 13_980, 15
# Who may read a file format of a run: its one reader. A format is told by the call that opens it.
READERS = {
    "csv.reader": {
        "run/directory/rows.py",
        *("run/acting/weights_file.py", "run/acting/holdings_file.py"),
    },
    "csv.DictReader": set(),
    "json.loads": {
        *("_strict_json.py", "_strict_yaml.py", "run/directory/resume_state.py"),
        # Of our own making.
        *("_model_keys.py", "training/profile.py", "run/execution/resume.py"),
        "run/execution/study_folder.py",
    },
    "yaml.load": set(),
    "zipfile.ZipFile": {"_npz.py"},
    "tarfile.open": {"_plain_tar.py"},
    "hashlib.sha256": {"_digest.py"},
    "hashlib.file_digest": {"_digest.py"},
}


def _top(path: Path) -> str:
    relative = path.relative_to(SRC)
    return relative.parts[0].removesuffix(".py")


def _imported_tops(path: Path) -> set[str]:
    tops = set()
    for node in nodes_of(path):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name == "psann":
                tops.add("psann")
            elif name.startswith("psann."):
                tops.add(name.split(".")[1])
    return tops


def _code_lines(node: ast.AST, source: list[str], most: int) -> int:
    """Lines of a function or file, without docstrings where there are more than `most`."""
    first = getattr(node, "lineno", 1)
    last = getattr(node, "end_lineno", len(source))
    if last - first < most:
        return last - first + 1
    doc = 0
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(body, list):
            for statement in body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    doc += (statement.end_lineno or 0) - statement.lineno + 1
    return last - first + 1 - doc


@functools.cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of a file, the module first."""
    return tuple(ast.walk(trees()[path]))


def test_modules_import_only_lower_floors() -> None:
    upward = []
    for path in MODULES:
        if path == SRC / "__init__.py":
            continue
        top = _top(path)
        for imported in _imported_tops(path) - {top}:
            if imported == "psann" or RANK[imported] >= RANK[top]:
                upward.append(f"{_name(path)} imports {imported} from above")
    assert not upward, "\n".join(upward)


def _name(path: Path) -> str:
    """Module name of a file."""
    parts = ("psann", *path.relative_to(SRC).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def _imports() -> dict[str, set[str]]:
    """The files that each file imports, also for types only and inside functions."""
    names = {_name(path) for path in MODULES}
    found: dict[str, set[str]] = {}
    for path in MODULES:
        found[_name(path)] = targets = set()
        for node in nodes_of(path):
            if isinstance(node, ast.Import):
                targets |= {alias.name for alias in node.names} & names
            elif isinstance(node, ast.ImportFrom) and node.module in names:
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & names
                targets |= inner or {node.module or ""}
        targets.discard(_name(path))
    return found


def _circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Sets of files that import each other, by what each can reach."""
    reach: dict[str, set[str]] = {}
    for start in graph:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for target in graph.get(waiting.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        reach[start] = seen
    circles = [{other for other in reach[name] if name in reach[other]} for name in graph]
    return [circle for circle in circles if circle]


def test_no_files_import_each_other_in_a_circle() -> None:
    assert _circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})  # it would be seen
    assert _circles(_imports()) == []


def test_rooms_of_a_run_see_lower_floors_only() -> None:
    upward = []
    for name, targets in _imports().items():
        if not name.startswith("psann.run."):
            continue
        room = name.split(".")[2]
        for target in targets:
            other = target.split(".")[2] if target.startswith("psann.run.") else room
            if other != room and ROOM_FLOOR[other] >= ROOM_FLOOR[room]:
                upward.append(f"{name} -> {target}")
    assert not upward, "\n".join(upward)


def test_private_names_stay_in_their_file() -> None:
    crossing = []
    for path in MODULES:
        for node in nodes_of(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("psann.run"):
                private = [a.name for a in node.names if a.name.startswith("_")]
                crossing += [f"{_name(path)} takes {node.module}.{name}" for name in private]
    assert not crossing, "\n".join(crossing)


@pytest.mark.parametrize("call", READERS)
def test_each_file_format_of_a_run_has_one_reader(call: str) -> None:
    low = {path for path in MODULES if _top(path) in ("run", "scripts")} | set(SRC.glob("_*.py"))
    users = {p.relative_to(SRC).as_posix() for p in low if f"{call}(" in p.read_text()}
    assert users <= READERS[call]


def test_files_and_functions_stay_small() -> None:
    large = []
    for path in MODULES:
        source = path.read_text().splitlines()
        module, *nodes = nodes_of(path)
        if (n_lines := _code_lines(module, source, MOST_LINES)) > MOST_LINES:
            large.append(f"{_name(path)}: {n_lines}")
        for node in nodes:
            if isinstance(node, ast.FunctionDef) and node.name != "__init__":
                n_lines = _code_lines(node, source, MOST_LINES_OF_A_FUNCTION)
                if n_lines > MOST_LINES_OF_A_FUNCTION:
                    large.append(f"{_name(path)}.{node.name}: {n_lines}")
    assert not large, "\n".join(large)


def test_what_knows_of_a_run_stays_small_and_typed() -> None:
    paths = (SRC / "run").rglob("*.py")
    texts = [path.read_text() for path in paths if path.parent.name not in LATER_ROOMS]
    n_lines = sum(text.count("\n") for text in texts)
    assert n_lines <= MOST_LINES_OF_RUN
    assert sum(len(re.findall(r"\bAny\b", text)) for text in texts) <= MOST_ANY * n_lines / 1000


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not [path for path in MODULES if path.stem in FORBIDDEN_NAMES]


def test_exceptions_are_caught_wholesale_in_one_place_only() -> None:
    places = []
    for path in MODULES:
        for node in nodes_of(path):
            if isinstance(node, ast.ExceptHandler):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                caught = {ast.unparse(kind) if kind else "everything" for kind in kinds}
                if caught & {"everything", "Exception", "BaseException"}:
                    places.append(str(path.relative_to(SRC)))
    assert places == ["run/execution/runner.py"]


def test_optuna_is_imported_in_one_place_only() -> None:
    users = set()
    for path in MODULES:
        for node in nodes_of(path):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.partition(".")[0] == "optuna" for name in names):
                users.add(path.relative_to(SRC).parent.as_posix())
    assert users == {"run/sweep"}


def test_gradients_are_taken_in_one_place_only() -> None:
    assert {p.relative_to(SRC).as_posix() for p in MODULES if ".backward(" in p.read_text()} <= {
        "training/gradient.py"
    }


def test_every_source_file_has_a_test_file_that_mirrors_it() -> None:
    tests = Path(__file__).parent
    missing = []
    for path in MODULES:
        if path.name == "__init__.py":
            continue
        relative = path.relative_to(SRC)
        mirror = tests / relative.parent / f"test_{relative.stem.lstrip('_')}.py"
        if not mirror.exists():
            missing.append(str(relative))
    assert missing == []


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/structure.md", "docs/extending.md"])
def test_a_page_names_files_that_there_are(page: str) -> None:
    root = SRC.parents[1]
    there = [p.relative_to(root).as_posix() for p in (*MODULES, *(root / "tests").rglob("*.py"))]
    named = set(re.findall(r"`([\w./*]+\.py)`", (root / page).read_text()))
    assert (
        named
        and [name for name in named if not any(fnmatch(f"/{path}", f"*/{name}") for path in there)]
        == []
    )


def test_a_plain_installation_brings_what_it_brought() -> None:
    project = tomllib.loads(SRC.parents[1].joinpath("pyproject.toml").read_text())["project"]
    brought = {re.match(r"[\w-]+", each)[0] for each in project["dependencies"]}  # type: ignore[index]
    few = {"numpy", "torch", "scikit-learn", "pydantic", "PyYAML", "safetensors", "rich"}
    assert brought == few


def test_formulas_are_text_that_reads_in_a_terminal_and_needs_no_script_on_a_page() -> None:
    assert [
        path.name for path in MODULES if re.search(r":math:|\.\. math::", path.read_text())
    ] == []
