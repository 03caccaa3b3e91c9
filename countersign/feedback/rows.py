"""Rows: corrections as data, one row each, and which of them an evaluation may not have been taught with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from countersign.feedback.pool import Caps, Chosen, Vote, select
from countersign.fingerprint import of_ticket
from countersign.ledger import About, Correction

WORDS = "words:"
EVAL_SHARE = 0.2
Split = Literal["train", "eval"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """A case that people corrected: what its model was shown and answered last, and all that was said of it.

    `rendered` is the redacted text; `answer` is what the model wrote, "" where none answered. `corrections` are
    oldest first.
    """

    case_id: str
    cluster: str
    template: str
    rendered: str
    answer: str
    prompt: str
    prompt_hash: str
    corrections: tuple[Correction, ...]

    @property
    def outline(self) -> Outline:
        return Outline(
            case_id=self.case_id,
            cluster=self.cluster,
            template=self.template,
            last_at=max(one.at for one in self.corrections),
            votes=tuple(
                vote for told in self.corrections if (vote := vote_of(told, self.cluster)) is not None
            ),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Outline:
    """A corrected case without its texts: all that its split, and what is settled of it, depend on."""

    case_id: str
    cluster: str
    template: str
    last_at: datetime
    votes: tuple[Vote, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A correction in plain columns. `person` stands for somebody within one export; names stay in the ledger.

    `settled` is the category that a quorum gives the case, "" while there is none.
    """

    case: str
    decision: str
    at: datetime
    person: str
    source: str
    approver: bool
    verdict: str
    field: str
    before: str
    after: str
    text: str
    distance: float | None
    category: str
    confidence: float | None
    risk: float | None
    lane: str
    seen: bool | None
    cluster: str
    policy_version: int | None
    policy_hash: str
    boundary: str
    prompt_hash: str
    model: str
    calibration: str
    settled: str
    split: str


def cluster_of(fingerprint: str, template: str, desk: str, ticket_id: str) -> str:
    """What goes wrong in the same way again: the fingerprint; of a ticket that no alert opened, its title's words.

    Such a ticket has a fingerprint of its own, which nothing else will ever have.
    """
    born_there = bool(ticket_id) and fingerprint == of_ticket(desk, ticket_id)
    return f"{WORDS}{words_of(template)}" if born_there else fingerprint


def words_of(template: str) -> str:
    """A name for the words of a title, "" for none: the same for the same words, which nobody reads in it.

    Titles hold what must not leave the ledger's own copies, and names of clusters go into files.
    """
    return hashlib.sha256(template.encode()).hexdigest()[:16] if template else ""


def splits(cases: Sequence[Outline], *, share: float = EVAL_SHARE) -> dict[str, Split]:
    """By case: the newest clusters are for evaluation, about this share of the cases; the rest is to be taught.

    Cases of one cluster, or with the words of one title, stay together. A group is as new as its newest case, so
    that nothing that is taught is newer than what is asked.
    """
    groups = sorted(_groups(cases), key=lambda group: (max(one.last_at for one in group), group[0].case_id))
    found: dict[str, Split] = {}
    wanted = len(cases) * share
    for group in reversed(groups):
        # At least one group is left to be taught, however large the newest is.
        split: Split = "eval" if len(found) < wanted and group is not groups[0] else "train"
        found |= dict.fromkeys((one.case_id for one in group), split)
    return found


def vote_of(told: Correction, cluster: str) -> Vote | None:
    """A correction as a vote: a category that a person gave, or their word that the model's was right."""
    corrects = told.field == "category" and told.verdict in ("wrong", "corrected")
    confirms = told.verdict == "good" and told.field == ""
    category = told.after if corrects else told.about.category if confirms and told.about else ""
    if told.source != "person" or not category.strip():
        return None
    return Vote(
        case_id=told.case_id,
        cluster=cluster,
        category=category.strip().casefold(),
        by=told.by,
        at=told.at,
        approver=told.approver,
        confirms=confirms,
    )


def settled_in(cases: Sequence[Outline], *, quorum: int, known: Iterable[str]) -> Mapping[str, Chosen]:
    """By case, what a quorum says that it is: by the rules of the pool, without its caps."""
    all_of_them = len(cases) + 1
    caps = Caps(quorum=quorum, per_person=all_of_them, per_cluster=all_of_them, most=all_of_them)
    votes = (vote for case in cases for vote in case.votes)
    chosen = select(votes, caps, known=frozenset(known)).chosen
    return {one.case_id: one for one in chosen}


def rows_of(
    cases: Iterable[Material], split: Mapping[str, Split], settled: Mapping[str, Chosen]
) -> Iterator[Row]:
    """One row a correction, oldest case first."""
    people: dict[str, str] = {}
    for case in cases:
        for told in case.corrections:
            person = people.setdefault(told.by, f"person {len(people) + 1}")
            about = settled[case.case_id].category if case.case_id in settled else ""
            yield _row(case, told, person, split[case.case_id], about)


def _row(case: Material, told: Correction, person: str, split: Split, settled: str) -> Row:
    about: About | None = told.about
    versions = about.versions if about else None
    return Row(
        case=case.case_id,
        decision=about.decision if about else "",
        at=told.at,
        person=person,
        source=told.source,
        approver=told.approver,
        verdict=told.verdict,
        field=told.field,
        before=told.before,
        after=told.after,
        text=told.text,
        distance=told.distance,
        category=about.category if about else "",
        confidence=about.confidence if about else None,
        risk=about.risk if about else None,
        lane=about.lane if about else "",
        seen=about.seen if about else None,
        cluster=case.cluster,
        policy_version=about.policy_version if about else None,
        policy_hash=about.policy_hash if about else "",
        boundary=versions.policy if versions else "",
        prompt_hash=versions.prompt if versions else "",
        model=versions.model if versions else "",
        calibration=versions.calibration if versions else "",
        settled=settled,
        split=split,
    )


def _groups(cases: Sequence[Outline]) -> list[list[Outline]]:
    """Cases that share a cluster or a title's words, directly or by others."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while parent.setdefault(name, name) != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for case in cases:
        names = [f"cluster {case.cluster}"] + ([f"words {case.template}"] if case.template else [])
        for name in names:
            parent[root(name)] = root(names[0])
    groups: dict[str, list[Outline]] = {}
    for case in sorted(cases, key=lambda one: one.case_id):
        groups.setdefault(root(f"cluster {case.cluster}"), []).append(case)
    return list(groups.values())
