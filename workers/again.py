"""Asking again: the recorded prompt of a case, put to another model or under another version of the question."""

from __future__ import annotations

from countersign.asking import ask
from countersign.assessment import Assessment, triage_answer
from countersign.boundary import unscaled
from countersign.calibration import Calibration
from countersign.errors import NotFound
from countersign.explanation import as_decided
from countersign.ledger import Story
from countersign.policy import Policy
from countersign.prompts import Prompt, prompt_file, shared_part
from countersign.redaction import Redacted
from countersign.replay import recorded
from workers.files import data_folder
from workers.parts import Parts
from workers.question import weighed


def asked_again(
    parts: Parts, story: Story, policy: Policy, model: str, prompt: str, *, revision: int = 0
) -> Assessment:
    """What a model says to the redacted text that a decision rested on, the newest one's or that of a revision.

    Raises NotFound where there is none, or no answer.
    """
    record = recorded(story, revision)
    rendered = next((call.rendered for call in record.calls if call.rendered), "")
    if not rendered:
        raise NotFound(
            f"No prompt was recorded for decision {record.revision} of {story.case.id}; nobody was asked then."
        )
    choice = policy.model.model_copy(update={"candidates": (model,)} if model else {})
    name = prompt or f"{choice.question}/{choice.prompt}"
    path = (parts.settings.prompts or data_folder("prompts")) / f"{name}.md"
    if not path.is_file():
        raise NotFound(f"There is no prompt {path}; name one as triage/v1.")
    file = prompt_file(name, path.read_text(encoding="utf-8"))
    shape = triage_answer(policy.categories, policy.groups)
    question = Prompt(
        name=file.name,
        hash=file.hash,
        shared=shared_part(file, categories=policy.categories, groups=policy.groups),
        case=Redacted(rendered),
        schema=shape.model_json_schema(),
    )
    models = parts.models(policy.model_copy(update={"model": choice}))
    asked = ask(models, question, shape, samples=policy.model.samples)
    if asked.answer is None or asked.completion is None:
        said = "; ".join(f"{call.model}: {call.outcome} {call.detail}" for call in asked.calls)
        raise NotFound(f"No model answered ({said}); try again, or another --model.")
    gave = unscaled(policy, prompt=question.hash, model=asked.completion.model)
    worth = parts.ledger.scales.in_force(policy.use_case).get(gave, Calibration.identity())
    case, _ = as_decided(story.case, record)
    return weighed(parts, case, policy, question, asked.answer, asked.completion, worth, asked.agreement)
