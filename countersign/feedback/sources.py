"""Sources: whether a person did something, a bot, or one update of many tickets. Only what people do is a label."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from countersign.tickets import TicketChange

Source = Literal["person", "bot", "bulk"]
# Nobody reads ten tickets in ten seconds: so many changed alike is a list edit or a script.
BULK_TICKETS = 10
BULK_WITHIN = timedelta(seconds=10)
# Accounts of the desks' own machinery, whatever the configuration names.
MACHINERY = frozenset({"system", "automation for jira"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sighting:
    """One change, as far as it tells whether it was made by hand. `like` is what was done, the same for all alike."""

    id: str
    ticket: str
    author: str
    at: datetime
    like: str


def is_bot(change: TicketChange, bots: Collection[str]) -> bool:
    """Whether the desk says that an app did it, or the configuration names its account. Case does not count."""
    author = change.author.casefold()
    return change.by_bot or author in MACHINERY or author in {name.casefold() for name in bots}


def sighting(change: TicketChange) -> Sighting:
    """A change as it is held against others."""
    like = "\x1f".join((change.kind.value, change.field, change.after, change.text))
    return Sighting(id=change.id, ticket=change.ref.id, author=change.author, at=change.at, like=like)


def in_bulk(sightings: Iterable[Sighting]) -> frozenset[str]:
    """The ids of those that were one update of BULK_TICKETS or more: alike, by one author, within BULK_WITHIN."""
    alike: dict[tuple[str, str], list[Sighting]] = defaultdict(list)
    for one in sightings:
        alike[one.author, one.like].append(one)
    return frozenset(found for group in alike.values() for found in _runs(group))


def _runs(group: Sequence[Sighting]) -> Iterator[str]:
    ordered = sorted(group, key=lambda one: one.at)
    start = 0
    for end, last in enumerate(ordered, 1):
        while last.at - ordered[start].at > BULK_WITHIN:
            start += 1
        window = ordered[start:end]
        if len(window) >= BULK_TICKETS and len({one.ticket for one in window}) >= BULK_TICKETS:
            yield from (one.id for one in window)
