"""The HTTP client that model calls share: bounded connections, a deadline for whole answers, a largest answer."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx

_CONNECTIONS = 1000
_KEPT = 100
_KEPT_S = 30.0
_CONNECT_S = 5.0
_LARGEST_BODY = 4 * 1024 * 1024


def new_client(timeout_s: float) -> httpx.Client:
    """A client for threads to share. An answer that takes longer than `timeout_s` in all is cut off."""
    return httpx.Client(
        transport=_Bounded(timeout_s),
        timeout=httpx.Timeout(timeout_s, connect=min(_CONNECT_S, timeout_s)),
        follow_redirects=False,
    )


class _Bounded(httpx.BaseTransport):
    """The usual transport, whose answers end: a body that drips or never stops is an error."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        limits = httpx.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_KEPT, keepalive_expiry=_KEPT_S
        )
        self._inner = httpx.HTTPTransport(limits=limits)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        until = time.monotonic() + self._timeout_s
        response = self._inner.handle_request(request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _BoundedStream(response.stream, until)
        return response

    def close(self) -> None:
        self._inner.close()


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, inner: httpx.SyncByteStream, until: float) -> None:
        self._inner = inner
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._inner:
            size += len(part)
            if size > _LARGEST_BODY:
                raise httpx.ReadError("the answer is too large")
            if time.monotonic() > self._until:
                raise httpx.ReadTimeout("the answer came too slowly")
            yield part

    def close(self) -> None:
        self._inner.close()
