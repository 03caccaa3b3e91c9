"""The trip-wire on reopens: many at once send a rule back to drafts until a person lifts it; they label nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.workers.house import House, house, shipped
from workers.main import main

WHO = "lena.fischer"


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str) -> Iterator[House]:
    """A house without a control lane, where Ana may promote."""
    document = yaml.safe_load(shipped())
    document |= {"control_lane": 0.0, "rights": {"promote": ["ana"]}}
    file = tmp_path / "triage.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    with house(tmp_path, sqlite_url, policies=[str(file)]) as one:
        yield one


def _closed(home: House, number: int, name: str = "mail") -> list[str]:
    """So many tickets of the kind that the policy closes alone."""
    desk = home.box.servicenow
    opened = [
        home.box.run(
            lambda host=host: desk.open_incident(  # type: ignore[misc]
                short_description=f"Certificate of {name}-{host} was renewed",
                description="Certificate renewal finished, valid for 90 days, no action needed",
                impact="3",
                urgency="3",
            )
        )
        for host in range(number)
    ]
    home.once()
    return [str(row["sys_id"]) for row in opened]


def _is_open(home: House, ticket: str) -> bool:
    return home.box.run(lambda: home.box.servicenow.incident(ticket)["state"]) not in ("6", "7")


def _reopen(home: House, tickets: list[str]) -> None:
    for ticket in tickets:
        home.box.run(lambda ticket=ticket: home.box.servicenow.set_fields(ticket, WHO, state="2"))  # type: ignore[misc]
    home.run("watch", "sweep")


def _notes(home: House) -> int:
    stories = (home.parts.ledger.reading.story(line.id) for line in home.parts.ledger.reading.cases(limit=50))
    return sum("were reopened" in str(one.action.effect) for story in stories for one in story.actions)


def _resume(home: House, capsys: pytest.CaptureFixture[str], by: str) -> str:
    with pytest.raises(SystemExit):
        main(
            [
                "resume",
                "--use-case",
                "alert-triage",
                "--rule",
                "noise",
                "--by",
                by,
                "--config",
                str(home.config),
            ]
        )
    said = capsys.readouterr()
    return said.out + said.err


def test_many_reopens_send_the_rule_back_to_drafts_until_a_person_lifts_it(
    home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of six is usual; all six are not: one note, no label, drafts; who may promote lets it close again."""
    tickets = _closed(home, 6)
    _reopen(home, tickets[:1])
    assert (_notes(home), _is_open(home, _closed(home, 1, "dns")[0])) == (0, False)
    _reopen(home, tickets[1:])
    assert (_notes(home), home.parts.ledger.promises.labels("alert-triage")) == (1, ())
    assert _is_open(home, _closed(home, 1, "proxy")[0])

    assert "ana may (rights.promote)" in _resume(home, capsys, "ben")
    assert _is_open(home, _closed(home, 1, "imap")[0])
    assert "closes again, by ana" in _resume(home, capsys, "ana")
    (again,) = _closed(home, 1, "ldap")
    assert not _is_open(home, again)
    # What was reopened before is known: one more is usual again.
    _reopen(home, [again])
    assert not _is_open(home, _closed(home, 1, "smtp")[0])
    assert "was not sent back to drafts" in _resume(home, capsys, "ana")
