"""Passages: a case's text read in pieces, so that no piece can talk a reader out of what another one says.

What is done without a person needs the title by itself, and the title with every other passage by itself, to be read
as something to do it to. A text that is added adds pieces and takes none away: it can turn a close into a question
for people, and never a question into a close; the same goes for a change request, and for the group that a ticket is
given to. A language model's word alone does nothing: what its reader does not know, people are asked about.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from countersign.assessment import Assessment
from countersign.cases import Case
from countersign.confidence import SecondOpinion
from countersign.decision import EVEN_ODDS, destination, matching_rule
from countersign.policy import Policy, Rule
from countersign.ports import Completion, Reader
from countersign.prompts import Prompt
from countersign.spans import CLOSE, OPEN, cut

# What a rule does beyond a draft note or a route to people.
_DONE = frozenset({"close", "draft_change"})
# A case of 800 tokens has a few dozen; whoever writes more has them read by people.
MOST = 120
_OWN_LINE = re.compile(r"^\[[at]\d{1,3}\] .*$", re.MULTILINE)
_TITLE = re.compile(r"^\[[a-z]{1,2}\d{1,3}\] ⟦([^⟦⟧]*)⟧")
_PROSE = re.compile(r" (?:body|text)=⟦([^⟦⟧]*)⟧")
_END = re.compile(r" / |(?<=[.!?;])\s+")
_WORD = re.compile(r"\w")
_QUOTE = 60

_NOTHING = ("", "")
_TOO_LONG = SecondOpinion(category="too long to be checked", confidence=1.0)

Read = Callable[[Sequence[str]], Sequence[SecondOpinion]]
# Whether a reading of category and severity would have the same done.
Agrees = Callable[[SecondOpinion], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Against:
    """What the pieces say against: the surest other reading, or else one that does not know, and how sure it can be."""

    loudest: SecondOpinion | None
    least: float


def doubted(
    completion: Completion, said: Assessment, prompt: Prompt, case: Case, policy: Policy, reader: Reader
) -> tuple[Completion, SecondOpinion | None]:
    """An answer that would have something done, with no more confidence than its pieces leave, and what is against it.

    What a language model says of itself stands: it is halved by the reading against it, also by one that does not know.
    An answer that has nothing done is given back as it is.
    """
    agrees = would_do_the_same(said, case, policy)
    if agrees is None:
        return completion, None
    found = against(prompt.case.text, partial(reader.read, categories=policy.categories), agrees)
    if not completion.is_llm:
        completion = replace(completion, confidence=min(completion.confidence or 0.0, found.least))
    return completion, found.loudest


def would_do_the_same(said: Assessment, case: Case, policy: Policy) -> Agrees | None:
    """What to ask of the readings of the pieces; None for an answer that has nothing done."""

    def does(rule: Rule) -> tuple[str, str]:
        return rule.then if rule.then in _DONE else "", destination(rule, case, policy)

    done = does(matching_rule(case, said, policy))
    if done == _NOTHING:
        return None

    def agrees(one: SecondOpinion) -> bool:
        severity = said.severity if one.severity is None else one.severity
        read = replace(said, category=one.category, severity=severity)
        return does(matching_rule(case, read, policy)) == done

    return agrees


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


def read_of(text: str) -> tuple[str, ...]:
    """All that is read of a text: the whole and its pieces; nothing where they are too many to be checked."""
    # The whole is read too: what is dear here is the call, and the model may have been another.
    found = list(islice(pieces(text), MOST + 1))
    return () if len(found) > MOST else (text, *found)


def against(text: str, read: Read, agrees: Agrees) -> Against:
    """What a reader finds in the pieces of a text that speaks against doing it."""
    asked = read_of(text)
    if not asked:
        return Against(loudest=_TOO_LONG, least=0.0)
    told = list(zip(asked, read(asked), strict=True))
    other = [(piece, one) for piece, one in told if not agrees(one)]
    unsure = [(piece, one) for piece, one in told if one.confidence <= EVEN_ODDS]
    loudest = max(other or unsure, key=lambda pair: pair[1].confidence, default=None)
    return Against(
        loudest=None if loudest is None else _named(*loudest, whole=text),
        least=least_left((one for _, one in told), agrees),
    )


def least_left(readings: Iterable[SecondOpinion], agrees: Agrees) -> float:
    """How certain it can still be: of another reading no more is left than what it does not claim."""
    return min(
        (one.confidence if agrees(one) else min(EVEN_ODDS, 1 - one.confidence) for one in readings),
        default=0.0,
    )


def _named(piece: str, one: SecondOpinion, *, whole: str) -> SecondOpinion:
    if piece == whole:
        return one
    last = piece.rpartition(OPEN)[2].rpartition(CLOSE)[0]
    return replace(one, of=cut(last, _QUOTE))


def _title(line: str) -> str:
    found = _TITLE.match(line)
    return found.group(1) if found else ""


def _passages(words: str) -> Iterator[str]:
    return (part.strip() for part in _END.split(words) if _WORD.search(part))
