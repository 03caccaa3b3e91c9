"""Tryout: what a policy would have done with the tickets of an export, without the columns that tell the end."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import pytest

from countersign.exports.problems import ExportError
from countersign.passages import MOST
from countersign.policy import Policy, load_policy
from countersign.severity import Severity
from countersign.tryout import Seen, read_tickets, try_out
from tests.unit.builders import POLICIES

HEADER = (
    "number", "short_description", "priority", "category", "assignment_group", "reopen_count",
    "reassignment_count", "resolved_at", "close_notes",
)  # fmt: skip
QUIET, LOUD = "Backup of db finished", "Disk of db is full"


def _policy() -> Policy:
    name = POLICIES / "alert-triage.yaml"
    return load_policy(name.read_text(encoding="utf-8"), name=str(name))


def _export(*rows: Sequence[str]) -> io.StringIO:
    out = io.StringIO(newline="")
    csv.writer(out).writerows([HEADER, *rows])
    out.seek(0)
    return out


def _row(number: int, title: str = QUIET, *, reopens: str = "0", moves: str = "0", **more: str) -> list[str]:
    cells = {
        "number": f"INC{number}",
        "short_description": f"{title} {number}",
        "priority": "5 - Planning",
        "category": "inquiry",
        "assignment_group": "storage" if title == LOUD else "backup",
        "reopen_count": reopens,
        "reassignment_count": moves,
        "resolved_at": "2026-11-01 10:00",
        "close_notes": "was a false alarm",
    }
    return [{**cells, **more}[name] for name in HEADER]


def _assess(texts: Sequence[str]) -> list[Seen]:
    quiet = Seen(category="informational", severity=Severity.INFO, confidence=0.97)
    return [
        quiet if QUIET in text else Seen(category="data", severity=Severity.HIGH, confidence=0.9)
        for text in texts
    ]


def _learn(_texts: Sequence[str], _groups: Sequence[str], asked: Sequence[str]) -> list[str]:
    return ["backup" if QUIET in text else "storage" for text in asked]


def test_wrong_closes_are_counted_where_the_export_tells_of_them() -> None:
    """Of three closed, one was reopened and one was given to another group: two of three are wrong."""
    found = read_tickets(_export(_row(1), _row(2, reopens="1"), _row(3, moves="2"), _row(4, LOUD)), {})
    tried = try_out(found.tickets, _policy(), assess=_assess, learn=_learn)
    by_category = {one.category: one for one in tried.given}
    quiet, loud = by_category["informational"], by_category["data"]
    assert (quiet.closed, quiet.wrong.n, quiet.wrong.value) == (3, 3, 2 / 3)
    assert (loud.closed, loud.drafted) == (0, 1)
    assert tried.tells == ("it was reopened", "it was given to another group")


def test_the_model_reads_nothing_that_was_written_later() -> None:
    """Resolution times, close notes, counts and the group that had it last never reach the text."""
    found = read_tickets(_export(_row(1)), {})
    assert found.tickets[0].text == f"{QUIET} 1"
    assert {"resolved_at", "close_notes", "assignment_group", "category"} <= set(found.columns.hidden)


def test_codes_are_read_without_their_outcome_where_there_is_no_prose() -> None:
    """Without a title the other columns are read, short of those that leak."""
    text = (
        "number,u_symptom,closed_code,resolved_by,incident_state\nINC1,Symptom 72,code 5,Resolved by 1,New\n"
    )
    found = read_tickets(io.StringIO(text), {})
    assert found.tickets[0].text == "u_symptom_Symptomhc"
    assert set(found.columns.hidden) == {"closed_code", "resolved_by", "incident_state"}


def test_a_category_of_the_policy_that_people_changed_makes_a_close_wrong() -> None:
    """Where the export speaks the policy's own words, another word than the model's is a wrong close."""
    found = read_tickets(_export(_row(1, category="security"), _row(2, category="informational")), {})
    tried = try_out(found.tickets, _policy(), assess=_assess, learn=_learn)
    assert (tried.given[0].closed, tried.given[0].wrong.value) == (2, 0.5)


def test_a_promise_without_a_certificate_drafts_and_says_what_it_would_close() -> None:
    """Nothing is certified for an export: the rule drafts, and what a certificate would add stands beside it."""
    policy = _policy()
    first = policy.rules[0].model_dump(by_alias=True) | {
        "threshold": {"wrong_closes_at_most": 0.05, "sure": 0.95}
    }
    promised = Policy.model_validate(
        policy.model_dump(by_alias=True)
        | {"rules": [first, *(rule.model_dump(by_alias=True) for rule in policy.rules[1:])]}
    )
    found = read_tickets(_export(_row(1), _row(2)), {})
    given = try_out(found.tickets, promised, assess=_assess, learn=_learn).given[0]
    assert (given.closed, given.drafted, given.once_certified) == (0, 2, 2)


def test_what_would_be_closed_is_read_in_pieces_as_at_work() -> None:
    """A sentence that is read as something else keeps a ticket open, though the whole reads as one to close."""
    export = io.StringIO(
        "number,short_description,description\n"
        f"INC1,{QUIET},It took an hour.\nINC2,{QUIET},It took an hour. {LOUD}!\n"
        f"INC3,{QUIET},{' '.join(f'{n}.' for n in range(MOST + 1))}\n"
    )
    asked: list[str] = []

    def assess(texts: Sequence[str]) -> list[Seen]:
        asked.extend(texts)
        loud = Seen(category="capacity", severity=Severity.HIGH, confidence=0.9)
        return [
            loud if text.endswith(f"{LOUD}!") and "hour" not in text else _assess([QUIET])[0]
            for text in texts
        ]

    given = try_out(read_tickets(export, {}).tickets, _policy(), assess=assess, learn=_learn).given[0]
    assert (given.tickets, given.closed, given.drafted) == (3, 1, 2)
    assert {f"{QUIET}\n{LOUD}!", f"{QUIET}\nIt took an hour."} <= set(asked)


def test_bad_rows_are_told_by_row_and_column() -> None:
    """A torn row, a count that is none, an unknown priority and an empty ticket: each told, none stops the rest."""
    export = _export(
        _row(1, reopens="many"),
        ["INC2", "torn"],
        _row(3, priority="purple"),
        _row(4, short_description=" "),
        _row(5),
    )
    found = read_tickets(export, {})
    told = [str(problem) for problem in found.problems]
    assert [ticket.id for ticket in found.tickets] == ["INC1", "INC3", "INC5"]
    assert told == [
        'row 2, reopen_count: "many" is not a number from 0 up; it counts as unknown',
        "row 3: it has 2 of 9 columns, so it was not counted",
        'row 4, priority: "purple" is not a known priority; it counts as unknown',
        "row 5: nothing is written in it, so it was not counted",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The file is empty"),
        ("number,short_description\n", "no ticket that says anything"),
        ("number,resolved_at\n1,2\n", "No column is known to hold what a ticket says"),
    ],
)
def test_an_export_that_says_nothing_is_one_sentence(text: str, said: str) -> None:
    """Empty, header only, or nothing but outcomes: refused with what to do."""
    with pytest.raises(ExportError, match=said):
        read_tickets(io.StringIO(text), {})


def test_a_mapping_names_columns_of_other_tools() -> None:
    """--map goes before the names that are known; an unknown field or column is refused."""
    text = "Ref,Betreff\n7,Drucker kaputt\n"
    assert read_tickets(io.StringIO(text), {"id": "Ref", "title": "betreff"}).tickets[0].id == "7"
    with pytest.raises(ExportError, match='no column "Titel" for title'):
        read_tickets(io.StringIO(text), {"title": "Titel"})
    with pytest.raises(ExportError, match='knows no field "colour"'):
        read_tickets(io.StringIO(text), {"colour": "Ref"})
