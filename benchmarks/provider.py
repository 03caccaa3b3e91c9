"""A model endpoint that costs next to nothing: `python -m benchmarks.provider LATENCY_S` prints its port and answers.

What is measured with it is everything else. It speaks as much HTTP as the calls of a benchmark need.
"""

from __future__ import annotations

import asyncio
import json
import sys

_SAID = {
    "category": "availability", "severity": "medium", "actionability": "act", "group": None,
    "summary": "The service answers slowly", "likely_cause": "The last rollout raised its memory use",
    "evidence": ["a1"], "confidence": "medium",
}  # fmt: skip
_BODY = json.dumps(
    {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1795176000, "model": "sandbox-small",
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": json.dumps(_SAID)}}
        ],
        "usage": {"prompt_tokens": 900, "completion_tokens": 80, "total_tokens": 980},
    }
).encode()  # fmt: skip
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY) + _BODY
)


class _Connection(asyncio.Protocol):
    """One keep-alive connection: each whole request is answered so many seconds later."""

    def __init__(self, latency_s: float) -> None:
        self._latency_s = latency_s
        self._read = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        while (length := _whole(self._read)) > 0:
            self._read = self._read[length:]
            asyncio.get_running_loop().call_later(self._latency_s, self._transport.write, _ANSWER)


def _whole(read: bytes) -> int:
    """The length of the first request if all of it is there, else 0."""
    head, ended, _ = read.partition(b"\r\n\r\n")
    if not ended:
        return 0
    lines = (line.partition(b":") for line in head.lower().split(b"\r\n"))
    body = next((int(value) for name, _, value in lines if name == b"content-length"), 0)
    length = len(head) + 4 + body
    return length if len(read) >= length else 0


async def _serve(latency_s: float) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: _Connection(latency_s), "127.0.0.1", 0, backlog=2000
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
