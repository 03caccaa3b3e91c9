"""Health: GET /healthz answers 200 while everything that should run runs, else 503, with what is wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from countersign.errors import ConfigError

State = Callable[[], tuple[bool, dict[str, object]]]


def serve(host: str, port: int, state: State) -> ThreadingHTTPServer:
    """Answers in a thread of its own. `state` gives (well, details); the port is in `server_address`.

    Raises ConfigError where it can't listen there.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 5

        def do_GET(self) -> None:
            if self.path != "/healthz":
                self.send_error(404)
                return
            well, details = state()
            body = json.dumps({"well": well, **details}).encode()
            self.send_response(200 if well else 503)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come every few seconds and tell nothing."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except OSError as error:
        raise ConfigError(
            f"The health page can't listen on {host}:{port} ({error.strerror}); mend workers.health_host and "
            "workers.health_port, or end what listens there."
        ) from None
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
