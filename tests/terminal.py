"""The command line as a person uses it, but in this process: one of its own takes seconds to start."""

from __future__ import annotations

import logging
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

import structlog

from workers.main import main


@dataclass(frozen=True, slots=True)
class Told:
    """What a command ended with and printed."""

    returncode: int
    stdout: str
    stderr: str


def countersign(*arguments: str) -> Told:
    """Runs `countersign` with these words. A bug is raised, as its traceback would be printed."""
    out, err, code = StringIO(), StringIO(), 0
    root = logging.getLogger()
    handlers = list(root.handlers)
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(list(arguments))
        except SystemExit as ended:
            code = int(ended.code or 0)
        finally:  # its logs went to this stderr, as a process's do
            root.handlers[:] = handlers
            structlog.reset_defaults()
    return Told(code, out.getvalue(), err.getvalue())
