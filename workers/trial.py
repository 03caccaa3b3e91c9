"""Trial: a model asked one harmless question, to see that it can be reached and answers as it should."""

from __future__ import annotations

from countersign.assessment import answer_schema, parse_answer, triage_answer
from countersign.errors import OutsideError, UnreadableAnswer
from countersign.pinned import same_model
from countersign.policy import Policy
from countersign.ports import Check, Model
from countersign.prompts import Prompt, PromptFile, shared_part
from countersign.redaction import Redacted

_CASE = Redacted("[s1] Test of the connection: nothing is wrong, and nothing has to be done.")


def tried_once(model: Model, file: PromptFile, policy: Policy) -> Check:
    """Asks once, as a case would be asked about, without a repair."""
    prompt = Prompt(
        name=file.name,
        hash=file.hash,
        shared=shared_part(file, categories=policy.categories, groups=policy.groups),
        case=_CASE,
        schema=answer_schema(policy.categories, policy.groups),
    )
    what = f"model {model.name}"
    try:
        said = model.complete(prompt)
        parse_answer(said.text, triage_answer(policy.categories, policy.groups))
    except (OutsideError, UnreadableAnswer) as problem:
        return Check(what=what, ok=False, detail=str(problem))
    if not same_model(said.model, said.answered_by):
        return Check(what=what, ok=False, detail=f"{said.answered_by} answers instead; ask the provider")
    return Check(what=what, ok=True, detail=f"answers in {said.latency_ms:,} ms")
