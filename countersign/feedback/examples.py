"""Examples: corrected cases in the forms that language models are tuned with."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from countersign.assessment import TriageAnswer, parse_answer
from countersign.errors import UnreadableAnswer
from countersign.feedback.pool import Chosen
from countersign.feedback.rows import Material
from countersign.ledger import Correction
from countersign.spans import span_ids

# Earlier cases that are like this one stand in its text with what people said of them: the answer, more often than not.
_SIMILAR = re.compile(r"(?m)^\[s\d{1,3}\] .*\n?")
# Fields of a correction that an answer holds, and what it calls them.
_FIELDS = {"category": "category", "severity": "severity", "group": "group", "cause": "likely_cause"}
_WRONG = frozenset({"wrong", "corrected"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """A question with the answer that it should have got. `rejected` is the model's own, None where it was right."""

    case_id: str
    user: str
    chosen: str
    rejected: str | None


@dataclass(frozen=True, slots=True)
class Without:
    """Why a case teaches nothing, as a clause."""

    reason: str


def lesson(
    case: Material,
    shape: type[TriageAnswer],
    chosen: Chosen | None,
    *,
    quorum: int,
    unsettled: bool = False,
) -> Lesson | Without:
    """What a case teaches. `chosen` is what a quorum settled for it; `unsettled` takes one person's word as well."""
    if not case.answer:
        return Without("no model answered it")
    try:
        said = parse_answer(case.answer, shape)
    except UnreadableAnswer:
        return Without("its answer can't be read under the policy as it is now")
    told = [one for one in case.corrections if one.source == "person"]
    wanted = _wanted(told, chosen, quorum=1 if unsettled else quorum)
    if wanted is None:
        return Without("people agree on nothing yet")
    user = without_similar(case.rendered)
    try:
        right = shape.model_validate(_shown(said, user) | wanted)
    except ValidationError:
        return Without("what people said is none of the policy's words")
    chosen_text, own = _json(_shown(right, user)), _json(_shown(said, user))
    return Lesson(
        case_id=case.case_id, user=user, chosen=chosen_text, rejected=None if chosen_text == own else own
    )


def as_chat(system: str, one: Lesson) -> dict[str, Any]:
    """A conversation for supervised tuning."""
    return {"messages": [*_asked(system, one), {"role": "assistant", "content": one.chosen}]}


def as_preference(system: str, one: Lesson) -> dict[str, Any]:
    """A pair for preference tuning; only for a lesson that was rejected."""
    return {
        "prompt": _asked(system, one),
        "chosen": [{"role": "assistant", "content": one.chosen}],
        "rejected": [{"role": "assistant", "content": one.rejected}],
    }


def without_similar(rendered: str) -> str:
    """A case's text without its similar earlier cases: they may hold the answer."""
    return _SIMILAR.sub("", rendered).rstrip("\n")


def _wanted(told: Sequence[Correction], chosen: Chosen | None, *, quorum: int) -> dict[str, str] | None:
    """What the answer should have said differently; None while that is not known."""
    words = [one for one in told if one.verdict in _WRONG and one.field in _FIELDS]
    if chosen is not None:
        # Only those who settled the category are heard on the rest.
        rest = {_FIELDS[one.field]: one.after for one in words if one.by in chosen.by}
        return rest | {"category": chosen.category}
    if any(one.verdict in _WRONG for one in told):
        found = {_FIELDS[one.field]: one.after for one in words}
        if "category" in found:
            found["category"] = found["category"].strip().casefold()
        return found if quorum == 1 and found else None
    # Only who may approve can have approved.
    agree = {one.by for one in told if one.verdict == "good"}
    enough = len(agree) >= quorum or any(one.verdict == "approved" for one in told)
    return {} if enough else None


def _shown(answer: TriageAnswer, user: str) -> dict[str, Any]:
    """The answer's fields; it cites only what stands in the text."""
    known = set(span_ids(user))
    document = answer.model_dump(mode="json")
    return document | {"evidence": [span for span in answer.evidence if span in known]}


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False)


def _asked(system: str, one: Lesson) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": one.user}]
