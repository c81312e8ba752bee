"""A loader's module that meddles while it is imported, with what the environment says."""

from __future__ import annotations

import os

import meddling
from trials import market

__all__ = ["market"]

if meddling.WITH in os.environ:  # not where its doctests are looked for
    meddling.meddle(os.environ[meddling.WITH])
