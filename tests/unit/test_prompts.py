"""Prompts name their choices; examples are checked before anything learns from them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from countersign.errors import ConfigError
from countersign.policy.schema import CATEGORIES
from countersign.prompts import examples, prompt_file, shared_part

TRIAGE = Path(__file__).parents[2] / "prompts/triage"


def test_the_shipped_question_names_its_choices() -> None:
    """Categories and groups of the policy stand in the question, and no place is left open."""
    file = prompt_file("triage/v1", (TRIAGE / "v1.md").read_text(encoding="utf-8"))
    text = shared_part(file, categories=("red", "green"), groups=("blue",))
    assert "red, green" in text
    assert "one of: blue" in text
    assert "{categories}" not in text
    assert "{groups}" not in text


def test_a_question_without_choices_is_refused() -> None:
    """A prompt that forgets its groups is a mistake with a remedy."""
    with pytest.raises(ConfigError, match=r"does not say \{groups\}; add it"):
        prompt_file("triage/v9", "one of {categories}")


def test_the_shipped_examples_cover_every_category() -> None:
    """Each default category has at least ten examples, and no text is there twice."""
    rows = examples(
        (TRIAGE / "examples.jsonl").read_text(encoding="utf-8").splitlines(), name="examples.jsonl"
    )
    counts = Counter(row.category for row in rows)
    assert set(counts) == set(CATEGORIES)
    assert min(counts.values()) >= 10
    assert len({row.text for row in rows}) == len(rows) >= 150


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"text": "x"}', "own.jsonl:2: category"),
        ("not json", "own.jsonl:2"),
        ('{"text":"x","category":"c","severity":"bad","actionability":"act"}', "own.jsonl:2: severity"),
        ('{"text":"x","category":"c","severity":"low","actionability":"act","why":"?"}', "own.jsonl:2: why"),
    ],
)
def test_a_bad_example_is_named(line: str, what: str) -> None:
    """File, line and field of a bad example are in the error."""
    good = '{"text":"x","category":"c","severity":"low","actionability":"act"}'
    with pytest.raises(ConfigError, match=what):
        examples([good, line], name="own.jsonl")
