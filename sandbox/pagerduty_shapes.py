"""What PagerDuty's answers look like: references, the Common Event Format, times, refusals and rate headers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from aiohttp import web

Json = dict[str, Any]
# What a since or until without an offset means: the account's zone, not UTC. Callers must send an offset.
ACCOUNT_ZONE = timezone(timedelta(hours=-5))
_ERRORS = {
    400: (2001, "Invalid Input Provided"),
    401: (2006, "Authentication failed"),
    403: (2010, "Access Denied"),
    404: (2100, "Not Found"),
    413: (2001, "Too many incidents in one request"),
    429: (2020, "Rate Limit Exceeded"),
}


def cef_of(
    summary: str,
    severity: str,
    source: str,
    component: str | None,
    group: str | None,
    event_class: str | None,
    details: Json,
    dedup_key: str,
) -> Json:
    """The Common Event Format as it is shown back: half of the names are not those that were sent."""
    return {
        "description": summary,
        "severity": severity,
        "source_origin": source,
        "source_component": component,
        "service_group": group,
        "event_class": event_class,
        "details": details,
        "dedup_key": dedup_key,
        "version": "1.0",
    }


def reference(thing: Json) -> Json:
    """How another object names this one; a reference stays one."""
    kind = str(thing["type"]).removesuffix("_reference")
    return {key: thing[key] for key in ("id", "summary", "self", "html_url")} | {"type": f"{kind}_reference"}


def moment(text: str | None, otherwise: datetime) -> datetime:
    if text is None:
        return otherwise
    when = datetime.fromisoformat(text)
    return when if when.tzinfo else when.replace(tzinfo=ACCOUNT_ZONE)


def zulu(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rate_headers(left: int = 959) -> dict[str, str]:
    return {"ratelimit-limit": "960", "ratelimit-remaining": str(left), "ratelimit-reset": "2"}


def answer(body: Json) -> web.Response:
    return web.json_response(body, headers=rate_headers())


def refusal(status: int, *reasons: str) -> web.Response:
    """PagerDuty's own error body; a 429 says that nothing is left."""
    code, message = _ERRORS.get(status, (2000, "Internal Server Error"))
    body: Json = {"error": {"message": message, "code": code}}
    if reasons:
        body["error"]["errors"] = list(reasons)
    return web.json_response(body, status=status, headers=rate_headers(left=0 if status == 429 else 959))
