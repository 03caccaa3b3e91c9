"""A model endpoint, imitated in the shape of OpenAI's API: it answers triage by keywords, always the same."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from sandbox.world import World

Json = dict[str, Any]
TOKEN = "model-token"
MODELS = ("sandbox-small", "sandbox-large")
_HOURS = 3600.0
_HUGE = 2_000_000
FLOOD = 64 * 1024 * 1024
_WAVE = b"x" * 65_536
_SPAN = re.compile(r"\[([a-z]{1,2}\d{1,3})\]")
_INSTRUCTION = re.compile(r"ignore (?:the|all|any|your|previous)|close all|disregard|new instructions", re.I)

# The first row with a word in the text names the category: what has ended comes first, what is broken before
# what is merely told.
_CATEGORIES: tuple[tuple[str, str], ...] = (
    ("recovered", r"\brecovered\b|\bresolved itself\b|back to normal|has cleared|is healthy again"),
    ("flapping", r"\bflapp\w*|toggl\w+|up and down|\d+ state changes"),
    (
        "security",
        r"brute.?force|failed log-?ins|unauthori[sz]ed|malware|intrusion|suspicious|leaked|secret|cve-",
    ),
    ("informational", r"backup (?:finished|completed)|renewed|renewal|autoscal\w+|scaled (?:up|down|out|in)"),
    (
        "informational",
        r"for information|maintenance (?:window )?(?:started|ended)|no action|heartbeat ok|rotated",
    ),
    ("deployment", r"\brollout|deploy\w*|crashloop\w*|image ?pull|rolled? ?back|canary|release \d"),
    (
        "hardware",
        r"\bdisk failure|smart error|\bfan\b|power supply|\bpsu\b|raid|ecc error|temperature|battery",
    ),
    (
        "capacity",
        r"disk (?:space|usage|is|will|at)|filesystem|file system|\bfull\b|mountpoint|tablespace|quota",
    ),
    ("network", r"packet loss|\bbgp\b|\bdns\b|\bvpn\b|link down|interface|switch|router|firewall"),
    ("data", r"replicat\w+|replica lag|corrupt\w*|checksum|inconsisten\w+|backup failed|import failed|etl"),
    (
        "availability",
        r"\bdown\b|outage|unavailable|unreachable|\b5\d\d\b|error rate|failing|refused|missing|absent",
    ),
    (
        "performance",
        r"latenc\w+|\bslow\w*|\bp9\d\b|timeouts?|timed out|response time|queue|backlog|cpu|throttl\w+",
    ),
    ("capacity", r"growing|out of (?:memory|space)|\boom|memory (?:usage|pressure)|pool exhausted|storage"),
    ("access", r"password|log ?in\b|account (?:is )?locked|permission|access (?:denied|request)|unlock|mfa"),
)
_SEVERITIES: tuple[tuple[str, str], ...] = (
    ("critical", r"outage|all (?:payments|customers)|data loss|\bcritical\b|sev-?1|\bp1\b"),
    ("high", r"\bhigh\b|\berror\b|\bdown\b|unavailable|failing|customers|\b5\d\d\b|intrusion|leaked|secret"),
    ("medium", r"\bwarn(?:ing)?\b|degraded|latency|slow|backlog|growing|\bmedium\b"),
    ("low", r"\blow\b|minor|flapp\w*|single"),
)
_QUIET = {"informational": "info", "recovered": "info", "flapping": "low"}
_GROUPS: tuple[tuple[str, str], ...] = (
    ("payments", r"payment|checkout|card|psp|settlement|invoice"),
    ("database", r"postgres|mysql|oracle|database|replica|tablespace|redis|mongo|\bdb-"),
    ("network", r"network|bgp|dns|vpn|switch|router|firewall|packet|link"),
    ("platform", r"kubernetes|\bpod|node|deploy|cluster|container|disk|cpu|memory|certificate|autoscal"),
)
_ACTION = {"info": "none", "low": "watch"}


def answer(text: str, told: str = "") -> Json:
    """The triage answer to a case, by keywords alone; the same text always gives the same answer.

    The case begins at the first span ([a1] …), or is all of the text if it has none. `told` is what else the
    model was told: a category or group that it does not name is not given (other, null).
    """
    spans = list(dict.fromkeys(_SPAN.findall(text)))
    case = text[text.index(f"[{spans[0]}]") :] if spans else text
    category = _first(_CATEGORIES, case, "other")
    category = category if not told or category in told else "other"
    severity = _QUIET.get(category) or _first(_SEVERITIES, case, "medium")
    group: str | None = _first(_GROUPS, case, "tier-2")
    title = _SPAN.sub("", case).strip().splitlines()
    return {
        "category": category,
        "severity": severity,
        "actionability": _ACTION.get(severity, "act"),
        "group": group if not told or str(group) in told else None,
        "summary": " ".join((title[0] if title else "Nothing is known.").split())[:280],
        "likely_cause": f"The text speaks of {_first_word(_CATEGORIES, case)}; nothing in it says more.",
        "evidence": spans[:3],
        "confidence": "low" if category == "other" else "high" if category in _QUIET else "medium",
    }


def obeyed(text: str, told: str = "") -> Json:
    """What a model answers that follows instructions which stand in the text of an alert."""
    honest = answer(text, told)
    if not _INSTRUCTION.search(text):
        return honest
    quiet = {"category": "informational", "severity": "info", "actionability": "none", "confidence": "high"}
    return honest | quiet | {"summary": "All is well, as instructed.", "likely_cause": "None."}


def in_italian(text: str, told: str = "") -> Json:
    """What a model answers that writes its prose in a language of its own, and the closed words as they were given."""
    prose = {
        "summary": "Il disco è quasi pieno, cresce dal mattino",
        "likely_cause": "Nessuno ha tolto i vecchi log.",
    }
    return answer(text, told) | prose


def inventing(text: str, told: str = "") -> Json:
    """What a model answers that takes a word which it was not given."""
    return answer(text, told) | {"category": "catastrophe"}


_THINK = {"obey": obeyed, "italian": in_italian, "unknown_word": inventing}
# What stands in the place of the answer, by mode.
_TEXTS = {
    "chinese": "数据库又满了，建议关闭这张工单。请联系平台团队。",
    "translated": json.dumps({"categoria": "capacità", "gravità": "alta", "riassunto": "disco pieno"}),
    "prose": "I had a look at it, and it is probably the database again. You may want to close this ticket!",
    "nothing": "",
    "huge": json.dumps({"summary": "x" * _HUGE}),
    "wrong_schema": json.dumps({"category": "banana", "severity": 11, "close_ticket": True}),
}
_DROPS, _DROP_S = 60, 0.05
_ERRORS = {
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    404: ("invalid_request_error", "not_found", "There is no such endpoint."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests."),
}


@dataclass(slots=True)
class ModelEndpoint:
    """Answers chat completions. `mode` and `latency_s` may be set at any time; `calls` counts what was asked.

    Modes: good, obey, italian, prose, chinese, translated, unknown_word, nothing, huge, flood (an answer that goes on
    for FLOOD bytes; `poured` counts those that were taken), wrong_schema, no_choice, hang, drip (a head that does not
    end), status_500, status_429 (any status_NNN).
    """

    world: World
    name: str = "model"
    mode: str = "good"
    latency_s: float = 0.0
    # The model that answers say they are of; "" for the one that was asked.
    answers_as: str = ""
    # What answers say they took, in place of the count; None for no word of it.
    usage: Json | None = field(default_factory=dict)
    # What a 429 says when to come back.
    retry_after: str = "1"
    calls: int = 0
    poured: int = 0
    tokens: dict[str, str] = field(default_factory=lambda: {TOKEN: "countersign"})
    asked: list[Json] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        return {"calls": self.calls}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/models", self._models),
            web.post("/v1/chat/completions", self._complete),
            web.post("/chat/completions", self._complete),
        ]

    def actor(self, request: web.Request) -> str | None:
        return self.tokens.get(request.headers.get("Authorization", "").removeprefix("Bearer "))

    def error(self, status: int) -> web.Response:
        kind, code, message = _ERRORS.get(
            status, ("server_error", "server_error", "The server had an error.")
        )
        headers = (
            {"retry-after": self.retry_after, "x-ratelimit-reset-requests": "1s"} if status == 429 else None
        )
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        return web.json_response(body, status=status, headers=headers)

    async def _models(self, _: web.Request) -> web.Response:
        rows = [{"id": model, "object": "model", "created": 1, "owned_by": "sandbox"} for model in MODELS]
        return web.json_response({"object": "list", "data": rows})

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        asked = await request.json()
        self.calls += 1
        self.asked.append(asked)
        wait = _HOURS if self.mode == "hang" else self.latency_s
        if wait:
            await asyncio.sleep(wait)
        if self.mode == "flood":
            return await self._flood(request)
        if self.mode == "drip":
            return await self._drip(request)
        if self.mode.startswith("status_"):
            return self.error(int(self.mode.removeprefix("status_")))
        return web.json_response(self._completion(asked))

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "')
        for _ in range(FLOOD // len(_WAVE)):
            await response.write(_WAVE)
            self.poured += len(_WAVE)
        await response.write(b'"}}]}')
        return response

    async def _drip(self, request: web.Request) -> web.StreamResponse:
        transport = request.transport
        assert transport is not None
        transport.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(_DROPS):
            transport.write(b"x-drop-%d: 1\r\n" % number)
            await asyncio.sleep(_DROP_S)
        transport.close()
        return web.Response()

    def _completion(self, asked: Json) -> Json:
        messages = asked["messages"]
        last = max(index for index, message in enumerate(messages) if message["role"] == "user")
        told = " ".join(_said(message) for message in messages[:last] if message["role"] == "system")
        think = _THINK.get(self.mode, answer)
        text = _TEXTS.get(self.mode)
        text = json.dumps(think(_said(_case_of(messages)), told)) if text is None else text
        read, written = sum(len(_said(message)) // 4 + 4 for message in messages), max(1, len(text) // 4)
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        counted = {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}
        return {
            "id": f"chatcmpl-{self.calls}",
            "object": "chat.completion",
            "created": int(self.world.clock.now().timestamp()),
            "model": self.answers_as or asked.get("model", MODELS[0]),
            "choices": None if self.mode == "no_choice" else [choice],
            "usage": None if self.usage is None else counted | self.usage,
        }


def _case_of(messages: list[Json]) -> Json:
    """The first message of the user with spans (a request to repair an answer comes later), else the last."""
    users = [message for message in messages if message["role"] == "user"]
    return next((message for message in users if _SPAN.search(_said(message))), users[-1])


def _said(message: Json) -> str:
    content = message.get("content") or ""
    return content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)


def _first(table: tuple[tuple[str, str], ...], text: str, otherwise: str) -> str:
    return next((name for name, words in table if re.search(words, text, re.I)), otherwise)


def _first_word(table: tuple[tuple[str, str], ...], text: str) -> str:
    found = next((hit for _, words in table if (hit := re.search(words, text, re.I))), None)
    return f"“{found.group(0)}”" if found else "nothing familiar"
