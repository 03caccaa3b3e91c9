"""Assessments: the model's typed answer on a case, and what stands there when there is none."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model

from countersign.cases import Case
from countersign.chances import chance
from countersign.confidence import SecondOpinion
from countersign.errors import UnreadableAnswer
from countersign.redaction import restore
from countersign.severity import Severity
from countersign.spans import UNSEEN

Confidence = Literal["low", "medium", "high"]
Actionability = Literal["none", "watch", "act"]
Line = Annotated[str, StringConstraints(max_length=300)]
Text = Annotated[str, StringConstraints(max_length=1200)]
SpanId = Annotated[str, StringConstraints(pattern=r"^[a-z]{1,2}\d{1,3}$")]

# What a stated class of confidence is worth before any label says better.
STATED: dict[str, float] = {"low": 0.5, "medium": 0.75, "high": 0.92}
ANSWER_CHARACTERS = 20_000


class TriageAnswer(BaseModel):
    """What every triage answer holds. `triage_answer` narrows category and group to what a policy names."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    category: str
    severity: Literal["info", "low", "medium", "high", "critical"]
    actionability: Actionability
    group: str | None = None
    summary: Line
    likely_cause: Text
    evidence: Annotated[list[SpanId], Field(max_length=8)] = []
    confidence: Confidence


@cache
def triage_answer(categories: tuple[str, ...], groups: tuple[str, ...]) -> type[TriageAnswer]:
    """The closed question: a TriageAnswer whose category and group are one of the given words."""
    category: Any = Literal[tuple(categories)]
    group: Any = Literal[tuple(groups)] | None if tuple(groups) else None
    return create_model("TriageAnswer", __base__=TriageAnswer, category=(category, ...), group=(group, None))


@cache
def answer_schema(categories: tuple[str, ...], groups: tuple[str, ...]) -> dict[str, Any]:
    """The JSON Schema of `triage_answer`, made once for each policy."""
    return triage_answer(categories, groups).model_json_schema()


# Placeholders of redaction stay: they are put back in the ticket they came from.
_UNSAFE = re.compile(
    r"(?i)[a-z][a-z0-9+.-]{1,15}://\S+|(?<![a-z])www\.\S+|\b(?:mailto|javascript|data):\S+"
    rf"|[\x00-\x08\x0b-\x1f\x7f-\x9f{UNSEEN}⟦⟧]"
    r"|</?(?!(?:card|email|iban|ip|phone|secret):\d{1,6}>)[a-zA-Z!][^<>]{0,200}>"
)


def parse_answer(text: str, shape: type[TriageAnswer]) -> TriageAnswer:
    """Reads a model's text as an answer of the given shape.

    Raises UnreadableAnswer with one sentence that a model (or a person) can act on.
    """
    if not text.strip():
        raise UnreadableAnswer("The answer is empty; answer with the JSON object.")
    if len(text) > ANSWER_CHARACTERS:
        raise UnreadableAnswer(
            f"The answer is longer than {ANSWER_CHARACTERS} characters; answer with the JSON object alone."
        )
    try:
        data = json.loads(text.strip().removeprefix("```").removeprefix("json").removesuffix("```"))
    except (ValueError, RecursionError) as error:
        raise UnreadableAnswer(
            "The answer is not one JSON object; answer with the JSON object alone."
        ) from error
    try:
        answer = shape.model_validate(data)
    except ValidationError as error:
        # The name of a field may be the model's own, and this sentence goes back to it.
        first = error.errors(include_url=False, include_input=False)[0]
        field = clean(".".join(str(part) for part in first["loc"]))[:60] or "the object"
        raise UnreadableAnswer(f"{field}: {first['msg']}.") from error
    return answer.model_copy(
        update={"summary": clean(answer.summary), "likely_cause": clean(answer.likely_cause)}
    )


def clean(prose: str) -> str:
    """A model's prose without links, markup and control characters: it is said, never followed."""
    while (plain := _UNSAFE.sub(" ", prose)) != prose:
        prose = plain  # what is left of markup may be markup again
    return " ".join(plain.split())


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """The model's typed answer on a case.

    `risk` is the calibrated probability that closing it without a person is wrong; `confidence` is the raw
    figure behind it, 0 to 1, after what spoke against it (`doubts`, as clauses). `prompt` names question and
    version (triage/v1). `calibration` names the scale of the risk, "" while confidence is taken at its word.
    `agreement` is the share of the model's answers that say this category, None where it was asked once. `read` is
    what the embedded model read in the same text, where the policy would let it answer alone.
    """

    category: str
    severity: Severity
    actionability: Actionability
    summary: str
    likely_cause: str
    evidence: tuple[str, ...]
    group: str | None
    confidence: float
    risk: float
    model: str
    is_llm: bool
    prompt: str
    prompt_hash: str
    doubts: tuple[str, ...] = ()
    agreement: float | None = None
    calibration: str = ""
    read: SecondOpinion | None = None


def with_values(assessment: Assessment, hidden: Mapping[str, str]) -> Assessment:
    """The assessment with the case's own values in its prose, for its ticket alone: never record or log it."""
    return replace(
        assessment,
        summary=restore(assessment.summary, hidden),
        likely_cause=restore(assessment.likely_cause, hidden),
    )


def sureness(assessment: Assessment) -> str:
    """How sure the model was, raw and calibrated, as a clause."""
    stated = f"confidence {chance(assessment.confidence)}"
    if not assessment.calibration:
        return f"{stated}, not calibrated yet"
    calibrated = 1 - assessment.risk
    return f"{stated}, calibrated {chance(calibrated)} on scale {assessment.calibration}"


_WORD = re.compile(r"\w+")
# What stands in a field that nobody filled in.
_FILLERS = frozenset(
    {"a", "n", "na", "none", "null", "see", "tbd", "title", "subject", "description", "text", "no"}
)

UnassessedReason = Literal["incomplete", "model_down", "budget_spent"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unassessed:
    """Why nobody was asked, or nobody answered; `because` is a sentence for the ticket."""

    reason: UnassessedReason
    because: str


def missing_parts(case: Case, required: Iterable[str]) -> tuple[str, ...]:
    """Which of body, service and ci a policy asks for and the case does not have.

    A body that only says the title again, or says that there is none, is none; nor is a service or ci named N/A one.
    """
    ticket = case.ticket
    titles = f"{case.lead.summary} {ticket.title if ticket else ''}"
    has = {
        "body": _says_more(f"{case.lead.body} {ticket.description if ticket else ''}", titles),
        "service": _says_more(case.service, ""),
        "ci": _says_more(case.ci, ""),
    }
    return tuple(part for part in required if not has[part])


def _says_more(body: str, titles: str) -> bool:
    told = set(_WORD.findall(body.casefold()))
    return bool(told - set(_WORD.findall(titles.casefold())) - _FILLERS)
