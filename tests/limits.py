"""A process that ends when it takes more than a hostile file may cost: 2 s of CPU, 200 MB."""

from __future__ import annotations

import subprocess
import sys

_LIMITED = """
import resource, signal, sys
{imports}
with open("/proc/self/statm") as file:
    n_bytes = int(file.read().split()[0]) * resource.getpagesize() + 200 * 10**6
resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
signal.setitimer(signal.ITIMER_PROF, 2.0)
try:
    {call}
except ({errors}) as error:
    print(type(error).__name__, str(error).encode("ascii", "backslashreplace").decode())
"""


def message_within_limits(imports: str, call: str, *arguments: str, errors: str) -> str:
    """Do something with `sys.argv[1:]` in a process of its own; what error it ended with."""
    script = _LIMITED.format(imports=imports, call=call, errors=errors)
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout
