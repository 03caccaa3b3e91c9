"""Readings of the embedded model: what people say of an answer says of the reading too, where it can."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from countersign.certification import examine_local
from countersign.confidence import SecondOpinion
from countersign.labelling import Told
from countersign.labels import Label
from countersign.lanes import Lane
from countersign.local_readings import Reading, alone, judged, reading_versions
from countersign.monitors import Monitor
from countersign.policy import Policy
from countersign.promises import Issued, Standing
from countersign.routing import answers_alone
from countersign.thresholds import Certificate, NotCertified
from tests.unit.builders import shipped

AT = datetime(2026, 11, 1, tzinfo=UTC)
SURE = Policy.model_validate(
    shipped().model_dump(by_alias=True)
    | {"model": {"candidates": ["openai/x"], "sure_enough_locally": 0.7}, "autonomy": "draft"}
)
VERSIONS = reading_versions(SURE, "local+ab")


def _told(verdict: str, field: str = "", after: str = "", source: str = "person") -> Told:
    return Told(verdict=verdict, field=field, at=AT, after=after, source=source)  # type: ignore[arg-type]


def _reading(*told: Told, read: str = "capacity", said: str = "capacity", **more: object) -> Reading:
    fields = {
        "case_id": "c1", "use_case": "u", "fingerprint": "f", "at": AT, "category": read, "confidence": 0.9,
        "said": said, "lane": Lane.TREATED, "control_share": 0.1, "alone": False, "versions": VERSIONS,
        "told": told,
    } | more  # fmt: skip
    return Reading(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reading", "wrong"),
    [
        (_reading(_told("approved")), False),
        (_reading(_told("resolved")), False),
        (_reading(_told("good"), said="network"), True),
        (_reading(_told("wrong"), _told("wrong", "category", "network")), True),
        (_reading(_told("wrong"), _told("wrong", "category", "capacity"), said="network"), False),
        (_reading(_told("corrected", "category", "Capacity"), said="network"), False),
        (_reading(_told("wrong"), _told("resolved")), True),
        (_reading(_told("wrong"), said="network"), None),
        (_reading(_told("corrected", "priority", "2")), None),
        (_reading(_told("approved", source="bot")), None),
        (_reading(_told("resolved"), lane=Lane.CONTROL), None),
        (_reading(_told("resolved"), alone=True), None),
        (_reading(), None),
    ],
)
def test_what_people_say_of_an_answer_says_of_the_reading(reading: Reading, wrong: bool | None) -> None:
    """Confirmed, corrected, or silent about it: what was not shown is not confirmed by a ticket that is resolved."""
    found = judged(reading)
    assert (None if found is None else found.wrong) == wrong


def test_a_case_closed_unseen_gives_an_audit_and_no_label() -> None:
    """What people happen to say of it is not drawn; in the control lane it is, with the lane's share."""
    told = _told("wrong", "category", "network")
    unseen = judged(_reading(told, alone=True))
    drawn = judged(_reading(told, alone=True, lane=Lane.CONTROL))
    assert unseen is not None
    assert unseen.label is None
    assert drawn is not None
    assert drawn.label is not None
    assert drawn.label.probability == 0.1


def _label(number: int, *, wrong: bool = False, risk: float = 0.05, model: str = "local+ab") -> Label:
    return Label(
        decision=f"c{number:04}", cluster=f"f{number}", category="capacity", risk=risk, wrong=wrong,
        probability=1.0, lane=Lane.TREATED, versions=reading_versions(SURE, model), known_at=AT,
    )  # fmt: skip


def _examined(labels: list[Label], standing: Standing | None = None) -> Certificate | NotCertified:
    (found,) = examine_local(SURE, labels, standing or Standing(), tuning=1, at=AT)
    return found


def test_enough_right_readings_certify_and_too_few_say_how_many_are_missing() -> None:
    """The same algorithm as thresholds: exact, per category, with its share of what may go wrong."""
    certified = _examined([_label(n) for n in range(40)])
    assert isinstance(certified, Certificate)
    assert (certified.n, certified.errors, certified.promise.alpha) == (40, 0, 0.3)
    short = _examined([_label(n) for n in range(5)])
    assert isinstance(short, NotCertified)
    assert short.needed > 0
    assert isinstance(_examined([_label(n, wrong=n % 2 == 0) for n in range(40)]), NotCertified)


def test_a_certificate_is_for_what_the_model_has_been_taught() -> None:
    """Taught anew it is another reader: labels of the old one don't count, nor does its certificate."""
    old = [_label(n) for n in range(40)]
    taught = [_label(100, model="local+cd")]
    assert isinstance(_examined(old + taught), NotCertified)
    certificate = _examined(old)
    assert isinstance(certificate, Certificate)
    issued = Issued(
        id="p1", rule="", at=AT, certificate=certificate, monitor=Monitor.start(allowed=certificate.promise.alpha)
    )  # fmt: skip
    opinion = SecondOpinion(category="capacity", confidence=0.97)
    for versions, may in ((VERSIONS, True), (replace(VERSIONS, model="local+cd"), False)):
        certified = alone(Standing(issued=(issued,)), versions)
        assert answers_alone(opinion, sure_enough=0.7, certified=certified) is may
        assert not answers_alone(opinion, sure_enough=0.71, certified=certified)
    lost = replace(issued, withdrawn_at=AT)
    assert alone(Standing(issued=(lost,)), VERSIONS) == {}
    assert isinstance(_examined(old, Standing(issued=(lost,))), NotCertified)
    later = [replace(one, known_at=AT + timedelta(days=1)) for one in old]
    assert isinstance(_examined(later, Standing(issued=(lost,))), Certificate)


def test_where_cases_are_closed_unseen_only_as_many_labels_count_as_were_drawn_there() -> None:
    """A category that a rule closes alone: its labels are thinned to the control lane's share."""
    acting = Policy.model_validate(
        SURE.model_dump(by_alias=True)
        | {
            "autonomy": "act",
            "control_lane": 0.1,
            "owners": dict.fromkeys(("product", "platform", "governance", "business"), "x"),
            "rules": [
                {
                    "name": "a",
                    "when": {"category": ["capacity"]},
                    "then": "close",
                    "threshold": {"risk_below": 0.1},
                },
                {"name": "b", "then": "draft_note"},
            ],
        }
    )
    (found,) = examine_local(acting, [_label(n) for n in range(200)], Standing(), tuning=1, at=AT)
    assert 5 <= found.n <= 45
