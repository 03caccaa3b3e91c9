"""Bad days by name: every plan can be read, every mistake in one is told, and each kind of fault does what it says."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from connectors.faults import retry_after
from sandbox.datadog import API_KEY, APP_KEY
from sandbox.faults import FORMS, KINDS, Fault
from sandbox.plan import PlanError, names, read_plan
from sandbox.server import Sandbox

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
KEYS = {"DD-API-KEY": API_KEY, "DD-APPLICATION-KEY": APP_KEY}
SEARCH = {
    "filter": {"query": "*", "from": "now-1h", "to": "now"}, "sort": "timestamp", "page": {"limit": 1},
}  # fmt: skip


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        for ago in (30, 20, 2):
            box.datadog.fire(f"Errors {ago}", 5, "host:a", at=START - timedelta(seconds=ago))
        yield box


def _titles(box: Sandbox, cursor: str = "") -> list[object]:
    asked = SEARCH | {"page": {"limit": 9} | ({"cursor": cursor} if cursor else {})}
    url = f"{box.urls['datadog']}/api/v2/events/search"
    read = requests.post(url, json=asked, headers=KEYS, timeout=5).json()
    return [event["attributes"]["attributes"]["title"] for event in read["data"]]


def _plan(box: Sandbox, **fault: object) -> None:
    box.run(lambda: box.faults.add(Fault(vendor="datadog", **fault)))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", names())
def test_a_shipped_plan_says_what_it_is_about(name: str) -> None:
    """A sentence, at least one fault, and only vendors that there are."""
    plan = read_plan(name)
    assert plan.about.endswith(".")
    assert {fault.vendor for fault in plan.faults} <= {
        "*", "datadog", "splunk", "pagerduty", "servicenow", "jira",
    }  # fmt: skip


def test_the_plans_know_every_kind_of_fault_and_every_form_of_a_429() -> None:
    """Nothing that can go wrong is left without a day on which it does; a hang has its own tests."""
    planned = [fault for name in names() for fault in read_plan(name).faults]
    assert {fault.kind for fault in planned} | {"hang", "echo"} == set(KINDS)
    assert {fault.form for fault in planned if fault.kind == "limited"} == set(FORMS)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- {vendor: jira, kind: hang}", "write `about:`"),
        ("about: x\nfaults: [{vendor: jira, kind: hagn}]", "fault 1: Unknown kind of fault 'hagn'"),
        ("about: x\nfaults: [{vendor: jira, knd: hang}]", "fault 1 has no field knd"),
        ("about: x\nfaults: [{vendor: jira}]", "fault 1 has no kind"),
        ("about: x\nfaults: [{vendor: a, kind: hang}, 7]", "fault 2 is no mapping"),
        ("about: x\nfaults: [{vendor: a, kind: hang, match: '('}]", "no regular expression"),
        ("about: x\nfaults: [{vendor: a, kind: limited, form: roman}]", "Unknown form of a 429 'roman'"),
        ("about: [", "is no YAML"),
    ],
)
def test_a_mistake_in_a_plan_is_told(tmp_path: Path, text: str, says: str) -> None:
    """One sentence with the file, the place and what to write."""
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(PlanError) as raised:
        read_plan(str(file))
    assert says in str(raised.value)
    assert "mine.yaml" in str(raised.value)


def test_a_plan_that_is_not_there_names_those_that_are() -> None:
    """A bare name is one of the shipped plans."""
    with pytest.raises(PlanError, match="outage"):
        read_plan("outrage")


def test_mistyped_is_the_right_shape_with_wrong_types(box: Sandbox) -> None:
    """Texts become lists and numbers texts."""
    _plan(box, kind="mistyped")
    assert _titles(box)[0] == ["[Triggered on {host:a}] Errors 30"]
    assert str(_titles(box)[0]).startswith("[Triggered")


def test_a_repeat_gives_the_first_answer_again(box: Sandbox) -> None:
    """Whatever the second request asks for, it gets what the first one got; the third is answered truly."""
    _plan(box, kind="repeat", times=2)
    first = _titles(box)
    box.run(lambda: box.datadog.fire("later", 5, "host:a", at=START - timedelta(seconds=1)))
    assert _titles(box) == first
    assert len(_titles(box)) == len(first) + 1


def test_a_lag_hides_what_is_young(box: Sandbox) -> None:
    """Only from searches, and only as long as it lasts."""
    _plan(box, kind="lag", seconds=10)
    assert len(_titles(box)) == 2
    assert len(_titles(box)) == 3


def test_a_late_answer_is_of_the_time_it_was_asked(box: Sandbox) -> None:
    """What happens while it is on its way is not in it."""
    _plan(box, kind="late", seconds=0.05)
    assert len(_titles(box)) == 3


def test_a_skewed_clock_is_the_vendors_alone(box: Sandbox) -> None:
    """An hour ahead, "the last hour" holds nothing; afterwards its clock is right again."""
    _plan(box, kind="skew", seconds=3700)
    assert _titles(box) == []
    assert box.world.clock.now() == START
    assert len(_titles(box)) == 3


def test_a_revoked_right_is_a_403_in_the_vendors_words(box: Sandbox) -> None:
    """As long as the plan says."""
    _plan(box, kind="revoked")
    url = f"{box.urls['datadog']}/api/v1/monitor"
    assert requests.get(url, headers=KEYS, timeout=5).json() == {"errors": ["Forbidden"]}
    assert requests.get(url, headers=KEYS, timeout=5).status_code == 200


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("vendor", ["datadog", "splunk", "pagerduty", "servicenow", "jira"])
def test_a_429_can_say_until_when_in_each_form(box: Sandbox, vendor: str, form: str) -> None:
    """The form that was asked for and no other; where it is the vendor's own or a standard, we read 7 seconds."""
    box.run(lambda: box.faults.add(Fault(vendor=vendor, kind="limited", form=form, seconds=7)))
    answer = requests.get(f"{box.urls[vendor]}/x", timeout=5)
    assert answer.status_code == 429
    told = {name.lower() for name in answer.headers} & {"retry-after", "x-ratelimit-reset", "ratelimit-reset"}
    assert bool(told) == (form != "silent")
    own = {
        "datadog": "reset_seconds", "pagerduty": "reset_seconds", "jira": "reset_iso", "servicenow": "reset_unix",
    }  # fmt: skip
    expected = timedelta(seconds=7) if form in ("seconds", "date", own.get(vendor)) else None
    read = retry_after(vendor, answer.headers, START)
    assert expected in (None, read)
