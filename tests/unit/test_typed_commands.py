"""Typed commands: what is clear is understood, what is quoted is not said, and what is unclear is told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from countersign.approvals import corrected, only_commands, read_commands
from countersign.policy.schema import CATEGORIES
from countersign.tickets import ChangeKind, TicketChange
from tests.unit.builders import NOW, TICKET

COMMENT = TicketChange(id="c1", ref=TICKET.ref, kind=ChangeKind.COMMENT, author="dana", at=NOW)
OURS = "Countersign case c1 · policy x v1 · countersign:0123456789abcdef"


def _read(text: str) -> list[tuple[str, str]]:
    return [(one.verb, one.code) for one in read_commands(replace(COMMENT, text=text))]


@pytest.mark.parametrize(
    "text",
    [
        "/countersign approve 7f3a",
        "/Countersign Approve 7F3A.",
        "/countersign approve 7f3a  - closes this ticket",
        "- /countersign approve 7f3a  - closes this ticket",
        "`/countersign approve 7f3a`",
        "```\n/countersign approve 7f3a\n```",
        "[code]/countersign approve 7f3a[/code]",
        "/countersign approve “7f3a”",
        "/countersign approve code=7f3a",
        "/countersign: approve <7f3a>!",
        "/countersign\u00a0approve\u00a07f3a",
        "\u200b/countersign approve 7f3a",
        "/countersing approve 7f3a",
        "/ countersign approve 7f3a",
        "/countersign approve 7f3a\n\nThanks, Dana\n\n-----Original Message-----\nFrom: Amir\n/countersign reject 7f3a",
        f"/countersign approve 7f3a\nDraft - capacity\n/countersign reject 7f3a\n{OURS}",
    ],
)
def test_what_is_clear_is_understood(text: str) -> None:
    """However it was copied, dressed or punctuated."""
    assert _read(text) == [("approve", "7f3a")]


@pytest.mark.parametrize(
    "text",
    [
        "> /countersign approve 7f3a",
        "No!\n-----Original Message-----\n/countersign approve 7f3a",
        "Nein.\n\nVon: Dana\nGesendet: Samstag\nBetreff: INC\n\n/countersign approve 7f3a",
        "no\n\nOn Sat, Nov 21, 2026 Dana <d@example.com> wrote:\n/countersign approve 7f3a",
        f"Draft - capacity\nYOUR TURN\n/countersign approve 7f3a\n{OURS}",
        "see /var/log/countersign approve",
        "/countersign/approve 7f3a",
    ],
)
def test_what_is_quoted_is_not_said(text: str) -> None:
    """A mail that is answered, a quote, and a copy of our note in another account's name command nothing."""
    assert _read(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "/countersign aprove 7f3a",
        "/countersign don't approve 7f3a",
        "/countersign approve 7f3a /countersign good",
        "/countersign good category=network",
        "Looks good, /countersign approve 7f3a",
        "countersign approve 7f3a",
        "Type this:\n- /countersign approve 7f3a",
        "Type this:\n```\n/countersign approve 7f3a\n```",
    ],
)
def test_what_is_unclear_is_told(text: str) -> None:
    """It looks like a command and could be meant otherwise: it does nothing, and says why."""
    (one,) = read_commands(replace(COMMENT, text=text))
    assert one.verb == "unclear"
    assert one.problem


def test_who_approves_and_rejects_at_once_does_neither() -> None:
    """Both lines of our note, copied: nothing says which was meant; other commands count."""
    both = "/countersign approve 7f3a\n/countersign reject 7f3a\n/countersign good"
    assert [verb for verb, _ in _read(both)] == ["unclear", "unclear", "good"]


@pytest.mark.parametrize(
    "text",
    ["/countersign", "/countersign approve 7f3a?", "/countersign good question, why?", "/countersign warum"],
)
def test_a_question_does_nothing_but_ask(text: str) -> None:
    """Whatever it asks about, and nothing at all too."""
    assert [verb for verb, _ in _read(text)] == ["why"]


@pytest.mark.parametrize(
    ("typed", "fields", "problem"),
    [
        ("category=network", {"category": "network"}, ""),
        ("category: Network.", {"category": "network"}, ""),
        ("category = ‘network’, severity=high", {"category": "network", "severity": "high"}, ""),
        ("network", {"category": "network"}, ""),
        ("category=security because it was revoked", {"category": "security"}, ""),
        ('group="tier 2" cause=disk was full', {"group": "tier 2", "cause": "disk was full"}, ""),
        ("because it was revoked", {}, ""),
        ("category=netwrok", {}, '"netwrok" is no category here'),
        ("category=network,security", {}, '"network,security" is no category here'),
        ("category=...", {}, '"..." is no category here'),
        ("severity=hihg", {}, '"hihg" is no severity; there are info, low, medium, high, critical'),
    ],
)
def test_a_correction_is_understood_or_told(typed: str, fields: dict[str, str], problem: str) -> None:
    """In the policy's own words; what it does not have is no correction."""
    (one,) = read_commands(replace(COMMENT, text=f"/countersign wrong {typed}"))
    understood, lost = corrected(one, CATEGORIES)
    assert (dict(understood.fields), lost) == (fields, problem)


def test_only_commands_are_nothing_else() -> None:
    """Whoever says more than a question or praise, or what is unclear, has commented."""
    quiet = ("approve", "good", "why")
    said = {
        text: only_commands(replace(COMMENT, text=text), quiet)
        for text in (
            "/countersign why\n/countersign good",
            "/countersign why\nit is down",
            "/countersign don't approve 7f3a",
            "/countersign wrong network",
            "",
        )
    }
    assert [text for text, only in said.items() if only] == ["/countersign why\n/countersign good"]
