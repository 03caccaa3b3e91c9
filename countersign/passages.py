"""Passages: a case's text read in pieces, so that no piece can talk a reader out of what another one says.

A close that nobody approves needs the title by itself, and the title with every other passage by itself, to be read
as something to close. A text that is added adds pieces and takes none away: it can turn a close into a question for
people, and never a question into a close.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from countersign.assessment import Assessment
from countersign.cases import Case
from countersign.confidence import SecondOpinion
from countersign.decision import matching_rule
from countersign.policy import Policy
from countersign.ports import Completion, Reader
from countersign.prompts import Prompt
from countersign.spans import CLOSE, OPEN, cut

# A case of 800 tokens has a few dozen; whoever writes more has them read by people.
MOST = 120
_OWN_LINE = re.compile(r"^\[[at]\d{1,3}\] .*$", re.MULTILINE)
_TITLE = re.compile(r"^\[[a-z]{1,2}\d{1,3}\] ⟦([^⟦⟧]*)⟧")
_PROSE = re.compile(r" (?:body|text)=⟦([^⟦⟧]*)⟧")
_END = re.compile(r" / |(?<=[.!?;])\s+")
_WORD = re.compile(r"\w")
_QUOTE = 60
_HALF = 0.5

_TOO_LONG = SecondOpinion(category="too long to be checked", confidence=1.0)

Read = Callable[[Sequence[str]], Sequence[SecondOpinion]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Against:
    """What the pieces say against a close: the surest other reading if there is one, and the least certainty left."""

    loudest: SecondOpinion | None
    least: float


def doubted(
    completion: Completion, said: Assessment, prompt: Prompt, case: Case, policy: Policy, reader: Reader
) -> tuple[Completion, SecondOpinion | None]:
    """An answer that would close a case, with no more confidence than its pieces leave, and the reading against it.

    What a language model says of itself stands: it is halved by the reading against it, where that is sure.
    """
    found = against(
        prompt.case.text,
        partial(reader.read, categories=policy.categories),
        frozenset(
            category
            for category in policy.categories
            if matching_rule(case, replace(said, category=category), policy).then == "close"
        ),
    )
    if not completion.is_llm:
        completion = replace(completion, confidence=min(completion.confidence or 0.0, found.least))
    return completion, found.loudest


def pieces(text: str) -> Iterator[str]:
    """The title by itself and with each other passage of the alerts and the ticket, in the form of a case's text."""
    lines = _OWN_LINE.findall(text)
    if not lines:
        return
    _, told, facts = lines[0].partition(f"{CLOSE} (")
    state = f" ({facts.partition(')')[0]})" if told else ""
    titles = [_title(line) for line in lines]
    anchors = tuple(_passages(titles[0])) or ("",)
    prose = [words for line in lines for words in _PROSE.findall(line)]
    others = dict.fromkeys(
        passage for words in (*titles[1:], *prose) for passage in _passages(words) if passage not in anchors
    )
    for anchor in anchors:
        head = f"[a1] {OPEN}{anchor}{CLOSE}{state}"
        yield head
        yield from (f"{head}\n[a2] {OPEN}{other}{CLOSE}" for other in (*anchors, *others) if other != anchor)


def against(text: str, read: Read, closing: Collection[str]) -> Against:
    """What a reader finds in the pieces of a text. `closing`: the categories under which it would be closed."""
    found = list(islice(pieces(text), MOST + 1))
    if not found:
        return Against(loudest=None, least=1.0)
    if len(found) > MOST:
        return Against(loudest=_TOO_LONG, least=0.0)
    # The whole is read too: what is dear here is the call, and the model may have been another.
    told = [(piece, one) for piece, one in zip((text, *found), read((text, *found)), strict=True)]
    other = [(piece, one) for piece, one in told if one.category not in closing]
    loudest = max(other, key=lambda pair: pair[1].confidence, default=None)
    least = min(_left(one, closing) for _, one in told)
    return Against(loudest=None if loudest is None else _named(*loudest, whole=text), least=least)


def _left(one: SecondOpinion, closing: Collection[str]) -> float:
    """How certain a close can still be: of another reading no more is left than what it does not claim."""
    return one.confidence if one.category in closing else min(_HALF, 1 - one.confidence)


def _named(piece: str, one: SecondOpinion, *, whole: str) -> SecondOpinion:
    if piece == whole:
        return one
    last = piece.rpartition(OPEN)[2].rpartition(CLOSE)[0]
    return SecondOpinion(category=one.category, confidence=one.confidence, of=cut(last, _QUOTE))


def _title(line: str) -> str:
    found = _TITLE.match(line)
    return found.group(1) if found else ""


def _passages(words: str) -> Iterator[str]:
    return (part.strip() for part in _END.split(words) if _WORD.search(part))
