"""What Datadog was recorded to say, through our connector: alerts, dead letters or our errors, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from connectors.cursor import Pace
from connectors.datadog.client import DatadogClient, DatadogConfig
from connectors.datadog.logs import DatadogLogs
from connectors.datadog.source import DatadogSource
from countersign.alerts import Alert, AlertState
from countersign.errors import OutsideError, Permanent
from countersign.ports import Firing, Page, Unreadable
from countersign.severity import Severity
from tests.unkind import Unkind, answer

pytestmark = pytest.mark.contract
START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
END = (200, b'{"data": []}')
Answer = tuple[int, bytes]


def _recorded(folder: Path, *words: str) -> Iterator[tuple[str, list[tuple[str, Answer]]]]:
    """The cassettes whose names hold one of these words: name, and the method and answer of each call in turn."""
    for file in sorted(folder.glob("cassettes-v*/*.yaml")):
        if any(word in file.name for word in words):
            played = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["interactions"]
            yield file.stem, [(one["request"]["method"], _answer(one["response"])) for one in played]


def _answer(response: dict[str, Any]) -> Answer:
    body = response["body"]["string"]
    return response["status"]["code"], body if isinstance(body, bytes) else body.encode()


def _play(answers: list[Answer]) -> Callable[[Any], None]:
    """Answers with these in turn, and with the last one for ever."""
    left = list(answers)

    def behave(handler: Any) -> None:
        answer(*(left.pop(0) if len(left) > 1 else left[0]))(handler)

    return behave


def _client(url: str) -> DatadogClient:
    return DatadogClient(DatadogConfig(api_key="a", app_key="b", url=url, read_s=5))


def _read(answers: list[Answer]) -> list[Page]:
    with Unkind(_play(answers)) as server:
        pace = Pace(settle=timedelta(0), look_back=timedelta(days=10_000))
        return list(DatadogSource(client=_client(server.url), clock=lambda: START, pace=pace).read(None))


def test_every_recorded_event_is_an_alert_or_a_dead_letter(contracts_dir: Path) -> None:
    """Each page of each recorded listing and search: as many come out as went in, each with its id."""
    names, told = [], 0
    for name, played in _recorded(contracts_dir / "datadog", "list_of_events", "search_events_returns_ok"):
        pages = [reply for _, reply in played if reply[0] == 200]
        wanted = [event["id"] for _, body in pages for event in json.loads(body)["data"]]
        read = _read([*pages, END])
        got = [alert.source_id for page in read for alert in page.alerts]
        odd = [one.source_id for page in read for one in page.unreadable]
        assert sorted(set(got + odd)) == sorted(set(wanted)), name
        names.append(name)
        told += len(wanted)
    assert len(names) >= 3
    assert told > 0


def test_a_recorded_refusal_is_ours(contracts_dir: Path) -> None:
    """A bad search is refused with Datadog's own reason, and for good."""
    for _, played in _recorded(contracts_dir / "datadog", "search_events_returns_bad_request"):
        with pytest.raises(Permanent) as raised:
            _read([reply for _, reply in played])
        assert raised.value.status == 400


def test_every_recorded_log_line_is_text(contracts_dir: Path) -> None:
    """Lines of every recorded search, at most as many as asked for, on one line each."""
    told = 0
    for name, played in _recorded(contracts_dir / "datadog", "search_logs_returns_ok", "list_of_logs"):
        for _, reply in played:
            with Unkind(_play([reply])) as server:
                lines = DatadogLogs(client=_client(server.url), clock=lambda: START).lines(
                    service="x", around=START, limit=100
                )
            assert all("\n" not in line and len(line) <= 500 for line in lines), name
            told += len(lines)
    assert told > 0


def test_every_recorded_monitor_can_be_asked_whether_it_fires(contracts_dir: Path) -> None:
    """Details with and without groups, and a monitor that is not there, are YES, NO or UNKNOWN."""
    alert = Alert(
        source="datadog", source_id="1", dedup_key="datadog:7:host:a", state=AlertState.FIRING,
        occurred_at=START, summary="x", severity=Severity.LOW, rule="7",
    )  # fmt: skip
    said = set()
    for _, played in _recorded(contracts_dir / "datadog", "get_a_monitors_details"):
        for reply in [reply for method, reply in played if method == "GET"]:
            with Unkind(_play([reply])) as server:
                source = DatadogSource(client=_client(server.url), clock=lambda: START)
                said.add(source.still_firing([alert]))
    assert Firing.UNKNOWN in said


def test_no_recorded_answer_breaks_the_connector(contracts_dir: Path) -> None:
    """Every answer to any operation, as if it were one to ours: pages or one of our errors, never another."""
    seen = 0
    for name, played in _recorded(contracts_dir / "datadog", "test_"):
        for _, reply in played:
            outcome = _outcome([reply, END])
            assert outcome == "error" or all(one.reason and one.payload for one in outcome), name
            seen += 1
    assert seen > 300


def _outcome(answers: list[Answer]) -> list[Unreadable] | Literal["error"]:
    """What could not be read, or "error" for one of ours."""
    try:
        return [one for page in _read(answers) for one in page.unreadable]
    except OutsideError:
        return "error"
