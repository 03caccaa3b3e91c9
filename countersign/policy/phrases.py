"""Parts of a policy as phrases of plain English."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Any

from countersign.policy.durations import format_duration
from countersign.policy.fields import Part
from countersign.policy.rules import Rule, SeverityRange, Threshold, When
from countersign.policy.shape import keys_of


def listed(items: tuple[Any, ...], last: str = "and") -> str:
    """ "a, b and c"; "none" for nothing."""
    words = [say(item) for item in items]
    if len(words) < 2:
        return words[0] if words else "none"
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def say(value: Any) -> str:
    """One value in words."""
    if isinstance(value, Part):
        given = ((key, getattr(value, name)) for key, name in _attributes(value))
        return (
            "{" + ", ".join(f"{key}: {say(inner)}" for key, inner in given if inner not in (None, ())) + "}"
        )
    if isinstance(value, Enum):
        return str(value.value)
    if value is None or isinstance(value, bool):
        return {None: "not set", True: "true", False: "false"}[value]
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, tuple):
        return listed(value)
    return f"{value:.10g}" if isinstance(value, float) else str(value).rstrip(".") or '""'


def _attributes(part: Part) -> list[tuple[str, str]]:
    return list(zip(keys_of(type(part)), type(part).model_fields, strict=True))


def percent(share: float) -> str:
    """0.02 is "2 %"."""
    return f"{share * 100:.6g} %"


def severity(given: SeverityRange) -> str:
    """ "at most low", "at least high" or "from low to high"."""
    if given.at_least is None:
        return f"at most {given.at_most}"
    return (
        f"at least {given.at_least}" if given.at_most is None else f"from {given.at_least} to {given.at_most}"
    )


def threshold(given: Threshold) -> str:
    """The condition under which a rule closes."""
    if given.risk_below is not None:
        return f"risk is below {say(given.risk_below)}"
    promised = percent(given.wrong_closes_at_most or 0), percent(given.sure or 0)
    of = {"close": "of closes are wrong", "ticket": "of tickets are closed wrongly"}[given.per]
    return "it is certified that at most {} {of}, {} sure".format(*promised, of=of)


def conditions(when: When) -> str:
    """What a rule matches."""
    parts = (
        when.category and f"the category is {listed(when.category, 'or')}",
        when.severity and f"the severity is {severity(when.severity)}",
        when.services and f"the service is {listed(when.services, 'or')}",
        when.tags and f"a tag is {listed(when.tags, 'or')}",
        when.source and f"the source is {listed(when.source, 'or')}",
        None
        if when.recovered is None
        else f"the alerts have {'all' if when.recovered else 'not all'} recovered",
    )
    return " and ".join(part for part in parts if part) or "nothing above matched"


def consequence(rule: Rule) -> str:
    """What a rule allows, without its conditions."""
    said = {
        "close": "closes when " + (threshold(rule.threshold) if rule.threshold else "sure"),
        "draft_change": f"drafts a {rule.change.type if rule.change else 'normal'} change request"
        + (f" for {rule.change.group}" if rule.change and rule.change.group else ""),
        "draft_note": "drafts a note",
        "route": "routes to people without a draft",
        "hold": "records only",
    }[rule.then]
    return said + (f", routed to {rule.route}" if rule.route else "")
