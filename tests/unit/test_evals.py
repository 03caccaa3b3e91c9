"""Scores say how often a model is right, and whether it knows."""

from __future__ import annotations

import pytest

from countersign.evals import Guess, Row, evaluate, part, score, split, table


def test_scores() -> None:
    """Accuracy, macro F1, calibration error and confusions of four guesses, worked out by hand."""
    scores = score([Guess("a", 0.9, "a"), Guess("a", 0.9, "b"), Guess("b", 0.5, "b"), Guess("a", 0.5, "b")])
    assert scores.accuracy == 0.5
    assert scores.macro_f1 == pytest.approx((2 * 1 / (1 + 3) + 2 * 1 / (3 + 1)) / 2)
    assert scores.ece == pytest.approx((abs(1.8 - 1) + abs(1.0 - 1)) / 4)
    assert scores.confusions == (("b", "a", 2),)
    assert (scores.rows, scores.labels) == (4, 2)


def test_nothing_to_score() -> None:
    """No rows are a mistake of who asks, not a score of zero."""
    with pytest.raises(ValueError, match="take a larger set"):
        score([])


def test_near_equal_texts_stay_together() -> None:
    """Texts that differ in numbers alone are on one side of the split."""
    rows = [Row(f"disk {n} % full on node {word}", "x") for word in "abcdefghij" for n in range(50)]
    learn, asked = split(rows, held=part("disk 1 % full on node a"))
    words = [{row.text[-1] for row in side} for side in (learn, asked)]
    assert words[0].isdisjoint(words[1])
    assert len(learn) + len(asked) == 500


def test_evaluates_what_was_not_learned() -> None:
    """A maker gets the rows to learn from and is asked about the others only."""
    rows = [Row(word, word[0]) for word in ("ant", "bee", "cow", "dog", "eel", "fox", "gnu", "hen")]
    seen: list[str] = []

    def maker(learn: object) -> object:
        seen.extend(row.text for row in learn)  # type: ignore[attr-defined]
        return lambda texts: [(text[0], 1.0) for text in texts]

    scores = evaluate(maker, rows, held=part("ant"))  # type: ignore[arg-type]
    assert "ant" not in seen
    assert scores.accuracy == 1.0
    assert scores.ece == 0.0


def test_table_has_a_line_for_each_run() -> None:
    """The table names each run with its figures and its commonest mistake."""
    text = table({"local": score([Guess("a", 0.9, "b")])})
    assert "local" in text.splitlines()[1]
    assert "b as a (1)" in text
