"""A real browser for tests: headless Chromium, driven over two pipes, without a driver to install.

The protocol is Chromium's own (https://chromedevtools.github.io/devtools-protocol/): JSON messages
that end in a zero byte, commands into file descriptor 3 of the browser, answers out of 4.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_PATIENCE_S = 600
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
    *("--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking"),
)


class Tab:
    """One page of a browser, with everything that it said and asked for."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = os.fdopen(answers, "rb", buffering=0)
        self._rest = b""
        self._n_sent = 0
        self._session: str | None = None
        self.said: list[str] = []
        self.requested: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and wait for its result."""
        self._n_sent += 1
        message = {"id": self._n_sent, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._n_sent:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                result: dict[str, Any] = answer["result"]
                return result

    def open(self, path: Path, *, width: int, dark: bool = False) -> None:
        """Load a file from disk at a width and wait until it is laid out."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            **{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False},
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", media="", features=[scheme])
        url = path.resolve().as_uri()
        self.send("Page.navigate", url=url)
        deadline_s = time.monotonic() + _PATIENCE_S
        while self.ask("`${document.readyState} ${location.href}`") != f"complete {url}":
            if time.monotonic() > deadline_s:
                raise RuntimeError(f"{path} did not open in {_PATIENCE_S} s")
            time.sleep(0.02)

    def ask(self, expression: str) -> Any:
        """Value of a JavaScript expression in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self) -> bytes:
        """PNG of the whole page."""
        return self._decoded("Page.captureScreenshot", captureBeyondViewport=True)

    def pdf(self) -> bytes:
        """The page as it prints."""
        return self._decoded("Page.printToPDF", printBackground=True)

    def close(self) -> None:
        """Read no more."""
        self._answers.close()

    def _decoded(self, method: str, **parameters: Any) -> bytes:
        return base64.b64decode(self.send(method, **parameters)["data"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = self._answers.read(1 << 20)
            if not chunk:
                raise RuntimeError("the browser is gone")
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        event: dict[str, Any] = json.loads(message)
        told = event.get("params", {})
        if event.get("method") == "Log.entryAdded":
            self.said.append(told["entry"]["text"])
        elif event.get("method") in ("Runtime.consoleAPICalled", "Runtime.exceptionThrown"):
            self.said.append(json.dumps(told))
        elif event.get("method") == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])
        return event


@contextmanager
def browser_tab() -> Iterator[Tab]:
    """Start Chromium; skip the test without one, but for continuous integration, which has one."""
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("continuous integration must have chromium: apt-get install chromium")
        pytest.skip("needs chromium: apt-get install chromium")
    command_out, command_in = os.pipe()
    answer_out, answer_in = os.pipe()

    def give_pipes() -> None:
        # Away from 3 and 4 first: one of these may be the other's place.
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for fd in (command_out, answer_in)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(prefix="psann-browser-", ignore_cleanup_errors=True) as home:
        process = subprocess.Popen(
            [program, *_OPTIONS, f"--user-data-dir={home}", "--remote-debugging-pipe"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=give_pipes,
            close_fds=False,
        )
        os.close(command_out)
        os.close(answer_in)
        tab = Tab(command_in, answer_out)
        try:
            yield tab
        finally:
            os.close(command_in)
            tab.close()
            process.terminate()
            process.wait(timeout=_PATIENCE_S)
