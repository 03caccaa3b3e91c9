"""Patterns of what is hidden: candidates found in linear time by RE2, each proven by a check of its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import re2

from countersign.redaction import checks, secrets
from countersign.redaction.secrets import compiled


@dataclass(frozen=True, slots=True)
class Hit:
    """Bytes `start` to `end` are a value; `word` names its kind in placeholders, the lowest `rank` wins."""

    rank: int
    word: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of value is found: the value is group 1 where the pattern has one.

    `again`: a candidate that is none may hold the beginning of one, as groups of digits after another number do.
    """

    name: str
    word: str
    pattern: re2._Regexp
    proven: Callable[[bytes], int]  # how many leading bytes of the candidate are the value; 0 for none
    again: bool = False


def _all(check: Callable[[bytes], bool]) -> Callable[[bytes], int]:
    return lambda candidate: len(candidate) if check(candidate) else 0


_EMAIL = (
    r"[A-Za-z0-9\x80-\xff][A-Za-z0-9\x80-\xff._%+'-]*(?:@|%40)(?:[A-Za-z0-9\x80-\xff-]+\.)+[A-Za-z]{2,24}"
)
_CARD = (
    r"(?:\b|_)(\d{12,19}|\d{4}(?: \d{4}){3}(?: \d{1,3})?|\d{4}(?:-\d{4}){3}(?:-\d{1,3})?"
    r"|\d{4}(?:\.\d{4}){3}|\d{4}[ -]\d{6}[ -]\d{4,5})(?:\b|_)"
)
_IBAN = r"(?i)(?:\b|_)([a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,4})?)(?:\b|_)"
_IPV4 = r"(?:\b|_)((?:\d{1,3}\.){3}\d{1,3})(?:\b|_)"
_IPV6 = r"(?i)(?:^|[^0-9a-z:.]|[g-z][0-9a-z]{0,12}:)((?:[0-9a-f]{0,4}:){2,7}(?:[0-9a-f]{1,4}|(?:\d{1,3}\.){3}\d{1,3})?)"
_PHONE = (
    r"\+\d{1,3}(?:[ .-]?\(?\d{1,5}\)?){2,6}(?: ?x\d{1,5})?"
    r"|(?:\+?\d{1,2}[ .-])?(?:\(\d{3}\) ?|\b\d{3}[ .-])\d{3}[ .-]\d{4}(?: ?x\d{1,5})?\b"
    r"|\b0[1-9]\d{0,3}(?:[ -]\d{2,4}){2,4}\b"
    r"|\b0[1-9](?:\.\d\d){4}\b"
)
_SAID_PHONE = (
    r"(?i)\b(?:phone|telephone|tel|mobile|cell|desk|office|hotline|fax|call(?: me)?(?: back)?(?: at| on)?)"
    r"(?: ?(?:no|number|nr))?\b[ .:#=]{1,4}(\(?\+?\d[\d ().-]{5,18}\d)"
)

# In order of precedence: a secret that holds an address is a secret.
KINDS = (
    *(Kind("secrets", "secret", rule.pattern, rule.proven) for rule in secrets.RULES),
    Kind("email", "email", compiled(_EMAIL), len),
    Kind("iban", "iban", compiled(_IBAN), checks.iban),
    Kind("card", "card", compiled(_CARD), checks.longest_card, again=True),
    Kind("ip", "ip", compiled(_IPV4), _all(checks.address)),
    Kind("ip", "ip", compiled(_IPV6), checks.longest_address),
    Kind("phone", "phone", compiled(_PHONE), _all(checks.phone)),
    Kind("phone", "phone", compiled(_SAID_PHONE), _all(checks.phone)),
)
_WORDS = "|".join(sorted({kind.word for kind in KINDS}))
PLACEHOLDER = re2.compile(rf"<(?:{_WORDS}):\d{{1,6}}>")
LOOKALIKE = compiled(rf"<((?:{_WORDS}):\d{{1,6}})>")


def hits(data: bytes, kinds: frozenset[str]) -> Iterator[Hit]:
    """Every proven value of the kinds in a UTF-8 text; hits of different kinds may overlap."""
    for rank, kind in enumerate(KINDS):
        if kind.name not in kinds:
            continue
        for start, candidate in _candidates(kind, data):
            size = kind.proven(candidate)
            if size:
                yield Hit(rank, kind.word, start, start + size)


def _candidates(kind: Kind, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each begins, and it."""
    group = min(kind.pattern.groups, 1)
    if not kind.again:
        yield from ((found.start(group), found.group(group)) for found in kind.pattern.finditer(data))
        return
    at = 0
    while found := kind.pattern.search(data, at):
        yield found.start(group), found.group(group)
        at = found.start(group) + 1
