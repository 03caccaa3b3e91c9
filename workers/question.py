"""The question: one case put to the policy's models, within its budget, and what speaks against the answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Self

from countersign.asking import Asked, ask, assessment_from
from countersign.assessment import (
    Assessment,
    TriageAnswer,
    Unassessed,
    UnassessedReason,
    answer_schema,
    missing_parts,
    triage_answer,
    with_values,
)
from countersign.boundary import unscaled
from countersign.budget import account, allowance
from countersign.calibration import Calibration
from countersign.cases import Case
from countersign.confidence import SecondOpinion
from countersign.context import Found
from countersign.labels import Versions
from countersign.ledger import ClaimedCase, ModelCall
from countersign.local_readings import alone, reading_versions
from countersign.passages import doubted
from countersign.policy import Policy
from countersign.ports import Completion, Model
from countersign.promises import Standing
from countersign.prompts import Prompt, shared_part
from countersign.redaction import Redactor, own_values
from countersign.routing import answers_alone
from countersign.spans import case_text
from workers.metered import Tab, paid
from workers.parts import Parts
from workers.remembered import keep
from workers.tracing import record_call


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What came of the question. `hidden` holds the values behind the placeholders that are the case's own:
    it lives as long as the decision is made, and is stored nowhere."""

    assessment: Assessment | Unassessed
    calls: tuple[ModelCall, ...] = ()
    hidden: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def for_ticket(self) -> Assessment | Unassessed:
        """The assessment as the case's own ticket may show it."""
        said = self.assessment
        return with_values(said, self.hidden) if isinstance(said, Assessment) else said


@dataclass(frozen=True, kw_only=True, slots=True)
class Learnt:
    """What labels say of a use case's models now: what confidences are worth (one that is not in `scales` is taken at
    its word), and where the embedded model may answer alone."""

    scales: Mapping[Versions, Calibration]
    local: Standing

    @classmethod
    def of(cls, parts: Parts, policy: Policy) -> Self:
        asked = policy.model.sure_enough_locally is not None and parts.local is not None
        return cls(
            scales=parts.ledger.scales.in_force(policy.use_case),
            local=parts.ledger.local_readings.standing(policy.use_case) if asked else Standing(),
        )


def question(parts: Parts, claimed: ClaimedCase, case: Case, policy: Policy, learnt: Learnt) -> Said:
    """What the policy's models say of a case, or why there is nothing, and every call that was made."""
    missing = missing_parts(case, policy.scope.require)
    if missing:
        return _nobody("incomplete", f"the policy asks for {', '.join(missing)}, and it has none")
    prompt = _prompt(parts, case, policy)
    tab = _tab(parts, claimed, policy)
    read = _read(parts, policy, prompt)
    models = paid(_candidates(parts, policy, read, learnt), tab, parts.local, parts.answers)
    shape = triage_answer(policy.categories, policy.groups)
    asked = ask(models, prompt, shape, samples=policy.model.samples)
    for call in asked.calls:
        record_call(call)
    calls = _calls(asked, prompt)
    if asked.answer is None or asked.completion is None:
        if tab.spent_out:
            return _nobody("budget_spent", "today's model budget is spent", calls)
        said = "; ".join(f"{call.model}: {call.outcome}" for call in calls)
        return _nobody("model_down", f"no model gave a usable answer ({said})", calls)
    if parts.answers is not None:
        for sample, completion in asked.readable:
            keep(parts.answers, replace(prompt, sample=sample), completion)
    gave = unscaled(policy, prompt=prompt.hash, model=asked.completion.model)
    worth = learnt.scales.get(gave, Calibration.identity())
    assessment = weighed(parts, case, policy, prompt, asked.answer, asked.completion, worth, asked.agreement)
    assessment = replace(assessment, read=read)
    return Said(assessment=assessment, calls=calls, hidden=own_values(prompt.case.hidden, case.texts))


def weighed(
    parts: Parts,
    case: Case,
    policy: Policy,
    prompt: Prompt,
    answer: TriageAnswer,
    completion: Completion,
    worth: Calibration,
    agreement: float | None,
) -> Assessment:
    """The assessment; where something would be done, with what the local reader finds in each piece of the text."""
    similar = case.context.similar.value if isinstance(case.context.similar, Found) else ()
    make = partial(assessment_from, answer, similar=similar, agreement=agreement)
    said = make(completion, worth, prompt)
    if parts.local is None:
        return said
    completion, second = doubted(completion, said, prompt, case, policy, parts.local)
    return make(completion, worth, prompt, second=second)


def _nobody(reason: UnassessedReason, because: str, calls: tuple[ModelCall, ...] = ()) -> Said:
    return Said(assessment=Unassessed(reason=reason, because=because), calls=calls)


def _candidates(parts: Parts, policy: Policy, read: SecondOpinion | None, learnt: Learnt) -> Sequence[Model]:
    """The policy's models, or the embedded one alone where it is certain enough by certificate."""
    if parts.local is not None and read is not None and read.versions is not None:
        certified = alone(learnt.local, read.versions)
        if answers_alone(read, sure_enough=policy.model.sure_enough_locally, certified=certified):
            return (parts.local,)
    return parts.models(policy)


def _read(parts: Parts, policy: Policy, prompt: Prompt) -> SecondOpinion | None:
    """What the embedded model reads, where the policy would let it answer alone: on record, whoever answers."""
    if parts.local is None or policy.model.sure_enough_locally is None:
        return None
    told = parts.local.complete(prompt)
    return SecondOpinion(
        category=json.loads(told.text)["category"],
        confidence=told.confidence or 0.0,
        versions=reading_versions(policy, told.model),
    )


def _tab(parts: Parts, claimed: ClaimedCase, policy: Policy) -> Tab:
    """What the question may cost. Each attempt at a case has calls of its own: the fence tells them apart."""
    budget = policy.model.budget
    return Tab(
        account=account(policy.use_case, policy.version, parts.clock()),
        case_id=claimed.case.id,
        name=f"{claimed.case.id}/{claimed.case.revision}/{claimed.fence}",
        book=parts.ledger.spending,
        purse=parts.purse,
        allowance=None if budget.usd_per_day is None else allowance(budget.usd_per_day, budget.warn_at),
        categories=policy.categories,
        when_spent=budget.when_spent,
        one_call=parts.crowd.one_call,
    )


def _prompt(parts: Parts, case: Case, policy: Policy) -> Prompt:
    file = parts.prompts[f"{policy.model.question}/{policy.model.prompt}"]
    visible = frozenset(policy.scope.data.visible)
    return Prompt(
        name=file.name,
        hash=file.hash,
        shared=shared_part(file, categories=policy.categories, groups=policy.groups),
        case=case_text(case, visible, Redactor(frozenset(policy.scope.data.redact))),
        schema=answer_schema(policy.categories, policy.groups),
    )


def _calls(asked: Asked, prompt: Prompt) -> tuple[ModelCall, ...]:
    return tuple(
        ModelCall(
            model=call.model,
            prompt=prompt.name,
            prompt_hash=prompt.hash,
            outcome=call.outcome,
            detail=call.detail,
            tokens_in=call.tokens_in,
            tokens_out=call.tokens_out,
            micro_usd=call.micro_usd,
            latency_ms=call.latency_ms,
            rendered=prompt.case.text,
            answer=call.answer,
            sample=call.sample,
            answered_by=call.answered_by,
            parameters=call.parameters,
        )
        for call in asked.calls
    )
