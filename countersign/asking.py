"""Asking: one closed question put to models in order until one answers it, with a record of every call."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Literal

from countersign.assessment import STATED, Assessment, TriageAnswer, parse_answer
from countersign.calibration import Calibration
from countersign.confidence import SecondOpinion, confidence_of
from countersign.context import SimilarCase
from countersign.errors import Denied, OutsideError, OverBudget, TooLong, Transient, UnreadableAnswer
from countersign.ports import Completion, Model
from countersign.prompts import Prompt
from countersign.severity import Severity
from countersign.spans import span_ids

Outcome = Literal["answered", "cached", "unreadable", "transient", "permanent", "denied", "over_budget"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One call of a model: how it ended, what it cost and how long it took. `detail` says what was wrong.

    `repair` is True for the second try after an unreadable answer; `retry_after` is what the model asked for.
    `sample` counts from 1 where the same was asked several times.
    """

    model: str
    is_llm: bool
    outcome: Outcome
    detail: str = ""
    repair: bool = False
    sample: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    micro_usd: int = 0
    latency_ms: int = 0
    retry_after: timedelta | None = None
    answer: str = ""
    answered_by: str = ""
    parameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What came of a question: the answer that counts with its completion, or None, and every call.

    `readable` are the completions that could be read, by sample (0 where one was asked); `agreement` is the share
    of the samples that say the answer's category, None for one.
    """

    answer: TriageAnswer | None
    completion: Completion | None
    calls: tuple[Call, ...]
    readable: tuple[tuple[int, Completion], ...] = ()
    agreement: float | None = None

    @property
    def micro_usd(self) -> int:
        """What all calls cost together."""
        return sum(call.micro_usd for call in self.calls)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Said:
    """A readable answer with what it came in."""

    answer: TriageAnswer
    completion: Completion
    sample: int


def ask(
    models: Sequence[Model],
    prompt: Prompt,
    shape: type[TriageAnswer],
    *,
    samples: int = 1,
    seconds: Callable[[], float] = time.monotonic,
) -> Asked:
    """Ask each model until one gives a readable answer; an unreadable one may be repaired once.

    A language model that answers is asked until there are so many `samples`, without further repairs, and what
    most of them say counts. `seconds` is a running clock, to time a call that failed. Never raises for what a
    model does.
    """
    calls: list[Call] = []
    first = replace(prompt, sample=1) if samples > 1 else prompt
    for model in models:
        question = first
        for _ in range(2):
            said, call = _call(model, question, shape, seconds)
            calls.append(call)
            if said is not None:
                more = samples if said.completion.is_llm else 1
                return _sampled(model, first, shape, seconds, said, more, calls)
            if call.outcome != "unreadable":
                break
            question = replace(first, repair=call.detail)
    return Asked(answer=None, completion=None, calls=tuple(calls))


def majority(answers: Sequence[TriageAnswer]) -> TriageAnswer:
    """The first answer that says what most say: the category, and within it the severity; the worse of equals."""
    votes = Counter(answer.category for answer in answers)
    worst = max(answers, key=lambda answer: (votes[answer.category], Severity(answer.severity)))
    agreeing = [answer for answer in answers if answer.category == worst.category]
    severities = Counter(answer.severity for answer in agreeing)
    return max(agreeing, key=lambda answer: (severities[answer.severity], Severity(answer.severity)))


def _sampled(
    model: Model,
    prompt: Prompt,
    shape: type[TriageAnswer],
    seconds: Callable[[], float],
    first: _Said,
    samples: int,
    calls: list[Call],
) -> Asked:
    """The answer after as many samples as are wanted. One that fails or can't be read agrees with none."""
    said = [first]
    for number in range(2, samples + 1):
        one, call = _call(model, replace(prompt, sample=number), shape, seconds)
        calls.append(call)
        if one is not None:
            said.append(one)
        elif call.outcome != "unreadable":
            break  # it is down or the money is gone: further ones would fail too
    answer = majority([one.answer for one in said])
    agreeing = sum(one.answer.category == answer.category for one in said)
    return Asked(
        answer=answer,
        completion=next(one.completion for one in said if one.answer is answer),
        calls=tuple(calls),
        readable=tuple((one.sample, one.completion) for one in said),
        agreement=agreeing / samples if samples > 1 else None,
    )


def assessment_from(
    answer: TriageAnswer,
    completion: Completion,
    calibration: Calibration,
    prompt: Prompt,
    *,
    second: SecondOpinion | None = None,
    similar: Sequence[SimilarCase] = (),
    agreement: float | None = None,
) -> Assessment:
    """The assessment that an answer makes. Evidence that the case does not have is dropped.

    `second`, `similar` and `agreement` may lower its confidence, never raise it.
    """
    stated = STATED[answer.confidence] if completion.confidence is None else completion.confidence
    confidence = confidence_of(answer.category, stated, second=second, similar=similar, agreement=agreement)
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
        # What was certified of the model that was asked says nothing of another one.
        model=completion.author,
        is_llm=completion.is_llm,
        prompt=prompt.name,
        prompt_hash=prompt.hash,
        doubts=confidence.doubts,
        agreement=agreement,
        calibration=calibration.name,
    )


def _call(
    model: Model, prompt: Prompt, shape: type[TriageAnswer], seconds: Callable[[], float]
) -> tuple[_Said | None, Call]:
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
            sample=prompt.sample,
            micro_usd=error.micro_usd,
            latency_ms=round((seconds() - started) * 1000),
            retry_after=error.retry_after if isinstance(error, Transient) else None,
            parameters=error.parameters,
        )
        return None, failed
    call = Call(
        model=completion.model,
        is_llm=completion.is_llm,
        outcome="cached" if completion.cached else "answered",
        repair=repair,
        sample=prompt.sample,
        tokens_in=completion.tokens_in,
        tokens_out=completion.tokens_out,
        micro_usd=completion.micro_usd,
        latency_ms=completion.latency_ms,
        answer=completion.text,
        answered_by=completion.answered_by,
        parameters=completion.parameters,
    )
    try:
        answer = parse_answer(completion.text, shape)
    except UnreadableAnswer as error:
        return None, replace(call, outcome="unreadable", detail=str(error))
    return _Said(answer=answer, completion=completion, sample=prompt.sample), call


def _outcome(error: OutsideError) -> Outcome:
    if isinstance(error, TooLong):
        return "unreadable"
    if isinstance(error, Denied):
        return "denied"
    if isinstance(error, OverBudget):
        return "over_budget"
    return "transient" if isinstance(error, Transient) else "permanent"
