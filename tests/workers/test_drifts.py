"""Drift in the whole house: what comes in changes, people see more cases blind for a while, and the report says so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
import structlog

from connectors.smtp.mailer import SmtpConfig, SmtpMailer
from connectors.sql.drifts import count_signals
from connectors.sql.ledger import SqlLedger
from countersign.composition import Period
from countersign.reports import Report, as_csv, mail_text
from countersign.signals import CATEGORY, LANGUAGE
from tests.mailbox import Mailbox, mailbox
from tests.workers.house import House, house
from workers.figures import report_of
from workers.tasks import STAGES

DAYS = 35
ALWAYS = {"a": 6, "b": 6}


LANE = {"control_lane": 0.1, "control_lane_raised": None}


@pytest.fixture
def calm(home: House) -> House:
    """An empty house whose policy has a control lane of a tenth."""
    return home.with_policy(**LANE)


@pytest.fixture
def either(tmp_path: Path, database_url: str) -> Iterator[House]:
    """The same on each kind of ledger."""
    with house(tmp_path, database_url) as one:
        yield one.with_policy(**LANE)


def _count(home: House, days: Iterable[int], kinds: dict[str, int], signal: str = CATEGORY) -> None:
    """So many of each kind, on each of these days before today, as decisions would have counted them."""
    db = home.ledger.drifts._db
    for ago in days:
        with db.write() as connection:
            pairs = tuple((signal, kind) for kind, count in kinds.items() for _ in range(count))
            count_signals(db, connection, [("alert-triage", pairs)], at=home.clock() - timedelta(days=ago))


def _share(home: House, title: str) -> float:
    """The probability with which the next case goes into the control lane, as its decision records it."""
    row = home.box.run(lambda: home.box.servicenow.open_incident(short_description=title, description="x"))
    home.once()
    facts = home.ledger.reading.story(str(row["number"])).decisions[-1].facts
    assert facts is not None
    return facts.control_share


def _records(home: House) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in home.ledger.trail.export()]
    return [line for line in lines if line["actor"] == "drift"]


def _audited(home: House) -> list[str]:
    return [line["event"] for line in _records(home)]


def _drift(home: House) -> None:
    """What comes in today is not what came before."""
    _count(home, range(8, 36), ALWAYS)
    _count(home, range(1, 8), {"c": 30})


def _notes(home: House) -> list[str]:
    """What tickets say of drift."""
    notes = [json.dumps(write.body) for write in home.writes]
    return [note for note in notes if "Drift:" in note]


def _mails(box: Mailbox) -> list[tuple[str, EmailMessage]]:
    """What was mailed of drift; a report may be due besides."""
    return [mail for mail in box.mails if "Drift:" in mail[1]["Subject"]]


@pytest.fixture
def mailed(either: House) -> Iterator[tuple[House, Mailbox]]:
    """The same with a mail server."""
    with mailbox() as box:
        config = SmtpConfig(
            host="127.0.0.1", port=box.port, sender="countersign@example.com", tls="none", timeout_s=5
        )
        yield replace(either, parts=replace(either.parts, mailer=SmtpMailer(config))), box


def _report(home: House, **ahead: float) -> Report:
    until = home.clock() + timedelta(**ahead)
    period = Period(since=until - timedelta(days=7), until=until)
    return report_of(home.parts.policies["alert-triage"], home.ledger, period)


def test_drift_raises_the_share_of_the_next_decisions_and_the_report_tells_it(either: House) -> None:
    """Quiet before; then doubled, recorded with each decision, in the audit log and in every form of the report."""
    _count(either, range(8, 36), ALWAYS)
    _count(either, range(1, 8), ALWAYS)
    assert _share(either, "Disk is full") == 0.1
    _count(either, range(1, 8), {"c": 30})
    either.clock.ahead += timedelta(days=1)
    with structlog.testing.capture_logs() as logs:
        either.run("sweep")
    (found,) = [line for line in logs if line["event"] == "drift.found"]
    assert "category (c:" in found["why"]
    assert _share(either, "Queue is full") == 0.2
    report = _report(either)
    drift = next(one for one in report.drift if one.name == CATEGORY)
    assert drift.fires
    assert "category (c:" in report.attention[0]
    assert "control lane" in report.attention[1]
    assert "control lane" in " ".join(mail_text(report).split())
    assert "drift.category,Drift: category" in as_csv(report)
    (record,) = _records(either)
    assert (record["event"], record["detail"]["share"]) == ("lane.raised", 0.2)


def test_the_owner_is_told_of_drift_once_in_the_newest_ticket_and_by_mail(
    mailed: tuple[House, Mailbox],
) -> None:
    """As of a demotion; while it lasts nothing is said again, and what begins anew is told anew."""
    home, box = mailed
    assert _share(home, "Disk is full") == 0.1
    _drift(home)
    home.clock.ahead += timedelta(days=1)
    home.run("sweep")
    home.run("sweep")
    (note,) = _notes(home)
    assert "category (c:" in note
    assert "20 % of cases go into the control lane" in note
    assert "noc-lead@example.com" in note
    (told,) = _mails(box)
    assert told[0] == "noc-lead@example.com"
    assert told[1]["Subject"].startswith("[alert-triage] Drift:")
    assert "category (c:" in told[1].get_content()
    home.later(days=1)
    assert _audited(home)[-1] == "lane.kept_raised"
    assert (len(_notes(home)), len(_mails(box))) == (1, 1)
    home.clock.ahead += timedelta(days=40)
    _drift(home)
    home.run("sweep")
    assert (len(_notes(home)), len(_mails(box))) == (2, 2)


def test_drift_that_a_worker_died_before_telling_is_told_by_the_next(
    mailed: tuple[House, Mailbox],
) -> None:
    """It had recorded what it found, and no more."""
    home, box = mailed
    assert _share(home, "Disk is full") == 0.1
    home.clock.ahead += timedelta(days=1)
    home.ledger.drifts.judge("alert-triage", home.clock().date(), "It has changed.", share=0.2)
    home.run("sweep")
    assert (len(_notes(home)), len(_mails(box))) == (1, 1)


def test_a_policy_that_only_observes_tells_of_drift_by_mail_alone(mailed: tuple[House, Mailbox]) -> None:
    """Nothing is written into any ticket."""
    home, box = mailed
    home = home.with_policy(autonomy="observe")
    _share(home, "Disk is full")
    _drift(home)
    home.later(days=1)
    assert (_notes(home), len(_mails(box))) == ([], 1)


def test_where_there_is_no_ticket_the_owner_is_mailed(mailed: tuple[House, Mailbox]) -> None:
    """There is none to write in; it is told all the same, once."""
    home, box = mailed
    _drift(home)
    home.later(days=1)
    home.run("sweep")
    assert (home.ledger.reading.cases(limit=1), home.writes, len(_mails(box))) == ((), [], 1)


def test_status_says_which_control_lanes_are_raised(calm: House) -> None:
    """And why; nothing while none is."""
    assert "control lane" not in calm.command("status").stdout
    _drift(calm)
    calm.run("sweep")
    said = calm.command("status").stdout
    assert "control lane  alert-triage" in said
    assert "category (c:" in said
    (raised,) = json.loads(calm.command("status", "--json").stdout)["control_lanes_raised"].values()
    assert "category (c:" in raised["why"]


def test_it_ends_when_the_drift_is_gone(calm: House) -> None:
    """The new has become usual: the next look lowers the share again, and says when it did."""
    _count(calm, range(8, 36), ALWAYS)
    _count(calm, range(1, 8), {"c": 30})
    calm.run("sweep")
    assert calm.ledger.drifts.raised("alert-triage")
    _count(calm, range(8, 36), {"c": 60})
    _count(calm, range(1, 8), ALWAYS)
    calm.later(days=1)
    assert not calm.ledger.drifts.raised("alert-triage")
    assert _share(calm, "Disk is full") == 0.1
    assert "it ended on" in _report(calm).attention[-1]


def test_it_ends_by_itself_after_a_week_without_anybody_looking(calm: House) -> None:
    """What raised it may be down: nobody has to lower it."""
    _count(calm, range(8, 36), ALWAYS)
    _count(calm, range(1, 8), {"c": 30})
    calm.run("sweep")
    calm.clock.ahead += timedelta(days=6, hours=23)
    assert calm.ledger.drifts.raised("alert-triage")
    calm.clock.ahead += timedelta(hours=2)
    assert not calm.ledger.drifts.raised("alert-triage")


def test_a_day_is_looked_at_once_by_whoever_comes_first(either: House) -> None:
    """A second scheduler with the same findings changes nothing and records nothing."""
    _count(either, range(8, 36), ALWAYS)
    _count(either, range(1, 8), {"c": 30})
    today, book = either.clock().date(), either.ledger.drifts
    first = book.judge("alert-triage", today, "It has changed.", share=0.2)
    again = SqlLedger.open(either.parts.settings.ledger.get_secret_value(), clock=either.clock)
    assert again.drifts.judge("alert-triage", today, "", share=0.2) == first
    list(STAGES["sweep"](replace(either.parts, ledger=again), []))
    again.close()
    assert _audited(either) == ["lane.raised"]


def test_every_first_decision_is_counted_once(calm: House) -> None:
    """By category, by what nobody assessed, by score, length and language."""
    _share(calm, "The printer is not on the network and it is red")
    _share(calm, "The router is not on the network and it is red")
    today = calm.clock().date()
    counts = calm.ledger.drifts.counts("alert-triage", since=today, until=today + timedelta(days=1))
    assert {name: sum(kinds.values()) for name, kinds in counts.items()} == {
        "category": 2, "unknown share": 2, "score": 2, "text length": 2, "language": 2,
    }  # fmt: skip
    assert counts[LANGUAGE] == {"English": 2}


def test_what_people_say_of_drafts_is_compared_too(calm: House) -> None:
    """A verdict typed in the ticket counts as accepted or corrected."""
    row = calm.box.run(lambda: calm.box.servicenow.open_incident(short_description="Full", description="x"))
    calm.once()
    calm.box.run(lambda: calm.box.servicenow.add_note(row["sys_id"], "lena.fischer", "/countersign wrong"))
    calm.run("watch")
    today = calm.clock().date()
    counts = calm.ledger.drifts.counts("alert-triage", since=today, until=today + timedelta(days=1))
    assert counts["accept rate"] == {"corrected": 1}
