"""Remembered answers: a model is not asked the same question twice. What is kept is redacted, as the question was."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from countersign.ports import Answers, Completion, Model
from countersign.prompts import Prompt


class Remembered:
    """A model whose answers are looked up first. They are kept by `keep`, once somebody could read them."""

    def __init__(self, model: Model, answers: Answers) -> None:
        self.name = model.name
        self._model = model
        self._answers = answers

    def most(self, prompt: Prompt) -> int | None:
        return self._model.most(prompt)

    def complete(self, prompt: Prompt) -> Completion:
        found = None if self._model.most(prompt) == 0 else self._answers.find(question_key(self.name, prompt))
        if found is None:
            return self._model.complete(prompt)
        return replace(found, cached=True, tokens_in=0, tokens_out=0, micro_usd=0, latency_ms=0)


def keep(answers: Answers, prompt: Prompt, completion: Completion) -> None:
    """Remembers a readable answer of a language model; one that was repaired answers the question as it was."""
    if completion.is_llm and not completion.cached:
        answers.keep(question_key(completion.model, prompt), completion)


def question_key(model: str, prompt: Prompt) -> str:
    """64 hex characters over everything that the answer depends on."""
    asked = [model, prompt.shared, prompt.case.text, prompt.repair, json.dumps(prompt.schema, sort_keys=True)]
    if prompt.sample:  # what was kept before there were samples is found still
        asked.append(f"sample {prompt.sample}")
    return hashlib.sha256("\x1f".join(asked).encode()).hexdigest()
