"""An HTTP server that misbehaves in one way, and remembers every request that reached it."""

from __future__ import annotations

import gzip
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

_RST = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Unkind:
    """`with Unkind(hang) as server:` listens on `url` until the block ends; `asked` holds what it was sent."""

    behave: Callable[[_Handler], None]
    tls: ssl.SSLContext | None = None
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.over = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.owner = self  # type: ignore[attr-defined]
        self._server.handle_error = lambda request, address: None  # type: ignore[method-assign]
        if self.tls:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self._server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _any(self) -> None:
        self.owner: Unkind = self.server.owner  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.owner.asked.append(Asked(self.command, self.path, dict(self.headers.items()), body))
        self.close_connection = True
        self.owner.behave(self)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _any

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the tests read `asked`."""


def answer(status: int, body: bytes = b"{}", **headers: str) -> Callable[[_Handler], None]:
    """A whole answer; underscores in the names of headers stand for dashes."""

    def behave(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def hang(handler: _Handler) -> None:
    """Never answers."""
    handler.owner.over.wait(30)


def reset(handler: _Handler) -> None:
    """Takes the request and drops the connection with a TCP reset."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    handler.connection.close()


def truncated(handler: _Handler) -> None:
    """Promises more than it sends."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"data": [')


def endless(handler: _Handler) -> None:
    """Sends a little all the time, so that no single read is ever late."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.owner.over.wait(0.02):
        handler.wfile.write(b" ")


def huge(handler: _Handler) -> None:
    """Sends more than any answer may hold, and good JSON at that."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(64):
        handler.wfile.write(b" " * 1024 * 1024)
    handler.wfile.write(b"{}")


def zipped(handler: _Handler) -> None:
    """A whole answer in the two encodings that real vendors use: gzip inside of chunks."""
    _chunks(handler, gzip.compress(b'{"whole": true}'), whole=True)


def half_zipped(handler: _Handler) -> None:
    """The same, broken off between two chunks."""
    _chunks(handler, gzip.compress(b'{"whole": true}')[:12], whole=False)


def _chunks(handler: _Handler, body: bytes, *, whole: bool) -> None:
    handler.send_response(200)
    handler.send_header("Content-Encoding", "gzip")
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(f"{len(body):x}\r\n".encode() + body + b"\r\n" + (b"0\r\n\r\n" if whole else b""))
