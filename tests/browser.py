"""A headless Chromium, told over its own pipe what to show and to look at: no driver, no port, no network."""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import axe_core_python

AXE = Path(axe_core_python.__file__).parent / "axe.min.js"
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Chromium reads commands from its file 3 and answers on its file 4; it ends when they are closed.
_LAUNCH = """
import fcntl, os, sys
high = [fcntl.fcntl(int(one), fcntl.F_DUPFD, 10) for one in sys.argv[1:3]]
os.dup2(high[0], 3), os.dup2(high[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-extensions", "--hide-scrollbars",
    "--remote-debugging-pipe",
)  # fmt: skip
Scheme = Literal["light", "dark"]


class NoBrowser(Exception):
    """There is no Chromium to test with; the message says how to get one."""


class Browser:
    """One Chromium with one page. A context manager: it is gone on exit, with everything that it wrote."""

    def __init__(self) -> None:
        found = next((path for name in NAMES if (path := shutil.which(name))), None)
        if found is None:
            raise NoBrowser("no Chromium on this machine: install chromium to look at the pages")
        self._program = found
        self._ids = itertools.count(1)
        self._session = ""
        self._loaded = False
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        self._home = tempfile.mkdtemp(prefix="countersign-chromium-")
        (read, self._write), (self._read, write) = os.pipe(), os.pipe()
        files = str(read), str(write)
        self._process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCH, *files, self._program, *_FLAGS, f"--user-data-dir={self._home}"],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self._answers = os.fdopen(self._read, "rb")
        target = self._say("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._say("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Log", "Runtime"):
            self._say(f"{domain}.enable")
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._write)
        self._answers.close()
        shutil.rmtree(self._home, ignore_errors=True)

    def show(
        self,
        file: Path,
        *,
        scheme: Scheme = "light",
        width: int = 1200,
        media: str = "screen",
        script: bool = True,
    ) -> None:
        """Loads a page under its own security policy; what the browser says against it is in `complaints`."""
        self._say("Emulation.setScriptExecutionDisabled", value=not script)
        self._say(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        self._say("Emulation.setEmulatedMedia", media=media, features=wanted)
        self.complaints.clear()
        self._loaded = False
        self._say("Page.navigate", url=file.resolve().as_uri())
        while not self._loaded:
            self._next()

    def evaluate(self, script: str) -> Any:
        """The value of an expression in the page, awaited. The page's policy does not bind what is asked here."""
        told = self._say("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def findings(self) -> list[str]:
        """What axe finds against the page's accessibility, every folded part opened: one line for each rule broken."""
        self.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        self.evaluate(AXE.read_text(encoding="utf-8"))
        found = self.evaluate("axe.run().then(told => told.violations)")
        return [f"{one['id']}: {one['help']}: {one['nodes'][0]['html'][:200]}" for one in found]

    def picture(self) -> bytes:
        """The whole page as a PNG."""
        height = self.evaluate("document.documentElement.scrollHeight")
        width = self.evaluate("window.innerWidth")
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        told = self._say("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(told["data"])

    def _say(self, method: str, **asked: object) -> Mapping[str, Any]:
        number = next(self._ids)
        message = {"id": number, "method": method, "params": asked}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (told := self._next()).get("id") != number:
            pass
        assert "error" not in told, told
        return told["result"]

    def _next(self) -> dict[str, Any]:
        """The next thing that Chromium says; complaints are kept on the way."""
        said = bytearray()
        while (one := self._answers.read(1)) != b"\0":
            assert one, "Chromium has ended"
            said += one
        told: dict[str, Any] = json.loads(said)
        self._loaded |= told.get("method") == "Page.loadEventFired"
        if told.get("method") == "Log.entryAdded":
            self.complaints.append(told["params"]["entry"]["text"])
        if told.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(told["params"]["exceptionDetails"]["text"])
        return told
