"""What is said of sweeps, and what does what it says; `test_cures.py` does it."""

from __future__ import annotations

from collections.abc import Callable

# Text of the message: what meets it, then everything that it says to do instead.
CURES: dict[str, tuple[Callable[..., object], ...]] = {}

# Text of the message: the test that does what it says.
ELSEWHERE: dict[str, str] = {}

# Text of the message: why no test can do here what it says.
OUTSIDE: dict[str, str] = {}

# What only looks like a message that tells what to do.
NONE: tuple[str, ...] = ()
