"""Frozen values to JSON and back, as the ledger's `body` columns hold them.

A field that this version does not know is passed over, so that rows of a newer release can be read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter
from pydantic_core import PydanticSerializationError, to_json

from countersign.actions import Effect
from countersign.alerts import Alert
from countersign.assessment import Assessment, Unassessed
from countersign.calibration import Calibration
from countersign.circumstances import Circumstances
from countersign.context import Context
from countersign.decision import Decision, Facts
from countersign.labels import Label, Versions
from countersign.ledger import Correction, ModelCall
from countersign.tickets import Receipt, Ticket, TicketChange, TicketRef

T = TypeVar("T")
# PostgreSQL refuses index entries above 2,700 bytes.
_KEY_CHARACTERS = 400


class Codec(Generic[T]):
    """One kind of value, to JSON text and back. `lean` leaves defaults out."""

    def __init__(self, kind: Any, *, lean: bool = False) -> None:
        self._adapter: TypeAdapter[T] = TypeAdapter(kind)
        self._lean = lean

    def dump(self, value: T) -> str:
        try:
            return self._adapter.dump_json(value, exclude_defaults=self._lean).decode()
        except (PydanticSerializationError, UnicodeEncodeError):
            # Half a surrogate pair, as a source's JSON may hold: it has no bytes.
            loose = self._adapter.dump_python(value, exclude_defaults=self._lean)
            return to_json(_whole(loose)).decode()

    def load(self, text: str) -> T:
        """Raises pydantic.ValidationError for a body that this version can't read."""
        return self._adapter.validate_json(text)


def plain(text: str) -> str:
    """The text without what a database can't hold: NUL, and halves of surrogate pairs."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "�")


def key_text(text: str) -> str:
    """The text as it stands in an index: itself, or its beginning and its hash when it is very long."""
    text = plain(text)
    if len(text) <= _KEY_CHARACTERS:
        return text
    return f"{text[:300]}#{hashlib.sha256(text.encode()).hexdigest()}"


def _whole(value: object) -> object:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {_whole(key): _whole(part) for key, part in value.items()}
    if isinstance(value, Sequence):
        return [_whole(part) for part in value]
    return value


ALERT: Codec[Alert] = Codec(Alert, lean=True)
TICKET: Codec[Ticket] = Codec(Ticket)
TICKET_REF: Codec[TicketRef] = Codec(TicketRef)
TICKET_CHANGE: Codec[TicketChange] = Codec(TicketChange)
RECEIPT: Codec[Receipt] = Codec(Receipt)
EFFECT: Codec[Effect] = Codec(Effect)
ASSESSMENT: Codec[Assessment | Unassessed] = Codec(Assessment | Unassessed)
DECISION: Codec[Decision] = Codec(Decision)
CONTEXT: Codec[Context] = Codec(Context)
FACTS: Codec[Facts] = Codec(Facts)
CIRCUMSTANCES: Codec[Circumstances] = Codec(Circumstances, lean=True)
VERSIONS: Codec[Versions] = Codec(Versions)
CALIBRATION: Codec[Calibration] = Codec(Calibration)
LABEL: Codec[Label] = Codec(Label)
MODEL_CALL: Codec[ModelCall] = Codec(ModelCall)
CORRECTION: Codec[Correction] = Codec(Correction)
