"""The reader of exports: the embedded model as shipped, many texts at once, and what it learns of groups."""

from __future__ import annotations

from collections.abc import Sequence

from connectors.embedded.classifier import TextClassifier
from connectors.embedded.model import EmbeddedModel
from countersign.prompts import Example
from countersign.severity import Severity
from countersign.tryout import Assess, Seen
from countersign.tryout.outcome import Learn

_TAUGHT = 4_000  # more teach little more and take minutes
_AT_ONCE = 5_000


def reader(examples: Sequence[Example], categories: Sequence[str]) -> tuple[Assess, Learn]:
    """What `try_out` asks: the embedded model in these categories, and a learner of groups."""
    model = EmbeddedModel(examples)

    def assess(texts: Sequence[str]) -> list[Seen]:
        told = [
            one
            for start in range(0, len(texts), _AT_ONCE)
            for one in model.classify(texts[start : start + _AT_ONCE], categories)
        ]
        return [
            Seen(category=t.category, severity=Severity(t.severity), confidence=t.confidence) for t in told
        ]

    return assess, learn_groups


def learn_groups(texts: Sequence[str], groups: Sequence[str], asked: Sequence[str]) -> list[str]:
    """A group for each text asked, learnt from texts whose groups are known (the first few thousand)."""
    taught = TextClassifier(texts[:_TAUGHT], {"group": groups[:_TAUGHT]})
    return [
        verdict.label
        for start in range(0, len(asked), _AT_ONCE)
        for verdict in taught.classify("group", taught.read(asked[start : start + _AT_ONCE]))
    ]
