"""Readings: what the embedded model read in a case, whoever answered, and whether people say the same.

They certify where it may answer alone. What people say of the answer that they were shown is said of the reading
too: confirmed, it is right where both said the same; given another category, it is right where it had read that one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from countersign.labelling import WRONG, Finding, Judgeable, Told, finding_of
from countersign.labels import Label, Versions
from countersign.lanes import Lane
from countersign.monitors import Monitor
from countersign.policy import Policy
from countersign.promises import Issued, Relabelled, Standing
from countersign.routing import LocalCertificate
from countersign.thresholds.certificate import Certificate


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """A case of which the embedded model's reading is on record; `said` is the category that people were shown.

    The rest is as in `labelling.Judgeable`.
    """

    case_id: str
    use_case: str
    fingerprint: str
    at: datetime
    category: str
    confidence: float
    said: str
    lane: Lane
    control_share: float
    alone: bool
    versions: Versions
    told: tuple[Told, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """An alarm: the embedded model no longer answers alone here. `case_id` is the case whose reading raised it."""

    case_id: str
    use_case: str
    issued: Issued


class LocalReadingBook(Protocol):
    """Readings, what people told of them, and the certificates that rest on that."""

    def standing(self, use_case: str) -> Standing:
        """The newest certificate of each category and versions; their rule is empty."""
        ...

    def of(self, case_ids: Sequence[str]) -> tuple[Reading, ...]:
        """The readings of these cases, as far as there are any."""
        ...

    def record(self, findings: Sequence[Finding]) -> tuple[Lost, ...]:
        """Keeps what was found, moves monitors by what is new, and withdraws certificates on alarm."""
        ...

    def relabel(self, case_ids: Sequence[str], findings: Sequence[Finding]) -> Relabelled:
        """Makes these the only findings of the cases, as `PromiseBook.relabel` does with those of answers."""
        ...

    def labels(self, use_case: str) -> tuple[Label, ...]: ...

    def issue(self, use_case: str, certificate: Certificate, monitor: Monitor) -> None: ...


def reading_versions(policy: Policy, model: str) -> Versions:
    """What a reading depends on: what the model was taught (its name says so), what it sees, what it may say."""
    seen = {
        "categories": list(policy.categories),
        "visible": sorted(policy.scope.data.visible),
        "redact": sorted(policy.scope.data.redact),
    }
    canonical = json.dumps(seen, sort_keys=True)
    return Versions(policy=hashlib.sha256(canonical.encode()).hexdigest()[:12], prompt="", model=model)


def alone(standing: Standing, versions: Versions) -> Mapping[str, LocalCertificate]:
    """Where the embedded model may answer alone, by category."""
    return {
        one.certificate.category: LocalCertificate(
            precision=round(1 - one.certificate.promise.alpha, 9),
            from_confidence=1 - one.certificate.threshold,
        )
        for one in standing.issued
        if one.withdrawn_at is None and one.certificate.versions == versions
    }


def judged(reading: Reading) -> Finding | None:
    """Whether the reading was wrong; None while nobody has told anything of the category."""
    people = [one for one in reading.told if one.source == "person"]
    found = _named(reading, people) or _confirmed(reading, people)
    if found is None:
        return None
    case = Judgeable(
        case_id=reading.case_id,
        use_case=reading.use_case,
        fingerprint=reading.fingerprint,
        at=reading.at,
        category=reading.category,
        rule="",
        risk=1 - reading.confidence,
        lane=reading.lane,
        control_share=reading.control_share,
        alone=reading.alone,
        versions=reading.versions,
        told=reading.told,
    )
    return finding_of(case, *found)


def _named(reading: Reading, people: Sequence[Told]) -> tuple[bool, datetime] | None:
    """The last category that somebody gave it."""
    named = [one for one in people if one.field == "category" and one.after]
    if not named:
        return None
    return named[-1].after.casefold() != reading.category.casefold(), named[-1].at


def _confirmed(reading: Reading, people: Sequence[Told]) -> tuple[bool, datetime] | None:
    """What was shown was called right, or wrong: then only the same reading is known to be wrong too.

    A ticket that people resolved confirms what they were shown: nothing in the control lane, nor a close of ours.
    """
    same = reading.said == reading.category
    against = [one for one in people if one.verdict in WRONG]
    if against:
        return (True, against[0].at) if same else None
    shown = reading.lane is Lane.TREATED and not reading.alone
    counted = {"approved", "good", *(("resolved",) if shown else ())}
    return next(((not same, one.at) for one in people if one.verdict in counted), None)
