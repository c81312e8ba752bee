"""What the benchmarks share: worker processes, the published package's environment, the record."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PUBLISHED = "psann==0.12.4"
_CACHE = HERE.parent / ".cache"
# One thread, and no search through the machine for more.
ONE_THREAD = {name: "1" for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


class Worker:
    """A process that trains cases, one after the other.

    Parameters
    ----------
    python : str
        Interpreter; its environment decides which psann is measured.
    threads : int or None
        Threads for everything; None leaves them to the program under test.
    """

    def __init__(self, python: str, *, threads: Literal[1] | None = 1) -> None:
        self._process = subprocess.Popen(
            [python, "worker.py"],
            cwd=HERE,
            env=_environment(python, threads),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Do one job; `error` in the answer says why it cannot be done."""
        self.begin(job)
        return self.answer()

    def begin(self, job: Mapping[str, Any]) -> None:
        """Let the worker start on a job, and go on; `answer` waits for it."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """What came of the job that was begun."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("answer "):
                answer: dict[str, Any] = json.loads(line.removeprefix("answer "))
                return answer
        raise RuntimeError(f"the worker ended with exit code {self._process.wait()}")

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class WholeProcess:
    """A process that starts, does one job and ends.

    Parameters
    ----------
    python : str
        Interpreter; its environment decides which psann is measured.
    job : mapping
        What to do.
    """

    def __init__(self, python: str, job: Mapping[str, Any]) -> None:
        self._job = job
        self._started = time.perf_counter()
        self._process = subprocess.Popen(
            [python, "worker.py"],
            cwd=HERE,
            env=_environment(python),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        self._process.stdin.close()

    def wait(self) -> dict[str, float]:
        """Seconds from start to end, wall and user plus system CPU, and the most memory it had."""
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = status  # collected here, not by subprocess
        if status:
            raise RuntimeError(f"the worker failed in the job {dict(self._job)}")
        return {
            "wall_s": time.perf_counter() - self._started,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_bytes": float(usage.ru_maxrss * 1024),
        }


def _environment(python: str, threads: Literal[1] | None = 1) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
    if threads is not None:
        environment |= ONE_THREAD
    if python != sys.executable:
        environment.pop("PYTHONPATH", None)  # it may lead to this checkout
    return environment


def cpu_seconds(
    arguments: Sequence[str],
    *,
    folder: Path | None = None,
    source: Path | None = None,
    may_fail: bool = False,
) -> float:
    """User and system time of one start of Python on one thread, as the kernel counts it.

    Parameters
    ----------
    folder : Path, optional
        Where it is started; None means here.
    source : Path, optional
        What it imports psann from; None means what is installed.
    """
    place = {} if source is None else {"PYTHONPATH": str(source)}
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=folder,
        env={**os.environ, **ONE_THREAD, **place},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not may_fail:
        raise RuntimeError(f"{arguments} failed with exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def of_commit(commit: str, folder: Path) -> Path:
    """Sources and configurations of a commit, in a folder."""
    archive = subprocess.run(
        ["git", "archive", commit, "src", "configs"],
        cwd=HERE.parent,
        check=True,
        capture_output=True,
    )
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    return folder


def published_python() -> str | None:
    """Interpreter of an environment with the published package, made on first use.

    It holds that package alone and takes torch and NumPy from this environment, so that both are
    measured on the same libraries.

    Returns
    -------
    str or None
        None if the package cannot be had; the reason is printed.
    """
    home = _CACHE / PUBLISHED.replace("==", "-")
    python = home / "bin" / "python"
    if not (home / "whole").exists():
        commands = (
            [sys.executable, "-m", "venv", "--clear", str(home)],
            [str(python), "-m", "pip", "install", "--quiet", "--no-deps", PUBLISHED],
        )
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                reason = (done.stderr or done.stdout).strip().splitlines()[-1:]
                print(f"skipped: {PUBLISHED} could not be installed: {' '.join(reason)}")
                return None
        paths = sysconfig.get_paths(vars={"base": str(home), "platbase": str(home)})
        own = sysconfig.get_paths()["purelib"]
        (Path(paths["purelib"]) / "libraries_of_the_benchmark.pth").write_text(own + "\n")
        (home / "whole").touch()
    check = [
        str(python),
        "-c",
        "import psann, torch; print(psann.__file__.startswith(__import__('sys').prefix))",
    ]
    done = subprocess.run(check, capture_output=True, text=True, env=_environment(str(python)))
    if done.stdout.strip() != "True":
        print(f"skipped: {PUBLISHED} does not run beside this torch: {done.stderr.strip()[-300:]}")
        return None
    return str(python)


def median(values: Sequence[float]) -> float:
    """The middle of a sample."""
    return float(statistics.median(values))


def description(command: str) -> dict[str, Any]:
    """Where, with what, when and how this was measured."""
    return {
        "command": command,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": {
            "architecture": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.release()}",
            "load": round(os.getloadavg()[0], 2),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("psann", "torch", "numpy", "scikit-learn")},
        },
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((ln.split(":")[1].strip() for ln in lines if ln.startswith("model name")), "")


def save(name: str, report: Mapping[str, Any]) -> None:
    """Write a report to `benchmarks/results/NAME.json`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n")
    print(f"\nwritten: {path.relative_to(HERE.parent)}")
