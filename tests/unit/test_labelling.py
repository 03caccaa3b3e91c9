"""Labelling: what people said about a case becomes a label with its probability, or an audit alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.feedback.sources import Source
from countersign.labelling import Judgeable, Told, finding
from countersign.labels import Versions
from countersign.lanes import Lane
from countersign.thresholds.strata import clusters
from tests.unit.builders import NOW

CASE = Judgeable(
    case_id="c1",
    use_case="alert-triage",
    fingerprint="f1",
    at=NOW,
    category="informational",
    rule="noise",
    risk=0.01,
    lane=Lane.TREATED,
    control_share=0.1,
    alone=False,
    versions=Versions(policy="p", prompt="q", model="local"),
    told=(),
)


def _told(verdict: str, field: str = "", minutes: int = 1) -> Told:
    return Told(verdict=verdict, field=field, at=NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ([_told("approved")], False),
        ([_told("good")], False),
        ([_told("resolved")], False),
        ([_told("rejected")], True),
        ([_told("wrong"), _told("resolved", minutes=2)], True),
        ([_told("resolved"), _told("corrected", "category", 2)], True),
        ([_told("corrected", "close_code"), _told("resolved", minutes=2)], False),
    ],
)
def test_words_and_deeds_of_people_say_whether_a_close_is_wrong(told: list[Told], wrong: bool) -> None:
    """Approving or resolving unchanged is right; rejecting or changing what was said is wrong, and outweighs."""
    found = finding(replace(CASE, told=tuple(told)))
    assert found is not None
    assert (found.wrong, found.label and found.label.wrong) == (wrong, wrong)


@pytest.mark.parametrize("verdict", ["reopened", "acknowledged", "refused", "why"])
def test_other_words_are_no_label(verdict: str) -> None:
    """A reopening above all: people reopen for other reasons."""
    assert finding(replace(CASE, told=(_told(verdict),))) is None


def test_before_anything_is_closed_alone_every_case_is_looked_at() -> None:
    """Both lanes are labelled with probability 1."""
    lanes = (Lane.TREATED, Lane.CONTROL)
    found = [finding(replace(CASE, lane=lane, told=(_told("resolved"),))) for lane in lanes]
    assert [one.label.probability for one in found if one and one.label] == [1.0, 1.0]


def test_once_closed_alone_the_control_lane_counts_with_its_share() -> None:
    """Its label has the recorded probability; the treated lane's words are heard, and are no label."""
    control = finding(replace(CASE, alone=True, lane=Lane.CONTROL, told=(_told("resolved"),)))
    treated = finding(replace(CASE, alone=True, told=(_told("wrong"),)))
    silent = finding(replace(CASE, alone=True, told=(_told("resolved"),)))
    assert control is not None
    assert control.label is not None
    assert control.label.probability == 0.1
    assert treated is not None
    assert (treated.wrong, treated.label, silent) == (True, None, None)


def test_one_trouble_drawn_with_two_shares_on_one_day_can_be_counted() -> None:
    """What was new came with a raised share, what came back with the base: each share is a cluster of its own."""
    drawn = replace(CASE, alone=True, lane=Lane.CONTROL, told=(_told("resolved"),))
    cases = (
        replace(drawn, control_share=0.5),
        replace(drawn, case_id="c2"),
        replace(drawn, case_id="c3"),
        replace(drawn, case_id="c4", alone=False),
    )
    found = clusters(one.label for case in cases if (one := finding(case)) and one.label)
    assert sorted(unit.probability for unit in found.values()) == [0.1, 0.5, 1.0]


@pytest.mark.parametrize("source", ["bot", "bulk"])
def test_what_no_person_did_by_hand_is_no_label(source: Source) -> None:
    """A bot's word and an update of many tickets are heard by nobody; a person's beside them is."""
    wrong = replace(_told("wrong"), source=source)
    alone, beside = (finding(replace(CASE, told=told)) for told in ((wrong,), (wrong, _told("good"))))
    assert (alone, beside and beside.wrong) == (None, False)


def test_a_category_set_to_what_the_model_had_said_does_not_speak_against_it() -> None:
    """The desk's own category differed, and a person followed the model; another one is a word against it."""
    told = (_told("corrected", "category"), _told("resolved", minutes=2))
    found = [
        finding(replace(CASE, told=(replace(told[0], after=after), told[1])))
        for after in ("Informational", "network")
    ]
    assert [one and one.wrong for one in found] == [False, True]
