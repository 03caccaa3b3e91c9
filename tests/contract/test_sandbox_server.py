"""The sandbox as a server: its faults, its control port, its log of writes and its own process."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from sandbox.faults import Fault
from sandbox.server import Sandbox

START = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
AUTH = ("countersign", "secret")
VENDORS = ("servicenow", "jira", "pagerduty", "datadog", "splunk", "model")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(seed=7, start=START, speed=0) as box:
        yield box


def _incidents(box: Sandbox) -> str:
    return f"{box.urls['servicenow']}/api/now/table/incident"


def _post(box: Sandbox, timeout: float = 5) -> requests.Response:
    return requests.post(_incidents(box), json={"short_description": "x"}, auth=AUTH, timeout=timeout)


def _control(box: Sandbox, method: str, path: str, body: object = None) -> Any:
    return requests.request(method, box.urls["control"] + path, json=body, timeout=5).json()


def test_every_vendor_has_a_port_of_its_own(box: Sandbox) -> None:
    """Six vendors and the control port, all on loopback."""
    assert set(box.urls) == {*VENDORS, "control"}
    assert len({url.rpartition(":")[2] for url in box.urls.values()}) == 7
    assert all(url.startswith("http://127.0.0.1:") for url in box.urls.values())


def test_a_port_base_numbers_the_ports(unused_ports: int) -> None:
    """With a base the vendors listen on consecutive ports, in their fixed order."""
    with Sandbox(port_base=unused_ports) as box:
        assert [int(url.rpartition(":")[2]) for url in box.urls.values()] == [
            unused_ports + n for n in range(7)
        ]


@pytest.fixture
def unused_ports() -> int:
    """The first of a row of ports below the range that the system gives out."""
    return 20_000 + os.getpid() % 10_000


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_planned_status_is_told_in_the_vendors_words(box: Sandbox, vendor: str, status: int) -> None:
    """Every vendor has a body of its own for each status: JSON, or the XML that Splunk falls back to."""
    box.faults.add(Fault(vendor=vendor, kind="status", status=status))
    told = requests.get(box.urls[vendor] + "/anything", timeout=5)
    assert told.status_code == status
    assert told.text[:1] in ("{", "<")


@pytest.mark.parametrize(
    ("kind", "commits"),
    [("reset_before", 0), ("reset_after", 1), ("truncated", 1)],
)
def test_a_broken_connection_says_nothing_about_the_write(box: Sandbox, kind: Any, commits: int) -> None:
    """The client sees an error; whether the record exists differs. Then the vendor works again."""
    box.faults.add(Fault(vendor="servicenow", kind=kind))
    with pytest.raises(requests.RequestException):
        _post(box)
    assert len(box.servicenow.records.rows["incident"]) == len(box.world.writes) == commits
    assert _post(box).status_code == 201


@pytest.mark.parametrize(
    ("kind", "status", "body", "commits"),
    [
        ("error_after_commit", 500, '{"error"', 1),
        ("nonsense", 200, "<html>", 0),
        ("empty", 200, "", 0),
        ("slow", 201, '{"result"', 1),
    ],
)
def test_a_strange_answer_arrives_whole(
    box: Sandbox, kind: Any, status: int, body: str, commits: int
) -> None:
    """500 after the write, a page of HTML, nothing at all, or the right answer late."""
    box.faults.add(Fault(vendor="servicenow", kind=kind, seconds=0.01))
    told = _post(box)
    assert (told.status_code, told.text.startswith(body), bool(told.text)) == (status, True, bool(body))
    assert len(box.world.writes) == commits


def test_a_hanging_vendor_ends_with_the_clients_patience(box: Sandbox) -> None:
    """A request that hangs does nothing, and does not hold up other requests or the end of the sandbox."""
    box.faults.add(Fault(vendor="servicenow", kind="hang"))
    with pytest.raises(requests.ReadTimeout):
        _post(box, timeout=1)  # so long that it has arrived
    assert box.world.writes == []
    assert _post(box).status_code == 201


def test_faults_choose_by_request_line_and_wear_out(box: Sandbox) -> None:
    """A fault strikes only what its expression fits, as often as it says; None means for ever."""
    box.faults.add(Fault(vendor="*", kind="status", status=503, match=r"^POST /api/now", times=2))
    assert requests.get(_incidents(box), auth=AUTH, timeout=5).status_code == 200
    assert [_post(box).status_code for _ in range(3)] == [503, 503, 201]
    box.faults.add(Fault(vendor="servicenow", kind="status", status=429, times=None))
    assert [_post(box).status_code for _ in range(3)] == [429] * 3
    assert box.faults.taken == {"status": 5}


def test_chances_are_seeded() -> None:
    """The same seed throws the same dice."""
    thrown = []
    for _ in range(2):
        with Sandbox(seed=11) as box:
            box.faults.add(Fault(vendor="servicenow", kind="status", status=503, times=None, probability=0.5))
            thrown.append([_post(box).status_code for _ in range(20)])
    assert thrown[0] == thrown[1]
    assert set(thrown[0]) == {201, 503}


def test_handlers_are_atomic(box: Sandbox) -> None:
    """Many clients at once lose no update and get a number each."""
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: _post(box).json()["result"]["number"], range(64)))
    assert len(set(numbers)) == 64
    assert sorted(write.target for write in box.world.writes) == sorted(numbers)


def test_a_request_begins_when_its_body_is_there(box: Sandbox) -> None:
    """Half a request changes nothing and is overtaken, so that no handler is interrupted by its own client."""
    box.faults.add(Fault(vendor="servicenow", kind="status", status=503))
    host, port = _incidents(box).split("/")[2].split(":")
    head = "POST /api/now/table/incident HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nx-sn-apikey: k\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=5) as slow:
        slow.sendall(f"{head}{{".encode())
        assert _post(box).status_code == 503
        slow.sendall(b"}")
        assert slow.recv(12) == b"HTTP/1.1 201"


def test_run_is_called_on_the_servers_thread(box: Sandbox) -> None:
    """State is touched between two requests, and errors come back to the caller."""
    assert box.run(lambda: threading.current_thread().name) == "sandbox"
    with pytest.raises(ZeroDivisionError):
        box.run(lambda: 1 // 0)


def test_the_control_port_shows_and_steers(box: Sandbox) -> None:
    """Another process reads writes, counts and tickets, plans faults and moves time."""
    _post(box)
    box.run(lambda: box.jira.open_issue(summary="y"))
    (write,) = _control(box, "GET", "/writes")
    assert (write["vendor"], write["kind"], write["target"]) == ("servicenow", "create", "INC0010001")
    assert _control(box, "GET", "/writes?since=1") == []
    assert [(t["vendor"], t["key"], t["open"]) for t in _control(box, "GET", "/tickets")] == [
        ("servicenow", "INC0010001", True),
        ("jira", "OPS-1", True),
    ]
    assert _control(box, "GET", "/state")["servicenow"]["incident"] == 1
    assert _control(box, "POST", "/clock", {"step_s": 90})["now"] == "2026-11-20T09:01:30+00:00"
    assert _control(box, "POST", "/faults", {"vendor": "*", "kind": "status", "status": 503}) == {
        "planned": 1
    }
    assert _post(box).status_code == 503
    assert _control(box, "GET", "/faults")["taken"] == {"status": 1}
    assert _control(box, "DELETE", "/faults") == {"planned": 0}
    assert _control(box, "POST", "/engineers/step") == []


@pytest.mark.parametrize(
    "fault",
    [{"vendor": "*", "kind": "explode"}, {"vendor": "*", "kind": "slow", "match": "("}, {"kidn": "slow"}],
)
def test_the_control_port_refuses_faults_that_make_no_sense(box: Sandbox, fault: dict[str, str]) -> None:
    """An unknown kind, a broken expression or a mistyped field is an error, and nothing is planned."""
    assert "error" in _control(box, "POST", "/faults", fault)
    assert _control(box, "GET", "/faults")["plan"] == []


def test_the_sandbox_runs_as_a_process_until_it_is_told_to_stop(tmp_path: Path) -> None:
    """It writes its URLs once it serves, answers, and ends by itself on SIGTERM."""
    file = tmp_path / "urls.json"
    command = [sys.executable, "-m", "sandbox", "--urls-file", str(file), "--seed", "3", "--latency-ms", "1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"sandbox: serving\n"
        urls = json.loads(file.read_text())
        told = requests.get(urls["jira"] + "/rest/api/3/serverInfo", timeout=5)
        process.send_signal(signal.SIGTERM)
        assert (told.status_code, process.wait(timeout=10)) == (200, 0)


def test_a_client_that_dies_while_it_writes_is_no_error(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a request and then a reset: nothing is done and nothing is logged; the next client is answered."""
    at = urlsplit(box.urls["servicenow"])
    with socket.create_connection((at.hostname or "", at.port or 0), timeout=5) as client:
        client.sendall(b"POST /api/now/table/incident HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert _post(box).status_code == 201
    assert caplog.records == []


_PARENT = """
import subprocess, sys
command = [sys.executable, "-m", "sandbox", "--urls-file", sys.argv[1]]
child = subprocess.Popen(command, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
child.wait()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_the_sandbox_dies_with_its_parent(tmp_path: Path) -> None:
    """A parent that is killed leaves no orphan."""
    command = [sys.executable, "-c", _PARENT, str(tmp_path / "urls.json")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        watched = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([watched], [], [], 10)
    os.close(watched)
    assert ended == [watched]


def test_time_runs_faster_when_asked() -> None:
    """The sandbox's clock has its own start and speed."""
    with Sandbox(start=START, speed=1e6) as box:
        assert box.world.clock.now() - START > timedelta(seconds=1)
