"""Asking: one closed question put to models in order until one answers it, with a record of every call."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from countersign.assessment import STATED, Assessment, TriageAnswer, parse_answer
from countersign.calibration import Calibration
from countersign.confidence import SecondOpinion, confidence_of
from countersign.context import SimilarCase
from countersign.errors import Denied, OutsideError, OverBudget, Transient, UnreadableAnswer
from countersign.ports import Completion, Model
from countersign.prompts import Prompt
from countersign.severity import Severity
from countersign.spans import span_ids

Outcome = Literal["answered", "cached", "unreadable", "transient", "permanent", "denied", "over_budget"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call of a model: how it ended, what it cost and how long it took. `detail` says what was wrong.

    `repair` is True for the second try after an unreadable answer; `retry_after` is what the model asked for.
    """

    model: str
    is_llm: bool
    outcome: Outcome
    detail: str = ""
    repair: bool = False
    tokens_in: int = 0
    tokens_out: int = 0
    micro_usd: int = 0
    latency_ms: int = 0
    retry_after: timedelta | None = None
    answer: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What came of a question: the first readable answer with its completion, or None, and every call."""

    answer: TriageAnswer | None
    completion: Completion | None
    calls: tuple[Call, ...]

    @property
    def micro_usd(self) -> int:
        """What all calls cost together."""
        return sum(call.micro_usd for call in self.calls)


def ask(
    models: Sequence[Model],
    prompt: Prompt,
    shape: type[TriageAnswer],
    *,
    seconds: Callable[[], float] = time.monotonic,
) -> Asked:
    """Ask each model until one gives a readable answer; an unreadable one may be repaired once.

    `seconds` is a running clock, to time a call that failed. Never raises for what a model does.
    """
    calls: list[Call] = []
    for model in models:
        question = prompt
        for _ in range(2):
            answer, completion, call = _call(model, question, shape, seconds)
            calls.append(call)
            if answer is not None:
                return Asked(answer=answer, completion=completion, calls=tuple(calls))
            if call.outcome != "unreadable":
                break
            question = replace(prompt, repair=call.detail)
    return Asked(answer=None, completion=None, calls=tuple(calls))


def assessment_from(
    answer: TriageAnswer,
    completion: Completion,
    calibration: Calibration,
    prompt: Prompt,
    *,
    second: SecondOpinion | None = None,
    similar: Sequence[SimilarCase] = (),
) -> Assessment:
    """The assessment that an answer makes. Evidence that the case does not have is dropped.

    `second` and `similar` may lower its confidence, never raise it.
    """
    stated = STATED[answer.confidence] if completion.confidence is None else completion.confidence
    confidence = confidence_of(answer.category, stated, second=second, similar=similar)
    known = frozenset(span_ids(prompt.case.text))
    return Assessment(
        category=answer.category,
        severity=Severity(answer.severity),
        actionability=answer.actionability,
        summary=answer.summary,
        likely_cause=answer.likely_cause,
        evidence=tuple(dict.fromkeys(span for span in answer.evidence if span in known)),
        group=answer.group,
        confidence=confidence.figure,
        risk=calibration.risk(confidence.figure),
        model=completion.model,
        is_llm=completion.is_llm,
        prompt=prompt.name,
        prompt_hash=prompt.hash,
        doubts=confidence.doubts,
    )


def _call(
    model: Model, prompt: Prompt, shape: type[TriageAnswer], seconds: Callable[[], float]
) -> tuple[TriageAnswer | None, Completion | None, Call]:
    started = seconds()
    repair = bool(prompt.repair)
    try:
        completion = model.complete(prompt)
    except OutsideError as error:
        failed = Call(
            model=model.name,
            is_llm=True,
            outcome=_outcome(error),
            detail=str(error),
            repair=repair,
            latency_ms=round((seconds() - started) * 1000),
            retry_after=error.retry_after if isinstance(error, Transient) else None,
        )
        return None, None, failed
    call = Call(
        model=completion.model,
        is_llm=completion.is_llm,
        outcome="cached" if completion.cached else "answered",
        repair=repair,
        tokens_in=completion.tokens_in,
        tokens_out=completion.tokens_out,
        micro_usd=completion.micro_usd,
        latency_ms=completion.latency_ms,
        answer=completion.text,
    )
    try:
        return parse_answer(completion.text, shape), completion, call
    except UnreadableAnswer as error:
        return None, completion, replace(call, outcome="unreadable", detail=str(error))


def _outcome(error: OutsideError) -> Outcome:
    if isinstance(error, Denied):
        return "denied"
    if isinstance(error, OverBudget):
        return "over_budget"
    return "transient" if isinstance(error, Transient) else "permanent"
