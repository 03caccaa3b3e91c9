"""The pool: what may be learnt takes more than one person's word, and nobody's fills it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from countersign.feedback.pool import Caps, Dispute, Entry, Selection, Vote, apart_from, select
from countersign.feedback.rows import cluster_of, words_of
from countersign.fingerprint import of_ticket
from tests.unit.builders import NOW

KNOWN = frozenset({"network", "capacity", "data"})
CAPS = Caps()


def _vote(
    by: str, category: str = "network", *, cluster: str = "f1", minutes: int = 0, **more: object
) -> Vote:
    return Vote(
        case_id=f"c-{cluster}-{by}-{minutes}", cluster=cluster, category=category, by=by,
        at=NOW + timedelta(minutes=minutes), **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _categories(*votes: Vote, caps: Caps = CAPS) -> list[str]:
    return [one.category for one in select(votes, caps, known=KNOWN).chosen]


@pytest.mark.parametrize(
    ("votes", "learnt"),
    [
        ([_vote("ann")], []),
        ([_vote("ann"), _vote("ann", minutes=1)], []),
        ([_vote("ann"), _vote("bob", minutes=1)], ["network", "network"]),
        ([_vote("ann", approver=True)], ["network"]),
        ([_vote("ann", "made-up"), _vote("bob", "made-up")], []),
        ([_vote("ann"), _vote("bob", cluster="f2")], []),
    ],
    ids=["one", "one twice", "two", "an approver", "no category of the policy", "two clusters"],
)
def test_it_takes_a_quorum_or_an_approver(votes: list[Vote], learnt: list[str]) -> None:
    """Two people on the same cluster, or one who may approve; the same person twice is one person."""
    assert _categories(*votes) == learnt


def test_five_hundred_wrong_corrections_of_one_person_change_nothing() -> None:
    """On as many clusters or on one, beside what others settled: what was learnt before is learnt after."""
    honest = [_vote("bob", cluster="good"), _vote("cy", cluster="good", minutes=1)]
    flood = [_vote("eve", "data", cluster=f"x{n}", minutes=n) for n in range(500)]
    flood += [_vote("eve", "data", cluster="y", minutes=n) for n in range(500)]
    before = select(honest, CAPS, known=KNOWN)
    after = select([*flood, *honest], CAPS, known=KNOWN)
    assert (before.chosen, before.waiting) == (after.chosen, 0)
    assert after.waiting == 501


def test_a_contradiction_is_kept_apart_until_a_majority_settles_it() -> None:
    """One against one, an approver among them, is a dispute; two against one is settled, by the corrected cases."""
    ann, eve = _vote("ann", approver=True), _vote("eve", "data", minutes=1)
    disputed = select([ann, eve], CAPS, known=KNOWN)
    assert disputed.disputes == (Dispute(cluster="f1", said=(("data", 1), ("network", 1))),)
    assert (disputed.chosen, disputed.waiting) == ((), 0)
    settled = select([ann, eve, _vote("bob", minutes=2)], CAPS, known=KNOWN)
    assert {(one.category, one.by, one.alone) for one in settled.chosen} == {("network", ("ann", "bob"), ())}
    tied = select([ann, eve, _vote("bob", minutes=2), _vote("cy", "data", minutes=3)], CAPS, known=KNOWN)
    assert (tied.chosen, len(tied.disputes)) == ((), 1)


def test_who_finds_the_model_right_speaks_against_who_corrects_it() -> None:
    """Their word counts in a dispute; but what needed no correction is nothing to learn."""
    confirmed = [_vote("ann", "capacity", confirms=True), _vote("bob", "capacity", confirms=True, minutes=1)]
    corrected = [_vote("eve", "data", approver=True, minutes=2)]
    assert select(confirmed, CAPS, known=KNOWN).chosen == ()
    assert select([*confirmed, *corrected], CAPS, known=KNOWN) == Selection()


def test_a_newer_word_of_the_same_person_replaces_their_older_one() -> None:
    """Who changes their mind is not in dispute with themselves."""
    votes = [_vote("ann", "data"), _vote("ann", minutes=5), _vote("bob", minutes=6)]
    chosen = select(votes, CAPS, known=KNOWN).chosen
    assert [(one.category, one.case_id) for one in chosen] == [
        ("network", "c-f1-bob-6"),
        ("network", "c-f1-ann-5"),
    ]


def test_a_cluster_and_a_person_have_so_much_room() -> None:
    """The newest cases of a cluster; and where one who agreed has carried enough, the others must suffice."""
    storm = [_vote(who, minutes=n) for n in range(9) for who in ("ann", "bob")]
    found = select(storm, Caps(per_cluster=3), known=KNOWN)
    assert (len(found.chosen), found.capped) == (3, 15)
    many = [_vote(who, cluster=f"f{n}", minutes=n) for n in range(4) for who in ("ann", "eve")]
    third = _vote("cy", cluster="f3", minutes=9)
    caps = Caps(per_person=4)
    first = {one.cluster for one in select(many, caps, known=KNOWN).chosen}
    assert first == {"f0", "f1"}
    assert len(select([*many, third], caps, known=KNOWN).chosen) == 4


def test_what_is_chosen_does_not_depend_on_the_order_it_was_read_in() -> None:
    """The same votes, the same selection."""
    votes = [_vote(who, cluster=f"f{n}", minutes=n) for n in range(6) for who in ("ann", "bob", "cy")]
    caps = Caps(per_person=5, per_cluster=2)
    assert select(votes, caps, known=KNOWN) == select(reversed(votes), caps, known=KNOWN)


def test_an_evaluation_retrieves_nothing_of_its_own_clusters() -> None:
    """An entry of a cluster that is asked about has the answer."""
    entry = Entry(
        id="e", case_id="c", cluster="f1", template="t", title="t", text="t", category="network", severity="low",
        by=("ann", "bob"), at=NOW,
    )  # fmt: skip
    assert (apart_from([entry], {"f1"}), apart_from([entry], {"f2"})) == ((), (entry,))


def test_tickets_that_people_open_are_alike_by_their_words() -> None:
    """No alert opened them, so each has a fingerprint of its own; others go by theirs."""
    own = of_ticket("jira", "10007")
    assert cluster_of(own, "disk full", "jira", "10007") == f"words:{words_of('disk full')}"
    assert cluster_of("f1", "disk full", "jira", "10007") == "f1"
