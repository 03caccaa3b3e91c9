"""Assess: from cases that are due to recorded decisions. Link -> enrich -> ask -> decide -> plan -> record."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial

import structlog

from countersign.assessment import Assessment
from countersign.boundary import versions_of
from countersign.cases import Case
from countersign.certification import covered
from countersign.circumstances import Circumstances
from countersign.decision import Decision, Facts, decide, matching_rule, wanted
from countersign.errors import OutsideError
from countersign.guards import demoted
from countersign.labels import Versions
from countersign.lanes import Lane, lane, share_of
from countersign.ledger import ClaimedCase, CloseLimits, Closes, Grounds, Verdict
from countersign.plans import plan
from countersign.policy import Policy
from countersign.ports import Firing
from countersign.signals import OTHER_MODEL, signals_of
from workers.crowd import Room
from workers.enrich import enrich, link
from workers.others import others, told_of_others
from workers.parts import Parts, Wake
from workers.question import Learnt, Said, question
from workers.tracing import span

_log = structlog.get_logger()
AGAIN_IN = timedelta(seconds=15)
_WAITING = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """A case with what was said about it: all that deciding needs from the outside."""

    claimed: ClaimedCase
    case: Case
    said: Said
    firing: Firing


def assess(parts: Parts, ids: Sequence[str]) -> Iterator[Wake]:
    """Decides those of these cases that are due and free; yields the actions that may be done."""
    with parts.crowd.room(len(ids)) as room:
        if room is None:
            return
        claimed = parts.ledger.cases.claim_cases(ids, worker=parts.worker, lease=_lease(parts))
        by_use_case: dict[str, list[ClaimedCase]] = defaultdict(list)
        for one in claimed:
            by_use_case[one.case.use_case].append(one)
        for use_case, batch in by_use_case.items():
            policy = parts.policies.get(use_case)
            if policy is None:
                why = f"There is no policy for use case {use_case}; put its file back or dismiss the case."
                _give_back(parts, batch, why, count=True)
                continue
            yield from _assess_batch(parts, batch, policy, room)
        if any(one.last_try for one in claimed):
            yield from _next_last_tries(parts)


def _next_last_tries(parts: Parts) -> Iterator[Wake]:
    """What waited for its last try while another case had its own: found taken, its message did nothing."""
    for one in parts.ledger.cases.due_cases(limit=_WAITING, again=True):
        yield Wake("assess", (one,))


def _lease(parts: Parts) -> timedelta:
    """Outlasts every candidate with its samples and a repair, as slow as the policy lets them be: an answer late for
    its lease is lost."""
    models = (policy.model for policy in parts.policies.values())
    slowest = max((one.samples + 1) * len(one.candidates) * one.timeout for one in models)
    return parts.settings.timing.lease + slowest


def _assess_batch(parts: Parts, batch: Sequence[ClaimedCase], policy: Policy, room: Room) -> Iterator[Wake]:
    try:
        linked = link(parts, policy.scope.desk, [one.case for one in batch])
    except OutsideError as problem:
        # Not the cases' fault: they wait for the desk, however long it is away.
        _give_back(parts, batch, str(problem), count=False)
        return
    cases = enrich(parts, linked, policy)
    # Asked for every batch, as certificates are: what was put in force a moment ago counts on all workers.
    learnt = Learnt.of(parts, policy)
    judge = partial(_judge, parts, policy=policy, learnt=learnt)
    pairs = list(zip(batch, cases, strict=True))
    judgements = (
        room.map(lambda pair: judge(*pair), pairs) if policy.model.waits else [judge(*one) for one in pairs]
    )
    ready = _decide_and_record(parts, judgements, policy, parts.ledger.cases.closes(policy.use_case))
    ready += tuple(
        key for one in judgements for key in told_of_others(parts, one.case, one.said.calls, policy)
    )
    if ready:
        yield Wake("act", ready)


def _give_back(parts: Parts, batch: Sequence[ClaimedCase], why: str, *, count: bool) -> None:
    _log.warning("assess.given_back", cases=len(batch), why=why)
    for one in batch:
        parts.ledger.cases.give_back(one.case.id, one.fence, due_in=AGAIN_IN, error=why, count=count)


def _judge(parts: Parts, claimed: ClaimedCase, case: Case, policy: Policy, learnt: Learnt) -> Judgement:
    """Everything that needs the outside: the model's answer, and the source's word on whether it still fires."""
    with span("countersign.case", {"case": case.id, "use_case": case.use_case}):
        said = question(parts, claimed, case, policy, learnt)
    firing, assessment = Firing.UNKNOWN, said.assessment
    if isinstance(assessment, Assessment) and matching_rule(case, assessment, policy).then == "close":
        firing = _still_firing(parts, case)
    return Judgement(claimed=claimed, case=case, said=said, firing=firing)


def _still_firing(parts: Parts, case: Case) -> Firing:
    source = parts.sources.get(case.lead.source)
    if case.born_in_desk or source is None:
        return Firing.UNKNOWN
    try:
        return source.still_firing(case.alerts)
    except OutsideError as problem:
        _log.warning("source.silent", source=case.lead.source, problem=str(problem))
        return Firing.UNKNOWN


def _decide_and_record(
    parts: Parts, judgements: Sequence[Judgement], policy: Policy, closes: Closes
) -> tuple[str, ...]:
    """Decides against the closes of the last hour and day; what another worker's close has pushed over a limit
    by the time it is recorded is decided once more, with the limit used up.
    """
    decided = _decided(parts, judgements, policy, closes)
    judged = parts.ledger.cases.record_verdicts(
        [_verdict(one, facts, decision, policy) for one, facts, decision in decided]
    )
    for one, _, decision in decided:
        if one.case.id not in (*judged.over_limit, *judged.lost):
            _tell(one.case, decision)
    if not judged.over_limit:
        return judged.ready
    full = Closes(last_hour=policy.limits.closes_per_hour, by_service=closes.by_service)
    again = [one for one in judgements if one.case.id in judged.over_limit]
    return (*judged.ready, *_decide_and_record(parts, again, policy, full))


def _decided(
    parts: Parts, judgements: Sequence[Judgement], policy: Policy, closes: Closes
) -> list[tuple[Judgement, Facts, Decision]]:
    """Decides one after the other, so that each sees the closes of those before it."""
    last_hour, by_service = closes.last_hour, dict(closes.by_service)
    # Asked for every batch, so that a demotion holds for every decision after it, on all workers.
    standing = parts.ledger.promises.standing(policy.use_case)
    lost = demoted(policy, standing)
    drifting = parts.ledger.drifts.raised(policy.use_case)
    decided = []
    for one in judgements:
        versions = _versions(one, policy)
        certified = covered(policy, standing, versions) if versions else {}
        share = _control_share(one, policy, certified, drifting)
        facts = Facts(
            now=parts.clock(),
            lane=lane(seed=policy.seed, case_id=one.case.id, share=share),
            control_share=share,
            firing=one.firing,
            closes_last_hour=last_hour,
            closes_of_service_today=by_service.get(one.case.service, 0),
            first_seen=one.claimed.first_seen,
            certified=certified,
            demoted=lost,
        )
        decision = decide(one.case, one.said.assessment, policy, facts)
        if decision.closes:
            last_hour += 1
            by_service[one.case.service] = by_service.get(one.case.service, 0) + 1
        decided.append((one, facts, decision))
    return decided


def _control_share(one: Judgement, policy: Policy, certified: Mapping[str, float], drifting: bool) -> float:
    said, threshold = one.said.assessment, None
    if isinstance(said, Assessment):
        promise = matching_rule(one.case, said, policy).threshold
        threshold = (promise and promise.risk_below) or certified.get(said.category)
    return share_of(
        policy.control_lane,
        policy.control_lane_raised,
        risk=said.risk if isinstance(said, Assessment) else None,
        threshold=threshold,
        first_seen=one.claimed.first_seen,
        again=one.case.revision > 1,
        drifting=drifting,
    )


def _grounds(one: Judgement, facts: Facts, decision: Decision, policy: Policy) -> Grounds:
    said = one.said.assessment
    treated = replace(facts, lane=Lane.TREATED)
    return Grounds(
        facts=facts,
        circumstances=Circumstances.of(one.case, said, facts),
        alerts=one.case.alert_count,
        risk=said.risk if isinstance(said, Assessment) else None,
        wanted=wanted(one.case, said, policy, treated),
        alone=decision.closes or (facts != treated and decide(one.case, said, policy, treated).closes),
        versions=_versions(one, policy),
    )


def _versions(one: Judgement, policy: Policy) -> Versions | None:
    said = one.said.assessment
    return versions_of(policy, said) if isinstance(said, Assessment) else None


def _verdict(one: Judgement, facts: Facts, decision: Decision, policy: Policy) -> Verdict:
    limits = policy.limits
    return Verdict(
        case_id=one.case.id,
        fence=one.claimed.fence,
        policy_version=policy.version,
        policy_hash=policy.fingerprint,
        policy_text=policy.canonical,
        autonomy=policy.autonomy,
        assessment=one.said.assessment,
        decision=decision,
        actions=plan(one.case, one.said.for_ticket, decision, policy),
        calls=one.said.calls,
        ticket=one.case.ticket,
        context=one.case.context,
        service=one.case.service,
        limits=CloseLimits(
            per_hour=limits.closes_per_hour, per_service_per_day=limits.closes_per_service_per_day
        ),
        grounds=_grounds(one, facts, decision, policy),
        signals=tuple(_signals(one)),
    )


def _signals(one: Judgement) -> Iterator[tuple[str, str]]:
    """A case is counted once, when it is first decided; another model's answers are counted each."""
    if one.case.revision == 1:
        yield from signals_of(one.case, one.said.assessment)
    yield from ((OTHER_MODEL, f"{asked} > {gave}") for asked, gave in others(one.said.calls))


def _tell(case: Case, decision: Decision) -> None:
    _log.info(
        "case.decided",
        case=case.id,
        ticket=case.ticket.ref.key if case.ticket else "",
        outcome=decision.outcome.value,
        rule=decision.rule,
        lane=decision.lane.value,
        because=decision.because[0],
    )
