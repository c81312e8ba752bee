"""A loader's module that meddles while it is imported, with what the environment says."""

from __future__ import annotations

import os

import meddling
from trials import market

__all__ = ["market"]

meddling.meddle(os.environ[meddling.WITH])
