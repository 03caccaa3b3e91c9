"""The audit trail as a whole: verified, signed for, and given out as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from connectors.sql import audit
from connectors.sql.engine import Database
from countersign.audit import Problem, verify_lines
from countersign.checkpoints import Checkpoint, holds


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """How far the chain was followed, and the first place where it does not hold."""

    records: int
    last_hash: str
    problem: Problem | None


class SqlTrail:
    """Reads only; holds a page in memory at a time."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def verify(self, checkpoint: Checkpoint | None = None, *, public_key: bytes | None = None) -> Verified:
        """Follows the chain from its first record; with a checkpoint also whether its record still stands.

        Without one, a chain whose end was cut off, or that was computed anew, looks whole.
        """
        with self._db.read() as connection:
            last_seq, last_hash, problem = verify_lines(audit.lines(connection))
            seq, head_hash = audit.head(connection)
            if problem is None and (seq, head_hash) != (last_seq, last_hash):
                said = f"The log ends at record {last_seq}, but its head says {seq}: its end was cut off."
                problem = Problem(seq=last_seq + 1, sentence=said)
            if problem is None and checkpoint is not None:
                problem = _against(checkpoint, audit.at_seq(connection, checkpoint.seq), public_key)
        return Verified(records=last_seq, last_hash=last_hash, problem=problem)

    def head(self) -> tuple[int, str, datetime]:
        """Where the chain ends now: what a checkpoint is made of."""
        with self._db.read() as connection:
            return (*audit.head(connection), self._db.now(connection))

    def export(self, *, after: int = 0) -> Iterator[str]:
        """Each record as one line of JSON, in order, as one consistent view."""
        with self._db.read() as connection:
            for record in audit.records(connection, after=after):
                yield json.dumps(
                    {
                        "seq": record.seq, "at": record.at.isoformat(), "actor": record.actor, "event": record.event,
                        "case": record.case_id, "subject": record.subject, "detail": record.detail,
                        "previous": record.previous, "hash": record.hash,
                    },
                    separators=(",", ":"),
                )  # fmt: skip


def _against(checkpoint: Checkpoint, found: str, public_key: bytes | None) -> Problem | None:
    if not holds(checkpoint, public_key):
        return Problem(seq=checkpoint.seq, sentence="The checkpoint's signature is not of the expected key.")
    if not found:
        said = f"Record {checkpoint.seq} was there at the checkpoint and is gone: the log's end was cut off."
        return Problem(seq=checkpoint.seq, sentence=said)
    if found != checkpoint.hash:
        said = f"Record {checkpoint.seq} is not what it was at the checkpoint: the chain was computed anew."
        return Problem(seq=checkpoint.seq, sentence=said)
    return None
