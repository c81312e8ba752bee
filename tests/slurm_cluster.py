"""A cluster of Slurm's own programs on this one host, of a controller and two nodes to kill."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from made_sweeps import TESTS

INSTALL = TESTS / "install_slurm.sh"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo")
NODES = ("node1", "node2")
# No accounting, no control groups: nothing that a container would not grant. A requeued task waits
# until credentials of its first start have expired, two minutes if nothing is said.
CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
SlurmUser=root
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool.%n
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmdLogFile={folder}/slurmd.%n.log
SlurmdParameters=config_overrides
SlurmctldTimeout=30
SlurmdTimeout=10
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=node1,node2 Default=YES State=UP
"""


def why_no_slurm() -> str | None:
    """Install what is missing; why there is no cluster here, or None."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if os.geteuid() != 0:
        return "a cluster of one's own needs root"
    if missing and shutil.which("apt-get") is None:
        return f"{', '.join(missing)} are not installed, and there is no apt-get"
    if missing:
        done = subprocess.run(["sh", str(INSTALL)], capture_output=True, text=True, timeout=600)
        if done.returncode != 0:
            return f"Slurm cannot be installed here: {done.stderr.strip()[-300:]}"
    return None


class SlurmCluster:
    """Two nodes in a folder, whose path must be short: sockets lie in it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._conf = folder / "slurm.conf"
        self._daemons = ExitStack()
        self._nodes: dict[str, subprocess.Popen[bytes]] = {}
        scripts = Path(sys.executable).parent
        self.environment = {
            **os.environ,
            "SLURM_CONF": str(self._conf),
            "PATH": f"{scripts}:{os.environ['PATH']}",
            # Behind what takes the locks away, where that is asked for.
            "PYTHONPATH": os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(TESTS)])),
        }

    def __enter__(self) -> SlurmCluster:
        folder = self._folder
        (folder / "state").mkdir()
        key = folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(1024))
        conf = CONF.format(folder=folder, host=socket.gethostname(), ports=_free_ports(3))
        self._conf.write_text(conf)
        files = {"key": key, "socket": folder / "munge.socket"}
        files |= {name: folder / f"munge.{name}" for name in ("pid", "seed", "log")}
        told = [f"--{name}{'' if name == 'socket' else '-file'}={p}" for name, p in files.items()]
        self._start("munged", "--foreground", "--force", *told)
        wait_until(files["socket"].exists, "munged answers")
        self._start("slurmctld", "-D", "-i")
        self._nodes = {node: self._start("slurmd", "-D", "-N", node) for node in NODES}
        wait_until(lambda: self.ask("sinfo", "-h", "-o", "%D %T") == "2 idle\n", "nodes are idle")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for node in self._nodes:
            self.kill_node(node)
        self._daemons.close()

    def _start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{command[0]}.out").open("a") as log:
            daemon = subprocess.Popen(
                command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._daemons.callback(daemon.wait, 30)
        self._daemons.callback(daemon.kill)
        return daemon

    def ask(self, *command: str) -> str:
        """What a command of Slurm says."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    def submit(self, script: Path, *words: str, folder: Path, options: Sequence[str]) -> int:
        """Submit a script; the number of its job."""
        done = subprocess.run(
            ["sbatch", "--parsable", *options, str(script), *words],
            cwd=folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout)

    def tasks(self, job: int) -> dict[str, tuple[str, int]]:
        """State of each task of an array and how often it was queued again, by its number."""
        blocks = self.ask("scontrol", "show", "job", str(job), "-o").splitlines()
        fields = [dict(w.split("=", 1) for w in b.split() if "=" in w) for b in blocks]
        return {
            each["ArrayTaskId"]: (each["JobState"], int(each["Restarts"]))
            for each in fields
            if "ArrayTaskId" in each
        }

    def node_of(self, job: int, task: int) -> str:
        """Where a task of an array runs."""
        return self.ask("squeue", "-h", "-j", f"{job}_{task}", "-o", "%N").strip()

    def kill_node(self, node: str) -> None:
        """End at once all that a node runs, as when it loses power."""
        self._nodes[node].kill()
        while found := self.processes_of(node):
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def processes_of(self, node: str) -> list[int]:
        """What its daemon has started: tasks by their environment, and who watches over them."""
        mine = {f"SLURM_CONF={self._conf}".encode(), f"SLURMD_NODENAME={node}".encode()}
        found: set[int] = set()
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):  # it is gone, or no process
                pid = int(entry.name)
                if mine <= set((entry / "environ").read_bytes().split(b"\0")):
                    found.add(pid)
                    parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                    if (Path("/proc") / str(parent) / "comm").read_text() == "slurmstepd\n":
                        found.add(parent)
        return sorted(found)


def wait_until(is_so: Callable[[], bool], what: str, *, timeout_s: float = 120.0) -> None:
    """Wait for something that Slurm brings about."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(0.05)


def _free_ports(n: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
