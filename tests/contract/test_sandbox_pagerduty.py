"""The imitated PagerDuty, asked by its own SDK and judged by the published specification."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.pagerduty import BOT_EMAIL, TOKEN
from sandbox.server import Sandbox
from tests.deviations import parts
from tests.specs import Specification

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the SDK tells at import that it has a successor
    import pdpyras

pytestmark = pytest.mark.contract
# Open incidents have no resolved_at, which the specification does not allow for; and its kinds of channel
# overlap, so that by its own oneOf no log entry is valid.


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7) as box:
        yield box


@pytest.fixture
def api(box: Sandbox) -> Iterator[Any]:
    with _session(box, TOKEN) as session:
        yield session


def _session(box: Sandbox, token: str) -> Any:
    session = pdpyras.APISession(token, default_from=BOT_EMAIL)
    session.url, session.max_network_attempts, session.retry = box.urls["pagerduty"], 1, {429: 0}
    return session


def _fire(box: Sandbox, key: str = "cart-5xx", ago: int = 10, summary: str = "cart answers 503") -> str:
    at = box.world.clock.now() - timedelta(minutes=ago)
    return str(box.run(lambda: box.pagerduty.fire(summary, "cart", "critical", key, {"rate": "14 %"}, at)))


def test_pagerduty_shows_a_fired_alert_as_an_open_incident(box: Sandbox, api: Any) -> None:
    """A trigger event opens an incident whose alert carries the event's details."""
    incident_id = _fire(box)
    incident = api.rget(f"/incidents/{incident_id}")
    (alert,) = api.rget(f"/incidents/{incident_id}/alerts")
    assert (incident["status"], incident["title"], incident["urgency"]) == (
        "triggered",
        "cart answers 503",
        "high",
    )
    assert alert["body"]["cef_details"]["details"] == {"rate": "14 %"}


def test_pagerduty_joins_equal_events_until_they_are_resolved(box: Sandbox, api: Any) -> None:
    """The same dedup key joins the open incident; after its recovery it opens a new one."""
    first, second = _fire(box), _fire(box)
    box.run(lambda: box.pagerduty.recover("cart-5xx"))
    assert first == second
    assert api.rget(f"/incidents/{first}")["status"] == "resolved"
    assert _fire(box) != first


def test_pagerduty_filters_incidents_by_their_creation_only(box: Sandbox, api: Any) -> None:
    """since and until look at the creation; a later change does not bring an old incident into the window."""
    old, new = _fire(box, "a", ago=120), _fire(box, "b", ago=5)
    api.rput(f"/incidents/{old}", json={"type": "incident_reference", "status": "acknowledged"})
    since = (box.world.clock.now() - timedelta(hours=1)).isoformat()
    assert [row["id"] for row in api.iter_all("incidents", params={"since": since})] == [new]


def test_pagerduty_reads_a_time_without_zone_in_the_account_zone(box: Sandbox, api: Any) -> None:
    """A since without offset means the account's zone, five hours behind UTC, and so asks for the future."""
    _fire(box, ago=5)
    naive = (box.world.clock.now() - timedelta(hours=1)).replace(tzinfo=None).isoformat()
    until = (box.world.clock.now() + timedelta(hours=9)).isoformat()
    assert api.rget("/incidents", params={"since": naive, "until": until}) == []


def test_pagerduty_refuses_rows_beyond_ten_thousand(api: Any) -> None:
    """offset + limit may not pass 10000."""
    assert api.get("/incidents", params={"offset": 9_901, "limit": 100}).status_code == 400
    assert api.get("/incidents", params={"offset": 9_900, "limit": 100}).ok


def test_pagerduty_pages_until_nothing_is_left(box: Sandbox, api: Any) -> None:
    """Every incident comes once over all pages."""
    made = [_fire(box, f"key-{number}") for number in range(7)]
    read = [row["id"] for row in api.iter_all("incidents", page_size=3, params={"statuses[]": ["triggered"]})]
    assert read == made


def test_pagerduty_log_holds_every_change_newest_first(box: Sandbox, api: Any) -> None:
    """Trigger, note, acknowledgement, resolution and reopening each leave one log entry with who did it."""
    incident_id = _fire(box)
    api.rpost(f"/incidents/{incident_id}/notes", json={"content": "looking"})
    for status in ("acknowledged", "resolved", "triggered"):
        api.rput(f"/incidents/{incident_id}", json={"type": "incident_reference", "status": status})
    entries = list(api.iter_all("log_entries", params={"include[]": ["channels", "incidents"]}))
    assert [entry["type"].removesuffix("_log_entry") for entry in entries] == [
        "reopen",
        "resolve",
        "acknowledge",
        "annotate",
        "trigger",
    ]
    assert entries[0]["incident"]["status"] == "triggered"
    assert entries[3]["agent"]["summary"] == "Countersign"
    assert entries[4]["channel"]["cef_details"]["dedup_key"] == "cart-5xx"


def test_pagerduty_refuses_writes_from_strangers(box: Sandbox, api: Any) -> None:
    """A From that is no user of the account is refused, and nothing changes."""
    incident_id = _fire(box)
    body = {"note": {"content": "hello"}}
    answer = api.post(f"/incidents/{incident_id}/notes", json=body, headers={"From": "nobody@example.com"})
    assert answer.status_code == 400
    assert api.rget(f"/incidents/{incident_id}/notes") == []
    assert box.world.writes == []


def test_pagerduty_notes_can_be_edited_and_taken_back(box: Sandbox, api: Any) -> None:
    """A note is written, changed and deleted, and each write is logged with the marker it carries."""
    path = f"/incidents/{_fire(box)}/notes"
    note = api.rpost(path, json={"content": "draft [countersign:1a2b]"})
    api.put(f"{path}/{note['id']}", json={"note": {"content": "second draft [countersign:1a2b]"}})
    assert [row["content"] for row in api.rget(path)] == ["second draft [countersign:1a2b]"]
    assert api.delete(f"{path}/{note['id']}").status_code == 204
    assert [(write.kind, write.marker) for write in box.world.writes] == [
        ("note.create", "countersign:1a2b"),
        ("note.update", "countersign:1a2b"),
        ("note.delete", "countersign:1a2b"),
    ]


def test_pagerduty_updates_many_incidents_in_one_request(box: Sandbox, api: Any) -> None:
    """A bulk update changes all the incidents named, and none when one is unknown."""
    ids = [_fire(box, "a"), _fire(box, "b")]
    changes = [{"id": one, "type": "incident_reference", "status": "resolved"} for one in ids]
    unknown = {"id": "PNONE", "type": "incident_reference", "status": "resolved"}
    assert api.put("/incidents", json={"incidents": [*changes, unknown]}).status_code == 404
    assert {row["status"] for row in api.rget("/incidents")} == {"triggered"}
    api.rput("incidents", json=changes)
    assert {row["status"] for row in api.rget("/incidents")} == {"resolved"}


def test_pagerduty_takes_events_over_http(box: Sandbox, api: Any) -> None:
    """The events API opens and resolves an incident."""
    events = pdpyras.EventsAPISession("routing-key")
    events.url = box.urls["pagerduty"]
    key = events.trigger("disk is full", "db-01", severity="error", custom_details={"mount": "/data"})
    (incident,) = api.rget("/incidents")
    assert (incident["incident_key"], incident["service"]["summary"]) == (key, "db-01")
    events.resolve(key)
    assert api.rget(f"/incidents/{incident['id']}")["status"] == "resolved"


def test_pagerduty_answers_strangers_in_its_own_words(box: Sandbox) -> None:
    """A wrong token is a 401 with PagerDuty's error body."""
    with _session(box, "wrong") as stranger, pytest.raises(pdpyras.PDHTTPError) as refusal:
        stranger.get("/users/me")
    assert (refusal.value.response.status_code, refusal.value.response.json()["error"]["code"]) == (401, 2006)


def test_pagerduty_tells_the_rate_reset_in_seconds(box: Sandbox) -> None:
    """Its 429 carries ratelimit-reset, in seconds from now."""
    headers = box.pagerduty.error(429).headers
    assert (headers["ratelimit-remaining"], int(headers["ratelimit-reset"]) < 60) == ("0", True)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/incidents?statuses[]=triggered&limit=2", None),
        ("GET", "/incidents/{id}", None),
        ("GET", "/incidents/{id}/alerts", None),
        ("GET", "/incidents/{id}/notes", None),
        ("POST", "/incidents/{id}/notes", {"note": {"content": "seen"}}),
        ("PUT", "/incidents/{id}", {"incident": {"type": "incident_reference", "status": "resolved"}}),
        ("GET", "/log_entries?include[]=channels", None),
        ("GET", "/services", None),
        ("GET", "/users/me", None),
        ("GET", "/incidents/NONE", None),
    ],
)
def test_pagerduty_exchanges_are_true_to_the_specification(
    box: Sandbox, api: Any, contracts_dir: Path, method: str, path: str, body: object
) -> None:
    """What we send and what the imitation answers is what PagerDuty published."""
    spec = Specification(contracts_dir / "pagerduty" / "slice-rest.prism.json", box.urls["pagerduty"])
    headers = {"Accept": "application/json", "Content-Type": "application/json"}
    answer = api.request(method, path.format(id=_fire(box)), json=body, headers=headers)
    assert [
        one for one in spec.complaints(answer) if not any(known in one for known in parts("pagerduty"))
    ] == []
