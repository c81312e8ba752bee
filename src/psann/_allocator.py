"""Memory that a process has freed, kept for its next arrays."""

from __future__ import annotations

import ctypes
import os

_KEPT_BYTES = 2**30
# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> bool:
    """Let glibc keep up to 1 GiB of what is freed, instead of giving it back after every use.

    The temporaries of an update on many assets are large, and made and freed thousands of times:
    the kernel would hand out each of their pages anew, filled with zeros, which takes up to a
    third of the time. The most memory that a process has does not change.

    Returns
    -------
    bool
        Whether it does; False where the user has arranged it by environment variables, or the C
        library is another.
    """
    own = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    if any(name in os.environ for name in own):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return all(mallopt(what, _KEPT_BYTES) for what in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
