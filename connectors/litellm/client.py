"""The HTTP client that model calls share: bounded connections, a deadline for whole answers, a largest answer."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from itertools import count
from typing import Any

import httpcore
import httpx

_CONNECTIONS = 1024
_KEPT = 256
# A pool looks through all its connections for each request: many small pools cost less than a large one.
_POOLS = 32
_KEPT_S = 30.0
_CONNECT_S = 5.0
_READ_S = 60.0
_LARGEST_BODY = 4 * 1024 * 1024

# The status that came last over such a client, where somebody set it to None before: libraries make up their own.
HEARD: ContextVar[int | None] = ContextVar("heard", default=None)
# When the answer to the present request must have come, by the running clock.
_UNTIL: ContextVar[float] = ContextVar("until")


def new_client() -> httpx.Client:
    """A client for threads to share; close it at the end. A call's read timeout bounds its whole answer too."""
    timeout = httpx.Timeout(_READ_S, connect=_CONNECT_S)
    return httpx.Client(transport=_Bounded(), timeout=timeout, follow_redirects=False)


class TooLarge(httpx.ReadError):
    """An answer that went on beyond what any answer needs: the rest is not read."""


class _Bounded(httpx.BaseTransport):
    """The usual transport, whose answers end: a body that drips or never stops is an error."""

    def __init__(self) -> None:
        limits = httpx.Limits(
            max_connections=_CONNECTIONS // _POOLS,
            max_keepalive_connections=_KEPT // _POOLS,
            keepalive_expiry=_KEPT_S,
        )
        verify = httpx.create_ssl_context()  # reading the certificates costs most of making a pool
        self._pools = [httpx.HTTPTransport(verify=verify, limits=limits) for _ in range(_POOLS)]
        for one in self._pools:
            # httpx takes no backend of one's own, and waits for each byte as long as for the first.
            one._pool._network_backend = _Backend()
        self._turn = count()
        self._mine = threading.local()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        _UNTIL.set(time.monotonic() + (request.extensions.get("timeout", {}).get("read") or _READ_S))
        response = self._pool().handle_request(request)
        HEARD.set(response.status_code)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _BoundedStream(response.stream)
        return response

    def close(self) -> None:
        for pool in self._pools:
            pool.close()

    def _pool(self) -> httpx.HTTPTransport:
        """A thread stays with its pool, and finds its own last connection there; each pool has as many threads."""
        if not hasattr(self._mine, "pool"):
            self._mine.pool = self._pools[next(self._turn) % _POOLS]
        found: httpx.HTTPTransport = self._mine.pool
        return found


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._inner:
            size += len(part)
            if size > _LARGEST_BODY:
                raise TooLarge("the answer is too large")
            yield part

    def close(self) -> None:
        self._inner.close()


class _Backend(httpcore.SyncBackend):
    """Connections whose every read ends when the answer must have come: one that drips is an error, in its head too."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        return _Timed(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Timed(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = _UNTIL.get() - time.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the answer came too slowly")
        return self._inner.read(max_bytes, left if timeout is None else min(left, timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, timeout)

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return _Timed(self._inner.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()
