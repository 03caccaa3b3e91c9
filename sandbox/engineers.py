"""The people at the desks: they answer what Countersign wrote, reopen, and do work of their own."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from sandbox.jira import Jira
from sandbox.pagerduty import PagerDuty
from sandbox.servicenow import ServiceNow
from sandbox.tickets import Note, Ticket, tickets
from sandbox.world import World, marker_in

PEOPLE: dict[str, tuple[str, ...]] = {  # user name -> groups
    "dana.okafor": ("noc-leads", "NOC"),
    "amir.haddad": ("noc-leads", "NOC"),
    "lena.fischer": ("NOC",),
    "tomas.silva": ("tier-2", "platform"),
    "yuki.tanaka": ("tier-2", "platform-changes"),
    "noor.aziz": ("network", "database", "payments"),
}
LEADS = tuple(name for name, groups in PEOPLE.items() if "noc-leads" in groups)
OTHERS = tuple(name for name in PEOPLE if name not in LEADS)

# How often a reader does what: whether the note is right in their eyes, and whether it asks for approval.
_AGREES = {"approve": 0.70, "approve_unentitled": 0.03, "good": 0.12, "take": 0.05, "nothing": 0.10}
_AGREES_UNASKED = {"good": 0.30, "take": 0.50, "nothing": 0.20}
_DISAGREES = {"wrong": 0.45, "correct": 0.25, "reject": 0.20, "nothing": 0.10}
_DISAGREES_UNASKED = {"wrong": 0.50, "correct": 0.35, "nothing": 0.15}
AGREE_UNTOLD = 0.80  # share of notes found right where the scenario tells no truth
REOPEN_RIGHT, REOPEN_WRONG = 0.02, 0.85  # share of Countersign's closings that are reopened
TAKE, RESOLVE, ACKNOWLEDGE = (
    0.5,
    0.3,
    0.6,
)  # shares of waiting tickets or pages that are dealt with in one step
QUIET = frozenset({"informational", "flapping", "recovered"})
CATEGORIES = ("availability", "capacity", "performance", "network", "deployment", "security", "informational")
LOGS_WORK, WORK_MINUTES = 0.4, (3, 45)  # share of solved tickets with time logged, and how much it is
PATIENCE = timedelta(minutes=20)  # before a ticket without a note is picked up

_CODE = re.compile(r"/countersign approve ([0-9a-f]{4,64})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that a person did."""

    vendor: str
    ticket: str
    person: str
    did: str
    text: str = ""


@dataclass(slots=True)
class Engineers:
    """Seeded people. `truth` maps ticket keys to the right category, so that they agree with reason."""

    world: World
    servicenow: ServiceNow
    jira: Jira
    pagerduty: PagerDuty | None = None
    truth: dict[str, str] = field(default_factory=dict)
    acts: list[Act] = field(default_factory=list)
    _rng: random.Random = field(init=False)
    _read: set[str] = field(default_factory=set)
    _judged: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._rng = random.Random(f"engineers:{self.world.seed}")
        for group in sorted({group for groups in PEOPLE.values() for group in groups}):
            members = [name for name, groups in PEOPLE.items() if group in groups]
            self.servicenow.add_group(group, members)
            self.jira.add_group(group, members)
        if self.pagerduty:
            for name in PEOPLE:
                self.pagerduty.add_user(name.replace(".", " ").title(), f"{name}@example.com")

    def step(self) -> list[Act]:
        """Everybody looks once at everything; gives what was done, in order."""
        before = len(self.acts)
        for ticket in tickets(self.servicenow, self.jira):
            self._look_at(ticket)
        self._answer_pages()
        return self.acts[before:]

    def _look_at(self, ticket: Ticket) -> None:
        notes = [note for note in ticket.notes() if note.author not in PEOPLE and marker_in(note.text)]
        for note in notes:
            if note.id not in self._read:
                self._read.add(note.id)
                self._answer(ticket, note)
        if ticket.open:
            self._work_on(ticket)
        elif ticket.ended_by and ticket.ended_by not in PEOPLE:
            self._judge_closing(ticket)

    def _answer(self, ticket: Ticket, note: Note) -> None:
        code = _CODE.search(note.text)
        table = _TABLES[self._agrees(ticket, note), code is not None]
        did = self._rng.choices(list(table), weights=list(table.values()))[0]
        person = self._rng.choice(OTHERS if did == "approve_unentitled" else LEADS)
        answer = _ANSWERS.get(did)
        if answer:
            text = answer(ticket, person, code[1] if code else "", self._right_category(ticket))
            self._did(ticket, person, did, text)

    def _agrees(self, ticket: Ticket, note: Note) -> bool:
        truth = self.truth.get(ticket.key)
        return truth in note.text if truth else self._rng.random() < AGREE_UNTOLD

    def _right_category(self, ticket: Ticket) -> str:
        return self.truth.get(ticket.key) or self._rng.choice(CATEGORIES)

    def _work_on(self, ticket: Ticket) -> None:
        if self.world.clock.now() - ticket.opened < PATIENCE:
            return
        if ticket.assignee not in PEOPLE:
            if self._rng.random() < TAKE:
                person = self._rng.choice(tuple(PEOPLE))
                ticket.take(person)
                self._did(ticket, person, "take")
        elif self._rng.random() < RESOLVE:
            person = ticket.assignee
            minutes = self._minutes_logged(ticket)
            if minutes:
                ticket.log_work(person, minutes)
            ticket.resolve(person, "Looked into it, found the cause and removed it.")
            self._did(ticket, person, "resolve")

    def _minutes_logged(self, ticket: Ticket) -> int:
        """How long it took, as far as somebody writes it down: many don't. Drawn apart from what they do."""
        own = random.Random(f"worked:{self.world.seed}:{ticket.key}")
        return own.randint(*WORK_MINUTES) if own.random() < LOGS_WORK else 0

    def _judge_closing(self, ticket: Ticket) -> None:
        """Once, after its first closing by no person, somebody notices whether the trouble is really over."""
        if ticket.key in self._judged:
            return
        self._judged.add(ticket.key)
        wrong = self.truth.get(ticket.key, "informational") not in QUIET
        if self._rng.random() < (REOPEN_WRONG if wrong else REOPEN_RIGHT):
            person = self._rng.choice(tuple(PEOPLE))
            ticket.reopen(person)
            ticket.say(person, "Reopened: this is still going on.")
            self._did(ticket, person, "reopen")

    def _answer_pages(self) -> None:
        for incident_id, incident in list(self.pagerduty.incidents.items()) if self.pagerduty else []:
            if self.pagerduty and incident["status"] == "triggered" and self._rng.random() < ACKNOWLEDGE:
                person = self._rng.choice(OTHERS)
                self.pagerduty.set_status(incident_id, f"{person}@example.com", "acknowledged")
                self.acts.append(
                    Act(vendor="pagerduty", ticket=incident_id, person=person, did="acknowledge")
                )

    def _did(self, ticket: Ticket, person: str, did: str, text: str = "") -> None:
        self.acts.append(Act(vendor=ticket.vendor, ticket=ticket.key, person=person, did=did, text=text))


_TABLES = {
    (True, True): _AGREES,
    (True, False): _AGREES_UNASKED,
    (False, True): _DISAGREES,
    (False, False): _DISAGREES_UNASKED,
}


def _approve(ticket: Ticket, person: str, code: str, _: str) -> str:
    return _say(ticket, person, f"/countersign approve {code}")


def _reject(ticket: Ticket, person: str, code: str, _: str) -> str:
    return _say(ticket, person, f"/countersign reject {code}")


def _wrong(ticket: Ticket, person: str, _: str, category: str) -> str:
    return _say(ticket, person, f"/countersign wrong category={category}")


def _good(ticket: Ticket, person: str, _: str, __: str) -> str:
    return _say(ticket, person, "/countersign good")


def _correct(ticket: Ticket, person: str, _: str, category: str) -> str:
    ticket.correct(person, category)
    return category


def _take(ticket: Ticket, person: str, _: str, __: str) -> str:
    if ticket.open:
        ticket.take(person)
    return ""


def _say(ticket: Ticket, person: str, text: str) -> str:
    ticket.say(person, text)
    return text


_ANSWERS: dict[str, Callable[[Ticket, str, str, str], str]] = {
    "approve": _approve,
    "approve_unentitled": _approve,
    "reject": _reject,
    "wrong": _wrong,
    "good": _good,
    "correct": _correct,
    "take": _take,
}
