"""The shape of the source tree: floors, sizes, names, and the few places where a thing may be."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[1] / "src" / "psann"
MODULES = sorted(SRC.rglob("*.py"))

# Top-level module or package of psann -> floor. A module imports only lower floors; within a
# floor, packages see themselves and the names written before them in the same row.
FLOORS: list[list[str]] = [
    [
        "errors",
        "_descriptor",
        "_imports",
        "_strict_json",
        "_mapped",
        "_text",
        "_conditions",
        "_npz",
        "_paths",
        "_process",
    ],
    ["_numerics", "_seed", "_device", "_tensor_file", "losses", "accounting"],
    ["metrics", "baselines", "datasets", "nn"],
    ["training"],
    ["hisso"],
    ["estimators"],
    ["evaluation", "run"],
    ["scripts"],
]
RANK = {name: (floor, place) for floor, row in enumerate(FLOORS) for place, name in enumerate(row)}
FORBIDDEN_NAMES = {"utils", "helpers", "misc", "common", "shared"}


def _top(path: Path) -> str:
    relative = path.relative_to(SRC)
    return relative.parts[0].removesuffix(".py")


def _imported_tops(tree: ast.AST) -> set[str]:
    tops = set()
    for node in ast.walk(tree):
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


def _code_lines(node: ast.AST, source: list[str]) -> int:
    """Lines of a function or file without docstrings."""
    first = getattr(node, "lineno", 1)
    last = getattr(node, "end_lineno", len(source))
    doc = 0
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(body, list):
            for statement in body:
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
                    doc += (statement.end_lineno or 0) - statement.lineno + 1
    return last - first + 1 - doc


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_module_imports_only_lower_floors(path: Path) -> None:
    if path == SRC / "__init__.py":
        return
    top = _top(path)
    for imported in _imported_tops(ast.parse(path.read_text())):
        assert imported != "psann", f"{path} imports the package root"
        if imported != top:
            assert RANK[imported] < RANK[top], f"{path} imports {imported} from above"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SRC)))
def test_files_and_functions_stay_small(path: Path) -> None:
    source = path.read_text().splitlines()
    tree = ast.parse("\n".join(source))
    assert _code_lines(tree, source) <= 500, f"{path} is too long"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            assert _code_lines(node, source) <= 60, f"{path}::{node.name} is too long"


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert not [path for path in MODULES if path.stem in FORBIDDEN_NAMES]


def test_exceptions_are_caught_wholesale_in_one_place_only() -> None:
    places = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
                caught = {ast.unparse(kind) if kind else "everything" for kind in kinds}
                if caught & {"everything", "Exception", "BaseException"}:
                    places.append(str(path.relative_to(SRC)))
    assert places == ["run/execution/runner.py"]


def test_gradients_are_taken_in_one_place_only() -> None:
    assert {p.relative_to(SRC).as_posix() for p in MODULES if ".backward(" in p.read_text()} <= {
        "training/engine.py"
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
