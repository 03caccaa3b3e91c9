"""The pool: what may be learnt from corrections. One person's word is not enough, and nobody's fills it.

A category that people give to a case is a vote on its cluster: what goes wrong in the same way again. Each person
has one vote on a cluster, their newest. A cluster is settled by a quorum of people who agree, or by one approver
of the policy while nobody disagrees; where people disagree it takes a quorum that is also more than half of all who
voted, and until then the cluster is in quarantine. Of a settled cluster a few cases are kept, and nobody carries
more than so many.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

MOST = 2_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Vote:
    """What one person said that a case is. `confirms`: they found the model's own word right, so there is nothing
    to learn from it, but it counts against who says otherwise."""

    case_id: str
    cluster: str
    category: str
    by: str
    at: datetime
    approver: bool = False
    confirms: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Caps:
    """How many people it takes, and how many entries one person, one cluster and the whole pool may have."""

    quorum: int = 2
    per_person: int = 200
    per_cluster: int = 3
    most: int = MOST


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A case that may be learnt from: what people settled on, and who. One of `alone` is enough by themselves."""

    case_id: str
    cluster: str
    category: str
    by: tuple[str, ...]
    at: datetime
    alone: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Dispute:
    """A cluster about which people disagree: how many say what."""

    cluster: str
    said: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """What of all votes may be learnt from. `waiting` counts clusters that lack a quorum, `capped` cases that were
    left out because their cluster, or the people behind it, have enough."""

    chosen: tuple[Chosen, ...] = ()
    waiting: int = 0
    disputes: tuple[Dispute, ...] = ()
    capped: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One entry of a version: the redacted text that the model was shown, and what it really was."""

    id: str
    case_id: str
    cluster: str
    template: str
    title: str
    text: str
    category: str
    severity: str
    by: tuple[str, ...]
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolVersion:
    """A version of a use case's pool. It never changes: going back makes an older one the active one again."""

    use_case: str
    version: int
    at: datetime
    by: str
    entries: tuple[str, ...]
    waiting: int
    disputes: tuple[Dispute, ...]
    capped: int


class PoolBook(Protocol):
    """The pool in the ledger. What it writes is in the audit log."""

    def votes(self, use_case: str) -> tuple[Vote, ...]:
        """What people said by hand, oldest first; bots and updates of many tickets have no vote."""
        ...

    def build(self, use_case: str, selection: Selection, *, by: str) -> PoolVersion:
        """Keeps the selection as the next version; gives the newest one where it has the same entries."""
        ...

    def versions(self, use_case: str) -> tuple[PoolVersion, ...]: ...

    def active(self, use_case: str) -> int:
        """The version in force; 0 where none ever was."""
        ...

    def in_force(self) -> Mapping[str, int]:
        """The version in force of each use case that ever had one."""
        ...

    def activate(self, use_case: str, version: int, *, by: str) -> None:
        """Puts a version in force, newer or older; 0 is none. Raises NotFound."""
        ...

    def entries(self, use_case: str, version: int) -> tuple[Entry, ...]:
        """In the order of the version. Raises NotFound."""
        ...


def select(votes: Iterable[Vote], caps: Caps, *, known: Collection[str]) -> Selection:
    """What may be learnt from these votes. `known`: the categories that the policy has; others have no say."""
    by_cluster: dict[str, list[Vote]] = defaultdict(list)
    for vote in sorted(votes, key=lambda one: (one.at, one.case_id, one.by)):
        if vote.category in known:
            by_cluster[vote.cluster].append(vote)
    settled: list[Chosen] = []
    disputes: list[Dispute] = []
    waiting = 0
    for cluster, said in by_cluster.items():
        newest = {vote.by: vote for vote in said}
        category, disputed = _settled(newest, caps.quorum)
        if category:
            settled += _cases(category, said, newest, disputed=disputed)
        elif disputed:
            disputes.append(_dispute(cluster, newest))
        else:
            waiting += 1
    chosen = _capped(settled, caps)
    return Selection(
        chosen=tuple(chosen), waiting=waiting, disputes=tuple(disputes), capped=len(settled) - len(chosen)
    )


def entry_id(case_id: str, category: str, text: str) -> str:
    """24 hex characters over all that an entry teaches."""
    return hashlib.sha256("\x1f".join((case_id, category, text)).encode()).hexdigest()[:24]


def apart_from(entries: Iterable[Entry], clusters: Collection[str]) -> tuple[Entry, ...]:
    """What an evaluation on cases of these clusters may retrieve: nothing that has their answer."""
    return tuple(one for one in entries if one.cluster not in clusters)


def _settled(newest: Mapping[str, Vote], quorum: int) -> tuple[str, bool]:
    """(what the people settled on or "", whether they disagree)."""
    counts = Counter(vote.category for vote in newest.values())
    (category, most), *others = counts.most_common()
    if others:
        return (category if most >= quorum and 2 * most > len(newest) else "", True)
    approved = any(vote.approver for vote in newest.values())
    return (category if most >= quorum or approved else "", False)


def _cases(
    category: str, said: Sequence[Vote], newest: Mapping[str, Vote], *, disputed: bool
) -> list[Chosen]:
    """The corrected cases of a settled cluster, newest first."""
    agree = {who: vote for who, vote in newest.items() if vote.category == category}
    people = tuple(sorted(agree))
    alone = () if disputed else tuple(who for who in people if agree[who].approver)
    cases = {vote.case_id: vote.at for vote in said if vote.category == category and not vote.confirms}
    return [
        Chosen(case_id=case_id, cluster=said[0].cluster, category=category, by=people, at=at, alone=alone)
        for case_id, at in sorted(cases.items(), key=lambda item: (item[1], item[0]), reverse=True)
    ]


def _capped(settled: Sequence[Chosen], caps: Caps) -> list[Chosen]:
    """Oldest clusters first, so that a flood comes last. Those behind an entry who carry enough don't count for it."""
    carried: Counter[str] = Counter()
    held: Counter[str] = Counter()
    kept: list[Chosen] = []
    for one in settled:
        free = [who for who in one.by if carried[who] < caps.per_person]
        carries = len(free) >= caps.quorum or any(who in free for who in one.alone)
        if carries and held[one.cluster] < caps.per_cluster and len(kept) < caps.most:
            kept.append(one)
            held[one.cluster] += 1
            carried.update(free)
    return kept


def _dispute(cluster: str, newest: Mapping[str, Vote]) -> Dispute:
    counts = Counter(vote.category for vote in newest.values())
    return Dispute(cluster=cluster, said=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))))
