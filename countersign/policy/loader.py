"""Reads a policy from its text, and tells every mistake in it at once, by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from countersign.policy.checks import Place, contradictions
from countersign.policy.problems import PolicyError, Problem
from countersign.policy.schema import Policy
from countersign.policy.sentences import sentence
from countersign.policy.shape import keys_of
from countersign.policy.tree import START, Spot, Tree, read_tree

# Both follow from another error, which is told itself.
_ECHOES = frozenset({"default_factory_not_called", "contradictions"})


def load_policy(text: str, *, name: str) -> Policy:
    """Read a policy; `name` is the file's name for messages. PolicyError lists every problem in the text."""
    tree = read_tree(text)
    problems = list(_flaws(tree, name))
    if not tree.broken:
        policy, wrong = _validated(tree, name)
        if policy is not None and not problems:
            return policy
        problems += wrong
    unique = dict.fromkeys(
        sorted(problems, key=lambda problem: (problem.line, problem.column, problem.where))
    )
    raise PolicyError(tuple(unique))


def _flaws(tree: Tree, name: str) -> Iterator[Problem]:
    for flaw in tree.flaws:
        yield _problem(name, flaw.spot, flaw.place, flaw.sentence)


def _validated(tree: Tree, name: str) -> tuple[Policy | None, list[Problem]]:
    if not isinstance(tree.value, dict):
        return None, [
            _problem(name, START, (), "a policy is a list of keys and values; start it with use_case: …")
        ]
    try:
        return Policy.model_validate(tree.value), []
    except ValidationError as error:
        # Unions and dictionary keys add steps of pydantic's own to a path; they are not in the file.
        found = [(_in_file(tree, e["loc"], e["type"]), e) for e in error.errors() if e["type"] not in _ECHOES]
    wrong = [
        _problem(name, _spot(tree, place, e), place, sentence(e, place))
        for place, e in found
        if not _spoiled(tree, place)
    ]
    unread = {str(place[0]) for place, _ in found if place} | {
        str(flaw.place[0]) for flaw in tree.flaws if flaw.place
    }
    return None, wrong + list(_contradictions(tree, name, frozenset(unread)))


def _in_file(tree: Tree, location: Place, kind: str) -> Place:
    if kind == "missing":
        return location
    while location and location not in tree.values:
        location = location[:-1]
    return location


def _spot(tree: Tree, place: Place, error: ErrorDetails) -> Spot:
    """Keys that can't be are shown at the key, a missing one at the section that lacks it, others at the value."""
    kind = error["type"]
    if kind == "extra_forbidden" or error["loc"][-1:] == ("[key]",):
        return tree.keys.get(place, START)
    if kind == "missing" and len(place) > 1:
        return tree.keys.get(place[:-1]) or tree.spot(place[:-1])
    return tree.spot(place)


def _spoiled(tree: Tree, place: Place) -> bool:
    """Whether the text there was refused already."""
    return any(flaw.place and place[: len(flaw.place)] == flaw.place for flaw in tree.flaws)


def _contradictions(tree: Tree, name: str, unread: frozenset[str]) -> Iterator[Problem]:
    """Check the sections that could be read against each other, though others could not."""
    sound = {
        key: _read_section(tree.value, key) for key in keys_of(Policy) if _is_sound(tree.value, key, unread)
    }
    policy = Policy.model_construct(None, **sound)
    for fault in contradictions(policy, readable=frozenset(sound)):
        yield _problem(name, tree.spot(fault.place), fault.place, fault.sentence)


def _is_sound(value: dict[str, Any], key: str, unread: frozenset[str]) -> bool:
    return key not in unread and (key in value or not Policy.model_fields[key].is_required())


def _read_section(value: dict[str, Any], key: str) -> Any:
    field = Policy.model_fields[key]
    if key not in value:
        return field.default
    return TypeAdapter(field.rebuild_annotation()).validate_python(value[key])


def _problem(name: str, spot: Spot, place: Place, text: str) -> Problem:
    return Problem(file=name, line=spot.line, column=spot.column, where=where(place), sentence=text)


def where(place: Place) -> str:
    """A path as it is read aloud: ("rules", 0, "then") is rules[0].then."""
    parts = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in place)
    return "".join(parts).lstrip(".")[:200]
