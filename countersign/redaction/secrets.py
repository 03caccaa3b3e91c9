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


_PASSWORDS = r"pass(?:word|wd|phrase|wort|code)|pwd|kennwort|\bp(?:w|sk)\b"
_KEYS = (
    r"(?:\b|_|(?-i:[a-z]P))pass|(?-i:[a-z]Pass)|secret|token|credentials?|"
    r"(?:api|access|auth|private|secret|signing|encryption|account|shared|master|license|insert|service|app)"
    r"[ _.-]?key|client[ _.-]?secret|bearer|session"
)
_NAMES = f"{_PASSWORDS}|{_KEYS}"
# Around names and values: quotes of JSON, of JSON within JSON, and of HTML; a block or a new line of YAML.
_OPEN = r"""(?:["'`\s\\]|&quot;|&#3[49];){0,4}"""
_IS = rf"""{_OPEN}(?:=>|:=|[=:]|%3[Dd]){_OPEN}(?:[|>][+-]?\s{{1,12}})?"""
_VALUE = r"""([^\s"'`<>,;]{4,})"""
_BETWEEN = r"""[\w .-]{0,20}?["'`\s\\]{0,4}(?:=>|:{1,3}=|\?=|\|\||[=:>,])["'`\s=\\]{0,6}"""

_PLACEHOLDER = re.compile(
    rb"(?i)^[x*.#?_-]+$|^(?:your|my|the|test|some|dummy|example|change)|example|redacted|x{6,}|\*{3}"
)
# People do choose Test1234! and Changeme2024: with a figure in it, it is no placeholder.
_CHOSEN = re.compile(rb"(?i)^[a-z]+\W?\d+\W*$")
_VARIABLE = re.compile(rb"^(?:[<{\[(&]|\$[{(]|\$\w+$|%\(|%\w+%?$)")
# 4821, 1203ms, 99.2%, 4821/5000: how many or how long.
_COUNT = re.compile(rb"^(?:\d{1,9}|\d+[.:/]\d+(?:[.:/]\d+)*)(?:[a-z]{1,3}|%|/\w+)?$")
_WORDY = re.compile(rb"(?i)^[a-z]+(?:[-_. /][a-z]+)*[.,;:!?]?$")
_HOST = re.compile(rb"^(?:[\w-]+\.){2,}[a-z]{2,10}(?:[:/].*)?$")
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
    value = value.rstrip(b".,;:)\\")
    if (
        len(value) < 4
        or _VARIABLE.match(value)
        or (_PLACEHOLDER.search(value) and not _CHOSEN.match(value))
        or _WORDY.match(value)
        or _PATH.match(value)
    ):
        return 0
    return len(value)


def _keyed(value: bytes) -> int:
    """A value beside a word that names a key, where there may stand how many there are."""
    size = _named(value)
    return 0 if _COUNT.match(value[:size]) else size


def _in_url(value: bytes) -> int:
    """Between user and host stands a password and nothing else, a word too."""
    return 0 if _VARIABLE.match(value) or _PLACEHOLDER.match(value) else len(value)


def _spoken(value: bytes) -> int:
    """What follows «the password is»: a value only where digits make it unlike prose."""
    return _named(value) if _random(value, bits=2.5) else 0


def _issued(token: bytes) -> int:
    if token.count(b":") > 1 or _HOST.match(token):
        return 0  # the name of a thing at Amazon, an address
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
    _rule(r"""://[^\s/:@]{0,64}:([^\s/?#"'<>]{3,100})@""", _in_url),
    _rule(
        r"(?i)\bauthorization[\"']?\s*[:=]\s*[\"']?(?:basic|bearer|token|apikey)?\s+([\w.~+/=-]{8,})", _named
    ),
    _rule(r"(?i)[?&](?:sig|signature|x-amz-signature|x-goog-signature)=([\w%+/=-]{16,})", len),
    _rule(r"\b[Bb]earer\s+([\w.~+/=-]{16,})", _spoken),
    _rule(rf"""(?i)(?:{_NAMES})\w{{0,12}}{_IS}"([^"\s]{{4,}})\"""", _keyed),
    _rule(rf"(?i)(?:{_PASSWORDS})\w{{0,12}}{_IS}{_VALUE}", _named),
    _rule(rf"(?i)(?:{_KEYS})\w{{0,12}}{_IS}{_VALUE}", _keyed),
    _rule(rf"(?i)(?:{_NAMES})\w{{0,12}}{_OPEN},?{_OPEN}value{_IS}{_VALUE}", _keyed),
    _rule(rf"(?i)<(?:[\w.-]{{0,40}}:)?\w{{0,20}}(?:{_NAMES})\w{{0,12}}>([^\s<>]{{4,}})</", _keyed),
    _rule(rf"(?i)\s--?(?:\w{{1,20}}-)?(?:{_NAMES})\s+[\"']?([^\s\"'`<>,;-][^\s\"'`<>,;]{{3,}})", _keyed),
    _rule(r"(?i)\bcurl\b.{0,200}?\s(?:-u|--user)\s*[\"']?[^\s:\"']{1,64}:([^\s\"']{3,100})", _named),
    _rule(rf"(?i)\b(?:{_NAMES})\s+(?:is|was|ist|to)\s*:?\s*[\"'`]?([^\s\"'`<>,;]{{6,}})", _spoken),
    _rule(rf"(?i)(?:{ISSUERS}){_BETWEEN}([\w=.:/-]{{14,}})", _issued),
    _rule(r"(?:^|[^\w/+=.-])([A-Za-z0-9_+/=-]{32,})", _alone),
)
