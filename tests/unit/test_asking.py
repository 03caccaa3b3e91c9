"""Models are asked in order; every call is kept; what none can answer is left to people."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from countersign.asking import ask, assessment_from
from countersign.assessment import STATED, triage_answer
from countersign.calibration import Calibration
from countersign.errors import Denied, Permanent, Transient
from countersign.ports import Completion
from countersign.prompts import Prompt
from countersign.redaction import Redacted
from countersign.severity import Severity

SHAPE = triage_answer(("capacity", "other"), ())
PROMPT = Prompt(
    name="triage/v1",
    hash="abc",
    shared="question",
    case=Redacted("[a1] ⟦disk full⟧ (alert)\n[l1] ⟦no space⟧ (log)"),
    schema=SHAPE.model_json_schema(),
)
GOOD = json.dumps(
    {
        "category": "capacity",
        "severity": "high",
        "actionability": "act",
        "summary": "disk full",
        "likely_cause": "no space",
        "evidence": ["l1", "a1", "l9", "l1"],
        "confidence": "medium",
    }
)


class Scripted:
    """A model that gives the texts or raises the errors of a script, one for each call."""

    def __init__(self, name: str, *script: str | Exception) -> None:
        self.name = name
        self.script: Iterator[str | Exception] = iter(script)
        self.prompts: list[Prompt] = []

    def complete(self, prompt: Prompt) -> Completion:
        self.prompts.append(prompt)
        said = next(self.script)
        if isinstance(said, Exception):
            raise said
        return Completion(text=said, model=self.name, is_llm=True, tokens_in=10, tokens_out=2, micro_usd=7)


def test_the_first_readable_answer_is_taken() -> None:
    """The second model is not asked where the first answers."""
    first, second = Scripted("a", GOOD), Scripted("b")
    asked = ask([first, second], PROMPT, SHAPE)
    assert asked.answer is not None
    assert [(call.model, call.outcome) for call in asked.calls] == [("a", "answered")]
    assert second.prompts == []


def test_an_unreadable_answer_is_repaired_once() -> None:
    """The model is told what was wrong and asked again; both calls are kept with what they cost."""
    model = Scripted("a", "prose", GOOD)
    asked = ask([model], PROMPT, SHAPE)
    assert asked.answer is not None
    assert [(call.outcome, call.repair) for call in asked.calls] == [
        ("unreadable", False),
        ("answered", True),
    ]
    assert model.prompts[1].repair == asked.calls[0].detail
    assert asked.calls[0].answer == "prose"
    assert asked.micro_usd == 14


def test_after_a_failed_repair_the_next_is_asked() -> None:
    """Two unreadable answers are enough; the next candidate gets the question without the repair."""
    second = Scripted("b", GOOD)
    asked = ask([Scripted("a", "prose", "more prose"), second], PROMPT, SHAPE)
    assert [(call.model, call.outcome) for call in asked.calls] == [
        ("a", "unreadable"),
        ("a", "unreadable"),
        ("b", "answered"),
    ]
    assert second.prompts[0].repair == ""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (Transient("busy", where="a", status=429, retry_after=timedelta(seconds=9)), "transient"),
        (Permanent("no", where="a"), "permanent"),
        (Denied("no key", where="a"), "denied"),
    ],
)
def test_a_model_that_fails_is_not_asked_again(error: Exception, outcome: str) -> None:
    """An outage, a refusal and a missing key lead to the next candidate at once."""
    asked = ask([Scripted("a", error), Scripted("b", GOOD)], PROMPT, SHAPE)
    assert [(call.model, call.outcome) for call in asked.calls] == [("a", outcome), ("b", "answered")]
    assert asked.calls[0].detail == str(error)


def test_a_pause_asked_for_is_kept() -> None:
    """The time that a 429 names is in the record of the call."""
    error = Transient("busy", where="a", status=429, retry_after=timedelta(seconds=9))
    assert ask([Scripted("a", error)], PROMPT, SHAPE).calls[0].retry_after == timedelta(seconds=9)


def test_no_answer_is_an_outcome() -> None:
    """When no candidate answers there is none, with every call told and timed."""
    clock = iter([0.0, 1.5, 2.0, 2.25])
    down = Transient("down", where="a")
    asked = ask([Scripted("a", down), Scripted("b", down)], PROMPT, SHAPE, seconds=lambda: next(clock))
    assert asked.answer is None
    assert asked.completion is None
    assert [call.latency_ms for call in asked.calls] == [1500, 250]


def test_nobody_to_ask() -> None:
    """Without candidates there is no answer and no call."""
    assert ask([], PROMPT, SHAPE).calls == ()


def test_an_assessment_cites_what_the_case_has() -> None:
    """Evidence keeps its order and loses what the case does not hold; severity becomes ours."""
    asked = ask([Scripted("a", GOOD)], PROMPT, SHAPE)
    assert asked.answer is not None
    assert asked.completion is not None
    assessment = assessment_from(asked.answer, asked.completion, Calibration.identity(), PROMPT)
    assert assessment.evidence == ("l1", "a1")
    assert assessment.severity is Severity.HIGH
    assert assessment.confidence == STATED["medium"]
    assert assessment.risk == pytest.approx(0.25)
    assert (assessment.model, assessment.is_llm, assessment.prompt, assessment.prompt_hash) == (
        "a",
        True,
        "triage/v1",
        "abc",
    )


def test_a_measured_confidence_goes_before_a_stated_one() -> None:
    """A classifier's own probability is what counts, and calibration makes a risk of it."""
    asked = ask([Scripted("a", GOOD)], PROMPT, SHAPE)
    assert asked.answer is not None
    measured = Completion(text=GOOD, model="local", is_llm=False, confidence=0.6)
    doubtful = Calibration(slope=1.0, shift=1.0, labels=50)
    assessment = assessment_from(asked.answer, measured, doubtful, PROMPT)
    assert assessment.confidence == 0.6
    assert assessment.risk > 0.6


def _said(category: str, severity: str = "low", summary: str = "") -> str:
    return json.dumps({**json.loads(GOOD), "category": category, "severity": severity, "summary": summary})


def test_samples_are_asked_one_by_one_and_the_majority_counts() -> None:
    """Five samples, each a call of its own; the first answer of the majority is taken, with the share of it."""
    texts = [_said("other"), *(_said("capacity", summary=f"{n}") for n in range(4))]
    model = Scripted("a", *texts)
    asked = ask([model], PROMPT, SHAPE, samples=5)
    assert asked.answer is not None
    assert (asked.answer.category, asked.answer.summary, asked.agreement) == ("capacity", "0", 0.8)
    assert asked.completion is not None
    assert asked.completion.text == texts[1]
    assert [(call.outcome, call.sample) for call in asked.calls] == [("answered", n) for n in range(1, 6)]
    assert [prompt.sample for prompt in model.prompts] == [1, 2, 3, 4, 5]
    assert [sample for sample, _ in asked.readable] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        ([("capacity", "low"), ("other", "high")], ("other", "high")),
        ([("capacity", "high"), ("capacity", "low"), ("capacity", "low")], ("capacity", "low")),
        ([("capacity", "low"), ("capacity", "high")], ("capacity", "high")),
    ],
)
def test_of_equals_the_worse_is_taken(said: list[tuple[str, str]], taken: tuple[str, str]) -> None:
    """A tie of categories, or of severities within one, goes to the worse severity."""
    texts = [_said(*one) for one in said]
    asked = ask([Scripted("a", *texts)], PROMPT, SHAPE, samples=len(texts))
    assert asked.answer is not None
    assert (asked.answer.category, asked.answer.severity) == taken


def test_a_sample_that_is_missing_agrees_with_none() -> None:
    """An unreadable sample is not repaired, an outage ends the asking; what was not said does not agree."""
    model = Scripted("a", GOOD, "prose", GOOD, Transient("down", where="a"))
    asked = ask([model], PROMPT, SHAPE, samples=9)
    assert [call.outcome for call in asked.calls] == ["answered", "unreadable", "answered", "transient"]
    assert asked.agreement == pytest.approx(2 / 9)


def test_the_first_sample_is_repaired_and_the_next_model_gets_samples_too() -> None:
    """Samples don't change who is asked: one repair, then the next candidate."""
    second = Scripted("b", GOOD, GOOD)
    asked = ask([Scripted("a", "prose", "prose"), second], PROMPT, SHAPE, samples=2)
    assert [(call.model, call.repair, call.sample) for call in asked.calls] == [
        ("a", False, 1),
        ("a", True, 1),
        ("b", False, 1),
        ("b", False, 2),
    ]
    assert asked.agreement == 1.0


def test_a_classifier_is_asked_once() -> None:
    """The embedded model says the same every time: samples of it would be no evidence."""

    class Local(Scripted):
        def complete(self, prompt: Prompt) -> Completion:
            return replace(super().complete(prompt), is_llm=False, confidence=0.9)

    asked = ask([Local("local", GOOD)], PROMPT, SHAPE, samples=5)
    assert (len(asked.calls), asked.agreement) == (1, None)


def test_disagreement_lowers_what_an_assessment_is_worth() -> None:
    """The share of answers that agree scales the stated figure, and is kept with the assessment."""
    asked = ask([Scripted("a", GOOD, GOOD, _said("other"))], PROMPT, SHAPE, samples=3)
    assert asked.answer is not None
    assert asked.completion is not None
    told = assessment_from(
        asked.answer, asked.completion, Calibration.identity(), PROMPT, agreement=asked.agreement
    )
    assert told.confidence == pytest.approx(STATED["medium"] * 2 / 3)
    assert told.agreement == pytest.approx(2 / 3)
    assert told.doubts == ("it says so in 67% of its answers",)
