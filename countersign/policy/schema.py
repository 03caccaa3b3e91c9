"""The written boundary of one use case: every question a policy answers, with its type and its meaning."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from decimal import Decimal
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from countersign.policy.calendars import Window, Zone
from countersign.policy.checks import contradictions
from countersign.policy.fields import (
    BUSINESS_HOURS,
    PROMPT_VERSION,
    REPORT_RECORD,
    REPORT_TIME,
    Count,
    Duration,
    Fraction,
    Name,
    Part,
    PositiveDuration,
    Share,
    Slug,
    Text,
)
from countersign.policy.rules import Rule, SourceName
from countersign.severity import Severity

Autonomy = Literal["observe", "draft", "act"]
DeskName = Literal["servicenow", "jira", "pagerduty"]
VisiblePart = Literal[
    "summary", "body", "severity", "tags", "service", "ci", "recent_changes", "logs", "similar_cases"
]
SecretKind = Literal["secrets", "email", "phone", "ip", "iban", "card"]
RequiredPart = Literal["body", "service", "ci"]
EscalationReason = Literal["model_down", "budget_spent", "incomplete", "demoted"]

CATEGORIES = (
    "availability",
    "capacity",
    "performance",
    "security",
    "deployment",
    "data",
    "network",
    "hardware",
    "access",
    "informational",
    "flapping",
    "recovered",
    "other",
)
# Longer than the desk's search lag, so that a probe finds a write whose reply was lost.
DESK_HOLDS = {
    "jira": timedelta(minutes=6),
    "servicenow": timedelta(seconds=30),
    "pagerduty": timedelta(seconds=30),
}
OWNER_ROLES = ("product", "platform", "governance", "business")


class Owners(Part):
    """Who answers for the use case. `act` is refused while one is missing."""

    product: Name | None = Field(default=None, description="Answers for what the use case is worth.")
    platform: Name | None = Field(default=None, description="Answers for running it.")
    governance: Name | None = Field(default=None, description="Answers for its risk.")
    business: Name | None = Field(default=None, description="Answers for the services it touches.")

    @property
    def missing(self) -> tuple[str, ...]:
        """Roles without a name."""
        return tuple(role for role in OWNER_ROLES if getattr(self, role) is None)


class Kpi(Part):
    """The figure that the use case must move."""

    metric: Slug = Field(description="Name of the metric, as deflection_rate or time_to_resolve.")
    baseline: float | None = Field(
        default=None,
        strict=True,
        allow_inf_nan=False,
        description="Its value before; leave out while unknown.",
    )
    target: float = Field(strict=True, allow_inf_nan=False, description="The value to reach.")


class Tickets(Part):
    """Which tickets of the desk belong to the use case."""

    match: str = Field(
        default="",
        max_length=2000,
        description="The desk's own query for tickets in scope (ServiceNow encoded query, JQL).",
    )
    create: Literal["never", "when_missing"] = Field(
        default="never", description="Whether a ticket is opened for an alert that has none."
    )


class Data(Part):
    """What the model may see."""

    visible: tuple[VisiblePart, ...] = Field(
        default=("summary", "body", "severity", "tags", "service", "ci", "recent_changes"),
        min_length=1,
        description="Parts of a case that are sent to the model.",
    )
    redact: tuple[SecretKind, ...] = Field(
        default=("secrets", "email", "phone", "ip", "iban", "card"),
        description="Kinds of values that are replaced by placeholders first.",
    )


class Scope(Part):
    """Where alerts come from, where tickets live, and what may be seen."""

    sources: tuple[SourceName, ...] = Field(min_length=1, description="Systems that alerts are pulled from.")
    desk: DeskName = Field(description="System whose tickets are read and written.")
    tickets: Tickets = Field(default=Tickets(), description="Which tickets of the desk are in scope.")
    data: Data = Field(default=Data(), description="What the model may see.")
    services: tuple[Name, ...] | None = Field(
        default=None, min_length=1, description="Only these services; leave out for all."
    )
    require: tuple[RequiredPart, ...] = Field(
        default=(), description="Parts without which a case goes to people unassessed."
    )


class Budget(Part):
    """What the model may cost."""

    usd_per_day: Decimal | None = Field(
        default=None,
        ge=0,
        le=1_000_000,
        max_digits=13,
        decimal_places=6,
        description="US dollars per day; leave out for no limit.",
    )
    warn_at: Share = Field(default=0.8, description="Share of the budget at which the owner is told.")
    when_spent: Literal["route", "local"] = Field(
        default="route", description="When spent: route to people, or let the embedded model answer."
    )


class ModelChoice(Part):
    """Which model is asked which question, and what that may cost."""

    question: Slug = Field(default="triage", description="Folder of the prompt under prompts/.")
    prompt: str = Field(default="v1", pattern=PROMPT_VERSION, description="Version of the prompt, as v1.")
    candidates: tuple[Name, ...] = Field(
        default=("local",),
        min_length=1,
        max_length=10,
        description="Models in the order they are tried, as provider/name; `local` is the embedded one.",
    )
    budget: Budget = Field(default=Budget(), description="What the model may cost.")
    sure_enough_locally: Fraction | None = Field(
        default=None,
        description="The embedded model answers alone above this certified precision; leave out to ask on.",
    )
    samples: Annotated[int, Field(strict=True, ge=1, le=9)] = Field(
        default=1,
        description="How often a language model is asked about each case, with chance in it; what most of its "
        "answers say is taken, and how many say it counts as confidence. Each one costs.",
    )
    timeout: PositiveDuration = Field(
        default=timedelta(seconds=30),
        description="Longest wait for one answer before the next candidate is tried.",
    )

    @property
    def waits(self) -> bool:
        """Whether a model is asked over the network; the embedded one keeps the processor busy instead."""
        return set(self.candidates) != {"local"}


class SeverityFloor(Part):
    """Severities from `at_least` upwards."""

    at_least: Severity = Field(description="Lowest severity that is never closed.")


class NeverClose(Part):
    """What is never closed without a person, whatever the rules and the model say."""

    severity: SeverityFloor | None = Field(
        default=None, description="Never close from this severity upwards."
    )
    services: tuple[Name, ...] = Field(default=(), description="Never close tickets of these services.")
    tags: tuple[Name, ...] = Field(default=(), description="Never close when one of these tags is present.")
    calendars: tuple[Slug, ...] = Field(default=(), description="Never close during these calendars.")
    first_seen: bool = Field(
        default=True, strict=True, description="Never close what has not been seen before without a person."
    )


class Limits(Part):
    """How much may be closed without a person, however sure the model is."""

    closes_per_hour: Count = Field(default=50, description="Closes per hour over the whole use case.")
    closes_per_service_per_day: Count = Field(default=10, description="Closes per service and day.")


class Approvers(Part):
    """Who may approve a draft: a group looked up in the desk, named people, or both."""

    servicenow_group: Name | None = Field(default=None, description="Members of this ServiceNow group.")
    jira_group: Name | None = Field(default=None, description="Members of this Jira group.")
    people: tuple[Name, ...] = Field(default=(), description="These people, by their account in the desk.")

    @property
    def nobody(self) -> bool:
        """Whether no one may approve."""
        return not (self.servicenow_group or self.jira_group or self.people)


class Approvals(Part):
    """How drafts are approved in the ticket."""

    approvers: Approvers = Field(default=Approvers(), description="Who may approve.")
    expires_after: PositiveDuration = Field(
        default=timedelta(hours=24),
        description="How long a draft waits for approval, and an approval, or a decision to close, for the write.",
    )
    then: Literal["route", "drop"] = Field(
        default="route",
        description="When it expires: the ticket goes to escalation.route_to if nobody has it, or nothing happens.",
    )


class Rights(Part):
    """Who may decide about this policy. With `keys` configured each shows theirs, and an empty list is nobody."""

    change: tuple[Name, ...] = Field(default=(), description="May sign a new version.")
    promote: tuple[Name, ...] = Field(
        default=(), description="May sign for more autonomy, and give a rule its own back."
    )
    retrain: tuple[Name, ...] = Field(default=(), description="May let the embedded model learn anew.")
    roll_back: tuple[Name, ...] = Field(default=(), description="May take back what was done.")


class Escalation(Part):
    """Who is told or gets the ticket when Countersign can't do its part."""

    model_down: Name | None = Field(default=None, description="No model answers.")
    budget_spent: Name | None = Field(default=None, description="The day's budget is spent.")
    incomplete: Name | None = Field(default=None, description="A required part of the case is missing.")
    demoted: Name | None = Field(default=None, description="Autonomy was withdrawn from a rule.")
    route_to: Name | None = Field(
        default=None, description="Everything else; leave out to leave the ticket with the group that has it."
    )

    def target(self, reason: EscalationReason) -> str | None:
        """Group or person for a reason, else `route_to`; None leaves the ticket where it is."""
        named: str | None = getattr(self, reason)
        return named or self.route_to


class Rollback(Part):
    """Who may undo, and how long undoing is promised."""

    owner: Name = Field(description="Group or person that undoes.")
    within: PositiveDuration = Field(
        default=timedelta(days=14), description="How long every action can be undone."
    )
    per_minute: Annotated[int, Field(strict=True, ge=1, le=6000)] = Field(
        default=60, description="So many writes a minute undo what was done, unless somebody says otherwise."
    )


class Feedback(Part):
    """How outcomes become labels."""

    reopened_within: PositiveDuration = Field(
        default=timedelta(days=7),
        description="In the figures, a ticket reopened within this time was not resolved. It is no label.",
    )
    quorum: Annotated[int, Field(strict=True, ge=1, le=20)] = Field(
        default=2,
        description="So many people must say the same of what goes wrong before it may be learnt; or one approver.",
    )
    lessons_per_person: Count = Field(default=200, description="Lessons that one person's word may carry.")
    lessons_per_cluster: Count = Field(
        default=3, description="Lessons kept of what goes wrong in the same way."
    )


class Report(Part):
    """The scheduled report."""

    when: str = Field(
        pattern=REPORT_TIME,
        description='Day and time, as "Mon 07:00" or "daily 07:00".',
    )
    zone: Zone = Field(
        default="UTC", description="Time zone of `when` and of `business_hours`, as Europe/Rome."
    )
    to: tuple[Name, ...] = Field(min_length=1, description="Mail addresses that get it.")
    record: str | None = Field(
        default=None,
        pattern=REPORT_RECORD,
        description="Ticket or change record that gets it as a file: jira:OPS-7, servicenow:CHG0030001, or a sys_id.",
    )
    business_hours: str = Field(
        default="Mon-Fri 08:00-18:00",
        pattern=BUSINESS_HOURS,
        description='Hours on the business clock, as "Mon-Fri 08:00-18:00".',
    )
    usd_per_hour: float | None = Field(
        default=None,
        strict=True,
        gt=0,
        le=10_000,
        description="What an hour of people's time costs, in US dollars; left out, the cost of a ticket stays unknown.",
    )


class Storms(Part):
    """When many alerts of one case count as a storm, which is never closed without a person."""

    at_least: Annotated[int, Field(strict=True, ge=2, le=1_000_000)] = Field(
        default=50, description="Alerts of one case that make a storm."
    )
    window: PositiveDuration = Field(
        default=timedelta(minutes=10), description="Time within which they are counted."
    )


def _use_case(valid: dict[str, Any]) -> str:
    return str(valid.get("use_case", "policy"))


def _desk_hold(valid: dict[str, Any]) -> timedelta:
    scope = valid.get("scope")
    return DESK_HOLDS[scope.desk if scope else "jira"]


class Policy(Part):
    """One YAML file, one use case: what Countersign may do there, and who answers for it."""

    use_case: Slug = Field(description="Name of the use case: small letters, digits, - and _.")
    version: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = Field(
        description="Raised with every change; stored with every decision."
    )
    purpose: Text = Field(description="One sentence: what it is for.")
    owners: Owners = Field(default=Owners(), description="Who answers for it.")
    kpi: Kpi | None = Field(default=None, description="The figure it must move.")
    worst_case: Text | None = Field(default=None, description="The worst plausible error, in one sentence.")
    scope: Scope = Field(description="Sources, desk and data.")
    model: ModelChoice = Field(default=ModelChoice(), description="Which model is asked.")
    autonomy: Autonomy = Field(
        default="observe",
        description="observe: record only; draft: write drafts and ask; act: close within the rules.",
    )
    categories: tuple[Slug, ...] = Field(
        default=CATEGORIES,
        min_length=2,
        max_length=100,
        description="Categories that the model may choose from.",
    )
    groups: tuple[Name, ...] = Field(
        default=(), max_length=200, description="Groups that the model may suggest; none: it suggests none."
    )
    rules: tuple[Rule, ...] = Field(
        min_length=1,
        max_length=100,
        description="The first rule that matches decides; the last must match everything.",
    )
    never_close: NeverClose = Field(
        default=NeverClose(), description="What is never closed without a person."
    )
    calendars: dict[Slug, tuple[Window, ...]] = Field(
        default={}, description="Named times, as change freezes: a list of {from, to} each."
    )
    limits: Limits = Field(default=Limits(), description="How much may be closed without a person.")
    control_lane: Annotated[float, Field(strict=True, ge=0, le=0.5)] = Field(
        default=0.1,
        description="Share of cases in which people work without seeing the verdict, to measure against.",
    )
    control_lane_raised: Annotated[float, Field(strict=True, ge=0, le=0.5)] | None = Field(
        default=None,
        description="The same share near a threshold and for what was never seen before, where most is learnt; "
        "control_lane if left out or lower.",
    )
    seed: Name = Field(
        default_factory=_use_case, description="Seed of the control lane's draw; the use case if left out."
    )
    approvals: Approvals = Field(default=Approvals(), description="How drafts are approved in the ticket.")
    rights: Rights = Field(default=Rights(), description="Who may decide about this policy.")
    escalation: Escalation = Field(default=Escalation(), description="Who gets what Countersign can't do.")
    rollback: Rollback | None = Field(default=None, description="Who undoes, and for how long.")
    feedback: Feedback = Field(default=Feedback(), description="How outcomes become labels.")
    desk_hold: Duration = Field(
        default_factory=_desk_hold,
        description="How long a write without a reply is held before it is looked for in the desk; "
        "longer than the desk's search lag. 6m for jira, 30s for servicenow and pagerduty if left out.",
    )
    storms: Storms = Field(default=Storms(), description="When many alerts count as a storm.")
    report: Report | None = Field(default=None, description="The scheduled report.")

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Policy:
        faults = contradictions(self)
        if faults:
            raise PydanticCustomError(
                "contradictions", "{text}", {"text": " ".join(f.sentence for f in faults)}
            )
        return self

    @cached_property
    def canonical(self) -> str:
        """Everything the policy says as JSON, defaults included: the policy can be read from it again."""
        document = self.model_dump(mode="json", by_alias=True)
        return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def content_hash(self) -> str:
        """sha256 in hex over the canonical JSON."""
        return hashlib.sha256(self.canonical.encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """The first 12 hex digits of `content_hash`, as shown in tickets."""
        return self.content_hash[:12]
