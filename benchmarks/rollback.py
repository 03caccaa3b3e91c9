"""Rollback at size: `python -m benchmarks.rollback` takes back 10,000 actions, its driver killed 20 times.

The oracle is the sandbox: its write log says what was taken back and how often, its tickets whether one that a
person has edited was touched.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from countersign.actions import Action, Close, Effect, Note, Route, action_key
from countersign.alerts import Alert, AlertState
from countersign.assessment import Unassessed
from countersign.context import NOTHING_ASKED
from countersign.decision import Decision, Outcome
from countersign.drafts import Block, Draft
from countersign.lanes import Lane
from countersign.ledger import ClaimedCase, CloseLimits, Entry, Verdict
from countersign.severity import Severity
from countersign.tickets import Ticket, TicketRef, TicketState
from sandbox.server import Sandbox
from tests.workers.house import POLICIES, House, house

DESKS = ("servicenow", "jira", "pagerduty")
USE_CASES = {"servicenow": "alert-triage", "jira": "jira-triage", "pagerduty": "page-triage"}
PER_TICKET = 2
EDITED_EVERY = 10
_DRAFT = Draft(headline="Looks like noise", blocks=(Block(lines=("It recovered.",)),), provenance="policy 1")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it. `back_twice` and `touched` (edited by people, changed by us all the same) must be 0."""

    actions: int
    kills: int
    compensated: int
    listed: int
    left_over: int
    back_twice: int
    touched: int
    second_run_writes: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rollback", description=__doc__)
    parser.add_argument("--actions", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        found = run(path, f"sqlite:///{path / 'ledger.db'}", actions=asked.actions, kills=asked.kills)
    print(json.dumps({name: getattr(found, name) for name in Result.__slots__}))
    if found.left_over or found.back_twice or found.touched or found.second_run_writes:
        sys.exit("The rollback is not whole: see the figures above.")


def run(folder: Path, ledger: str, *, actions: int, kills: int) -> Result:
    """Does so many actions, lets people edit every tenth ticket, and takes all back with a driver killed so often."""
    with house(folder, ledger, policies=[*POLICIES, str(page_policy(folder))]) as home:
        tickets = list(_open_tickets(home.box, actions // PER_TICKET))
        _do_all(home, tickets)
        done = home.parts.ledger.reading.tally().actions.get("done", 0)
        edited = tickets[::EDITED_EVERY]
        for ticket in edited:
            _edit(home.box, ticket)
        before = len(home.box.world.writes)
        started = time.monotonic()
        listed = _roll_back(home, kills)
        _work_off(home)
        seconds = time.monotonic() - started
        writes = [w for w in home.box.world.writes[before:] if w.marker]
        touched = [t for t in edited if not _as_edited(home.box, t)]
        again = len(home.box.world.writes)
        _driver(home).communicate()
        _work_off(home)
        states = home.parts.ledger.reading.tally().actions
        refused = states.get("dead", 0)  # a person was faster than the write: a dead letter each
        return Result(
            actions=done,
            kills=kills,
            compensated=states.get("compensated", 0),
            listed=listed + refused,
            left_over=done - states.get("compensated", 0) - listed - refused,
            back_twice=sum(
                n > 1 for n in Counter((w.vendor, w.kind, w.target, w.marker) for w in writes).values()
            ),
            touched=len(touched),
            second_run_writes=len(home.box.world.writes) - again,
            seconds=round(seconds, 1),
        )


def _driver(home: House) -> subprocess.Popen[str]:
    command = ["rollback", "--since", "2020-01-01T00:00Z", "--per-minute", "6000", "--json"]
    return subprocess.Popen(
        [sys.executable, "-m", "workers", *command, "--config", str(home.config)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _roll_back(home: House, kills: int) -> int:
    """Kills the driver so often, at any moment, while its actions are done already; gives how many are for people."""
    chance = random.Random(7)
    for _ in range(kills):
        driver = _driver(home)
        time.sleep(chance.uniform(0.8, 2.0))
        driver.kill()
        driver.communicate()
        home.run("sweep")
    driver = _driver(home)
    told, _ = driver.communicate()
    return len(json.loads(told)["review"])


def _work_off(home: House) -> None:
    """Does everything that is due, or comes to be."""
    home.later(days=2)
    while home.parts.ledger.actions.due_actions(limit=1):
        home.run("sweep")


def page_policy(folder: Path) -> Path:
    """A policy whose desk is PagerDuty itself."""
    policy = yaml.safe_load(Path(POLICIES[0]).read_text(encoding="utf-8"))
    policy |= {
        "use_case": "page-triage",
        "scope": {**policy["scope"], "sources": ["pagerduty"], "desk": "pagerduty"},
    }
    policy["scope"]["tickets"] = {"create": "never"}
    policy["approvals"]["approvers"] = {"people": ["dana@example.com"]}
    path = folder / "page-triage.yaml"
    path.write_text(yaml.safe_dump(policy), encoding="utf-8")
    return path


def _open_tickets(box: Sandbox, number: int) -> Iterator[TicketRef]:
    """Tickets at the three desks in turn."""
    box.run(lambda: [box.servicenow.add_group(name, []) for name in ("noc", "tier-2")])
    service = box.run(lambda: box.pagerduty.add_service("checkout"))
    box.run(lambda: box.pagerduty.add_user("Dana", "dana@example.com"))
    makers = {"servicenow": _incident, "jira": _issue, "pagerduty": _page}
    for n in range(number):
        desk = DESKS[n % len(DESKS)]
        yield box.run(lambda desk=desk, n=n: makers[desk](box, n, service))  # type: ignore[misc]


def _incident(box: Sandbox, n: int, _: str) -> TicketRef:
    row = box.servicenow.open_incident(short_description=f"Job {n} is late", assignment_group="noc")
    return TicketRef(desk="servicenow", id=row["sys_id"], key=row["number"])


def _issue(box: Sandbox, n: int, _: str) -> TicketRef:
    issue = box.jira.open_issue(summary=f"Job {n} is late", issuetype="Incident", customfield_10052="noc")
    return TicketRef(desk="jira", id=issue.id, key=issue.key)


def _page(box: Sandbox, n: int, service: str) -> TicketRef:
    made = box.pagerduty.fire(f"Job {n} is late", service, "warning", f"job-{n}", {})
    return TicketRef(desk="pagerduty", id=made, key=made)


def _do_all(home: House, tickets: list[TicketRef]) -> None:
    """A case a ticket, each with a note and one change of its state or group, done for real."""
    feed = home.parts.ledger.intake.claim_feed("made", worker="bench", lease=timedelta(days=1))
    assert feed is not None
    entries = [_entry(number, ref) for number, ref in enumerate(tickets)]
    for start in range(0, len(entries), 100):
        home.parts.ledger.intake.record_page(
            "made", feed[0], entries=entries[start : start + 100], unreadable=(), cursor="x"
        )
    cases = home.parts.ledger.cases
    while due := cases.due_cases(limit=50):
        claimed = cases.claim_cases(due, worker="bench", lease=timedelta(hours=1))
        cases.record_verdicts([_verdict(one, tickets[int(one.case.lead.rule)]) for one in claimed])
    while home.parts.ledger.actions.due_actions(limit=1):
        home.run("sweep")


def _entry(number: int, ref: TicketRef) -> Entry:
    alert = Alert(
        source="pagerduty", source_id=str(number), dedup_key=f"made:{ref.key}", state=AlertState.FIRING,
        occurred_at=datetime.now(UTC), summary=f"Job {number} is late", severity=Severity.LOW, rule=str(number),
    )  # fmt: skip
    return Entry(alert=alert, use_case=USE_CASES[ref.desk], fingerprint=str(number))


def _verdict(claimed: ClaimedCase, ref: TicketRef) -> Verdict:
    case, now = claimed.case, datetime.now(UTC)
    effects: tuple[Effect, ...] = (Note(draft=_DRAFT), _second(claimed, ref))
    return Verdict(
        case_id=case.id, fence=claimed.fence, policy_version=1, policy_hash="x", autonomy="act",
        assessment=Unassessed(reason="incomplete", because="made"),
        decision=Decision(outcome=Outcome.DRAFT_NOTE, rule="made", because=("made",), intents=(),
                          severity=Severity.LOW, lane=Lane.TREATED),
        actions=tuple(_action(case.id, effect, ref, seq) for seq, effect in enumerate(effects, 1)),
        calls=(), context=NOTHING_ASKED, service="checkout", limits=CloseLimits(per_hour=1, per_service_per_day=1),
        ticket=Ticket(ref=ref, title="late", state=TicketState.OPEN, version="", opened_at=now, updated_at=now),
    )  # fmt: skip


def _second(claimed: ClaimedCase, ref: TicketRef) -> Effect:
    """PagerDuty has no groups; of the others every second ticket is closed."""
    closes = ref.desk == "pagerduty" or int(claimed.case.lead.rule) % 2
    return Close(draft=_DRAFT, reason="noise") if closes else Route(group="tier-2", reason="theirs")


def _action(case_id: str, effect: Effect, ref: TicketRef, seq: int) -> Action:
    key = action_key(use_case=USE_CASES[ref.desk], event=case_id, kind=effect.kind, target=ref.desk)
    return Action(
        key=key,
        case_id=case_id,
        use_case=USE_CASES[ref.desk],
        desk=ref.desk,
        ticket=ref,
        effect=effect,
        seq=seq,
    )


# What a person makes of an edited ticket, and whether it still is so.


def _edit(box: Sandbox, ref: TicketRef) -> None:
    box.run(lambda: _EDITS[ref.desk](box, ref))


def _edit_incident(box: Sandbox, ref: TicketRef) -> None:
    group = box.servicenow.add_group("people", [])["sys_id"]
    box.servicenow.set_fields(ref.id, "lena.fischer", state="2", assignment_group=group)


def _edit_issue(box: Sandbox, ref: TicketRef) -> None:
    issue = box.jira.issue(ref.key)
    if issue.done:
        box.jira.transition(ref.key, "lena.fischer", "Reopen")
    box.jira.set_fields(ref.key, "lena.fischer", customfield_10052="people")


_EDITS = {
    "servicenow": _edit_incident,
    "jira": _edit_issue,
    "pagerduty": lambda box, ref: box.pagerduty.set_status(ref.id, "dana@example.com", "triggered"),
}


def _as_edited(box: Sandbox, ref: TicketRef) -> bool:
    return bool(box.run(lambda: _LOOKS[ref.desk](box, ref)))


def _incident_kept(box: Sandbox, ref: TicketRef) -> bool:
    row = box.servicenow.incident(ref.id)
    return row["state"] == "2" and row["assignment_group"] == box.servicenow.add_group("people", [])["sys_id"]


_LOOKS = {
    "servicenow": _incident_kept,
    "jira": lambda box, ref: box.jira.issue(ref.key).fields.get("customfield_10052") == "people",
    "pagerduty": lambda box, ref: box.pagerduty.incidents[ref.id]["status"] == "triggered",
}


if __name__ == "__main__":
    main()
