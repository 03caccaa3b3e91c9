"""Evals: how often a model is right on texts whose label is known, and how well it knows that.

Rows are split by the hash of their digit-normalised text, never at random: near-equal texts would be learned by
heart on one side and asked for on the other.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from countersign.asking import ask
from countersign.assessment import STATED, triage_answer
from countersign.fingerprint import template
from countersign.ports import Model
from countersign.prompts import Prompt, PromptFile, shared_part
from countersign.redaction import Redacted, redact
from countersign.spans import CLOSE, OPEN, cut, visible_text

PARTS = 4
_BINS = 10
_TEXT = 2400


@dataclass(frozen=True, slots=True)
class Row:
    text: str
    label: str


@dataclass(frozen=True, slots=True)
class Guess:
    """What was said about a row, how sure (0 to 1), and what is true."""

    label: str
    confidence: float
    truth: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """How good the guesses are.

    `ece` is the expected calibration error over ten bins of confidence (0 is best); `confusions` are the most
    frequent mistakes as (truth, guess, how often).
    """

    rows: int
    labels: int
    accuracy: float
    macro_f1: float
    ece: float
    confusions: tuple[tuple[str, str, int], ...]


# A classifier gives (label, confidence) for each text; a maker builds one from the rows it may learn from.
Classifier = Callable[[Sequence[str]], Sequence[tuple[str, float]]]
Maker = Callable[[Sequence[Row]], Classifier]


def split(rows: Sequence[Row], *, held: int = 0) -> tuple[list[Row], list[Row]]:
    """Rows to learn from and rows to ask about: part `held` of four (0 to 3), by the hash of the template."""
    learn = [row for row in rows if part(row.text) != held]
    return learn, [row for row in rows if part(row.text) == held]


def part(text: str) -> int:
    """Which of the four parts a text is in."""
    return int(hashlib.sha256(template(text).encode()).hexdigest(), 16) % PARTS


def evaluate(maker: Maker, rows: Sequence[Row], *, held: int = 0, most: int | None = None) -> Scores:
    """Learn from three parts, ask about the fourth (at most so many rows of it, where asking costs money)."""
    learn, asked = split(rows, held=held)
    asked = asked[:most]
    answers = maker(learn)([row.text for row in asked])
    return score([Guess(label, sure, row.label) for (label, sure), row in zip(answers, asked, strict=True)])


def score(guesses: Sequence[Guess]) -> Scores:
    """Raises ValueError where there is nothing to score."""
    if not guesses:
        raise ValueError("There are no rows to score; take a larger set.")
    wrong = Counter((guess.truth, guess.label) for guess in guesses if guess.truth != guess.label)
    return Scores(
        rows=len(guesses),
        labels=len({guess.truth for guess in guesses}),
        accuracy=1 - wrong.total() / len(guesses),
        macro_f1=_macro_f1(guesses),
        ece=_ece(guesses),
        confusions=tuple((truth, label, count) for (truth, label), count in wrong.most_common(5)),
    )


def asked_of(model: Model, file: PromptFile) -> Maker:
    """A maker that learns nothing: it puts each text to a model as the case of a question.

    A text that gets no readable answer counts as the label "" with confidence 0.
    """

    def maker(rows: Sequence[Row]) -> Classifier:
        labels = tuple(sorted({row.label for row in rows}))
        return lambda texts: [_asked(model, file, labels, text) for text in texts]

    return maker


def table(scores: Mapping[str, Scores]) -> str:
    """The scores of several runs as a table of plain text, one line for each."""
    head = f"{'set':<28} {'rows':>6} {'labels':>6} {'accuracy':>8} {'macro F1':>8} {'ECE':>6}  most confused"
    return "\n".join([head, *(_table_line(name, one) for name, one in scores.items())])


def _table_line(name: str, one: Scores) -> str:
    worst = ", ".join(f"{truth} as {label or 'nothing'} ({n})" for truth, label, n in one.confusions[:2])
    figures = f"{one.accuracy:>8.3f} {one.macro_f1:>8.3f} {one.ece:>6.3f}"
    return f"{name:<28} {one.rows:>6} {one.labels:>6} {figures}  {worst}"


def _asked(model: Model, file: PromptFile, labels: tuple[str, ...], text: str) -> tuple[str, float]:
    shape = triage_answer(labels, ())
    title, _, body = text.strip().partition("\n")
    case = f"[a1] {_fenced(title)} (alert) body={_fenced(body)}"
    prompt = Prompt(
        name=file.name,
        hash=file.hash,
        shared=shared_part(file, categories=labels, groups=()),
        case=Redacted(case),
        schema=shape.model_json_schema(),
    )
    asked = ask([model], prompt, shape)
    if asked.answer is None or asked.completion is None:
        return "", 0.0
    measured = asked.completion.confidence
    return asked.answer.category, STATED[asked.answer.confidence] if measured is None else measured


def _fenced(text: str) -> str:
    return f"{OPEN}{cut(visible_text(redact(text).text), _TEXT)}{CLOSE}"


def _macro_f1(guesses: Sequence[Guess]) -> float:
    """The mean over the true labels of the harmonic mean of precision and recall."""
    truths = Counter(guess.truth for guess in guesses)
    said = Counter(guess.label for guess in guesses)
    right = Counter(guess.truth for guess in guesses if guess.truth == guess.label)
    return sum(2 * right[label] / (truths[label] + said[label]) for label in truths) / len(truths)


def _ece(guesses: Sequence[Guess]) -> float:
    bins: dict[int, list[Guess]] = {}
    for guess in guesses:
        bins.setdefault(min(_BINS - 1, int(guess.confidence * _BINS)), []).append(guess)
    return sum(abs(sum(g.confidence - (g.truth == g.label) for g in some)) for some in bins.values()) / len(
        guesses
    )
