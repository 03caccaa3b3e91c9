"""Replay: an alert's dead letter is read again by its source's mapping of today and comes in as if just read.

It needs no state of its own: reading asks nobody, and what it came to is one transaction. Whatever ends in between
leaves the letter open, to be replayed again.
"""

from __future__ import annotations

from dataclasses import replace

import structlog

from countersign.alerts import Alert
from countersign.errors import ConfigError, UnreadableAlert
from countersign.ledger import DeadLetter
from countersign.redaction import redact
from countersign.redaction.patterns import PLACEHOLDER
from workers.parts import Parts
from workers.pull import entries_of

_log = structlog.get_logger()
# The ledger keeps longer ids by their beginning and a hash.
_WHOLE = 300


def replay(parts: Parts, letter_id: str, *, by: str) -> DeadLetter:
    """An alert's letter afterwards: replayed, or open with the new reason; one that was not open is as it was.

    Raises NotFound, and ConfigError where its source is not configured any more.
    """
    letter = parts.ledger.reading.dead_letter(letter_id)
    if letter.state != "open":
        return letter
    try:
        alert = _read(parts, letter)
    except UnreadableAlert as odd:
        # The payload was redacted; what the mapping says of it is redacted like the first reason.
        return parts.ledger.intake.record_unreadable(letter.id, reason=redact(str(odd)).text, by=by)
    entries = entries_of(parts, [alert] if alert else [])
    _log.info("letter.replayed", id=letter.id, subject=letter.subject, in_scope=bool(entries))
    return parts.ledger.intake.record_replayed(letter.id, entries=entries, by=by)


def _read(parts: Parts, letter: DeadLetter) -> Alert | None:
    feed, _, source_id = letter.subject.partition(":")
    source = parts.sources.get(feed)
    if source is None:
        raise ConfigError(
            f"{letter.id} came from {feed}, which no policy reads now; configure that source and name it in a "
            "policy's scope, or dismiss the letter."
        )
    alert = source.reread(letter.payload)
    return alert and _named(alert, source_id)


def _named(alert: Alert, source_id: str) -> Alert:
    """The alert under its own name: ids look like secrets to redaction, but the letter has kept its own.

    Taken in under a placeholder, an alert could come in a second time with another page, or never recover.
    """
    if PLACEHOLDER.search(alert.source_id) and len(source_id) <= _WHOLE:
        alert = replace(alert, source_id=source_id)
    if PLACEHOLDER.search(f"{alert.source_id} {alert.version} {alert.dedup_key}"):
        raise UnreadableAlert(
            f"What this alert is known by ({alert.dedup_key[:200]}) was redacted before the payload was kept, so that "
            "it can't be replayed; look it up at its source, and dismiss the letter."
        )
    return alert
