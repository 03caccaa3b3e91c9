"""Logs: an event name and fields, one JSON object a line on stderr (or for people on a terminal)."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from countersign.redaction import redact

# What must never reach a log, whatever a library puts into a message: credentials in addresses and headers.
_CREDENTIAL = re.compile(
    r"(://[^/\s:@]*:)[^/\s@]+(@)|((?:authorization|api[-_]?key|token|password)[\"']?\s*[:=]\s*)[^\s,;]+", re.I
)


# Addresses of hosts may be logged: they say which connection failed.
_NEVER_LOGGED = frozenset({"secrets", "email", "iban", "card"})


def without_credentials(text: str) -> str:
    """The text with passwords in addresses and values of credential keys taken out."""
    return _CREDENTIAL.sub(lambda m: f"{m[1]}***{m[2]}" if m[1] else f"{m[3]}***", text)


def _scrub(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = redact(without_credentials(value), _NEVER_LOGGED).text
    return event


def set_up(level: str, *, people: bool | None = None) -> None:
    """Sends structlog and the standard library's logging to stderr in one form."""
    to_people = sys.stderr.isatty() if people is None else people
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _scrub,
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(pad_event_to=20) if to_people else structlog.processors.JSONRenderer()
    )
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        # One write a line: several processes share the stream.
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _scrub, renderer],
            foreign_pre_chain=shared,
        )
    )
    logging.captureWarnings(True)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries say too much at INFO; what matters of theirs is a warning.
    root.setLevel(max(number, logging.WARNING))
