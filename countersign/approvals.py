"""Approvals: the words that engineers type into a ticket, what they mean, and whether they count.

What is clear is done. What looks like a command and is not clear comes out as `unclear`, with the reason, so that it
is answered rather than passed over. What somebody quotes is not said by them: the lines of a mail that is answered,
lines behind `>`, and copies of our own notes. A command in a list, in a code block or between quotation marks counts
where it is all that a comment says: among other words it is shown, not given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import takewhile
from typing import Literal, get_args

from countersign.policy import Approvers
from countersign.severity import Severity
from countersign.tickets import ChangeKind, TicketChange

Verb = Literal["approve", "reject", "wrong", "good", "why", "unclear"]
_VERBS = tuple(verb for verb in get_args(Verb) if verb != "unclear")
_LONGEST = 400
# How like a word is to one of ours that it was meant: `aprove`, `approved`, `/countersing`.
_ALIKE = 0.75
_NAME_ALIKE = 0.85

_INVISIBLE = re.compile(r"[\u200b-\u200f\u2060\ufeff]")
# Where a mail begins that is answered below the answer, in the words of common mail programs.
_MAIL = re.compile(
    r"\s*(?:-{2,}\s?(?:original|forwarded|ursprüngliche|weitergeleitete|message d|messaggio|mensaje|oorspronkelijk)"
    r".{0,60}-|.{0,200}\b(?:wrote|schrieb|escribió|escreveu|schreef|a écrit|ha scritto)\b.{0,80}:\s*$)",
    re.IGNORECASE,
)
_FROM = re.compile(r"\s*\*{0,2}(?:from|von|de|da|van)\s{0,2}:", re.IGNORECASE)
_SENT = re.compile(
    r"\s*\*{0,2}(?:sent|date|to|gesendet|datum|an|envoyé|à|enviado|para|inviato|data|a|verzonden|aan)\s{0,2}:",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\s*(?:```|~~~)")
_OUR_NOTE = re.compile(r"\bcountersign:[0-9a-f]{16}\b")
# What may stand around a command that is copied: a bullet, quotation marks, marks of code.
_DRESS = r"(?P<dress>(?:[\s\-*•·–—`\"'“”„‘’«»(]|\[/?code\]){0,20})"
_COMMAND = re.compile(
    _DRESS + r"[/／]\s?(?P<name>[^\W\d_]{8,15})(?=[\s:,]|$)[\s:,]*(?P<said>.*)", re.IGNORECASE
)
_BARE = re.compile(_DRESS + r"@?countersign[\s:,]+(?P<said>(?:approve|reject)\b.*)", re.IGNORECASE)
_WITHIN = re.compile(r"\s/countersign\s+(?P<said>(?:approve|reject|wrong|good)\b.*)", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d_]+")
_CODE = re.compile(r"(?:code\b)?[\W_]*([0-9a-f]{4,64})\b", re.IGNORECASE)
_FIELD = re.compile(
    r"\b(category|severity|priority|group|ci|cause)\s{0,5}[=:]\s{0,5}"
    r"(?:[\"“”„«]([^\"“”„«»]{1,80})[\"“”»]|((?<=cause=).{1,200}|\S{1,80}))",
    re.IGNORECASE,
)
_SEVERITIES = ", ".join(one.value for one in Severity)
_PUNCTUATION = ".,;:!`'\"“”„‘’«»()[]<>"


@dataclass(frozen=True, kw_only=True, slots=True)
class Command:
    """One line that is meant for us. `code` names the payload that is approved or rejected; `fields` what was wrong.

    `problem` is why it is unclear, as a clause.
    """

    verb: Verb
    code: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    text: str = ""
    problem: str = ""


def read_commands(change: TicketChange) -> tuple[Command, ...]:
    """The commands in a comment. What a customer can see or write, and what we wrote ourselves, commands nothing."""
    if change.kind is not ChangeKind.COMMENT or not change.internal or change.by_us:
        return ()
    lines = tuple(_own_lines(change.text))
    read = [_read(line, fenced=fenced, alone=len(lines) == 1) for line, fenced in lines]
    if any(_OUR_NOTE.search(line) for line, _ in lines):
        # What begins otherwise is a copy of our note; below a command there may be one.
        read = list(takewhile(lambda command: command is not None, read))
    commands = tuple(command for command in read if command is not None)
    if {"approve", "reject"} <= {command.verb for command in commands}:
        return tuple(
            _unclear(one.text, "approve and reject can't both be meant")
            if one.verb in ("approve", "reject")
            else one
            for one in commands
        )
    return commands


def only_commands(change: TicketChange, verbs: Sequence[Verb]) -> bool:
    """Whether a comment says nothing but commands with these verbs."""
    commands = read_commands(change)
    lines = sum(1 for line in change.text.splitlines() if line.strip())
    return bool(commands) and len(commands) == lines and all(one.verb in verbs for one in commands)


def _own_lines(text: str) -> Iterator[tuple[str, bool]]:
    """The lines that the author wrote, each with whether it stands in a code block."""
    lines, fenced = text.splitlines(), False
    for number, line in enumerate(lines):
        bare = _INVISIBLE.sub("", line[:_LONGEST])
        after = lines[number + 1 : number + 4]
        if _MAIL.match(bare) or (_FROM.match(bare) and any(_SENT.match(one[:_LONGEST]) for one in after)):
            return
        if _FENCE.match(bare):
            fenced = not fenced
        elif bare.strip() and not bare.lstrip().startswith(">"):
            yield bare, fenced


def _read(line: str, *, fenced: bool, alone: bool) -> Command | None:
    found = _COMMAND.match(line)
    if found is None or not get_close_matches(found["name"].casefold(), ["countersign"], cutoff=_NAME_ALIKE):
        missed = _BARE.match(line) or _WITHIN.search(line)
        return _unclear(missed["said"], "a command begins its line, with /countersign") if missed else None
    command = _command(found["said"].strip())
    if (fenced or found["dress"].strip()) and not alone and command.verb != "why":
        return _unclear(
            command.text, "a command in a list, a quote or a code block must stand alone in its comment"
        )
    return command


def _command(said: str) -> Command:
    """Whatever is no verb of ours is a question, and answered as one: nobody is met with silence."""
    words = [word.casefold() for word in _WORD.findall(said)]
    verb = words[0] if words and said[:1].isalpha() else ""
    rest = said[len(verb) :].strip()
    if verb not in _VERBS:
        meant = [] if "?" in said else [one for word in words[:6] if (one := _meant(word))]
        return (
            _unclear(said, f'"{said.split()[0][:40]}" is no command')
            if meant
            else Command(verb="why", text=said)
        )
    if verb in ("approve", "reject", "good") and "?" in rest:
        return Command(verb="why", text=rest)
    if verb != "why" and "/countersign" in rest.casefold():
        return _unclear(said, "each command needs a line of its own")
    fields = tuple(_fields(rest))
    if verb == "good" and fields:
        return _unclear(said, "good says that the draft was right")
    code = _CODE.match(rest) if verb in ("approve", "reject") else None
    return Command(
        verb=verb,  # type: ignore[arg-type]  # it is one of the verbs
        code=code[1].lower() if code else "",
        fields=fields if verb == "wrong" else (),
        text=rest,
    )


def _fields(text: str) -> Iterator[tuple[str, str]]:
    for name, quoted, bare in _FIELD.findall(text):
        yield name.lower(), quoted.strip() or bare.strip(_PUNCTUATION)


def _meant(word: str) -> str:
    """The verb that does or records something and that a word is like; "" for none."""
    return next(iter(get_close_matches(word, ("approve", "reject", "wrong", "good"), cutoff=_ALIKE)), "")


def _unclear(text: str, problem: str) -> Command:
    return Command(verb="unclear", text=text, problem=problem)


def corrected(command: Command, categories: Sequence[str]) -> tuple[Command, str]:
    """What a `wrong` says, in the policy's own words, and what of it was not understood, as a clause; "" if all was.

    A category may stand there without its name; one that the policy does not have is left out.
    """
    if command.verb != "wrong":
        return command, ""
    first = next(iter(_WORD.findall(command.text)), "").casefold()
    given = command.fields or ((("category", first),) if first in categories else ())
    fields, problem = [], ""
    for name, value in given:
        if name == "category" and value.casefold() not in categories:
            problem = f'"{value or "..."}" is no category here'
        elif name == "severity" and not _is_severity(value):
            problem = f'"{value or "..."}" is no severity; there are {_SEVERITIES}'
        elif value:
            fields.append((name, value.casefold() if name == "category" else value))
    return replace(command, fields=tuple(fields)), problem


def _is_severity(word: str) -> bool:
    try:
        return bool(Severity.parse(word))
    except ValueError:
        return False


def may_approve(person: str, groups: frozenset[str], approvers: Approvers) -> bool:
    """Whether a person with these desk groups may approve under the policy; nobody may if it names nobody."""
    named = {approvers.servicenow_group, approvers.jira_group} - {None}
    return person in approvers.people or not groups.isdisjoint(named)
