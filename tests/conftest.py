"""What every test may rely on."""

from __future__ import annotations

import signal

# Started under nohup or in the background of a script, the suite would inherit an ignored SIGHUP or
# SIGINT, which the command rightly leaves ignored; the tests of signals mean a process that was
# started plainly.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
signal.signal(signal.SIGINT, signal.default_int_handler)
