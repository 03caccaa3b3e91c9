"""Enrich: what is found around a case. Each part has its own failure, and none of them stops the case."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TypeVar

from countersign.cases import Case
from countersign.context import ConfigItem, Context, Found, Missing, RecentChange, SimilarCase
from countersign.errors import OutsideError
from countersign.policy import Policy
from countersign.redaction import redact
from workers.parts import Parts

T = TypeVar("T")
CHANGES_BEFORE = timedelta(hours=24)
LOG_LINES = 10


def link(parts: Parts, desk: str, cases: Sequence[Case]) -> tuple[Case, ...]:
    """The cases with their tickets as the desk has them now: one question for all. Raises OutsideError.

    A ticket that is known is read again, because people may have finished it in the meantime.
    """
    wanted = {case.id: _keys(case) for case in cases}
    keys = sorted({key for keys in wanted.values() for key in keys})
    found = parts.desks[desk].find(keys) if keys else {}
    return tuple(
        replace(case, ticket=next((found[key] for key in wanted[case.id] if key in found), case.ticket))
        for case in cases
    )


def _keys(case: Case) -> tuple[str, ...]:
    """What the desk may know the ticket by: its own id first, then the alerts' keys and links."""
    if case.ticket is not None:
        return (f"{case.ticket.ref.desk}:{case.ticket.ref.id}",)
    keys = [alert.dedup_key for alert in reversed(case.alerts)]
    return tuple(dict.fromkeys(keys))


def enrich(parts: Parts, cases: Sequence[Case], policy: Policy) -> tuple[Case, ...]:
    """The cases with their context."""
    remembered = parts.ledger.memory.similar(cases, limit=3)
    # Another ticket's people and addresses stay in that ticket.
    similar = {
        case_id: tuple(replace(one, title=redact(one.title).text) for one in found)
        for case_id, found in remembered.items()
    }
    seen: dict[
        tuple[str, str], tuple[Found[ConfigItem] | Missing, Found[tuple[RecentChange, ...]] | Missing]
    ] = {}
    return tuple(replace(case, context=_context(parts, case, policy, similar, seen)) for case in cases)


def _context(
    parts: Parts,
    case: Case,
    policy: Policy,
    similar: Mapping[str, tuple[SimilarCase, ...]],
    seen: dict[
        tuple[str, str], tuple[Found[ConfigItem] | Missing, Found[tuple[RecentChange, ...]] | Missing]
    ],
) -> Context:
    place = (case.ci, case.service)
    if place not in seen:
        seen[place] = (_item(parts, case), _changes(parts, case))
    ci, changes = seen[place]
    earlier = similar.get(case.id, ())
    return Context(
        ci=ci,
        changes=changes,
        logs=_logs(parts, case)
        if "logs" in policy.scope.data.visible
        else Missing("the policy does not show logs"),
        similar=Found(earlier) if earlier else Missing("no earlier case is like it"),
    )


def _item(parts: Parts, case: Case) -> Found[ConfigItem] | Missing:
    cmdb = parts.cmdb
    if cmdb is None or not (case.ci or case.service):
        return Missing("no CMDB is connected" if cmdb is None else "the case names no item and no service")
    item = _asked("the CMDB", lambda: cmdb.item(ci=case.ci, service=case.service))
    return (
        Missing("the CMDB does not know it")
        if item is None
        else item
        if isinstance(item, Missing)
        else Found(item)
    )


def _changes(parts: Parts, case: Case) -> Found[tuple[RecentChange, ...]] | Missing:
    cmdb = parts.cmdb
    if cmdb is None or not (case.ci or case.service):
        return Missing(
            "no change calendar is connected" if cmdb is None else "the case names no item and no service"
        )
    since = case.first_at - CHANGES_BEFORE
    found = _asked("the CMDB", lambda: cmdb.recent_changes(ci=case.ci, service=case.service, since=since))
    return (
        found
        if isinstance(found, Missing)
        else Found(tuple(found))
        if found
        else Missing("nothing was changed")
    )


def _logs(parts: Parts, case: Case) -> Found[tuple[str, ...]] | Missing:
    search = parts.logs.get(case.lead.source) or next(iter(parts.logs.values()), None)
    if search is None or not case.service:
        return Missing("no log search is connected" if search is None else "the case names no service")
    found = _asked(
        "the log search", lambda: search.lines(service=case.service, around=case.last_at, limit=LOG_LINES)
    )
    return (
        found
        if isinstance(found, Missing)
        else Found(tuple(redact(line).text for line in found))
        if found
        else Missing("no lines were found")
    )


def _asked(who: str, question: Callable[[], T]) -> T | Missing:
    try:
        return question()
    except OutsideError as problem:
        return Missing(f"{who} could not say ({type(problem).__name__.lower()})")
