"""Redaction: the only way from a text of the outside to the model. Placeholders are stable within a case.

Hides secrets, e-mail addresses, phone numbers, IP addresses, IBANs and payment cards, by rules that run in
linear time. Names of persons are not hidden: telling a name from a host or a product needs a language model,
and this runs before one is asked.
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from countersign.redaction.patterns import LOOKALIKE, PLACEHOLDER, Hit, hits

KINDS = frozenset({"secrets", "email", "phone", "ip", "iban", "card"})
# Bytes of a title or a word of a log: the same ones come again and again.
_SHORT = 300
_CONTINUED = bytes(range(0x80, 0xC0))
# Wide letters and digits, spaces that don't break and dashes of typesetters, as the patterns know them: one for one.
_PLAIN = {0xFF01 + n: 0x21 + n for n in range(94)} | dict.fromkeys((*range(0x2010, 0x2016), 0x2212), "-")
_PLAIN |= dict.fromkeys((0xA0, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")


@dataclass(frozen=True, slots=True)
class Redacted:
    """Text that may leave for a model, a log or a trace. `hidden`: placeholder to value."""

    text: str
    hidden: Mapping[str, str] = field(default_factory=dict, repr=False)


class Redactor:
    """Hides values in the texts of one case: the same value is the same placeholder in all of them."""

    def __init__(self, kinds: Iterable[str] = KINDS, *, known: Mapping[str, str] | None = None) -> None:
        """`known` is the `hidden` of earlier texts of the case. Raises ValueError for an unknown kind."""
        self.kinds = frozenset(kinds)
        unknown = self.kinds - KINDS
        if unknown:
            raise ValueError(
                f"{min(unknown)} is not a kind to redact; write one of {', '.join(sorted(KINDS))}."
            )
        self._values = dict(known or {})
        self._names = {(_word(name), value): name for name, value in self._values.items()}
        self._counts = dict[str, int]()
        for name in self._values:
            self._counts[_word(name)] = max(
                self._counts.get(_word(name), 0), int(name[1:-1].partition(":")[2])
            )

    @property
    def hidden(self) -> Mapping[str, str]:
        """Every placeholder given so far, with what it stands for."""
        return dict(self._values)

    def redact(self, text: str) -> Redacted:
        """The text with placeholders; `hidden` holds those of all texts so far."""
        # A placeholder that stands in the text already would be restored to somebody's value.
        text = LOOKALIKE.sub(rb"(\1)", text.encode("utf-8", "replace")).decode()
        data = (text if text.isascii() else text.translate(_PLAIN)).encode()
        parts, end, at = list[str](), 0, 0
        for hit in _found(data, self.kinds) if len(data) <= _SHORT else _apart(hits(data, self.kinds)):
            start = at + _characters(data[end : hit.start])
            after = start + _characters(data[hit.start : hit.end])
            parts += [text[at:start], self._name(hit.word, text[start:after])]
            end, at = hit.end, after
        return Redacted("".join((*parts, text[at:])), self.hidden)

    def _name(self, word: str, value: str) -> str:
        name = self._names.get((word, value))
        if name is None:
            self._counts[word] = self._counts.get(word, 0) + 1
            name = f"<{word}:{self._counts[word]}>"
            self._names[word, value] = name
            self._values[name] = value
        return name


def redact(text: str, kinds: frozenset[str] = KINDS, *, known: Mapping[str, str] | None = None) -> Redacted:
    """One text by itself, or after others of its case when their `hidden` is given as `known`."""
    return Redactor(kinds, known=known).redact(text)


def restore(text: str, hidden: Mapping[str, str]) -> str:
    """The values back in the place of their placeholders, for the ticket they came from.

    Secrets stay hidden there too: nobody reading a note needs them, and a log line may have brought them.
    """
    restored: str = PLACEHOLDER.sub(lambda found: _restored(found.group(0), hidden), text)
    return restored


def own_values(hidden: Mapping[str, str], texts: Iterable[str]) -> Mapping[str, str]:
    """The part of `hidden` whose values stand in these texts: what was seen elsewhere stays hidden in a ticket."""
    read = "\n".join(texts)
    return {name: value for name, value in hidden.items() if value in read}


def _restored(name: str, hidden: Mapping[str, str]) -> str:
    return name if _word(name) == "secret" else hidden.get(name, name)


def _word(name: str) -> str:
    return name[1:-1].partition(":")[0]


def _characters(part: bytes) -> int:
    """How many characters begin in a part of a UTF-8 text."""
    return len(part.translate(None, _CONTINUED))


@lru_cache(maxsize=4096)
def _found(data: bytes, kinds: frozenset[str]) -> Sequence[Hit]:
    return tuple(_apart(hits(data, kinds)))


def _apart(found: Iterable[Hit]) -> list[Hit]:
    """Hits that don't overlap, in order of the text: the earlier kind wins, then the longer hit."""
    taken: list[Hit] = []
    for hit in sorted(found, key=lambda hit: (hit.rank, hit.start - hit.end)):
        place = bisect(taken, hit.start, key=lambda other: other.start)
        before, after = taken[place - 1 : place], taken[place : place + 1]
        if all(other.end <= hit.start for other in before) and all(hit.end <= other.start for other in after):
            taken.insert(place, hit)
    return taken
