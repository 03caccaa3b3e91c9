"""Guards: a rule that closes by `risk_below` is watched as a certified one is, and falls back to drafts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.smtp.mailer import SmtpConfig, SmtpMailer
from connectors.sql.ledger import SqlLedger
from tests.mailbox import mailbox
from tests.workers.house import House, house
from workers import learn

LEAD = "dana.okafor"
ENOUGH = 4  # wrong closes of four: more than risk_below 0.10 accepts, with 99 % confidence


@pytest.fixture
def home(tmp_path: Path, ledger_url: str) -> Iterator[House]:
    """On both ledgers; the rule `noise` closes what is less risky than 0.10."""
    with house(tmp_path, ledger_url) as one:
        yield one


def _another_worker(home: House) -> House:
    """A worker that was there before, with a connection of its own to the ledger."""
    url = home.parts.settings.ledger.get_secret_value()
    return replace(
        home, parts=replace(home.parts, ledger=SqlLedger.open(url, clock=home.clock), worker="other")
    )


def _tickets(home: House, number: int, name: str) -> list[str]:
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
    return [str(row["number"]) for row in opened]


def _is_open(home: House, ticket: str) -> bool:
    return home.box.run(lambda: home.box.servicenow.incident(ticket)["state"]) not in ("6", "7")


def _wrong(home: House, tickets: list[str]) -> None:
    desk = home.box.servicenow
    said = "/countersign wrong category=security"
    for ticket in tickets:
        home.box.run(lambda ticket=ticket: desk.add_note(desk.incident(ticket)["sys_id"], LEAD, said))  # type: ignore[misc]
    home.run("watch", "sweep")


def _with_threshold(home: House, risk: float) -> House:
    rules = [rule.model_dump(by_alias=True) for rule in home.parts.policies["alert-triage"].rules]
    rules[0]["threshold"] = {"risk_below": risk}
    return home.with_policy(rules=rules)


def _told(home: House, ticket: str) -> list[str]:
    story = home.parts.ledger.reading.story(ticket)
    return [one.state for one in story.actions if "only drafts from now on" in str(one.action.effect)]


def test_a_rule_that_closes_by_risk_loses_its_autonomy_too(home: House) -> None:
    """Three wrong closes may be chance, the fourth is not: all workers draft and say so; another threshold is new."""
    closed = _tickets(home, ENOUGH, "mail")
    assert not any(_is_open(home, one) for one in closed)
    other = _another_worker(home)
    _wrong(home, closed[:-1])
    assert not _is_open(home, _tickets(home, 1, "dns")[0])
    _wrong(home, closed[-1:])
    (drafted,) = _tickets(other, 1, "proxy")
    because = home.parts.ledger.reading.story(drafted).decisions[-1].decision.because
    assert (_is_open(home, drafted), "lost its autonomy" in str(because)) == (True, True)
    assert _told(home, closed[-1]) == ["done"]
    # Another version of the policy with the same rule changes nothing; another threshold is another promise.
    assert _is_open(home.with_policy(version=9), _tickets(home.with_policy(version=9), 1, "imap")[0])
    assert not _is_open(home, _tickets(_with_threshold(home, 0.11), 1, "ldap")[0])
    other.parts.ledger.close()


def test_the_owner_is_told_once_though_the_worker_died(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between demoting and telling: the sweeper tells in the ticket and by mail, each once."""
    with mailbox() as box:
        config = SmtpConfig(host="127.0.0.1", port=box.port, sender="c@example.com", tls="none", timeout_s=5)
        home = home.with_policy(escalation={"demoted": "owner@example.com"})
        home = replace(home, parts=replace(home.parts, mailer=SmtpMailer(config)))
        closed = _tickets(home, ENOUGH, "mail")
        with monkeypatch.context() as dying:
            dying.setattr(learn, "_told", _die)
            with pytest.raises(SystemExit):
                _wrong(home, closed)
        assert (_told(home, closed[-1]), box.mails) == ([], [])
        home.later(minutes=3)
        home.run("sweep")
        home.run("sweep")
    assert [state for one in closed for state in _told(home, one)] == ["done"]
    ((to, mail),) = box.mails
    assert (to, mail["Subject"]) == (
        "owner@example.com",
        '[alert-triage] Rule "noise" only drafts from now on',
    )
    text = mail.get_content()
    assert ("more than the risk it accepts" in text, any(one in text for one in closed)) == (True, True)
    assert home.parts.ledger.promises.demotions(within=timedelta(minutes=1)) == ()


def _die(*_: object) -> None:
    raise SystemExit("killed")
