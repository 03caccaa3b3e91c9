"""No text hangs: what people and machines write goes through patterns that take no more than its length."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from connectors.embedded.classifier import plain
from countersign.approvals import read_commands
from countersign.feedback.edits import distance, without_marker
from countersign.fingerprint import template
from countersign.policy import PolicyError, load_policy
from countersign.policy.schema import Policy
from countersign.redaction import redact
from countersign.spans import visible_text
from countersign.tickets import ChangeKind, TicketChange, TicketRef
from tests.unit.builders import NOW, POLICIES
from workers.settings import Settings

LONG = 400_000  # what grows with the square of it would take a quarter of an hour
# Each is what patterns like (a+)+$ , (\s*x\s*)* and \S+@\S+ choke on: a long run, and an end that does not fit.
CATASTROPHIC = {
    name: (unit * LONG)[:LONG] + "!"
    for name, unit in {
        "letters": "a", "spaces": " ", "lines": "\n", "digits": "1", "dashes": "1-", "dots": "a.", "ats": "a@",
        "mails": "a@a.", "words": "a ", "stars": "* ", "quotes": '"', "equals": "x=", "slashes": " /",
        "brackets": "[t1] ", "cards": "4111 ",
        "base64": "QUJD", "keys": "AKIA", "urls": "http://",
    }.items()
}  # fmt: skip
COMMENT = TicketChange(
    id="c1",
    ref=TicketRef(desk="jira", id="1", key="OPS-1"),
    kind=ChangeKind.COMMENT,
    author="lena",
    at=NOW,
    internal=True,
)
READERS: dict[str, Callable[[str], object]] = {
    "redaction": redact,
    "fingerprints": template,
    "spans": visible_text,
    "the embedded model": plain,
    "commands": lambda text: read_commands(replace(COMMENT, text=text)),
    "edits": lambda text: distance(text, "a"),
    "markers": without_marker,
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("reader", READERS)
def test_no_text_hangs_what_reads_it(reader: str) -> None:
    """Long runs of anything are read in a moment; a test that hangs is ended by its time limit."""
    for text in CATASTROPHIC.values():
        READERS[reader](text)


def test_policies_and_settings_hold_no_patterns() -> None:
    """Whoever edits them writes words, names and numbers: there is no pattern that could hang."""
    for schema in (Policy.model_json_schema(), Settings.model_json_schema()):
        fields = {
            name
            for part in [schema, *schema.get("$defs", {}).values()]
            for name in part.get("properties", {})
        }
        assert not [
            name for name in fields if any(word in name for word in ("pattern", "regex", "matches", "glob"))
        ]
        assert '"format": "regex"' not in json.dumps(schema)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("place", ["categories", "never_close", "title"])
def test_a_pattern_in_a_policy_is_a_word_like_others(place: str) -> None:
    """(a+)+$ is refused as what it isn't, or taken letter by letter; it is compiled nowhere."""
    text = (POLICIES / "alert-triage.yaml").read_text(encoding="utf-8")
    hostile: dict[str, Any] = {
        "categories": text.replace("category: [", 'category: ["(a+)+$", ', 1),
        "never_close": text + '\nrollback:\n  "(a+)+$": x\n',
        "title": text.replace("version: 1", f"version: {'1' * LONG}:", 1),
    }
    with pytest.raises(PolicyError):
        load_policy(hostile[place], name="p.yaml")
