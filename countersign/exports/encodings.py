"""Encodings: in which one a file of text is written, found from its bytes."""

from __future__ import annotations

import codecs
from collections.abc import Iterable
from dataclasses import dataclass

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoding:
    """The codec to read with; `assumption` is a sentence where the bytes allow more than one, else ""."""

    name: str
    assumption: str = ""


def encoding_of(chunks: Iterable[bytes]) -> Encoding:
    """The encoding of a file, given as the chunks of its bytes; all of them are read where no mark tells it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    place = 0
    for number, chunk in enumerate(chunks):
        if number == 0 and (marked := _marked(chunk)):
            return Encoding(name=marked)
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as problem:
            at = place + problem.start
            return Encoding(
                name="latin-1",
                assumption=f"It is read as latin-1, since byte {at:,} does not belong to UTF-8.",
            )
        place += len(chunk)
    return Encoding(name="utf-8")


def _marked(chunk: bytes) -> str:
    for mark, name in _MARKS:
        if chunk.startswith(mark):
            return name
    # A header is ASCII, so that UTF-16 without a mark has a zero in every second byte of it.
    head = chunk[:64]
    if len(head) >= 8 and not any(head[1::2]):
        return "utf-16-le"
    if len(head) >= 8 and not any(head[::2]):
        return "utf-16-be"
    return ""
