"""What every test may rely on."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator

import pytest

# Started under nohup or in the background of a script, the suite would inherit an ignored SIGHUP or
# SIGINT, which the command rightly leaves ignored; the tests of signals mean a process that was
# started plainly.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    """A logger whose handlers are closed in the end."""
    # Outside the tree of loggers, so that pytest does not collect (and pass on) hostile texts.
    logger = logging.Logger("psann.test", logging.DEBUG)
    yield logger
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
