"""Memory that a process has freed, kept for its next arrays."""

from __future__ import annotations

import ctypes
import os

_KEPT_BYTES = 2**30
_MOST_OF_OLDER = 2**25  # what older versions of glibc take at most, as `man mallopt` has it
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
    # The one alone would keep the other at its first 128 KiB, less than glibc would come to itself.
    is_kept = any(mallopt(_MMAP_THRESHOLD, n) for n in (_KEPT_BYTES, _MOST_OF_OLDER))
    return is_kept and bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES))
