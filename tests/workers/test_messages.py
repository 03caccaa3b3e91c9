"""Messages: what another release sends is understood or put aside; no message loses work or ends a worker."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import redis

from benchmarks.plant import Plant, plant, wait
from connectors.redis.server import EmbeddedRedis
from workers.app import new_app
from workers.parts import Wake
from workers.settings import Settings
from workers.tasks import send

# The wire form of 0.1.0, as it lay in Redis: Celery's second protocol in kombu's envelope. Messages of a release may
# still lie there when the next one starts, so this stays as it is; a later form is added below it.
RELEASED: dict[str, Any] = {
    "body": "W1tbInNlcnZpY2Vub3ciXV0sIHt9LCB7ImNhbGxiYWNrcyI6IG51bGwsICJlcnJiYWNrcyI6IG51bGwsICJjaGFpbiI6"
    "IG51bGwsICJjaG9yZCI6IG51bGx9XQ==",
    "content-encoding": "utf-8",
    "content-type": "application/json",
    "headers": {
        "lang": "py", "task": "countersign.pull", "id": "4120503f-a694-4647-9688-2c693cec0a7a", "shadow": None,
        "eta": None, "expires": None, "group": None, "group_index": None, "retries": 0, "timelimit": [None, None],
        "root_id": "4120503f-a694-4647-9688-2c693cec0a7a", "parent_id": None, "argsrepr": "[['servicenow']]",
        "kwargsrepr": "{}", "origin": "gen24965@vm", "ignore_result": True, "replaced_task_nesting": 0,
        "stamped_headers": None, "stamps": {},
    },
    "properties": {
        "correlation_id": "4120503f-a694-4647-9688-2c693cec0a7a",
        "reply_to": "2c75fe63-0e9a-3016-8a6b-69dd81393a68",
        "delivery_mode": 2, "delivery_info": {"exchange": "", "routing_key": "pull"}, "priority": 0,
        "body_encoding": "base64", "delivery_tag": "947ad9b7-ebc8-4db7-8f10-12bbf7d35946",
    },
}  # fmt: skip
QUEUE = "countersign:pull"
# What differs from one message to the next, or from one process to another.
PASSING = {"id", "root_id", "origin", "correlation_id", "reply_to", "delivery_tag"}


@pytest.fixture
def running(tmp_path: Path, sqlite_url: str) -> Iterator[Plant]:
    with plant(tmp_path, sqlite_url) as one:
        yield one


def _like(tag: str, *, task: str = "countersign.pull", arguments: object = None) -> str:
    """The released message with another task, other arguments, or both."""
    made = deepcopy(RELEASED)
    made["headers"] |= {"task": task, "id": tag, "root_id": tag}
    made["properties"] |= {"delivery_tag": tag, "correlation_id": tag}
    if arguments is not None:
        made["body"] = b64encode(json.dumps(arguments).encode()).decode()
    return json.dumps(made)


NOTHING = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
ODD = {
    "a stage that is not known here": _like("1", task="countersign.dream", arguments=[[["x"]], {}, NOTHING]),
    "no ids": _like("2", arguments=[[], {}, NOTHING]),
    "ids of another form": _like("3", arguments=[[{"feed": "servicenow"}], {}, NOTHING]),
    "a body that is no JSON": json.dumps(RELEASED | {"body": b64encode(b"\xff\x00").decode()}),
    "no task at all": json.dumps(RELEASED | {"headers": {}, "body": b64encode(b"{}").decode()}),
}
LATER = _like("9", arguments=[[["jira"], "more"], {"urgent": True}, NOTHING])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_another_release_sends_harms_nothing(running: Plant) -> None:
    """After five messages that mean nothing here a worker does what the one before and a later one ask."""
    running.open_tickets(0, 2)  # one at Jira, one at ServiceNow
    with redis.Redis.from_url(running.broker.url, socket_timeout=5) as client:
        client.rpush(QUEUE, LATER, json.dumps(RELEASED), *ODD.values())  # taken from the right
        worker = running.start("worker", "--queues", "pull,assess,act", "--threads", "1")
        wait(lambda: running.at_rest(2), 90, "both tickets have their notes")
        assert client.llen(QUEUE) == 0
        assert worker.poll() is None
    assert "wake.not_understood" in running.log.read_text()
    assert (running.lost(), running.doubled()) == (0, 0)


def test_what_is_sent_is_what_was_released() -> None:
    """A message has the form that the release before understands: the same members, with the same values."""
    with EmbeddedRedis() as broker:
        send(new_app(Settings(), broker.url), Wake("pull", ("servicenow",)))
        with redis.Redis.from_url(broker.url, socket_timeout=5, decode_responses=True) as client:
            sent = json.loads(client.lindex(QUEUE, 0) or "")
    assert _lasting(sent) == _lasting(RELEASED)
    assert json.loads(b64decode(sent["body"])) == [[["servicenow"]], {}, NOTHING]


def _lasting(message: dict[str, Any]) -> dict[str, Any]:
    """A message without what is of the moment."""
    parts = {name: message[name] for name in ("headers", "properties")}
    kept = {name: {k: v for k, v in part.items() if k not in PASSING} for name, part in parts.items()}
    return {**message, **kept}
