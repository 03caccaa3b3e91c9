"""The backtest: every recorded decision decided again as `decide` would, and what that is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from countersign.assessment import Assessment, Unassessed
from countersign.backtest import (
    Backtest,
    CategoryFigures,
    Circumstances,
    History,
    PastDecision,
    Range,
    Ruling,
    Worth,
    backtest,
    replay,
)
from countersign.backtest.history import microseconds
from countersign.cases import Case
from countersign.decision import Facts, Outcome, decide
from countersign.lanes import Lane
from countersign.policy import Escalation, Policy, Rule, Window
from countersign.policy.schema import SeverityFloor
from countersign.ports import Firing
from countersign.severity import Severity
from countersign.tickets import TicketState
from tests.unit.builders import ASSESSMENT, CALM, CASE, NOW, TICKET, shipped
from tests.unit.hostile import label
from tests.unit.worlds import assessments, cases, examples, facts, policies, unassessed


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """One recorded decision in full, as `decide` takes it."""

    case: Case
    assessment: Assessment | Unassessed
    facts: Facts


FREEZE = Window.model_validate(
    {"from": (NOW + timedelta(hours=3)).isoformat(), "to": (NOW + timedelta(hours=9)).isoformat()}
)
RISKS = (0.05, 0.0999, 0.1, 0.1001, 0.3)
# What a policy closes, and for each thing what may speak against it, or be all the same to it.
USUAL: dict[str, Any] = {
    "source": "datadog",
    "service": "reporting",
    "severity": Severity.INFO,
    "tags": (),
    "firing_alerts": 0,
    "alerts": 1,
    "ticket": TicketState.OPEN,
    "group": "NOC",
    "assignee": "",
    "category": "informational",
    "assessed_severity": Severity.INFO,
    "risk": 0.05,
    "unassessed": None,
    "firing": Firing.NO,
    "first_seen": False,
    "stopped": False,
    "half_hours": 0,
}
OTHERS: dict[str, tuple[Any, ...]] = {
    "source": ("splunk", "servicenow", "desk"),
    "service": ("payments", "search", "other", ""),
    "severity": tuple(Severity),
    "tags": (("customer-facing",), ("batch",), ("other",), ("customer-facing", "batch")),
    "firing_alerts": (1, 2),
    "alerts": (49, 50, 51),
    "ticket": (TicketState.CLOSED, None),
    "group": ("tier-2", "noc"),
    "assignee": ("dana",),
    "category": ("recovered", "access", "capacity"),
    "assessed_severity": tuple(Severity),
    "risk": RISKS,
    "unassessed": ("model_down", "incomplete"),
    "firing": tuple(Firing),
    "first_seen": (True,),
    "stopped": (True,),
    "half_hours": (1, 2, 3, 5, 6, 7, 17, 18, 19, 47, 48, 49),
}


def bordering(rng: Random) -> Past:
    """A record near the border of what is closed: the usual one with none to two things otherwise."""
    changed = rng.sample(sorted(OTHERS), rng.choice((0, 1, 1, 1, 2)))
    of = USUAL | {name: rng.choice(OTHERS[name]) for name in changed}
    born = {"servicenow": TICKET.ref}.get(of["source"])
    alert = replace(
        CASE.alerts[0],
        source={"desk": "servicenow"}.get(of["source"], of["source"]),
        ticket=born,
        service=of["service"],
        severity=of["severity"],
        tags=of["tags"],
    )
    ticket = replace(
        TICKET, state=of["ticket"] or TicketState.OPEN, group=of["group"], assignee=of["assignee"]
    )
    answer = replace(ASSESSMENT, category=of["category"], severity=of["assessed_severity"], risk=of["risk"])
    return Past(
        case=replace(
            CASE,
            alerts=(alert,),
            alert_count=of["alerts"],
            firing=of["firing_alerts"],
            ticket=ticket if of["ticket"] else None,
        ),
        assessment=Unassessed(reason=of["unassessed"], because="-") if of["unassessed"] else answer,
        facts=Facts(
            now=NOW + timedelta(minutes=30 * of["half_hours"]),
            firing=of["firing"],
            first_seen=of["first_seen"],
            stopped=of["stopped"],
        ),
    )


def mostly(usual: Any, *others: Any) -> st.SearchStrategy[Any]:
    """The usual value three times in four."""
    return st.sampled_from([usual] * (3 * len(others)) + list(others))


CONDITIONS: dict[str, object] = {
    "severity": {"at_most": "low"},
    "services": ["reporting", "search"],
    "tags": ["batch"],
    "source": ["datadog", "servicenow"],
    "recovered": True,
}


@st.composite
def closing(draw: st.DrawFn, name: str) -> Rule:
    """A rule that closes, by a plain limit or a promise, under none to two conditions."""
    keys = draw(st.lists(st.sampled_from(sorted(CONDITIONS)), max_size=2, unique=True))
    threshold = draw(st.sampled_from([{"risk_below": 0.1}, {"wrong_closes_at_most": 0.02, "sure": 0.95}]))
    category = draw(st.sampled_from([["informational"], ["recovered", "informational", "access"]]))
    when = {"category": category, **{key: CONDITIONS[key] for key in keys}}
    return Rule.model_validate({"name": name, "then": "close", "threshold": threshold, "when": when})


@st.composite
def closing_policies(draw: st.DrawFn) -> Policy:
    """A policy that closes something, under any of what a policy may forbid."""
    policy = shipped()
    rest = Rule.model_validate(
        {"name": "rest", "then": draw(mostly("draft_note", "route")), "route": "tier-2"}
    )
    never = {
        "severity": draw(mostly(SeverityFloor(at_least=Severity.HIGH), None)),
        "services": draw(mostly((), ("payments",))),
        "tags": draw(mostly((), ("customer-facing",))),
        "calendars": draw(mostly((), ("freeze",))),
        "first_seen": draw(st.booleans()),
    }
    limits = {
        "closes_per_hour": draw(mostly(1000, 0, 1, 3)),
        "closes_per_service_per_day": draw(mostly(1000, 1, 2)),
    }
    return policy.model_copy(
        update={
            "rules": (*(draw(closing(f"close {n}")) for n in range(draw(st.integers(1, 2)))), rest),
            "never_close": policy.never_close.model_copy(update=never),
            "calendars": {"freeze": (FREEZE,)},
            "limits": policy.limits.model_copy(update=limits),
            "autonomy": draw(st.sampled_from(("observe", "draft", "act"))),
            "escalation": Escalation(model_down="noc"),
        }
    )


CERTIFIED = st.dictionaries(st.sampled_from(("informational", "recovered", "access")), st.sampled_from(RISKS))
DEMOTED = mostly(frozenset(), frozenset({"close 0"}))


def history(pasts: Sequence[Past]) -> History:
    return History.of(
        PastDecision.of(f"d{i:04}", past.case, past.assessment, past.facts) for i, past in enumerate(pasts)
    )


def one_by_one(
    pasts: Sequence[Past], policy: Policy, certified: Mapping[str, float], demoted: frozenset[str]
) -> list[Ruling]:
    """What the backtest must say: `decide` on every record, in order of time, counting its own closes."""
    acting = policy.model_copy(update={"autonomy": "act"})
    closed: list[tuple[datetime, str]] = []
    rulings = []
    for past in sorted(pasts, key=lambda past: past.facts.now):
        now, service = past.facts.now, past.case.service
        facts = replace(
            past.facts,
            stopped=False,
            lane=Lane.TREATED,
            certified=certified,
            demoted=demoted,
            closes_last_hour=sum(at > now - timedelta(hours=1) for at, _ in closed),
            closes_of_service_today=sum(at > now - timedelta(days=1) and of == service for at, of in closed),
        )
        decision = decide(past.case, past.assessment, acting, facts)
        closed += [(now, service)] * decision.closes
        rulings.append(Ruling.of(decision))
    return rulings


@given(st.integers(0, 2**32), closing_policies(), CERTIFIED, DEMOTED)
@settings(max_examples=examples(30))
def test_the_backtest_says_what_decide_says(
    seed: int, policy: Policy, certified: dict[str, float], demoted: frozenset[str]
) -> None:
    """For records at every border, grouped replay and `decide` on each record agree in every ruling."""
    rng = Random(seed)
    some = [bordering(rng) for _ in range(150)]
    replayed = replay(history(some), policy, certified=certified, demoted=demoted)
    assert [replayed[i] for i in range(len(some))] == one_by_one(some, policy, certified, demoted)


anything = st.builds(Past, case=cases(), assessment=st.one_of(assessments(), unassessed), facts=facts())


@given(st.lists(anything, max_size=30), policies())
@settings(max_examples=examples(20))
def test_the_backtest_says_what_decide_says_of_anything(some: list[Past], policy: Policy) -> None:
    """The same for any records that there may be, under any policy that loads."""
    replayed = replay(history(some), policy, certified={})
    assert [replayed[i] for i in range(len(some))] == one_by_one(some, policy, {}, frozenset())


def calm(
    name: str,
    *,
    minutes: int = 0,
    risk: float = 0.01,
    category: str = "informational",
    service: str = "search",
) -> PastDecision:
    """A record that the shipped policy closes, unless what is said of it speaks against."""
    lead = replace(CASE.alerts[0], service=service)
    return PastDecision.of(
        name,
        replace(CASE, alerts=(lead,)),
        replace(ASSESSMENT, risk=risk, category=category),
        replace(CALM, now=NOW + timedelta(minutes=minutes)),
    )


def limited(**limits: int) -> Policy:
    policy = shipped()
    return policy.model_copy(update={"limits": policy.limits.model_copy(update=limits)})


def closed(records: Sequence[PastDecision], policy: Policy) -> list[str]:
    past = History.of(records)
    closes = replay(past, policy, certified={}).closes
    return [name for name, closes_ in zip(past.ids, closes.tolist(), strict=True) if closes_]


def test_a_limit_counts_the_replays_own_closes() -> None:
    """With two closes an hour, the third waits until the first is an hour old, to the minute."""
    records = [calm(f"d{minute:03}", minutes=minute) for minute in (0, 10, 20, 59, 60, 61, 75)]
    assert closed(records, limited(closes_per_hour=2)) == ["d000", "d010", "d060", "d075"]


def test_a_limit_of_a_service_is_its_own() -> None:
    """One service's closes of the day don't use up another's."""
    records = [calm(f"{service}-{i}", minutes=i, service=service) for i in range(3) for service in ("a", "b")]
    assert closed(records, limited(closes_per_service_per_day=1)) == ["a-0", "b-0"]


def test_a_risk_at_the_threshold_is_not_below_it() -> None:
    """`risk_below: 0.10` closes the last number below 0.1 and not 0.1 itself."""
    records = [calm("below", risk=0.09999999999999999), calm("at", risk=0.1)]
    assert closed(records, shipped()) == ["below"]


def test_a_change_request_at_even_odds_is_a_note() -> None:
    """The replay tells it apart from one that is drafted, though no number of the policy lies between them."""
    past = History.of(calm(f"d{risk}", category="capacity", risk=risk) for risk in (0.4, 0.5, 0.6))
    ruled = replay(past, shipped(), certified={})
    assert [ruled[index].outcome for index in range(3)] == [
        Outcome.DRAFT_CHANGE, Outcome.DRAFT_NOTE, Outcome.DRAFT_NOTE,
    ]  # fmt: skip


def test_order_of_records_does_not_matter() -> None:
    """Records are replayed in order of time, however they come."""
    records = [calm(f"d{minute}", minutes=minute) for minute in range(9)]
    assert closed(records[::-1], limited(closes_per_hour=3)) == ["d0", "d1", "d2"]


def by_category(result: Backtest) -> dict[str, CategoryFigures]:
    return {figures.category: figures for figures in result.figures}


def test_figures_say_what_would_be_closed_and_how_much_of_it_wrongly() -> None:
    """Per category: cases, closes, wrong closes from labels with their interval, minutes and dollars net of them."""
    records = [calm(f"d{i:03}", minutes=10 * i) for i in range(200)]
    records += [calm(f"x{i}", category="network") for i in range(3)]
    labels = [label(f"d{i:03}", wrong=i < 10) for i in range(100)]
    worth = Worth(minutes_per_close=6, minutes_per_wrong_close=30, usd_per_hour=120)
    figures = by_category(
        backtest(History.of(records), limited(closes_per_service_per_day=1000), labels=labels, worth=worth)
    )
    noise = figures["informational"]
    assert (noise.cases, noise.would_close, noise.pages_missed) == (200, 200, 0)
    assert noise.wrong_share.value == pytest.approx(0.1)
    assert (noise.wrong_share.low, noise.wrong_share.high) == pytest.approx((0.0490, 0.1762), abs=5e-5)
    assert noise.wrong_closes.value == pytest.approx(20)
    assert noise.minutes.value == pytest.approx(200 * 6 - 20 * 30)
    assert noise.dollars.value == pytest.approx(2 * (200 * 6 - 20 * 30))
    assert noise.minutes.low < 600 < noise.minutes.high
    assert (figures["network"].cases, figures["network"].would_close) == (3, 0)


def test_an_hour_saved_is_worth_what_the_policy_says() -> None:
    """As in the report; where it says nothing, the usual guess."""
    told = shipped().model_dump(by_alias=True)
    dear = Policy.model_validate(told | {"report": told["report"] | {"usd_per_hour": 120}})
    silent = Policy.model_validate(told | {"report": None})
    assert (Worth.under(dear).usd_per_hour, Worth.under(silent)) == (120, Worth())
    labels = [label("a", wrong=False)]
    values = [
        by_category(backtest(History.of([calm("a")]), policy, labels=labels))["informational"].dollars.value
        for policy in (dear, silent)
    ]
    assert values == pytest.approx([12, 6])


def test_without_labels_wrong_closes_are_unknown() -> None:
    """Unknown is not zero: no value, and an interval that holds everything."""
    noise = by_category(backtest(History.of([calm("a"), calm("b")]), shipped()))["informational"]
    assert noise.would_close == 2
    assert (noise.wrong_closes.value, noise.wrong_closes.low, noise.wrong_closes.high) == (None, 0.0, 2.0)
    assert noise.minutes.value is None


def test_labels_weigh_as_they_were_drawn_and_storms_once() -> None:
    """A wrong close found at one in ten stands for ten, and ten labels of one storm are one observation."""
    records = [calm(f"d{i}") for i in range(40)]
    labels = [
        label("d0", wrong=True, probability=0.1),
        *(label(f"d{i}", cluster="storm", probability=1.0) for i in range(1, 11)),
        *(label(f"d{i}", probability=1.0) for i in range(11, 20)),
    ]
    share = by_category(backtest(History.of(records), shipped(), labels=labels))["informational"].wrong_share
    assert share.n == 11
    assert share.value == pytest.approx(10 / 20)


def test_a_close_of_what_pages_is_a_page_missed() -> None:
    """Without its floor the policy would close what is severe; the backtest says how often."""
    policy = shipped()
    open_rule = policy.rules[0].model_copy(
        update={"when": policy.rules[0].when.model_copy(update={"severity": None})}
    )
    never = policy.never_close.model_copy(update={"severity": None})
    reckless = policy.model_copy(update={"rules": (open_rule, *policy.rules[1:]), "never_close": never})
    severe = replace(calm("severe").circumstances, assessed_severity=Severity.HIGH)
    records = [calm("a"), replace(calm("b"), circumstances=severe)]
    assert by_category(backtest(History.of(records), reckless))["informational"].pages_missed == 1
    assert by_category(backtest(History.of(records), policy))["informational"].pages_missed == 0


def test_every_case_that_changes_is_named() -> None:
    """Against the old policy: who closes now and did not, by which rule; who stays as before is not listed."""
    policy = shipped()
    rule = policy.rules[0]
    assert rule.threshold is not None
    strict = rule.model_copy(update={"threshold": rule.threshold.model_copy(update={"risk_below": 0.05})})
    old = policy.model_copy(update={"rules": (strict, *policy.rules[1:])})
    records = [calm("low", risk=0.01), calm("middle", risk=0.07), calm("high", risk=0.5)]
    result = backtest(History.of(records), policy, against=old)
    assert [change.id for change in result.changes] == ["middle"]
    change = result.changes[0]
    assert (change.before.outcome, change.after.outcome) == (Outcome.DRAFT_NOTE, Outcome.CLOSE)
    assert (change.category, change.after.rule) == ("informational", "noise")
    assert [figures.would_close for figures in (*result.before, *result.figures)] == [1, 2]


@pytest.mark.parametrize(
    ("figure", "words"),
    [
        (Range(value=-0.3, low=-1204.6, high=0.2), "0 (-1,205 to 0)"),
        (Range(value=None, low=-108.0, high=12.0), "unknown (-108 to 12)"),
        (Range(value=None, low=0.0, high=0.0), "0"),
    ],
)
def test_a_figure_is_told_with_its_interval(figure: Range, words: str) -> None:
    """Whole and never "-0"; unknown without a label, but nothing is nothing."""
    assert figure.words == words


def test_an_empty_history_gives_no_figures() -> None:
    """Nothing recorded is nothing to tell, not an error."""
    assert backtest(History.of([]), shipped(), against=shipped()) == Backtest(cases=0, figures=())


def test_what_nobody_assessed_is_a_category_of_its_own() -> None:
    """Unassessed cases are counted, and not closed."""
    past = PastDecision(
        id="u",
        at=datetime(2026, 11, 20, tzinfo=UTC),
        risk=None,
        alerts=1,
        circumstances=Circumstances(source="datadog", severity=Severity.INFO, unassessed="model_down"),
    )
    figures = by_category(backtest(History.of([past, calm("a")]), shipped()))
    assert (figures["(not assessed)"].cases, figures["(not assessed)"].would_close) == (1, 0)


def test_rows_of_the_ledger_come_to_the_same_history() -> None:
    """By time, with circumstances by name; a case that was decided again counts once, as it was decided last."""
    kind = Circumstances(source="datadog", severity=Severity.LOW, category="informational")
    other = Circumstances(source="splunk", severity=Severity.HIGH)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    past = [
        PastDecision(id="b", at=start + timedelta(hours=1), risk=None, alerts=3, circumstances=other),
        PastDecision(id="a", at=start + timedelta(hours=2), risk=0.2, alerts=2, circumstances=kind),
    ]
    rows = [
        ("a", 0, 0.5, 1, "k"),
        *((p.id, microseconds(p.at), p.risk, p.alerts, "ko"[n == 0]) for n, p in enumerate(past)),
    ]
    made, known = History.of_rows(rows, {"k": kind, "o": other}), History.of(past)
    assert list(made.ids) == list(known.ids) == ["b", "a"]
    assert [made.case(index) for index in range(2)] == [known.case(index) for index in range(2)]
    assert (np.isnan(made.risk[0]), made.risk[1]) == (True, 0.2)
