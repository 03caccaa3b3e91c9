"""Learning: what engineers agree on is what the embedded model says next time, once somebody has activated it."""

from __future__ import annotations

from pathlib import Path

from tests.workers.house import House, house
from workers.pool import build, caps_of
from workers.wiring import new_embedded_model

TEXT = "Zeppelin mooring line tension out of band at mast seven"
OTHER = "Mast lamp of the zeppelin hangar is out of order"


def _corrected(home: House, text: str, *people: str, category: str = "hardware") -> None:
    """A ticket of this text, in which these people say what it is."""
    desk = home.box.servicenow
    row = home.box.run(lambda: desk.open_incident(short_description=text, description=text))
    home.once()
    for person in people:
        word = f"/countersign wrong category={category}"
        home.box.run(lambda: desk.add_note(row["sys_id"], person, word))  # noqa: B023 - run at once
    home.run("watch")


def _reads(home: House, text: str, *, corrections: bool = True) -> str:
    """What a process that starts now reads in the text."""
    model = new_embedded_model(home.parts.settings, corrections=corrections)
    return model.classify([text])[0].category


def test_what_two_people_say_teaches_the_embedded_model_once_it_is_activated(
    tmp_path: Path, sqlite_url: str
) -> None:
    """Built is not in force; activated it is, under a name of its own; rolled back it is forgotten."""
    with house(tmp_path, sqlite_url) as home:
        _corrected(home, TEXT, "lena.fischer", "tomas.silva")
        policy, pool = home.parts.policies["alert-triage"], home.ledger.pool
        made = build(pool, policy, by="dana")
        read = [_reads(home, TEXT)]
        pool.activate(policy.use_case, made.version, by="dana")
        read.append(_reads(home, TEXT))
        pool.activate(policy.use_case, 0, by="dana")
        assert [one == "hardware" for one in (*read, _reads(home, TEXT))] == [False, True, False]


def test_one_person_teaches_nothing_but_an_approver_does(tmp_path: Path, sqlite_url: str) -> None:
    """lena is in the NOC, dana is one of its leads, who may approve: the desk's groups decide, not the name."""
    with house(tmp_path, sqlite_url) as home:
        _corrected(home, TEXT, "lena.fischer")
        _corrected(home, OTHER, "dana.okafor")
        policy = home.parts.policies["alert-triage"]
        made = build(home.ledger.pool, policy, by="dana")
        taught = home.ledger.pool.entries(policy.use_case, made.version)
        assert [(one.title, one.by) for one in taught] == [(OTHER, ("dana.okafor",))]
        assert (made.waiting, caps_of(policy).quorum) == (1, 2)


def test_a_lesson_stands_beside_a_case_that_is_like_it(tmp_path: Path, sqlite_url: str) -> None:
    """The next ticket of the same words: the model reads what people settled, and a note says so."""
    with house(tmp_path, sqlite_url) as home:
        _corrected(home, TEXT, "lena.fischer", "tomas.silva")
        policy, pool = home.parts.policies["alert-triage"], home.ledger.pool
        pool.activate(policy.use_case, build(pool, policy, by="dana").version, by="dana")
        desk = home.box.servicenow
        row = home.box.run(lambda: desk.open_incident(short_description=TEXT, description=TEXT))
        home.once()
        (line,) = [one for one in home.ledger.reading.cases(limit=9) if one.ticket == row["number"]]
        last = home.ledger.reading.story(line.id).decisions[-1]
        assert "2 people said that it is hardware" in last.calls[-1].rendered
