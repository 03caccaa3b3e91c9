"""Scheduled reports: each due time once, whatever breaks, and all of it in one mail."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from connectors.smtp.mailer import SmtpConfig, SmtpMailer
from connectors.sql.ledger import SqlLedger
from tests.mailbox import Mailbox, mailbox
from tests.workers.house import House, house
from workers.tasks import STAGES

DAILY = {"when": "daily 07:00", "zone": "Europe/Rome", "to": ["ann@example.com", "ben@example.com"]}


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as one:
        yield one


@pytest.fixture
def home(tmp_path: Path, database_url: str, box: Mailbox) -> Iterator[House]:
    """A house with a mail server, whose one report comes daily; its schedule has begun."""
    config = SmtpConfig(
        host="127.0.0.1", port=box.port, sender="countersign@example.com", tls="none", timeout_s=5
    )
    with house(tmp_path, database_url) as one:
        wired = reporting(one, DAILY)
        wired = replace(wired, parts=replace(wired.parts, mailer=SmtpMailer(config)))
        wired.clock.ahead = _until_noon()
        wired.run("sweep")
        yield wired


@pytest.fixture
def sqlite_home(tmp_path: Path, sqlite_url: str) -> Iterator[House]:
    """A house without a mail server, on SQLite."""
    with house(tmp_path, sqlite_url) as one:
        one.clock.ahead = _until_noon()
        yield one


def _until_noon() -> timedelta:
    """So that no due time lies near, whenever the tests run."""
    now = datetime.now(UTC)
    return now.replace(hour=12, minute=0) + timedelta(days=1) - now


def reporting(home: House, report: dict[str, object]) -> House:
    changed = home.with_policy(report=report)
    only = {"alert-triage": changed.parts.policies["alert-triage"]}
    return replace(changed, parts=replace(changed.parts, policies=only))


def test_nothing_is_sent_for_the_time_before_it_began(home: House, box: Mailbox) -> None:
    """A new installation, or a new time in the policy, does not report at once."""
    home.run("sweep")
    changed = reporting(home, {**DAILY, "when": "daily 06:00"})
    changed.run("sweep")
    assert box.mails == []


def test_a_report_comes_once_to_everybody(home: House, box: Mailbox) -> None:
    """However often the sweeper looks; the body is complete without its one picture, the data lies beside it."""
    home.later(days=1)
    home.later(minutes=1)
    assert sorted(to for to, _ in box.mails) == ["ann@example.com", "ben@example.com"]
    mail = box.mails[0][1]
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    for words in ("deflection", "POLICY", "COSTS"):
        assert words.lower() in text.get_content().lower()
        assert words.lower() in html.get_content().lower()
    assert [p.get_content_type() for p in mail.walk() if p.get_content_maintype() == "image"] == ["image/png"]
    files = {part.get_filename(): part.get_payload(decode=True) for part in mail.iter_attachments()}
    assert set(files) == {"report.html", "report.csv", "report.json"}
    assert json.loads(files["report.json"])["use_case"] == "alert-triage"


def test_two_schedulers_fire_once(home: House, box: Mailbox) -> None:
    """Eight at the same moment, each with a ledger of its own."""
    home.clock.ahead += timedelta(days=1)
    url = home.parts.settings.ledger.get_secret_value()
    ledgers = [SqlLedger.open(url, clock=home.clock) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda ledger: [
                    list(STAGES["report"](replace(home.parts, ledger=ledger), list(wake.ids)))
                    for wake in STAGES["sweep"](replace(home.parts, ledger=ledger), [])
                    if wake.stage == "report"
                ],
                ledgers,
            )
        )
    for ledger in ledgers:
        ledger.close()
    assert sorted(to for to, _ in box.mails) == ["ann@example.com", "ben@example.com"]


def test_after_a_downtime_the_last_report_comes_and_says_so(home: House, box: Mailbox) -> None:
    """Four were missed: one is sent, and tells that it is late and how many were left out."""
    home.clock.ahead += timedelta(days=4, hours=2)
    home.run("sweep")
    bodies = [mail.get_body(("plain",)) for _, mail in box.mails]
    assert len(bodies) == 2
    assert bodies[0] is not None
    said = " ".join(bodies[0].get_content().split())
    assert "is late" in said
    assert "3 before it" in said


def test_a_mail_that_failed_is_tried_again_and_the_other_is_not_sent_twice(home: House, box: Mailbox) -> None:
    """Works, breaks, recovers: the server refuses the first of two for now."""
    box.answers.append("451 try later")
    home.later(days=1)
    assert [to for to, _ in box.mails] != []
    assert len(box.mails) == 1
    home.later(minutes=2)
    home.later(minutes=10)
    assert sorted(to for to, _ in box.mails) == ["ann@example.com", "ben@example.com"]


def test_a_mail_that_may_have_arrived_is_not_sent_again(home: House, box: Mailbox) -> None:
    """The server took it and hung up before it said so."""
    box.silent = 2
    home.later(days=1)
    home.later(hours=1)
    assert sorted(to for to, _ in box.mails) == ["ann@example.com", "ben@example.com"]


def test_a_worker_that_dies_while_it_sends_sends_nothing_twice(home: House, box: Mailbox) -> None:
    """Its lease runs out; nobody can know what became of the mail, so it is told and left."""
    home.clock.ahead += timedelta(days=1)
    (wake,) = (wake for wake in STAGES["sweep"](home.parts, []) if wake.stage == "report")
    for delivery in home.ledger.deliveries.claim(wake.ids, lease=timedelta(minutes=1)):
        assert home.ledger.deliveries.begin(delivery)
    home.later(minutes=2)
    home.later(hours=1)
    assert box.mails == []


def test_a_stopped_use_case_sends_after_it_is_resumed(home: House, box: Mailbox) -> None:
    """`countersign stop` holds mails too, and loses none."""
    home.controls.stop(by="ann")
    home.later(days=1)
    assert box.mails == []
    home.controls.resume(by="ann")
    home.later(minutes=1)
    assert len(box.mails) == 2


def _files(home: House) -> list[dict[str, object]]:
    """The files on ServiceNow's records."""
    rows = home.box.servicenow.records.rows["sys_attachment"]
    return home.box.run(lambda: [dict(row) for row in rows.values()])


def _record(home: House, table: str) -> dict[str, object]:
    fields = {"short_description": "Weekly review", "state": "-5" if table == "change_request" else "1"}
    return home.box.run(lambda: dict(home.box.servicenow.records.insert(table, fields, "lena.fischer")))


def _recording(home: House, record: str) -> House:
    changed = reporting(home, {**DAILY, "record": record, "when": "daily 07:01"})
    changed.run("sweep")
    changed.later(days=1)
    changed.later(hours=1)
    return changed


@pytest.mark.parametrize("table", ["incident", "change_request"])
@pytest.mark.parametrize("named_by", ["sys_id", "number"])
def test_the_report_is_put_on_the_record_that_the_policy_names(
    sqlite_home: House, table: str, named_by: str
) -> None:
    """As one file on the incident or the change, looked for before it is put there a second time."""
    row = _record(sqlite_home, table)
    _recording(sqlite_home, f"servicenow:{row[named_by]}")
    (file,) = _files(sqlite_home)
    assert (file["table_name"], file["table_sys_id"]) == (table, row["sys_id"])
    assert str(file["file_name"]).startswith("countersign-")
    assert "-report-" in str(file["file_name"])


def _files_of_issue(home: House, key: str) -> list[str]:
    return home.box.run(lambda: [str(one["filename"]) for one in home.box.jira.issue(key).attachments])


def test_the_report_is_put_on_a_jira_issue_once_and_taken_off_by_a_rollback(
    sqlite_home: House,
) -> None:
    """One file, whose name says what it is and when; a rollback takes that one off and leaves people's own there."""
    home = sqlite_home
    key = home.box.run(lambda: home.box.jira.open_issue(user="lena.fischer", summary="Weekly review").key)
    theirs = {"id": "90001", "filename": "minutes.pdf"}
    home.box.run(lambda: home.box.jira.issue(key).attachments.append(theirs))
    changed = _recording(home, f"jira:{key}")
    (_, file) = _files_of_issue(home, key)
    assert file.startswith("countersign-")
    assert "-report-" in file
    assert _roll_back(changed, "--dry-run")["planned"] == 1
    changed.later(minutes=1)
    assert _files_of_issue(home, key) == ["minutes.pdf", file]
    told = _roll_back(changed, "--by", "ana")
    assert (told["planned"], told["review"]) == (1, [])
    changed.later(minutes=1)
    assert _files_of_issue(home, key) == ["minutes.pdf"]
    assert _roll_back(changed, "--by", "ana")["planned"] == 0
    changed.later(days=1)
    assert len(_files_of_issue(home, key)) == 2


def test_a_jira_issue_that_is_not_there_is_told_and_not_tried_again(sqlite_home: House) -> None:
    """As at ServiceNow: a mistyped key is for whoever wrote the policy."""
    with structlog.testing.capture_logs() as logs:
        _recording(sqlite_home, "jira:OPS-99999")
    (dead,) = [line["problem"] for line in logs if line["event"] == "report.dead"]
    assert "OPS-99999" in dead
    assert "report: record" in dead


def test_a_record_that_is_not_there_is_told_and_not_tried_again(sqlite_home: House) -> None:
    """A mistyped number is for whoever wrote the policy."""
    with structlog.testing.capture_logs() as logs:
        _recording(sqlite_home, "servicenow:CHG0099999")
    assert _files(sqlite_home) == []
    (dead,) = [line["problem"] for line in logs if line["event"] == "report.dead"]
    assert "CHG0099999" in dead
    assert "report: record" in dead


def test_a_report_that_nobody_can_be_mailed_is_logged_when_it_is_due(sqlite_home: House) -> None:
    """Without a mail server the record still gets it."""
    row = _record(sqlite_home, "incident")
    with structlog.testing.capture_logs() as logs:
        _recording(sqlite_home, f"servicenow:{row['number']}")
    (why,) = [line["why"] for line in logs if line["event"] == "report.unmailed"]
    assert "ann@example.com, ben@example.com" in why
    assert len(_files(sqlite_home)) == 1


def _roll_back(home: House, *how: str) -> dict[str, object]:
    done = home.command("rollback", "--since", "2026-01-01", *how, "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_rollback_takes_reports_off_their_records_and_lists_the_mails(home: House) -> None:
    """Planned by the command, done by the workers, once; a mail that was read is for people."""
    row = _record(home, "change_request")
    changed = _recording(home, f"servicenow:{row['number']}")
    assert len(_files(home)) == 1
    assert _roll_back(changed, "--dry-run")["planned"] == 1
    changed.later(minutes=1)
    assert len(_files(home)) == 1
    told = _roll_back(changed, "--by", "ana")
    assert told["planned"] == 1
    assert [(one["desk"], one["ticket"]) for one in told["review"]] == [
        ("mail", "ann@example.com"), ("mail", "ben@example.com"),
    ]  # fmt: skip
    changed.later(minutes=1)
    assert _files(home) == []
    assert _roll_back(changed, "--by", "ana")["planned"] == 0
    changed.later(days=1)
    assert len(_files(home)) == 1


def test_a_report_that_waits_is_dropped_by_a_rollback(home: House, box: Mailbox) -> None:
    """What was not sent yet is not sent any more."""
    box.answers += ["451 try later"] * 2
    home.later(days=1)
    assert box.mails == []
    assert _roll_back(home, "--by", "ana")["dropped"] == 2
    home.later(hours=3)
    assert box.mails == []
