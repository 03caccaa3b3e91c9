"""Reporting: fires the reports that the policies ask for, once each, and brings them where they belong."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import structlog

from countersign.actions import Action, Attach, Detach
from countersign.deliveries import WAITS, Delivery, Target
from countersign.errors import Denied, OutsideError, Permanent, Transient, Unsure
from countersign.mails import File, Mail
from countersign.policy import Policy
from countersign.ports import Desk
from countersign.reports import Report
from countersign.tickets import TicketRef
from workers.mailing import unmailed
from workers.parts import Parts, Wake

_log = structlog.get_logger()
# What a scheduled report looks at; it is compared with as long a time before.
SHOWN = timedelta(days=28)
# Longer than a stage may run, so that nobody composes what another is composing.
LEASE = timedelta(minutes=10)
AT_ONCE = 50


def fire(parts: Parts) -> Iterator[Wake]:
    """Records the reports that have become due, and yields what is to be delivered."""
    for policy in parts.policies.values():
        wanted = policy.report
        if wanted is None:
            continue
        fired = parts.ledger.deliveries.fire(
            policy.use_case, when=wanted.when, zone=wanted.zone, targets=_targets(parts, policy)
        )
        if fired:
            _log.info("report.fired", use_case=policy.use_case, due=fired.isoformat())
            for why in unmailed(parts.mailer, [policy]):
                _log.warning("report.unmailed", why=why)
    if ids := parts.ledger.deliveries.due(limit=AT_ONCE):
        yield Wake("report", ids)


def deliver(parts: Parts, ids: Sequence[str]) -> Iterator[Wake]:
    """Brings claimed reports to their places. What fails for now is due again later; nothing is woken."""

    claimed = parts.ledger.deliveries.claim(ids, lease=LEASE)
    made: dict[tuple[str, datetime], Report] = {}
    for delivery in claimed:
        if delivery.use_case not in parts.policies:
            parts.ledger.deliveries.settle(delivery, "dead", detail="no policy has this use case any more")
            continue
        if delivery.in_doubt and delivery.channel != "record":
            _unsure(parts, delivery, "a worker died while it was being sent")
            continue
        if delivery.back:
            _undo(parts, delivery)
            continue
        which = delivery.use_case, delivery.fire_time
        if delivery.channel != "notice" and which not in made:
            made[which] = _report(parts, delivery)
        if parts.ledger.deliveries.begin(delivery):
            _send(parts, delivery, made.get(which))
    return iter(())


def _targets(parts: Parts, policy: Policy) -> tuple[Target, ...]:
    wanted = policy.report
    if wanted is None:
        return ()
    mails = tuple(Target(channel="mail", target=address) for address in wanted.to)
    if parts.mailer is None:
        mails = ()
    record = (Target(channel="record", target=wanted.record),) if wanted.record else ()
    return (*dict.fromkeys(mails), *record)


def _report(parts: Parts, delivery: Delivery) -> Report:
    from countersign.composition import Period  # numpy, which other stages don't need
    from workers.figures import report_of

    known = parts.ledger.known_until() or delivery.fire_time
    until = min(delivery.fire_time, known)
    period = Period(since=until - SHOWN, until=until)
    notes = (delivery.note,) if delivery.note else ()
    return report_of(parts.policies[delivery.use_case], parts.ledger, period, notes=notes)


def _send(parts: Parts, delivery: Delivery, report: Report | None) -> None:
    """A notice has no report."""
    book = parts.ledger.deliveries
    try:
        if report is None:
            _mail(parts, notice_of(delivery))
        elif delivery.channel == "mail":
            _mail(parts, mail_of(delivery, report))
        else:
            _attach(parts, delivery, report)
    except Unsure as problem:
        if delivery.channel != "record":
            _unsure(parts, delivery, str(problem))
        else:
            _again(parts, delivery, problem)
    except (Transient, Denied) as problem:
        _again(parts, delivery, problem)
    except Permanent as problem:
        _log.error("report.dead", id=delivery.id, use_case=delivery.use_case, problem=str(problem))
        book.settle(delivery, "dead", detail=str(problem))
    else:
        _log.info("report.sent", id=delivery.id, use_case=delivery.use_case, channel=delivery.channel)
        book.settle(delivery, "sent")


def _undo(parts: Parts, delivery: Delivery) -> None:
    """Takes the file off the record that it was put on; one that people have taken off already is no error."""
    book = parts.ledger.deliveries
    if not book.begin(delivery):
        return
    try:
        action = record_action(delivery, "")
        desk = _desk(parts, action)
        if (found := desk.probe(action)) is not None:
            desk.write(replace(action, effect=Detach(handle=found.handle, reason="rolled back")))
    except (Transient, Denied, Unsure) as problem:
        _again(parts, delivery, problem)
    except Permanent as problem:
        _log.error("report.kept", id=delivery.id, use_case=delivery.use_case, problem=str(problem))
        book.settle(delivery, "dead", detail=str(problem))
    else:
        _log.info("report.taken_back", id=delivery.id, use_case=delivery.use_case, target=delivery.target)
        book.settle(delivery, "taken_back")


def _again(parts: Parts, delivery: Delivery, problem: OutsideError) -> None:
    """Later again, less and less often; a day of failures is for people."""
    book = parts.ledger.deliveries
    if delivery.attempt > len(WAITS):
        _log.error("report.dead", id=delivery.id, use_case=delivery.use_case, problem=str(problem))
        book.settle(delivery, "dead", detail=str(problem))
        return
    _log.warning("report.later", id=delivery.id, use_case=delivery.use_case, problem=str(problem))
    book.settle(delivery, "retry", detail=str(problem), again_in=WAITS[delivery.attempt - 1])


def _unsure(parts: Parts, delivery: Delivery, why: str) -> None:
    """A mail that may have arrived is not sent twice; `countersign report` makes the same one by hand."""
    _log.error("report.unsure", id=delivery.id, use_case=delivery.use_case, problem=why)
    parts.ledger.deliveries.settle(delivery, "unsure", detail=why)


def _mail(parts: Parts, mail: Mail) -> None:
    if parts.mailer is None:
        raise Transient("No mail server is configured any more; add `mail` to the settings.", where="mail")
    parts.mailer.send(mail)


def notice_of(delivery: Delivery) -> Mail:
    """The mail that tells an owner of something: plain text, its first line the subject."""
    subject, _, text = delivery.note.partition("\n")
    return Mail(id=delivery.id, to=delivery.target, subject=subject, text=text.strip() + "\n")


def mail_of(delivery: Delivery, report: Report) -> Mail:
    """The mail that brings a report: complete as text, the page and the figures beside it."""
    from countersign.pictures import picture
    from countersign.report_page import render, render_mail
    from countersign.reports import as_csv, as_json, mail_text

    files = (
        ("report.html", "text/html", render(report)),
        ("report.csv", "text/csv", as_csv(report)),
        ("report.json", "application/json", as_json(report)),
    )
    return Mail(
        id=delivery.id,
        to=delivery.target,
        subject=f"{report.title}, {report.period}",
        text=mail_text(report),
        html=render_mail(report),
        picture=File(name="trend.png", media_type="image/png", content=picture(report)),
        files=tuple(File(name=name, media_type=kind, content=text.encode()) for name, kind, text in files),
    )


def record_action(delivery: Delivery, text: str) -> Action:
    """The report as a file on the record that the policy names, as jira:OPS-7 or servicenow:CHG0030001."""
    desk, _, record = delivery.target.partition(":")
    return Action(
        key=delivery.id,
        case_id="",
        use_case=delivery.use_case,
        desk=desk,
        ticket=TicketRef(desk=desk, id=record, key=record),
        effect=Attach(name=f"report-{delivery.fire_time:%Y-%m-%d}.txt", text=text),
    )


def _attach(parts: Parts, delivery: Delivery, report: Report) -> None:
    """The report's text as a file on the record; looked for first, since an earlier try may have put it there."""
    from countersign.reports import mail_text

    action = record_action(delivery, mail_text(report))
    desk = _desk(parts, action)
    if delivery.attempt > 1 and desk.probe(action) is not None:
        return
    desk.write(action)


def _desk(parts: Parts, action: Action) -> Desk:
    desk = parts.desks.get(action.desk)
    if desk is None:
        raise Permanent(
            f"{action.desk} is not configured, or no policy has it as its desk.", where=action.desk
        )
    return desk
