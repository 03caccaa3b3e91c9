"""Edits: how much of a draft people changed."""

from __future__ import annotations

import pytest

from countersign.drafts import Block, Draft, plain
from countersign.feedback.edits import distance, text_of, without_marker

DRAFT = Draft(
    headline="Draft - network, high - the link flaps",
    blocks=(
        Block(title="Likely cause", lines=("A worn cable.",)),
        Block(title="Evidence", style="bullets", lines=("[a1] link down", "[a2] link up")),
    ),
    provenance="Countersign case c1",
)
MARKER = "countersign:0123456789abcdef"


def test_a_draft_as_it_was_written_has_no_distance() -> None:
    """Bullets, indents, capitals of a desk's markup and the marker are no edit."""
    assert distance(text_of(DRAFT), without_marker(plain(DRAFT, MARKER))) == 0.0


@pytest.mark.parametrize(
    ("before", "after", "far"),
    [
        ("one two three four", "one two three four", 0.0),
        ("one two three four", "one two three five", 0.25),
        ("one two", "three four", 1.0),
        ("", "", 0.0),
        ("one", "", 1.0),
    ],
)
def test_the_distance_is_the_share_of_words_that_differ(before: str, after: str, far: float) -> None:
    """From 0, the same, to 1, nothing in common."""
    assert distance(before, after) == far


def test_a_hostile_text_is_compared_in_time() -> None:
    """A megabyte of the same two words is cut before it is compared."""
    assert distance("a b " * 250_000, "b a " * 250_000) < 0.1
