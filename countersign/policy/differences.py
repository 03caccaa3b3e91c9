"""What changed between two versions of a policy, in words, and whether it narrows what may be done alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from countersign.policy.directions import (
    DIRECTIONS,
    POWER,
    POWER_OF_PROMISE,
    Direction,
    higher,
    lower,
    of_conditions,
    together,
)
from countersign.policy.fields import Part
from countersign.policy.phrases import conditions, consequence, listed, say, threshold
from countersign.policy.rules import Rule, Threshold
from countersign.policy.schema import Policy
from countersign.policy.shape import keys_of


@dataclass(frozen=True, kw_only=True, slots=True)
class Edit:
    """One difference and its direction."""

    text: str
    direction: Direction = "unclear"

    def __str__(self) -> str:
        return f"{self.text}." if self.direction == "unclear" else f"{self.text}; this {self.direction}."


def diff(old: Policy, new: Policy) -> list[str]:
    """The differences as sentences; empty when both say the same."""
    return [str(edit) for edit in edits(old, new)]


def edits(old: Policy, new: Policy) -> tuple[Edit, ...]:
    """The differences with their directions, in the order of the schema."""
    return tuple(_parts(old, new, ""))


def _parts(old: Part, new: Part, path: str) -> Iterator[Edit]:
    for key, name in zip(keys_of(type(new)), type(new).model_fields, strict=True):
        inner = f"{path}.{key}".lstrip(".")
        before, after = getattr(old, name), getattr(new, name)
        if before == after:
            continue
        if inner == "rules":
            yield from _rules(before, after)
        elif isinstance(before, Part) and isinstance(after, Part):
            yield from _parts(before, after, inner)
        else:
            judge = DIRECTIONS.get(inner)
            direction: Direction = judge(before, after) if judge else "unclear"
            yield Edit(text=f"{inner}: {_changed(before, after)}", direction=direction)


def _changed(before: Any, after: Any) -> str:
    if isinstance(before, dict):
        names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        return f"{listed(tuple(names))} changed"
    if isinstance(before, tuple) and isinstance(after, tuple) and set(before) != set(after):
        added = tuple(item for item in after if item not in before)
        dropped = tuple(item for item in before if item not in after)
        parts = (f"adds {listed(added)}" if added else "", f"drops {listed(dropped)}" if dropped else "")
        return " and ".join(part for part in parts if part)
    return f"{say(after)} (was {say(before)})"


def _rules(before: tuple[Rule, ...], after: tuple[Rule, ...]) -> Iterator[Edit]:
    old, new = {rule.name: rule for rule in before}, {rule.name: rule for rule in after}
    closing = {rule.name for rule in (*before, *after) if rule.then == "close"}
    for rule in after:
        alone = closing <= {rule.name}
        yield from (
            _rule(old[rule.name], rule, alone=alone) if rule.name in old else _new_rule(rule, alone=alone)
        )
    for rule in before:
        if rule.name not in new:
            # Only without another rule that closes is it sure that nothing else closes its cases now.
            sure = closing == {rule.name}
            yield Edit(text=f"Rule {rule.name}: removed", direction="narrows" if sure else "unclear")
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        yield Edit(text=f"Rules are tried in another order: {', '.join(new)}")


def _new_rule(rule: Rule, *, alone: bool) -> Iterator[Edit]:
    text = f"Rule {rule.name}: new; when {conditions(rule.when)}, {consequence(rule)}"
    yield Edit(text=text, direction="widens" if alone and rule.then == "close" else "unclear")


def _rule(old: Rule, new: Rule, *, alone: bool) -> Iterator[Edit]:
    """Differences of one rule; `alone`: no other rule closes, before or after."""
    if old.when != new.when:
        clear = alone and old.then == new.then == "close"
        text = f"Rule {new.name}: applies when {conditions(new.when)} (was: {conditions(old.when)})"
        yield Edit(text=text, direction=of_conditions(old.when, new.when) if clear else "unclear")
    if old.threshold and new.threshold and old.threshold != new.threshold:
        yield _threshold(new.name, old.threshold, new.threshold)
    if old.then != new.then:
        text = f"Rule {new.name}: {consequence(new)} (was: {consequence(old)})"
        yield Edit(text=text, direction=POWER(old.then, new.then))
    elif (old.change, old.route) != (new.change, new.route):
        was = (
            consequence(old) if consequence(old) != consequence(new) else f"the change was {say(old.change)}"
        )
        yield Edit(text=f"Rule {new.name}: {consequence(new)} (was: {was})")


def _threshold(name: str, old: Threshold, new: Threshold) -> Edit:
    if old.risk_below is not None and new.risk_below is not None:
        text = f"Rule {name}: closes when {threshold(new)} (was {say(old.risk_below)})"
        return Edit(text=text, direction=lower(old.risk_below, new.risk_below))
    text = f"Rule {name}: closes when {threshold(new)} (was: {threshold(old)})"
    if old.risk_below is not None or new.risk_below is not None:
        return Edit(text=text)
    if old.per != new.per:
        return Edit(text=text, direction=POWER_OF_PROMISE(old.per, new.per))
    judged = ((lower, old.wrong_closes_at_most, new.wrong_closes_at_most), (higher, old.sure, new.sure))
    steps = [judge(before, after) for judge, before, after in judged if before != after]
    return Edit(text=text, direction=together(steps))
