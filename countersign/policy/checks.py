"""What a policy must not say: contradictions between its parts, each with the place and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from countersign.policy.schema import Policy

Place = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One contradiction: the path of the value that is wrong, and what to write instead."""

    place: Place
    sentence: str


def closest(word: str, known: tuple[str, ...]) -> str:
    """ "; did you mean ..." for the nearest known word, or a list of all of them."""
    near = get_close_matches(word, known, n=1)
    return f'write "{near[0]}"' if near else f"write one of {', '.join(known) or '(none is defined)'}"


def _owners_of_act(policy: Policy) -> Iterator[Fault]:
    missing = policy.owners.missing
    if policy.autonomy == "act" and missing:
        yield Fault(
            place=("autonomy",),
            sentence=f"act is refused while an owner is missing ({', '.join(missing)}); "
            "name them under `owners`, or write draft.",
        )


def _order_of_rules(policy: Policy) -> Iterator[Fault]:
    *earlier, last = policy.rules
    for index, rule in enumerate(earlier):
        if rule.when.is_everything:
            yield Fault(
                place=("rules", index),
                sentence=f'rule "{rule.name}" matches everything, so the rules after it are never reached; '
                "move it to the end, or give it a `when`.",
            )
    if not last.when.is_everything:
        yield Fault(
            place=("rules", len(earlier)),
            sentence=f'the last rule must match everything, and "{last.name}" does not; '
            "add a last rule without `when`, as {name: the rest, then: draft_note}.",
        )


def _names_of_rules(policy: Policy) -> Iterator[Fault]:
    seen: set[str] = set()
    for index, rule in enumerate(policy.rules):
        if rule.name in seen:
            yield Fault(
                place=("rules", index, "name"), sentence=f'two rules are called "{rule.name}"; rename one.'
            )
        seen.add(rule.name)


def _categories_of_rules(policy: Policy) -> Iterator[Fault]:
    for index, rule in enumerate(policy.rules):
        for position, category in enumerate(rule.when.category or ()):
            if category not in policy.categories:
                yield Fault(
                    place=("rules", index, "when", "category", position),
                    sentence=f'"{category}" is not a category of this policy; '
                    f"{closest(category, policy.categories)}.",
                )


def _sources_of_rules(policy: Policy) -> Iterator[Fault]:
    for index, rule in enumerate(policy.rules):
        for position, source in enumerate(rule.when.source or ()):
            if source not in policy.scope.sources:
                yield Fault(
                    place=("rules", index, "when", "source", position),
                    sentence=f"{source} is not among scope.sources, so the rule never matches; add it there.",
                )


def _word_for_the_rest(policy: Policy) -> Iterator[Fault]:
    if "other" not in policy.categories:
        yield Fault(
            place=("categories",),
            sentence='"other" is missing, and the model needs a word for what fits nowhere; add it.',
        )


def _calendars_exist(policy: Policy) -> Iterator[Fault]:
    for position, name in enumerate(policy.never_close.calendars):
        if name not in policy.calendars:
            yield Fault(
                place=("never_close", "calendars", position),
                sentence=f'"{name}" is not defined under `calendars`; '
                f"{closest(name, tuple(policy.calendars)) if policy.calendars else _calendar_example(name)}.",
            )


def _calendar_example(name: str) -> str:
    return f"write calendars: {{{name}: [{{from: 2026-12-15, to: 2027-01-07}}]}}"


_ASKING = ("close", "draft_change")


def _someone_approves(policy: Policy) -> Iterator[Fault]:
    asks = any(rule.then in _ASKING for rule in policy.rules)
    if policy.autonomy != "observe" and asks and policy.approvals.approvers.nobody:
        yield Fault(
            place=("approvals",),
            sentence="nobody may approve what the rules draft; write approvers: "
            "{servicenow_group: …}, {jira_group: …} or {people: [...]}.",
        )


def _approvers_fit_the_desk(policy: Policy) -> Iterator[Fault]:
    for desk in ("servicenow", "jira"):
        if getattr(policy.approvals.approvers, f"{desk}_group") is not None and policy.scope.desk != desk:
            yield Fault(
                place=("approvals", "approvers", f"{desk}_group"),
                sentence=f"scope.desk is {policy.scope.desk}, where a {desk} group can't be looked up; "
                + (
                    "write people: [...]."
                    if policy.scope.desk == "pagerduty"
                    else f"write {policy.scope.desk}_group."
                ),
            )


Check = Callable[["Policy"], Iterator[Fault]]

# Each check with the sections it reads, so that it can still run when other sections are wrong.
CHECKS: tuple[tuple[frozenset[str], Check], ...] = (
    (frozenset({"autonomy", "owners"}), _owners_of_act),
    (frozenset({"rules"}), _order_of_rules),
    (frozenset({"rules"}), _names_of_rules),
    (frozenset({"rules", "categories"}), _categories_of_rules),
    (frozenset({"rules", "scope"}), _sources_of_rules),
    (frozenset({"categories"}), _word_for_the_rest),
    (frozenset({"never_close", "calendars"}), _calendars_exist),
    (frozenset({"autonomy", "rules", "approvals"}), _someone_approves),
    (frozenset({"approvals", "scope"}), _approvers_fit_the_desk),
)


def contradictions(policy: Policy, *, readable: frozenset[str] | None = None) -> tuple[Fault, ...]:
    """All contradictions; with `readable`, only those between sections that could be read."""
    return tuple(
        fault for needs, check in CHECKS if readable is None or needs <= readable for fault in check(policy)
    )
