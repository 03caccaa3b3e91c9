"""The model `local`: a text classifier in our own process, where no language model may or can be asked."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from connectors.embedded.classifier import TextClassifier, Verdict
from countersign.confidence import SecondOpinion
from countersign.ports import Completion
from countersign.prompts import Example, Prompt
from countersign.severity import Severity
from countersign.spans import cut, first_title, said, span_ids

NAME = "local"
NOT_A_LANGUAGE_MODEL = "local classifier, not a language model"
_REMEMBERED = 4096
_CLOSE = 0.15  # below this cosine similarity no example is worth naming
_HIGH, _MEDIUM = 0.85, 0.6
_OTHER = "other"


@dataclass(frozen=True, slots=True)
class Told:
    """What the classifier says of one text."""

    category: str
    severity: str
    actionability: str
    confidence: float


@lru_cache(maxsize=2)
def _learned(examples: tuple[Example, ...]) -> TextClassifier:
    """Learning costs a second, and the same examples teach the same: one process learns them once."""
    return TextClassifier(
        [example.text for example in examples],
        {
            "category": [example.category for example in examples],
            "severity": [example.severity for example in examples],
            "actionability": [example.actionability for example in examples],
        },
    )


class EmbeddedModel:
    """Answers the triage question from examples. Learns when it is first asked, or by `learn()` before.

    May be shared by threads. The same case under the same choices is answered from memory.
    """

    name = NAME

    def __init__(
        self,
        examples: Sequence[Example],
        *,
        name: str = NAME,
        corrections: Callable[[], Sequence[Example]] = tuple,
    ) -> None:
        """`corrections` gives what engineers have taught since; it is asked once, when the model learns."""
        self.name = name
        self._examples = tuple(examples)
        self._corrections = corrections
        self._classifier: TextClassifier | None = None
        self._learning = threading.Lock()
        self._known_as = name
        self._answers: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def learn(self) -> TextClassifier:
        """The classifier, after learning from the examples once (about a second, with the imports)."""
        with self._learning:
            if self._classifier is None:
                taught = tuple(self._corrections())
                self._known_as = _known_as(self.name, taught)
                self._examples = (*self._examples, *taught)
                self._classifier = _learned(self._examples)
            return self._classifier

    def most(self, prompt: Prompt) -> int | None:  # noqa: ARG002 - the port's
        """Nothing: it runs here."""
        return 0

    def complete(self, prompt: Prompt) -> Completion:
        """Answers with the JSON object of the question, and with the measured probability of its category."""
        started = time.monotonic()
        key = hashlib.sha256(f"{prompt.case.text}\x1f{json.dumps(prompt.schema)}".encode()).hexdigest()
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = self._answer(prompt)
            if len(self._answers) > _REMEMBERED:
                self._answers.popitem(last=False)
        text, confidence = answer
        return Completion(
            text=text,
            model=self._known_as,
            is_llm=False,
            latency_ms=round((time.monotonic() - started) * 1000),
            confidence=confidence,
        )

    def classify(self, texts: Sequence[str], categories: Sequence[str] | None = None) -> list[Told]:
        """Many texts at once, 40 times faster than one by one; only these categories, or all that are known."""
        return self._told(self.learn().read(texts), categories) if texts else []

    def read(self, texts: Sequence[str], categories: Sequence[str]) -> list[SecondOpinion]:
        """Category and severity of each case's text, or of a piece of one; the probability is the category's."""
        among = _known(self.learn(), categories)
        if not among or not texts:
            return [SecondOpinion(category=_OTHER, confidence=0.0) for _ in texts]
        rows = self.learn().read([_read(text) for text in texts])
        told = zip(
            self.learn().classify("category", rows, among),
            self.learn().classify("severity", rows),
            strict=True,
        )
        return [
            SecondOpinion(category=one.label, confidence=one.confidence, severity=Severity(severity.label))
            for one, severity in told
        ]

    def _told(self, rows: Any, categories: Sequence[str] | None) -> list[Told]:
        classifier = self.learn()
        among = _known(classifier, categories)
        if among == ():
            return [Told((categories or [_OTHER])[0], "medium", "act", 0.0) for _ in range(rows.shape[0])]
        columns = zip(
            classifier.classify("category", rows, among),
            classifier.classify("severity", rows),
            classifier.classify("actionability", rows),
            strict=True,
        )
        return [_told(category, severity, action) for category, severity, action in columns]

    def _answer(self, prompt: Prompt) -> tuple[str, float]:
        categories, groups = choices(prompt.schema, "category"), choices(prompt.schema, "group")
        row = self.learn().read([_read(prompt.case.text)])
        told = self._told(row, categories)[0]
        example = self._closest(row, told.category)
        answer = {
            "category": told.category,
            "severity": told.severity,
            "actionability": told.actionability,
            "group": example.group if example and example.group in groups else None,
            "summary": cut(first_title(prompt.case.text), 200),
            "likely_cause": _cause(told, example),
            "evidence": list(span_ids(prompt.case.text)[:1]),
            "confidence": _stated(told.confidence),
        }
        return json.dumps(answer, ensure_ascii=False), told.confidence

    def _closest(self, row: Any, category: str) -> Example | None:
        """The example of the category that is most like the text, if one is like it at all."""
        closeness = self.learn().closeness(row)
        rows = [number for number, example in enumerate(self._examples) if example.category == category]
        best = max(rows, key=lambda number: float(closeness[number]), default=None)
        return None if best is None or closeness[best] < _CLOSE else self._examples[best]


def _known_as(name: str, taught: Sequence[Example]) -> str:
    """The name under which it answers: what was taught something else is another model, with labels of its own."""
    if not taught:
        return name
    text = "\x1e".join(sorted(f"{one.category}\x1f{one.text}" for one in taught))
    return f"{name}+{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def choices(schema: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """The words that a JSON Schema allows in a field (enum or const, also inside anyOf)."""
    part = schema.get("properties", {}).get(field, {})
    parts = [part, *part.get("anyOf", ())]
    return tuple(word for one in parts for word in one.get("enum", [one["const"]] if "const" in one else []))


def _known(classifier: TextClassifier, categories: Sequence[str] | None) -> tuple[str, ...]:
    known = classifier.labels("category")
    return known if categories is None else tuple(word for word in categories if word in known)


def _read(text: str) -> str:
    """What others wrote of the case, and what its first span says of its state, which is ours to say."""
    head = text.partition("\n")[0].rpartition("⟧ (")[2]
    over = head.partition(")")[0].split(", ")[1:2] == ["recovered"]
    return f"{said(text)}\nRecovered: back to normal, resolved" if over else said(text)


def _told(category: Verdict, severity: Verdict, action: Verdict) -> Told:
    return Told(category.label, severity.label, action.label, category.confidence)


def _cause(told: Told, example: Example | None) -> str:
    looks = f"Looks like {told.category}"
    if example is None:
        return f"{looks}, but no known example is close. ({NOT_A_LANGUAGE_MODEL})"
    because = f" There, {example.cause}." if example.cause else ""
    return f"{looks}: closest known example “{cut(example.text, 120)}”.{because} ({NOT_A_LANGUAGE_MODEL})"


def _stated(confidence: float) -> str:
    return "high" if confidence >= _HIGH else "medium" if confidence >= _MEDIUM else "low"
