"""Proofs: whether a candidate is a card, an IBAN, an address or a phone number, and how random it looks."""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter

# First digits and lengths that payment cards have, so that a time in milliseconds is not one.
_CARD = re.compile(
    rb"4\d{12}(?:\d{3}){0,2}|(?:5[1-5]|2[2-7])\d{14}|(?:50|5[6-9]|6\d)\d{10,17}"
    rb"|3[47]\d{13}|(?:30|36|38|39)\d{12}|35\d{14}|(?:1800|2131)\d{11}"
)
_SEPARATORS = re.compile(rb"[ .-]")
_DATE = re.compile(rb"^(?:19|20)\d\d[.-][01]?\d[.-][0-3]?\d(?!\d)")
_LEAST_IBAN = 15
_IN_DIGITS = {ord(char): str(int(char, 36)) for char in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def longest_card(candidate: bytes) -> int:
    """How many leading bytes are a card: behind its groups of four may stand another number, as its check value."""
    groups = _SEPARATORS.split(candidate)
    short = len(groups[-1]) + 1 if len(groups[-1]) < 4 else 0
    return next((end for end in (len(candidate), len(candidate) - short) if card(candidate[:end])), 0)


def card(candidate: bytes) -> bool:
    """A card number: its length and first digits belong together, and its check digit holds (Luhn)."""
    digits = _SEPARATORS.sub(b"", candidate)
    if not _CARD.fullmatch(digits):
        return False
    total = 0
    for place, byte in enumerate(reversed(digits)):
        digit = (byte - 48) * (1 + place % 2)
        total += digit - 9 if digit > 9 else digit
    return total % 10 == 0


def iban(candidate: bytes) -> int:
    """How many leading bytes are an IBAN (ISO 7064, mod 97): the word after it may look like its end."""
    for end in range(len(candidate), _LEAST_IBAN - 1, -1):
        text = candidate[:end].replace(b" ", b"").upper()
        if candidate[end - 1] != 32 and len(text) >= _LEAST_IBAN and _mod97(text) == 1:
            at_a_word_end = end == len(candidate) or candidate[end] == 32
            return end if at_a_word_end else 0
    return 0


def _mod97(text: bytes) -> int:
    return int("".join([_IN_DIGITS[byte] for byte in text[4:] + text[:4]])) % 97


def address(candidate: bytes) -> bool:
    """An IP address of some machine; loopback and «any» name none."""
    try:
        ip = ipaddress.ip_address(candidate.decode("ascii"))
    except ValueError:
        return False
    return not (ip.is_loopback or ip.is_unspecified)


def longest_address(candidate: bytes) -> int:
    """How many leading bytes are an IPv6 address (a colon may follow). `a::b` alone is code."""
    text = candidate.rstrip(b":") if not candidate.endswith(b"::") else candidate
    if text.count(b":") < 3 and not any(48 <= byte <= 57 for byte in text):
        return 0
    return len(text) if address(text) else 0


def phone(candidate: bytes) -> bool:
    """7 to 15 digits, as numbers have that can be dialled, and no date."""
    if _DATE.match(candidate):
        return False
    digits = sum(48 <= byte <= 57 for byte in candidate.partition(b"x")[0])
    return 7 <= digits <= 15


def entropy(token: bytes) -> float:
    """Shannon entropy of the bytes, in bits per byte."""
    size = len(token)
    return -sum(n / size * math.log2(n / size) for n in Counter(token).values())
