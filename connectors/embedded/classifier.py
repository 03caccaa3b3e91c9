"""A text classifier that learns in seconds from examples, and knows how often it is right.

Words, word pairs and parts of words (TF-IDF) into linear support vector machines, one for each thing to be
told; their margins become probabilities by a temperature that is measured on examples held back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from countersign.fingerprint import template

_FEW = 1000  # below this many examples every part is held back once, above it one part is enough
_PARTS = 4
_UNSEEN = -1.0  # margin of a label that the held-back model had no example of, as of one that is far
_TEMPERATURES = tuple(0.5 * 1.16**step for step in range(26))  # 0.5 to 20
_ADDRESS = re.compile(r"(?<!\S)\S+@\S+|<\w+:\d+>|received from:")
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The likeliest label with its probability, 0 to 1."""

    label: str
    confidence: float


class TextClassifier:
    """Tells one or more things about a text, each learned from the same examples.

    `labels` maps the name of a thing to one label for each text. Raises ValueError without examples.
    """

    def __init__(self, texts: Sequence[str], labels: Mapping[str, Sequence[str]]) -> None:
        if not texts:
            raise ValueError("There are no examples to learn from; add some.")
        self._features = _Features(texts)
        self._known = self._features.rows(texts)
        parts = [part(text, _PARTS) for text in texts]
        self._heads = {name: _Head(self._known, list(column), parts) for name, column in labels.items()}

    def read(self, texts: Sequence[str]) -> Any:
        """The texts as rows of features: read once, asked about often."""
        return self._features.rows(texts)

    def classify(self, name: str, rows: Any, among: Sequence[str] | None = None) -> list[Verdict]:
        """One verdict for each row; `among` limits the labels that may be given, and must name a known one."""
        return self._heads[name].verdicts(rows, among)

    def labels(self, name: str) -> tuple[str, ...]:
        """The labels that examples were given for."""
        return tuple(self._heads[name].labels)

    def closeness(self, row: Any) -> Any:
        """Cosine similarity, 0 to 1, of one row to each example, in the order they were given."""
        length = (row.multiply(row).sum()) ** 0.5
        return (self._known @ row.T).toarray().ravel() / len(self._features.blocks) ** 0.5 / max(length, 1e-9)


class _Head:
    """One thing that is told about a text."""

    def __init__(self, known: Any, column: list[str], parts: list[int]) -> None:
        self.labels = sorted(set(column))
        self._machine = _machine(known, column)
        self._temperature = _temperature(known, column, parts, self.labels)

    def verdicts(self, rows: Any, among: Sequence[str] | None) -> list[Verdict]:
        chances = _chances(_margins(self._machine, rows, self.labels) * self._temperature)
        # A label that may not be given keeps its share of the probability: less is certain, not more.
        allowed = [n for n, label in enumerate(self.labels) if among is None or label in among]
        best = [allowed[n] for n in chances[:, allowed].argmax(axis=1)]
        return [Verdict(self.labels[n], float(chances[row, n])) for row, n in enumerate(best)]


def part(text: str, parts: int) -> int:
    """Which of so many parts a text belongs to: texts that differ in numbers alone are in the same one.

    Salted, so that it is independent of the same split made outside to measure this classifier.
    """
    return int(hashlib.sha256(f"held back\x1f{template(text)}".encode()).hexdigest(), 16) % parts


class _Features:
    """Words and word pairs of the whole and of the title, and parts of words, side by side.

    scikit-learn's own union asks joblib for each call, which costs more than reading a ticket.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        least = 2 if len(texts) >= _FEW else 1
        words = {"ngram_range": (1, 2), "min_df": least, "sublinear_tf": True}
        parts = {"analyzer": "char_wb", "ngram_range": (3, 4), "min_df": least, "max_features": 40_000}
        self.blocks = (
            TfidfVectorizer(preprocessor=plain, **words),
            TfidfVectorizer(preprocessor=title, **words),
            TfidfVectorizer(preprocessor=plain, sublinear_tf=True, **parts),
        )
        for block in self.blocks:
            block.fit(texts)

    def rows(self, texts: Sequence[str]) -> Any:
        from scipy.sparse import hstack

        return hstack([block.transform(texts) for block in self.blocks], format="csr")


def plain(text: str) -> str:
    """Lower case, addresses out, numbers as their length: «91 %» and «97 %» are the same word."""
    return _DIGITS.sub(lambda digits: "0" * min(4, len(digits.group())), _ADDRESS.sub(" ", text.lower()))


def title(text: str) -> str:
    """The first line, which says most."""
    return plain(text.partition("\n")[0])


def _machine(rows: Any, column: list[str]) -> Any:
    from sklearn.dummy import DummyClassifier
    from sklearn.svm import LinearSVC

    if len(set(column)) == 1:
        return DummyClassifier().fit(rows, column)
    # Many examples overlap, and want a softer margin than a few that were chosen.
    return LinearSVC(C=2.0 if len(column) < _FEW else 0.4).fit(rows, column)


def _margins(machine: Any, rows: Any, labels: list[str]) -> Any:
    """A column of margins for each label, whatever the machine has learned."""
    import numpy

    margins = numpy.full((rows.shape[0], len(labels)), _UNSEEN)
    seen = [labels.index(label) for label in machine.classes_]
    if len(seen) == 1:
        margins[:, seen[0]] = 1.0
        return margins
    # What decision_function computes, without its checks, which cost more than the product.
    found = rows @ machine.coef_.T + machine.intercept_
    margins[:, seen] = numpy.hstack([-found, found]) if len(seen) == 2 else found
    return margins


def _temperature(known: Any, column: list[str], parts: list[int], labels: list[str]) -> float:
    """The factor on margins under which the held-back examples' labels are likeliest."""
    import numpy

    held = range(_PARTS) if len(column) < _FEW else range(1)
    margins, truths = [], []
    for number in held:
        learn = [row for row, where in enumerate(parts) if where != number]
        check = [row for row, where in enumerate(parts) if where == number]
        if learn and check:
            machine = _machine(known[learn], [column[row] for row in learn])
            margins.append(_margins(machine, known[check], labels))
            truths += [labels.index(column[row]) for row in check]
    if not margins:
        return 1.0
    table = numpy.concatenate(margins)
    return max(_TEMPERATURES, key=lambda factor: _likelihood(_chances(table * factor), truths))


def _likelihood(chances: Any, truths: list[int]) -> float:
    import numpy

    return float(numpy.log(numpy.maximum(chances[range(len(truths)), truths], 1e-6)).sum())


def _chances(scores: Any) -> Any:
    import numpy

    powers = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
