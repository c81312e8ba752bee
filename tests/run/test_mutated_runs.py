"""Whatever a file of one run holds, every command shows the others and says what is wrong."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from mutations import json_places, replaced
from psann.run.reading.reading import read_runs
from psann.scripts import hisso_runs
from psann.scripts.hisso_runs import main
from thinning import slow

SOUND = "evaluated"
BAD = ("dense", "seeds", "walk_forward", "stopped")
FILES = ("metrics.json", "events.csv", "config_resolved.yaml", "provenance.json", "evaluation.npz")
INNER = ("checkpoints/manifest.json", "checkpoints/best.safetensors", "packed.json", ".lock")
NASTY: list[Any] = [
    *(
        1e308,
        -1e308,
        5e-324,
        -0.0,
        10**18,
        2**63,
        -(2**63) - 1,
        10**38,
        1e17,
        0.1,
        -1,
        0,
        True,
        None,
    ),
    *(
        "",
        "\0",
        "\ud800",
        "\U0010ffff",
        "\u202e",
        "NaT",
        "nan",
        "inf",
        "=1+1",
        "_x",
        "$x$",
        "%s%d%n",
    ),
    *(
        "{}",
        "{x!r}",
        "[red]",
        "\x1b[2J",
        "../../x",
        "a" * 5000,
        "2025-13-45T99:99:99Z",
        "9999-12-31",
    ),
    *(
        [],
        {},
        [[]],
        {"": None},
        {"\0": 1},
        {"a": {"b": {"c": [1, "x"]}}},
        [None] * 300,
        [1e308] * 3,
    ),
]
TOKENS: list[bytes] = [
    *(
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"\n",
        b"\r\n",
        b'"',
        b",",
        b"{",
        b"}",
        b"[" * 200,
        b":",
        b"'",
    ),
    *(
        b"NaN",
        b"1e999",
        b"-1e999",
        b"9" * 400,
        b"9" * 5000,
        b"Infinity",
        b"\\ud800",
        b"\\u0000",
        b"&a *a",
    ),
    *(
        b"!!python/object/apply:os.system [x]",
        b"- ",
        b"  ",
        b"%YAML 9.9\n---\n",
        b"\x1b[2J",
        b"?" * 70,
    ),
]


@st.composite
def mutations(draw: Any, run: str) -> tuple[Path, Callable[[bytes], bytes | None], str]:
    """A file of a run, and what becomes of it."""
    name = draw(st.sampled_from(FILES * 3 + INNER))
    kind = draw(st.sampled_from(["value", "value", "value", "bytes", "bytes", "cut", "gone"]))
    place = draw(st.floats(0, 1, exclude_max=True))
    new = draw(st.sampled_from(NASTY))
    token = draw(st.sampled_from(TOKENS))

    def change(data: bytes) -> bytes | None:
        at = int(place * len(data))
        if kind == "gone":
            return None
        if kind == "cut":
            return data[:at]
        if kind == "value" and name.endswith(".json"):
            with contextlib.suppress(ValueError):  # of a file that is hurt for the second time
                content = json.loads(data)
                places = list(json_places(content))
                where = places[int(place * len(places))]
                return json.dumps(replaced(content, where, new)).encode()
        if kind == "value" and name.endswith(".csv"):
            cells = data.split(b",")
            cells[int(place * len(cells))] = json.dumps(new).encode()
            return b",".join(cells)
        return data[:at] + token + data[at + len(token) * (kind == "bytes") :]

    said = f"{run}/{name} {kind} at {place} {new!r:.80} {token[:40]!r}"
    return Path(run, name), change, said


@pytest.fixture(scope="module")
def runs(runs_of_before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that will be hurt, with one beside them that will not."""
    runs = tmp_path_factory.mktemp("runs")
    for name in (*BAD, SOUND):
        shutil.copytree(runs_of_before / name, runs / name)
    return runs


@pytest.fixture(scope="module", autouse=True)
def options_are_built_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hisso_runs, "build_parser", cache(hisso_runs.build_parser))
        yield


def output_of(*command: str) -> str:
    """What a command says; it may complain, and may not fall over."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(command)
    assert code in (0, 1, 2), command
    assert "Traceback" not in err.getvalue(), command
    return out.getvalue() + err.getvalue()


def check_every_reader(runs: Path, scratch: Path, *, whole: bool) -> None:
    bad = [str(runs / name) for name in BAD]
    everything = [*bad, str(runs / SOUND)]
    for form in ((), ("--csv",), ("--json",)):
        assert SOUND in output_of("ls", *form, str(runs))
    assert SOUND in output_of("compare", *everything)
    for path in bad:
        for command in (["show"], ["show", "--json"], ["status"], ["verify"]):
            assert output_of(*command, path)
        output_of("pack", path, "-o", str(scratch / f"{Path(path).name}.tar.gz"))
    found = {run.name: run for run in read_runs(runs)}
    assert not found[SOUND].problems
    for run in found.values():
        _ = run.problems, run.evaluation, run.epochs
    output_of("export", "--to", "csv", *everything, "-o", str(scratch / "tables"))
    assert SOUND in (scratch / "tables" / "runs.csv").read_text(encoding="utf-8")
    if whole:  # of some, as pictures take most of the time
        everything = everything[-3:]
        output_of("report", *everything, "-o", str(scratch / "page.html"))
        assert SOUND in (scratch / "page.html").read_text(encoding="utf-8")
        for to in ("parquet", "tensorboard"):
            output_of("export", "--to", to, *everything[-2:], "-o", str(scratch / to))


@contextlib.contextmanager
def changed(path: Path, change: Callable[[bytes], bytes | None]) -> Iterator[None]:
    before = path.read_bytes() if path.exists() else None
    after = change(before or b"")
    path.unlink(missing_ok=True)
    if after is not None:
        path.write_bytes(after)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        if before is not None:
            path.write_bytes(before)


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


def try_mutations(
    runs: Path, folder: Path, n: int, *, files: int = 1, part: int = 0, whole: bool = False
) -> None:
    """Hurt `files` files of each run, n times, and read all of them."""

    @seed(part)
    @settings(max_examples=n, deadline=None, database=None, suppress_health_check=QUIET)
    @given(hurts=st.tuples(*(mutations(name) for name in BAD * files)))
    def try_all(hurts: Any) -> None:
        with contextlib.ExitStack() as stack:
            for path, change, _ in hurts:
                stack.enter_context(changed(runs / path, change))
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder)))
            check_every_reader(runs, scratch, whole=whole)

    try_all()


@pytest.mark.parametrize("n", [2, slow(20)])
def test_no_file_of_one_run_keeps_a_reader_from_the_others(
    runs: Path, tmp_path: Path, n: int
) -> None:
    try_mutations(runs, tmp_path, n, files=3)


@pytest.mark.parametrize(("n", "files"), [(1, 2), pytest.param(25, 1, marks=pytest.mark.slow)])
def test_no_file_of_one_run_keeps_a_report_or_export_from_the_others(
    runs: Path, tmp_path: Path, n: int, files: int
) -> None:
    try_mutations(runs, tmp_path, n, files=files, whole=True)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_no_file_of_one_run_keeps_any_reader_from_the_others_in_5000_cases(
    runs: Path, tmp_path: Path, part: int
) -> None:
    try_mutations(runs, tmp_path, 313, part=1 + part)
