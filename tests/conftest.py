"""What every test may rely on."""

from __future__ import annotations

import signal

# Started under nohup, the suite would inherit an ignored SIGHUP, which the command rightly leaves
# ignored; the tests of signals mean a process that was started plainly.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
