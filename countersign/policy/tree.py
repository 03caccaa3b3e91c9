"""A YAML text as plain values with the place of each. What is clever in YAML is refused, and told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.reader import ReaderError

from countersign.policy.checks import Place

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
MAX_NODES = 5_000

Value = Any  # dict[str, Value] | list[Value] | str | int | float | bool | None, as JSON


@dataclass(frozen=True, kw_only=True, slots=True)
class Spot:
    """Line and column in the text, from 1."""

    line: int
    column: int


START = Spot(line=1, column=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """Something in the text that is refused, before its meaning is looked at."""

    spot: Spot
    place: Place
    sentence: str


@dataclass(kw_only=True, slots=True)
class Tree:
    """The values, where each value and key stands, and what was refused. `broken`: reading stopped early."""

    value: Value = None
    broken: bool = False
    values: dict[Place, Spot] = field(default_factory=dict)
    keys: dict[Place, Spot] = field(default_factory=dict)
    flaws: list[Flaw] = field(default_factory=list)

    def spot(self, place: Place) -> Spot:
        """Where the value at a path stands, or the nearest value around it."""
        while place and place not in self.values:
            place = place[:-1]
        return self.values.get(place, START)


class _Stop(Exception):
    """Reading can't go on; carries the last flaw."""

    def __init__(self, spot: Spot, sentence: str) -> None:
        super().__init__(sentence)
        self.flaw = Flaw(spot=spot, place=(), sentence=sentence)


def read_tree(text: str) -> Tree:
    """Read a YAML text; never raises. Refusals are `flaws`, and `broken` says that the rest was not read."""
    tree = Tree()
    try:
        _Reader(text, tree).read()
    except _Stop as stop:
        tree.broken = True
        tree.flaws.append(stop.flaw)
    return tree


class _Reader:
    """Turns the events of PyYAML's parser into a tree, within limits. One use."""

    def __init__(self, text: str, tree: Tree) -> None:
        self._tree = tree
        self._nodes = 0
        size = len(text.encode("utf-8", "surrogatepass"))
        if size > MAX_BYTES:
            raise _Stop(START, f"the file has {size} bytes; write a policy of at most {MAX_BYTES}.")
        try:
            self._loader: Any = yaml.SafeLoader(text)
            self._lines = text.splitlines()
        except ReaderError as error:
            before = text[: error.position]
            line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
            raise _Stop(
                Spot(line=line, column=column), _INVISIBLE.format(ord(text[error.position]))
            ) from None

    def read(self) -> None:
        self._next()  # start of the stream
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            raise _Stop(START, "the file is empty; start it with use_case, version and purpose.")
        if start.version or start.tags:
            raise _Stop(_spot(start), "a line that starts with % is not allowed; remove it.")
        self._tree.value = self._node(self._next(), ())
        self._next()  # end of the document
        extra = self._next()
        if not isinstance(extra, yaml.StreamEndEvent):
            raise _Stop(_spot(extra), "one file holds one policy; remove everything from this line on.")

    def _next(self) -> Any:
        try:
            return self._loader.get_event()
        except yaml.MarkedYAMLError as error:
            problem = error.problem or ""
            begun = error.context_mark if any(part in problem for part in _BEGUN_EARLIER) else None
            mark = begun or error.problem_mark or error.context_mark
            spot = Spot(line=mark.line + 1, column=mark.column + 1) if mark else START
            raise _Stop(spot, _syntax_sentence(problem, *self._around(spot))) from None
        except (
            ValueError,
            OverflowError,
        ):  # PyYAML trips over "\UFFFFFFFF" and over versions of a thousand digits
            spot = Spot(line=self._loader.line + 1, column=self._loader.column + 1)
            raise _Stop(spot, "a number or escape here is too large; write it out as plain text.") from None

    def _around(self, spot: Spot) -> tuple[str, str]:
        """What stands in a line before a spot, and from it on."""
        line = self._lines[spot.line - 1] if spot.line <= len(self._lines) else ""
        return line[: spot.column - 1], line[spot.column - 1 :]

    def _flaw(self, event: Any, place: Place, sentence: str) -> None:
        self._tree.flaws.append(Flaw(spot=_spot(event), place=place, sentence=sentence))

    def _node(self, event: Any, place: Place) -> Value:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Stop(_spot(event), f"the file has more than {MAX_NODES} values; write a shorter policy.")
        if len(place) > MAX_DEPTH:
            raise _Stop(_spot(event), f"this is nested more than {MAX_DEPTH} deep; write it flatter.")
        self._tree.values[place] = _spot(event)
        if isinstance(event, yaml.AliasEvent):
            self._flaw(
                event, place, f"*{event.anchor} is an alias, which is not allowed; write the value out."
            )
            return None
        self._refuse_anchor_and_tag(event, place)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place)
        if isinstance(event, yaml.SequenceStartEvent):
            return [
                self._node(item, (*place, index))
                for index, item in enumerate(self._until(yaml.SequenceEndEvent))
            ]
        return self._mapping(place)

    def _refuse_anchor_and_tag(self, event: Any, place: Place) -> None:
        if event.anchor is not None:
            self._flaw(event, place, f"&{event.anchor} is an anchor, which is not allowed; remove it.")
        if event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            self._flaw(event, place, f"{tag} is a tag, which is not allowed; remove it.")

    def _until(self, end: type[yaml.Event]) -> Iterator[Any]:
        while not isinstance(event := self._next(), end):
            yield event

    def _mapping(self, place: Place) -> dict[str, Value]:
        result: dict[str, Value] = {}
        for event in self._until(yaml.MappingEndEvent):
            key = self._key(event, place)
            inner = (*place, "?" if key is None else key)
            if key is not None and inner in self._tree.keys:
                first = self._tree.keys[inner].line
                self._flaw(event, inner, f'"{key}" is written twice, first in line {first}; keep one.')
            self._tree.keys.setdefault(inner, _spot(event))
            value = self._node(self._next(), inner)
            if key is not None:
                result.setdefault(key, value)
        return result

    def _key(self, event: Any, place: Place) -> str | None:
        """The key as text; None, and a flaw, when it is none."""
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, (*place, "?"))
            if not isinstance(event, yaml.AliasEvent):
                self._flaw(event, place, "a key is one word, not a list or a section; write it as a word.")
            return None
        self._nodes += 1
        self._refuse_anchor_and_tag(event, place)
        if event.value == "<<" and event.implicit[0]:
            self._flaw(event, place, "<< is a merge key, which is not allowed; write the keys out.")
            return None
        known = len(self._tree.flaws)
        key = self._scalar(event, place)
        if len(self._tree.flaws) > known:
            return None
        if not isinstance(key, str):
            sentence = f'{event.value} is not a word; write "{event.value}": in quotes.'
            self._flaw(
                event, place, sentence if event.value else "a key is missing before the colon; write it."
            )
            return None
        return key

    def _scalar(self, event: Any, place: Place) -> str | int | float | bool | None:
        text: str = event.value
        odd = next((char for char in text if not char.isprintable() and char not in "\n\t"), None)
        if odd is not None:
            self._flaw(event, place, _INVISIBLE.format(ord(odd)))
            return ""
        if not event.implicit[0]:
            return text
        for form, sentence in _SURPRISES:
            if form.fullmatch(text):
                self._flaw(event, place, sentence.format(text))
                return text
        return _plain(text)


def _spot(event: Any) -> Spot:
    return Spot(line=event.start_mark.line + 1, column=event.start_mark.column + 1)


_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]{0,15})")
_NUMBER = re.compile(r"[-+]?[0-9]{1,16}(\.[0-9]{0,16})?([eE][-+]?[0-9]{1,3})?")


def _plain(text: str) -> str | int | float | bool | None:
    """A value without quotes: null, true, false, a decimal number, else text. Dates stay text."""
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else text


_INVISIBLE = "the character U+{:04X} can't be seen in print; remove it, or write a plain space."
# Words and numbers that mean one thing to YAML 1.1 programs and another to 1.2 programs or to people.
_SURPRISES = (
    (
        re.compile(r"yes|no|on|off", re.IGNORECASE),
        '{0} without quotes is true or false to some programs; write true, false or "{0}".',
    ),
    (
        re.compile(
            r"[-+]?0[0-9_]+|0[xob][0-9a-f_]+|[0-9]+_[0-9_]*|[0-9]+(:[0-5]?[0-9])+|[-+]?\.(inf|nan)",
            re.IGNORECASE,
        ),
        '{0} without quotes is another number to some programs; write a plain number, or "{0}" as text.',
    ),
)
# What is told at the end of a thing, and is mended where it begins.
_BEGUN_EARLIER = (
    "could not find expected ':'",
    "unexpected end of stream",
    "expected ',' or ']'",
    "expected ',' or '}'",
)
_COLON, _BLOCK = "mapping values are not allowed", "expected <block end>"
_SYNTAX = (
    (_COLON, "a second colon in one line; put the text in quotes, or start a new line."),
    ("'\\t'", "a tab can't be used here; indent with spaces."),
    ("cannot start any token", "a text can't start with this character; put it in quotes."),
    (
        "could not find expected ':'",
        "a key needs a colon and a plain space after it; write key: value.",
    ),
    ("while scanning a quoted", "a quote is not closed; close it."),
    ("unexpected end of stream", "a quote is not closed; close it."),
    ("expected ',' or ']'", "a list in brackets is not closed, or lacks a comma; write [a, b]."),
    ("expected ',' or '}'", "a section in braces is not closed, or lacks a comma; write {a: 1, b: 2}."),
    ("did not find expected '-'", "the indentation is off; line up the dashes of the list."),
    (_BLOCK, "the indentation is off; line this up with the keys above it."),
    ("expected alphabetic or numeric", "* and & have another meaning in YAML; put the text in quotes."),
    ("unknown escape character", "a backslash in double quotes starts an escape; use single quotes."),
)


def _syntax_sentence(problem: str, before: str, after: str) -> str:
    if _COLON in problem and ": " not in before:
        return "this is indented deeper than its neighbours; line it up with the keys beside it."
    if _BLOCK in problem and re.match(r"-[^\s-]", after):
        return "a dash needs a space after it; write - name."
    if _BLOCK in problem and re.search(r"[\"']\s*$", before):
        return "there is text after a closing quote, here or where a quote above was meant to end; mend the quotes."
    for part, sentence in _SYNTAX:
        if part in problem:
            return sentence
    return f"this is not YAML ({problem}); check indentation, colons and quotes."
