"""What the ledger's tests are told with: a clock to turn, and alerts, verdicts and pages in few words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from connectors.sql.ledger import SqlLedger
from countersign.actions import Action, Close, CreateTicket, DraftChange, Effect, Note, Route, action_key
from countersign.alerts import Alert, AlertState
from countersign.assessment import Assessment, Unassessed
from countersign.context import NOTHING_ASKED, Context
from countersign.decision import Decision, Intent, Outcome
from countersign.drafts import Block, Draft
from countersign.lanes import Lane
from countersign.ledger import (
    ClaimedAction,
    ClaimedCase,
    CloseLimits,
    Entry,
    ModelCall,
    Recorded,
    Settled,
    Verdict,
)
from countersign.severity import Severity
from countersign.tickets import ChangeKind, Receipt, Ticket, TicketChange, TicketPage, TicketRef, TicketState

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LEASE = timedelta(minutes=2)
FEED = "datadog"
USE_CASE = "alert-triage"
NO_LIMIT = CloseLimits(per_hour=1000, per_service_per_day=1000)
DRAFT = Draft(headline="Looks like noise", blocks=(Block(lines=("It recovered.",)),), provenance="policy 1")


class Clock:
    """The ledger's clock in a test: it stands still until it is turned."""

    def __init__(self) -> None:
        self.at = START

    def __call__(self) -> datetime:
        return self.at

    def turn(self, by: timedelta) -> None:
        self.at += by


class World:
    """A migrated ledger on a database, with a clock to turn and a feed that is held."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.clock = Clock()
        self.ledger = SqlLedger.open(url, clock=self.clock)
        claimed = self.ledger.intake.claim_feed(FEED, worker="puller", lease=timedelta(days=365))
        assert claimed is not None
        self.fence = claimed[0]

    def record(self, *alerts: Alert, use_case: str = USE_CASE, settle: timedelta = timedelta(0)) -> Recorded:
        entries = [Entry(alert=a, use_case=use_case, fingerprint=a.rule, settle=settle) for a in alerts]
        return self.ledger.intake.record_page(FEED, self.fence, entries=entries, unreadable=[], cursor="next")

    def claim(self, worker: str = "assessor") -> tuple[ClaimedCase, ...]:
        due = self.ledger.cases.due_cases(limit=100)
        return self.ledger.cases.claim_cases(due, worker=worker, lease=LEASE)

    def claim_one(self) -> ClaimedCase:
        (claimed,) = self.claim()
        return claimed

    def case(self, *alerts: Alert) -> ClaimedCase:
        """A case of these alerts, claimed."""
        self.record(*(alerts or (firing(1),)))
        return self.claim_one()

    def decided(self, *alerts: Alert, effects: Sequence[Effect] = (), **how: object) -> str:
        """A case of these alerts, decided; gives its id."""
        claimed = self.case(*alerts)
        self.ledger.cases.record_verdicts([verdict(claimed, effects=effects, **how)])  # type: ignore[arg-type]
        return claimed.case.id

    def take(self, worker: str = "actor") -> tuple[ClaimedAction, ...]:
        due = self.ledger.actions.due_actions(limit=100)
        return self.ledger.actions.claim_actions(due, worker=worker, lease=LEASE)

    def take_one(self) -> ClaimedAction:
        (claimed,) = self.take()
        return claimed

    def do_all(self) -> None:
        """Does every action that is due, and what becomes due by it."""
        while claimed := self.take():
            self.ledger.actions.settle([done(one) for one in claimed])

    def states(self, case_id: str) -> dict[str, str]:
        """The state of each action of a case, by kind."""
        story = self.ledger.reading.story(case_id)
        return {record.action.effect.kind: record.state for record in story.actions}

    def events(self, case_id: str) -> list[str]:
        """The audit events of a case, in order."""
        return [record.event for record in self.ledger.reading.story(case_id).audit]

    def close(self) -> None:
        self.ledger.close()


def firing(number: int, *, key: str = "", at: int | None = None, rule: str = "disk", **more: object) -> Alert:
    """The firing named by a number, that many seconds after START unless said otherwise."""
    return _alert(number, AlertState.FIRING, key, at, rule, more)


def recovery(number: int, *, key: str, at: int | None = None, rule: str = "disk", **more: object) -> Alert:
    return _alert(number, AlertState.RECOVERED, key, at, rule, more)


def _alert(
    number: int, state: AlertState, key: str, at: int | None, rule: str, more: dict[str, object]
) -> Alert:
    facts: dict[str, object] = {
        "source": "datadog",
        "source_id": f"event-{number}",
        "dedup_key": key or f"key-{number}",
        "state": state,
        "occurred_at": START + timedelta(seconds=number if at is None else at),
        "summary": f"disk of host {number} is full",
        "severity": Severity.LOW,
        "rule": rule,
        "service": "checkout",
    }
    return Alert(**{**facts, **more})  # type: ignore[arg-type]


def ticket(
    number: int = 7, *, state: TicketState = TicketState.OPEN, version: str = "1", after: int = 0
) -> Ticket:
    """Ticket OPS-<number>, read with a version, changed that many seconds after START."""
    return Ticket(
        ref=TicketRef(desk="jira", id=str(10000 + number), key=f"OPS-{number}"),
        title="disk full",
        state=state,
        version=version,
        opened_at=START,
        updated_at=START + timedelta(seconds=after),
    )


def change(
    number: int, of: Ticket, *, kind: ChangeKind = ChangeKind.COMMENT, by_us: bool = False
) -> TicketChange:
    return TicketChange(
        id=f"change-{number}",
        ref=of.ref,
        kind=kind,
        author="ann",
        at=START + timedelta(seconds=number),
        text="/countersign approve",
        by_us=by_us,
    )


def page(*changes: TicketChange, tickets: Sequence[Ticket] = (), cursor: str = "next") -> TicketPage:
    return TicketPage(tickets=tuple(tickets), changes=changes, cursor=cursor)


CREATE = CreateTicket(title="disk full", description="It fills up.", correlation="key-1")
NOTE = Note(draft=DRAFT)
CLOSE = Close(draft=DRAFT, reason="noise")
ROUTE = Route(group="tier-2", reason="capacity")
CHANGE = DraftChange(type="normal", title="more disk", description="It fills up.")


def verdict(
    claimed: ClaimedCase,
    *,
    effects: Sequence[Effect] = (),
    asks: Sequence[str] = (),
    closes: bool = False,
    limits: CloseLimits = NO_LIMIT,
    on: Ticket | None = None,
    event: str = "",
    assessment: Assessment | Unassessed | None = None,
    context: Context = NOTHING_ASKED,
    service: str = "checkout",
) -> Verdict:
    """A verdict with these effects, in this order; those whose kind is in `asks` wait for an approval."""
    case = claimed.case
    intents = (Intent(kind="close"),) if closes else ()
    ref = on.ref if on else (case.ticket.ref if case.ticket else None)
    return Verdict(
        case_id=case.id,
        fence=claimed.fence,
        policy_version=3,
        policy_hash="abc",
        autonomy="act",
        assessment=assessment or assessed(),
        decision=Decision(
            outcome=Outcome.CLOSE if closes else Outcome.DRAFT_NOTE,
            rule="noise",
            because=("rule matches",),
            intents=intents,
            severity=Severity.LOW,
            lane=Lane.TREATED,
        ),
        actions=tuple(
            action(case.id, effect, seq=seq, on=ref, asks=effect.kind in asks, event=event or case.id)
            for seq, effect in enumerate(effects, 1)
        ),
        calls=(call(),),
        ticket=on,
        context=context,
        service=service,
        limits=limits,
    )


def action(case_id: str, effect: Effect, *, seq: int, on: TicketRef | None, asks: bool, event: str) -> Action:
    return Action(
        key=action_key(use_case=USE_CASE, event=event, kind=effect.kind, target="jira"),
        case_id=case_id,
        use_case=USE_CASE,
        desk="jira",
        ticket=on,
        effect=effect,
        seq=seq,
        needs_approval=asks,
    )


def assessed(category: str = "informational") -> Assessment:
    return Assessment(
        category=category,
        severity=Severity.LOW,
        actionability="none",
        summary="A disk that fills up and empties.",
        likely_cause="log rotation",
        evidence=("a1",),
        group=None,
        confidence=0.9,
        risk=0.04,
        model="local",
        is_llm=False,
        prompt="triage/v1",
        prompt_hash="abc",
    )


def call(micro_usd: int = 120) -> ModelCall:
    return ModelCall(
        model="local",
        prompt="triage/v1",
        prompt_hash="abc",
        outcome="answered",
        detail="",
        tokens_in=10,
        tokens_out=5,
        micro_usd=micro_usd,
        latency_ms=3,
        rendered="disk full",
        answer="{}",
    )


def done(claimed: ClaimedAction, handle: str = "") -> Settled:
    """Done, with the handle that the desk gave: for a ticket, its id and key."""
    made = "10007|OPS-7" if claimed.action.effect.kind == "create_ticket" else "comment-1"
    return Settled(
        key=claimed.action.key, fence=claimed.fence, result="done", receipt=Receipt(handle=handle or made)
    )


def told(
    claimed: ClaimedAction, result: str, *, again_in: timedelta = timedelta(0), detail: str = ""
) -> Settled:
    return Settled(
        key=claimed.action.key,
        fence=claimed.fence,
        result=result,  # type: ignore[arg-type]
        detail=detail,
        again_in=again_in,
    )
