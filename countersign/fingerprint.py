"""Fingerprints: which alerts are the same thing going wrong."""

from __future__ import annotations

import hashlib
import re

from countersign.alerts import Alert

# Linear patterns without nesting: numbers, hex ids and the parts of a summary that count firings.
_ID = re.compile(r"\b(?:0x)?[0-9a-f]{8,}\b|\d+", re.IGNORECASE)
_SPACE = re.compile(r"\s+")


def template(text: str) -> str:
    """The text with its numbers and ids taken out, so that `disk 91 %` and `disk 92 %` are one template."""
    return _SPACE.sub(" ", _ID.sub("#", text.lower())).strip()


def of_ticket(desk: str, ticket_id: str) -> str:
    """The fingerprint of a case that was born as this ticket."""
    return _hash(("ticket", desk, ticket_id))


def fingerprint(alert: Alert) -> str:
    """16 hex characters that equal alerts share, recoveries included.

    A ticket born in a desk is its own thing. Where the source names the rule that fired, the rule and the
    service decide; else the template of the summary does, because wording is all there is.
    """
    parts: tuple[str, ...]
    if alert.ticket is not None:
        return of_ticket(alert.ticket.desk, alert.ticket.id)
    if alert.rule:
        parts = ("rule", alert.source, alert.rule, alert.service)
    else:
        parts = ("text", alert.source, template(alert.summary), alert.service)
    return _hash(parts)


def _hash(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:16]
