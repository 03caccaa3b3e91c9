"""The ledger's ports: the queue of record, by role. Every method is one transaction; every lease is fenced.

A case or an action is *due* when its time has come and nobody holds its lease. Claiming takes the lease, counts
the attempt, and gives a fence: a number that rises with every claim. Whatever is written back names the fence,
and a fence that is no longer the newest is refused (the row is skipped and reported), so that a worker that
slept through its lease writes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

from countersign.actions import Action
from countersign.alerts import Alert
from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.circumstances import Circumstances
from countersign.context import Context, SimilarCase
from countersign.decision import Decision, Facts
from countersign.feedback.sources import Source
from countersign.labels import Versions
from countersign.ports import Unreadable
from countersign.tickets import Receipt, Ticket, TicketChange, TicketPage
from countersign.undo import Undone
from countersign.voids import Approval

# How often a case or an action is tried before people get it.
ATTEMPTS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An alert with the use case it belongs to and what groups it. Its case is due `settle` after it was opened."""

    alert: Alert
    use_case: str
    fingerprint: str
    settle: timedelta = timedelta(0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What recording a page came to. `due` are the cases to wake somebody for, now or after their settling."""

    alerts: int
    repeated: int
    cases_opened: int
    unreadable: int
    due: tuple[str, ...]


class Intake(Protocol):
    """Where alerts come in: a page and its cursor are recorded together or not at all."""

    def claim_feed(self, feed: str, *, worker: str, lease: timedelta) -> tuple[int, str | None] | None:
        """Takes the lease on reading a feed: (fence, cursor), or None while somebody else reads it."""
        ...

    def record_page(
        self,
        feed: str,
        fence: int,
        *,
        entries: Sequence[Entry],
        unreadable: Sequence[Unreadable],
        cursor: str,
    ) -> Recorded:
        """Records alerts not seen before (source, id, version), opens or extends their cases, moves the cursor.

        An alert of a fingerprint whose case is open joins it: a recovery lowers `firing`, a firing raises the
        count. The case becomes due again (revision + 1) when it had been decided and this page made `firing`
        fall to 0. A firing for a fingerprint whose case is over (its ticket is finished, or it recovered and
        was decided longer ago than `reopen_after`) opens the next episode. Raises LeaseLost on an old fence.
        """
        ...

    def release_feed(self, feed: str, fence: int, *, error: str = "") -> None: ...

    def record_replayed(self, letter_id: str, *, entries: Sequence[Entry], by: str) -> DeadLetter:
        """Records what an alert's dead letter was read as, as `record_page` does without a cursor, and ends the
        letter. One that is not open changes nothing. Raises NotFound."""
        ...

    def record_unreadable(self, letter_id: str, *, reason: str, by: str) -> DeadLetter:
        """Counts a replay that could not read the payload; the letter stays open with the new reason.

        One that is not open changes nothing. Raises NotFound.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedCase:
    """A case that this worker may assess. `first_seen`: no earlier case of this fingerprint was ever decided.

    `attempt` counts from 1 to ATTEMPTS; the `last_try` is made by one case at a time.
    """

    case: Case
    fence: int
    attempt: int
    first_seen: bool

    @property
    def last_try(self) -> bool:
        return self.attempt == ATTEMPTS


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelCall:
    """One question put to one model and what it cost. `outcome`: answered, unreadable, or the error's kind.

    `parameters` are what the request said besides its words (temperature, max_tokens, timeout), where it was sent.
    `sample` counts from 1 where the same question was put several times. `answered_by` is the model that the
    provider says gave the answer, in its words; "" where it does not say.
    """

    model: str
    prompt: str
    prompt_hash: str
    outcome: str
    detail: str
    tokens_in: int
    tokens_out: int
    micro_usd: int
    latency_ms: int
    rendered: str = ""
    answer: str = ""
    sample: int = 0
    answered_by: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class CloseLimits:
    """Checked again inside the transaction that records a close, so that two workers can't both use the last one."""

    per_hour: int
    per_service_per_day: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Grounds:
    """What a decision rested on: enough to explain it, to decide it again, and to learn from it.

    `wanted`: nothing but a certificate could stand between the case and a close. `alone`: the treated lane
    closes it without asking. `versions` is None where nobody assessed the case.
    """

    facts: Facts
    circumstances: Circumstances
    alerts: int
    risk: float | None
    wanted: bool
    alone: bool
    versions: Versions | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """All that deciding a case came to; recorded as one before anything is done.

    `signals` is what is counted of it by day, as (signal, kind); `policy_text` what the policy says, as JSON.
    """

    case_id: str
    fence: int
    policy_version: int
    policy_hash: str
    autonomy: str
    assessment: Assessment | Unassessed
    decision: Decision
    actions: tuple[Action, ...]
    calls: tuple[ModelCall, ...]
    ticket: Ticket | None
    context: Context
    service: str
    limits: CloseLimits
    grounds: Grounds | None = None
    signals: tuple[tuple[str, str], ...] = ()
    policy_text: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """What recording verdicts came to: action keys ready to be done, cases whose close exceeded a limit (not
    recorded: decide them again), and cases whose lease was lost (not recorded)."""

    ready: tuple[str, ...]
    over_limit: tuple[str, ...]
    lost: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Closes:
    """Closes without a person: in the last hour for the use case, and in the last 24 hours per service."""

    last_hour: int
    by_service: Mapping[str, int]


class CaseBook(Protocol):
    def due_cases(self, *, limit: int, again: bool | None = None) -> tuple[str, ...]:
        """Those that may be claimed; with `again` only those begun before (True) or never (False)."""
        ...

    def claim_cases(self, ids: Sequence[str], *, worker: str, lease: timedelta) -> tuple[ClaimedCase, ...]:
        """The ones of these that are due and free; the rest are left out without a word (somebody has them).

        What was begun before is claimed only where it is asked for alone: it may have killed its worker.
        """
        ...

    def end_leases(self, gone: Callable[[str], bool]) -> tuple[str, ...]:
        """Cases held by a worker that is `gone` are due now, their attempt counted; gives which.

        Nothing else of the lease changes: should the worker live after all, its verdict counts until another claims.
        """
        ...

    def record_verdicts(self, verdicts: Sequence[Verdict]) -> Judged:
        """Assessment, decision, planned actions, model calls and audit records of each, in one transaction.

        An action whose key is in the ledger already is not planned again.
        """
        ...

    def give_back(
        self, case_id: str, fence: int, *, due_in: timedelta, error: str, count: bool = True
    ) -> None:
        """Returns a case undone. With `count`, the third time makes it a dead letter (stage DEAD)."""
        ...

    def closes(self, use_case: str) -> Closes: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedAction:
    """An action that this worker may post; its audit intent is written already.

    `in_doubt`: it may have happened, so its marker is looked for first. `first_at` is when the first alert of its case
    occurred. `earlier` holds the receipts of the case's actions done before, by kind. `undoes` is what it takes back;
    `approval` is a person's, or for what ends or takes away people's work the policy's.
    """

    action: Action
    fence: int
    attempt: int
    in_doubt: bool
    first_at: datetime
    earlier: Mapping[str, Receipt] = field(default_factory=dict)
    undoes: Undone | None = None
    approval: Approval | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Settled:
    """How an action went. DONE needs the receipt; IN_DOUBT and RETRY are due again `again_in` from now;
    DEAD is a dead letter; WITHDRAWN was not tried (the worker gives its lease back, the attempt is not counted);
    VOID was not tried either and waits for another approval, by somebody who knows of the changes `known`, or for the
    sweeper, where the time for that is over."""

    key: str
    fence: int
    result: Literal["done", "in_doubt", "retry", "dead", "withdrawn", "void"]
    detail: str = ""
    again_in: timedelta = timedelta(0)
    receipt: Receipt | None = None
    known: tuple[str, ...] = ()


class ActionBook(Protocol):
    def due_actions(self, *, limit: int, again: bool | None = None) -> tuple[str, ...]:
        """As `due_cases`."""
        ...

    def newer_kinds(self) -> tuple[str, ...]:
        """Kinds of waiting actions that this version does not know: a newer one planned them, and does them."""
        ...

    def claim_actions(
        self, keys: Sequence[str], *, worker: str, lease: timedelta
    ) -> tuple[ClaimedAction, ...]:
        """Those that are approved (or in doubt), due, free, of a use case that is not stopped, and whose earlier
        actions of the same case are done. Counts the attempt and writes the audit intent in the same transaction:
        no audit record, no action. An action claimed a fourth time becomes a dead letter instead."""
        ...

    def refusal(self, key: str, fence: int) -> str:
        """Why this action must not be written by the holder of this fence, as a sentence; "" while it may."""
        ...

    def settle(self, settled: Sequence[Settled]) -> tuple[str, ...]:
        """Writes results and audit outcomes; gives the keys of actions that became ready by it. A third retry is a
        dead letter. An old fence is skipped: the newer holder tells how it went."""
        ...

    def approve(self, case_id: str, code: str, *, by: str, change_id: str) -> tuple[str, ...]:
        """Approves the planned actions of the case whose code this is; gives their keys, empty if there are none.

        The same change again gives the same keys, so that it may be heard twice.
        """
        ...

    def void(self, case_id: str, code: str, *, why: str, known: Sequence[str]) -> None:
        """Records that an approval of planned actions did not count; they go on waiting. `known` as in `Approval`."""
        ...

    def drop(self, case_id: str, code: str, *, by: str, why: str) -> int:
        """Drops actions that wait for an approval, or were approved by a person and not begun (code "" means all of
        the case); gives how many."""
        ...


class ReplyBook(Protocol):
    def plan(self, action: Action, *, asked_by: str) -> tuple[str, ...]:
        """Plans an answer in a ticket, or what people are told or given there, once for its key. Gives the key if it
        may be done now."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """The decision that stood when a correction was made, and what it rested on.

    `decision` is the case and its revision, as c123/2. `confidence` is the raw score and `risk` the calibrated
    one, 0 to 1; both are None, and `category` is empty, where nobody assessed the case. `cluster` is the case's
    fingerprint. `seen`: our note stood in the ticket before, so that who corrected had read the verdict.
    """

    decision: str
    policy_version: int
    policy_hash: str
    versions: Versions | None
    category: str
    confidence: float | None
    risk: float | None
    lane: str
    cluster: str
    seen: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Correction:
    """An engineer's word or change on what Countersign wrote: verdict is approved, rejected, corrected, edited, wrong,
    good, reopened or resolved.

    `source` is person, bot or bulk; `approver` says that the policy let this person approve. `distance` is the share
    of a draft's words that were edited. `about` is filled in by the ledger that records it.
    """

    case_id: str
    change_id: str
    verdict: str
    by: str
    at: datetime
    field: str = ""
    before: str = ""
    after: str = ""
    text: str = ""
    source: Source = "person"
    approver: bool = False
    distance: float | None = None
    about: About | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """A change by people in a ticket of ours, not seen before, with the case it belongs to."""

    case_id: str
    use_case: str
    change: TicketChange


class WatchBook(Protocol):
    def record_changes(self, feed: str, fence: int, page: TicketPage) -> tuple[Watched, ...]:
        """Updates the tickets of our cases, remembers each change once and how changes of ours ended, moves the cursor;
        gives what is new.

        What it gave stays unhandled until `mark_handled`, so that a crash in between loses no approval.
        """
        ...

    def unhandled(self, desk: str, use_cases: Collection[str]) -> tuple[Watched, ...]:
        """Changes by people that were recorded and never marked, oldest first: their worker died over them, or there
        was no policy to hear them under."""
        ...

    def mark_handled(self, watched: Sequence[Watched]) -> None: ...

    def record_corrections(self, corrections: Sequence[Correction]) -> tuple[str, ...]:
        """Records each once, with what it is about; what was one update of many tickets is told apart.

        Gives the cases whose earlier corrections turned out to be part of such an update: their labels don't hold.
        """
        ...

    def overdue(self, use_case: str, *, older_than: timedelta) -> tuple[str, ...]:
        """The cases of planned actions that waited too long."""
        ...

    def expire_approvals(self, use_case: str, *, older_than: timedelta) -> tuple[str, ...]:
        """Drops planned actions that waited too long; gives the cases they belong to."""
        ...

    def changes_since_offer(self, case_id: str, code: str) -> tuple[tuple[TicketChange, ...], frozenset[str]]:
        """What others than we did in the ticket since this was offered for approval, oldest first; and what of that
        voided an earlier approval, by id, as in `Approval`."""
        ...

    def fire_once(self, name: str, fire_time: datetime) -> bool:
        """True for the first caller who fires a schedule at this time, False for everybody after."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditRecord:
    """One line of the audit log. `hash` chains it to the one before (sha256 over `previous` and the line)."""

    seq: int
    at: datetime
    actor: str
    event: str
    case_id: str
    subject: str
    detail: Mapping[str, object]
    previous: str
    hash: str


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionRecord:
    """A recorded decision with everything it rested on. `alerts`: how many the case had then, if kept."""

    revision: int
    at: datetime
    policy_version: int
    policy_hash: str
    autonomy: str
    assessment: Assessment | Unassessed
    decision: Decision
    calls: tuple[ModelCall, ...]
    facts: Facts | None = None
    circumstances: Circumstances | None = None
    alerts: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionRecord:
    action: Action
    state: str
    attempts: int
    approved_by: str
    detail: str
    receipt: Receipt | None
    planned_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """Everything about one case, in the order it happened."""

    case: Case
    stage: str
    decisions: tuple[DecisionRecord, ...]
    actions: tuple[ActionRecord, ...]
    corrections: tuple[Correction, ...]
    audit: tuple[AuditRecord, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CaseLine:
    """One row of `countersign cases`."""

    id: str
    use_case: str
    title: str
    ticket: str
    alerts: int
    stage: str
    outcome: str
    rule: str
    category: str
    last_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionLine:
    """One row of `countersign actions`."""

    key: str
    case_id: str
    use_case: str
    kind: str
    desk: str
    ticket: str
    state: str
    approved_by: str
    planned_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    id: str
    kind: Literal["alert", "case", "action"]
    subject: str
    reason: str
    attempts: int
    at: datetime
    state: Literal["open", "replayed", "dismissed"]
    payload: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """Counts over the whole ledger for the books: what came in and where it went."""

    alerts: int
    cases: Mapping[str, int]
    actions: Mapping[str, int]
    outcomes: Mapping[str, int]
    dead_letters: int
    waiting: int


class Memory(Protocol):
    """What the ledger remembers that helps with the next case."""

    def similar(self, cases: Sequence[Case], *, limit: int) -> Mapping[str, tuple[SimilarCase, ...]]:
        """Earlier decided cases of the same fingerprint or the same title template, newest first, by case id."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """What a report reads, as of `until`: every case opened from the day of `whole` on (UTC), and of those opened from
    the day of `first` until then their sums by week."""

    first: datetime
    whole: datetime
    until: datetime


class RollupBook(Protocol):
    """What reports are made of, packed as cases change."""

    def waiting(self, *, at_most: int) -> int:
        """How many changes have not been packed yet; counts no further than asked."""
        ...

    def digest(self, *, at_most: int = 500) -> int:
        """Packs the oldest of them; gives how many they were, 0 when none is left."""
        ...

    def sum_up(self, use_case: str) -> bool:
        """Sums some hours that are over; True if there are more."""
        ...

    def differences(self, use_case: str) -> Iterator[str]:
        """A sentence for each day or hour that is not what the rows of the ledger come to."""
        ...

    def mark_all(self, use_case: str) -> None:
        """Has all of a use case packed and summed anew."""
        ...


class Reading(Protocol):
    """What people ask of the ledger."""

    def cases(
        self, *, limit: int, stage: str = "", ticket: str = "", use_case: str = ""
    ) -> tuple[CaseLine, ...]:
        """Newest first. `ticket` is its key (INC0010023) or its id."""
        ...

    def story(self, case_id: str) -> Story:
        """Accepts a case id, a unique beginning of one, or a ticket key. Raises NotFound."""
        ...

    def actions(self, *, limit: int, state: str = "") -> tuple[ActionLine, ...]: ...

    def policy_text(self, fingerprint: str) -> str | None:
        """What a policy said that has decided, as JSON; None if it was a release that did not keep it."""
        ...

    def dead_letters(self, *, limit: int, state: str = "open") -> tuple[DeadLetter, ...]: ...

    def dead_letter(self, letter_id: str) -> DeadLetter:
        """Raises NotFound."""
        ...

    def resolve_dead_letter(
        self, letter_id: str, *, how: Literal["replayed", "dismissed"], by: str
    ) -> DeadLetter:
        """Replayed: its case or action is due again with its attempts at 0; a second replay changes nothing.

        An alert's letter is not replayed so, but by its source and `Intake.record_replayed`. Raises NotFound.
        """
        ...

    def tally(self) -> Tally: ...
