"""Secrets: keys by their marks, values beside words that name a secret, and tokens drawn by chance."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import re2

from countersign.redaction.checks import entropy
from countersign.redaction.keys import ISSUERS, MARKED


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern whose group 1 is the candidate, and how many of its leading bytes are secret."""

    pattern: re2._Regexp
    proven: Callable[[bytes], int]


_NAMES = (
    r"pass(?:word|wd|phrase|wort)?|pwd|kennwort|secret|token|credentials?|"
    r"(?:api|access|auth|private|secret|signing|encryption|account|shared|master|license|insert|service|app)"
    r"[ _.-]?key|client[ _.-]?secret|bearer|session"
)
_BETWEEN = r"""[\w .-]{0,20}?["'`\s\\]{0,4}(?:=>|:{1,3}=|\?=|\|\||[=:>,])["'`\s=\\]{0,6}"""

_PLACEHOLDER = re.compile(
    rb"(?i)^[x*.#?_-]+$|^(?:your|my|the|test|some|dummy|example|change)|example|redacted|x{6,}|\*{3}"
)
_WORDY = re.compile(rb"(?i)^[a-z]+(?:[-_. /][a-z]+)*[.,;:!?]?$")
_PATH = re.compile(rb"^(?:/|[A-Za-z]:\\|\.{1,2}/|https?:|file:)")


def _random(token: bytes, *, bits: float) -> int:
    """The token's length where it looks drawn by chance: digits among letters, few repetitions."""
    token = token.rstrip(b".,;:")
    digits = sum(48 <= byte <= 57 for byte in token)
    if not digits or _PLACEHOLDER.search(token) or _PATH.match(token):
        return 0
    return len(token) if entropy(token) >= bits else 0


def _marked(token: bytes) -> int:
    return 0 if b"xxxxxx" in token.lower() or entropy(token) < 2.5 else len(token)


def _named(value: bytes) -> int:
    """A value beside a word that names a secret: a password is no word of prose and no placeholder."""
    value = value.rstrip(b".,;:)")
    if (
        len(value) < 4
        or value[:1] in b"$<{%[(&"
        or _PLACEHOLDER.search(value)
        or _WORDY.match(value)
        or _PATH.match(value)
    ):
        return 0
    return len(value)


def _spoken(value: bytes) -> int:
    """What follows «the password is»: a value only where digits make it unlike prose."""
    return _named(value) if _random(value, bits=2.5) else 0


def _issued(token: bytes) -> int:
    digits_only = token.isdigit()
    return len(token) if digits_only and len(set(token)) > 3 else _random(token, bits=2.9)


def _alone(token: bytes) -> int:
    """A token that no name explains: long, of small letters, capitals and digits."""
    mixed = any(48 <= b <= 57 for b in token) and token.upper() != token and token.lower() != token
    return len(token) if mixed and not _PATH.match(token) and _random(token, bits=4.3) else 0


def compiled(pattern: str) -> re2._Regexp:
    """A pattern over the bytes of a UTF-8 text: byte for byte its program stays small."""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1
    return re2.compile(pattern.encode("latin-1"), options)


def _rule(pattern: str, proven: Callable[[bytes], int]) -> Rule:
    return Rule(compiled(pattern), proven)


RULES = (
    _rule(r"(?s)(-----BEGIN.{0,20}PRIVATE KEY(?: BLOCK)?-----.{16,}?(?:KEY(?: BLOCK)?-----|\z))", len),
    _rule(rf"(?:^|[^A-Za-z0-9])({'|'.join(MARKED)})", _marked),
    _rule(r"://[^\s/:@]{0,64}:([^\s/:@]{3,100})@", _named),
    _rule(
        r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token|apikey)?\s+([\w.~+/=-]{8,})", _named
    ),
    _rule(
        rf"(?i)(?:{_NAMES})[\w]{{0,12}}[\"'`\s]{{0,3}}(?:=>|:=|[=:])[\"'` \t]{{0,3}}([^\s\"'`<>,;]{{4,200}})",
        _named,
    ),
    _rule(rf"(?i)\b(?:{_NAMES})\s+(?:is|was|ist|to)\s*:?\s*[\"'`]?([^\s\"'`<>,;]{{6,100}})", _spoken),
    _rule(rf"(?i)(?:{ISSUERS}){_BETWEEN}([\w=.:/-]{{14,200}})", _issued),
    _rule(r"(?:^|[^\w/+=.-])([A-Za-z0-9_+/=-]{32,200})", _alone),
)
