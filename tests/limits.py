"""A process that ends when it takes more than a hostile file may cost: 2 s of CPU, 200 MB."""

from __future__ import annotations

import signal
import subprocess
import sys

_LIMITED = """
import resource, signal, sys
{imports}
{warm}
with open("/proc/self/statm") as file:
    n_bytes = int(file.read().split()[0]) * resource.getpagesize() + 200 * 10**6
resource.setrlimit(resource.RLIMIT_AS, (n_bytes, n_bytes))
for argument in sys.argv[1:]:
    signal.setitimer(signal.ITIMER_PROF, 2.0)
    try:
        {call}
    except ({errors}) as error:
        told = type(error).__name__ + " " + str(error)
        print(told[:500].encode("unicode_escape").decode())
"""


def messages_within_limits(
    imports: str, call: str, *arguments: str, errors: str, warm: str = ""
) -> list[str]:
    """Do something with each `argument` in one process; what error each ended with.

    `warm` is done before there are limits, so that what is imported late counts for none. On a busy
    machine the same work takes more seconds of CPU: the least of three tries is its price.
    """
    script = _LIMITED.format(imports=imports, warm=warm, call=call, errors=errors)
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=False
        )
        if done.returncode != -signal.SIGPROF:
            break
    told = done.stdout.splitlines()
    where = f"at {arguments[len(told)]}" if len(told) < len(arguments) else ""
    assert done.returncode == 0, f"exit code {done.returncode} {where}: {done.stderr[-2000:]}"
    assert len(told) == len(arguments), f"{arguments} gave {told}"
    return told
