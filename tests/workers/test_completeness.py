"""The completeness guard through the whole house: what the policy asks for and a case lacks is assessed by nobody."""

from __future__ import annotations

import pytest

from countersign.assessment import Assessment, Unassessed
from tests.workers.house import House

TICKETS = {
    "body": {"description": "The nightly backup took 41 minutes"},
    "service": {"business_service": "cart"},
    "ci": {"cmdb_ci": "db-3"},
}
ALERTS = {
    "body": {"message": "p95 grew from 80 to 900 ms"},
    "service": {"scope": "service:cart"},
    "ci": {"scope": "host:db-3"},
}


def _requiring(home: House, *parts: str) -> House:
    scope = home.parts.policies["alert-triage"].scope.model_dump(by_alias=True)
    return home.with_policy(scope={**scope, "require": list(parts)})


def _ticket(home: House, **fields: str) -> None:
    desk = home.box.servicenow
    items = {name: home.box.run(lambda name=name: desk.add_ci(name))["sys_id"] for name in ("cart", "db-3")}  # type: ignore[misc]
    filled = {name: items.get(text, text) for name, text in fields.items()}
    ticket = {"short_description": "Queue is slow", "impact": "3", "urgency": "3"} | filled
    home.box.run(lambda: desk.open_incident(**ticket))


def _alert(home: House, *, scope: str = "env:prod", message: str = "") -> None:
    home.box.run(lambda: home.box.datadog.fire("Queue is slow", 7, scope, "Warn", message=message))


def _said(home: House) -> Assessment | Unassessed:
    """What became of the only case, of which nobody was asked if it was not assessed."""
    home.run("pull", "sweep")
    (line,) = home.parts.ledger.reading.cases(limit=5)
    record = home.parts.ledger.reading.story(line.id).decisions[-1]
    assert bool(record.calls) is isinstance(record.assessment, Assessment)
    return record.assessment


@pytest.mark.parametrize("part", ["body", "ci", "service"])
@pytest.mark.parametrize("kind", ["ticket", "alert"])
def test_a_part_that_the_policy_asks_for_decides_whether_a_model_is_asked(
    home: House, kind: str, part: str
) -> None:
    """A title alone goes to people with the reason, unasked; the same with that part is assessed."""
    home = _requiring(home, part)
    {"ticket": _ticket, "alert": _alert}[kind](home)
    said = _said(home)
    assert isinstance(said, Unassessed)
    assert (said.reason, f"asks for {part}," in said.because) == ("incomplete", True)


@pytest.mark.parametrize(("part", "scope"), [("service", "service:N/A"), ("ci", "host:n/a")])
def test_a_name_that_says_there_is_none_is_none(home: House, part: str, scope: str) -> None:
    """Datadog fills a tag that is missing with N/A."""
    home = _requiring(home, part)
    _alert(home, scope=scope)
    assert isinstance(_said(home), Unassessed)


@pytest.mark.parametrize("part", ["body", "ci", "service"])
def test_a_ticket_that_has_the_part_is_assessed(home: House, part: str) -> None:
    """What was lacking is enough."""
    home = _requiring(home, part)
    _ticket(home, **TICKETS[part])
    assert isinstance(_said(home), Assessment)


@pytest.mark.parametrize("part", ["body", "ci", "service"])
def test_an_alert_that_has_the_part_is_assessed(home: House, part: str) -> None:
    """What was lacking is enough."""
    home = _requiring(home, part)
    _alert(home, **ALERTS[part])
    assert isinstance(_said(home), Assessment)


def test_a_policy_that_asks_for_nothing_lets_a_title_be_assessed(home: House) -> None:
    """The guard is the policy's."""
    home = _requiring(home)
    _ticket(home)
    assert isinstance(_said(home), Assessment)
