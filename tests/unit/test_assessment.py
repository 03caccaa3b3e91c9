"""An answer is read strictly, and what it says is said, never followed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from countersign.assessment import clean, missing_parts, parse_answer, triage_answer
from countersign.errors import UnreadableAnswer
from tests.unit.builders import ALERT, CASE

SHAPE = triage_answer(("capacity", "other"), ("database",))
GOOD = {
    "category": "capacity",
    "severity": "high",
    "actionability": "act",
    "group": "database",
    "summary": "disk full",
    "likely_cause": "logs grow",
    "evidence": ["a1"],
    "confidence": "high",
}


def _parse(**changes: object) -> object:
    return parse_answer(json.dumps(GOOD | changes), SHAPE)


def test_reads_a_good_answer() -> None:
    """The JSON object is read, also inside a fence of Markdown."""
    assert parse_answer(f"```json\n{json.dumps(GOOD)}\n```", SHAPE) == parse_answer(json.dumps(GOOD), SHAPE)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "empty"),
        (" \n ", "empty"),
        ("It is the disk.", "not one JSON object"),
        ("[" * 15_000, "not one JSON object"),
        (json.dumps(GOOD) + " I hope this helps", "not one JSON object"),
        ("x" * 20_001, "longer than 20000 characters"),
        ("[]", "the object"),
        ("null", "the object"),
    ],
)
def test_refuses_what_is_no_answer(text: str, sentence: str) -> None:
    """Nothing, prose, nonsense and a thousand pages are refused with a sentence that helps to repair."""
    with pytest.raises(UnreadableAnswer, match=sentence):
        parse_answer(text, SHAPE)


@pytest.mark.parametrize(
    "changes",
    [
        {"category": "availability"},
        {"category": None},
        {"group": "somebody"},
        {"severity": "fatal"},
        {"actionability": "close"},
        {"confidence": 0.9},
        {"evidence": ["https://evil.example"]},
        {"evidence": ["a1"] * 9},
        {"summary": "x" * 301},
        {"likely_cause": "x" * 1201},
        {"action": "close"},
    ],
)
def test_refuses_what_was_not_asked(changes: dict[str, object]) -> None:
    """A word that was not offered, a field that was not asked for and a text that is too long are refused."""
    with pytest.raises(UnreadableAnswer, match=next(iter(changes))):
        _parse(**changes)


def test_a_name_of_the_models_own_is_cut() -> None:
    """The sentence about an unknown field, which goes back to the model, carries no page and no link of its own."""
    with pytest.raises(UnreadableAnswer) as caught:
        _parse(**{"see https://evil.example " + "x" * 5000: 1})
    assert len(str(caught.value)) < 150
    assert "evil" not in str(caught.value)


def test_group_may_be_left_open() -> None:
    """No group is an answer, and the only one where the policy names none."""
    assert triage_answer(("other",), ()).model_json_schema()["properties"]["group"] == {
        "default": None,
        "title": "Group",
        "type": "null",
    }
    assert _parse(group=None)


@pytest.mark.parametrize(
    ("prose", "said"),
    [
        ("see https://evil.example/x now", "see now"),
        ("see HTTPS://evil.example and ftp://evil.example", "see and"),
        ("see www.evil.example or javascript:alert(1)", "see or"),
        ("see 1http://evil.example or _https://evil.example or _www.evil.example", "see 1 or _ or _"),
        ("<script>x</script> y", "x y"),
        ("a\x9b31mb\ufeffc\u061cd\U000e0041e", "a 31mb c d e"),
        ("<<b>script>x", "< script>x"),
        ("a\u202eb\u200bc\x07d\ne", "a b c d e"),
        ("disk of <ip:1> for <email:2>", "disk of <ip:1> for <email:2>"),
        ("⟦quoted⟧", "quoted"),
        ("load < 3 and > 2", "load < 3 and > 2"),
    ],
)
def test_prose_is_plain(prose: str, said: str) -> None:
    """Links, markup, marks and control characters are taken out of prose; placeholders stay."""
    assert clean(prose) == said


def test_names_what_is_missing() -> None:
    """A case without body, service or item is told apart from one that has them."""
    bare = replace(CASE, ticket=None, alerts=(replace(ALERT, body=" ", service="", ci=""),))
    assert missing_parts(bare, ("body", "service", "ci")) == ("body", "service", "ci")
    assert missing_parts(CASE, ("body", "service", "ci")) == ()


@pytest.mark.parametrize(
    "body", ["", " \n\t", "\u200b\u2063", "N/A", "-", "none", "see title", "{title}", "{title}."]
)
def test_a_body_that_says_no_more_than_the_title_is_none(body: str) -> None:
    """An empty field, a filler, and the title once more are a title alone."""
    lead = replace(CASE.lead, body=body.format(title=CASE.lead.summary.upper()))
    bare = replace(CASE, alerts=(lead,), ticket=None)
    assert missing_parts(bare, ("body",)) == ("body",)
    more = replace(lead, body=f"{lead.body} since 02:10")
    assert missing_parts(replace(bare, alerts=(more,)), ("body",)) == ()
