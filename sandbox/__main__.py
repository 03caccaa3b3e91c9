"""`python -m sandbox`: the sandbox as a process of its own, serving until it is told to stop."""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
from datetime import datetime, timedelta
from pathlib import Path

from sandbox.server import Sandbox

_PR_SET_PDEATHSIG = 1


def main() -> int:
    asked = _arguments()
    _end_with_parent()
    signal.pthread_sigmask(
        signal.SIG_BLOCK, _ENDS
    )  # before any thread starts, so that all of them inherit it
    with Sandbox(
        seed=asked.seed,
        start=asked.start,
        latency=timedelta(milliseconds=asked.latency_ms),
        port_base=asked.port_base,
    ) as box:
        _write_whole(asked.urls_file, json.dumps(box.urls, indent=2) + "\n")
        print("sandbox: serving", flush=True)
        signal.sigwait(_ENDS)
    return 0


_ENDS = {signal.SIGTERM, signal.SIGINT}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    parser.add_argument(
        "--urls-file", type=Path, required=True, help="where to write the vendors' URLs as JSON"
    )
    parser.add_argument("--port-base", type=int, default=0, help="first port; 0 lets the system choose each")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--latency-ms", type=float, default=0.0, help="added before every answer")
    parser.add_argument(
        "--start", type=datetime.fromisoformat, help="sandbox time at the start, with its zone"
    )
    return parser.parse_args()


def _end_with_parent() -> None:
    """Ask Linux to send SIGTERM when the parent dies, so that no sandbox outlives its test."""
    if sys.platform == "linux":
        parent = os.getppid()
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            raise SystemExit(0)


def _write_whole(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.replace(path)


if __name__ == "__main__":
    raise SystemExit(main())
