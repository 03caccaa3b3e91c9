"""Faults: what each HTTP status of each vendor means to us, and when the vendor wants to be asked again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from countersign.errors import Denied, OutsideError, Permanent, Transient, Unsure
from countersign.redaction import redact

# A broken or hostile header must not put a connector to sleep for a day.
LONGEST_WAIT = timedelta(hours=1)
_LONGEST_MESSAGE = 200
_Reader = Callable[[str, datetime], timedelta]


def _seconds(text: str, _: datetime) -> timedelta:
    return timedelta(seconds=float(text))


def _unix_time(text: str, now: datetime) -> timedelta:
    return datetime.fromtimestamp(float(text), UTC) - now


def _iso_time(text: str, now: datetime) -> timedelta:
    at = datetime.fromisoformat(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) - now


def seconds_or_date(text: str, now: datetime) -> timedelta:
    """What a Retry-After header says. Raises ValueError or OverflowError where it says neither."""
    if text.strip().replace(".", "", 1).isdigit():
        return _seconds(text, now)
    at = parsedate_to_datetime(text)
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) - now


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendor:
    """How a vendor is called in a sentence, where its secret is set, and what its "reset" header means."""

    title: str
    secret: str
    setting: str
    reset_header: str = ""
    reset: _Reader = _seconds
    # The header, and what it says, with which a key that is not valid is told: what comes with it is what anybody sees.
    nobody: tuple[str, str] = ("", "")


VENDORS: Mapping[str, Vendor] = {
    "datadog": Vendor(
        title="Datadog",
        secret="API key or application key",
        setting="COUNTERSIGN_DATADOG__API_KEY and COUNTERSIGN_DATADOG__APP_KEY",
        reset_header="x-ratelimit-reset",
    ),
    "splunk": Vendor(title="Splunk", secret="token", setting="COUNTERSIGN_SPLUNK__TOKEN"),
    "pagerduty": Vendor(
        title="PagerDuty",
        secret="API key",
        setting="COUNTERSIGN_PAGERDUTY__TOKEN",
        reset_header="ratelimit-reset",
    ),
    "servicenow": Vendor(
        title="ServiceNow",
        secret="user and password",
        setting="COUNTERSIGN_SERVICENOW__USER and COUNTERSIGN_SERVICENOW__PASSWORD",
        reset_header="x-ratelimit-reset",
        reset=_unix_time,
    ),
    "jira": Vendor(
        title="Jira",
        secret="email and API token",
        setting="COUNTERSIGN_JIRA__USER and COUNTERSIGN_JIRA__TOKEN",
        reset_header="x-ratelimit-reset",
        reset=_iso_time,
        nobody=("x-seraph-loginreason", "AUTHENTICATED_FAILED"),
    ),
}

_REFUSED = "{title} refused the {secret} (401); put a valid one in {setting} and run countersign doctor."
_FORBIDDEN = "{title} forbids this (403{said}); grant the right that countersign doctor names as missing."
_GONE = "{title} does not have what was asked for (404{said}); look whether it was moved or hidden from us."
_CLASH = "{title} says that this clashes (409{said}); look at it there and replay the dead letter."
_TOO_OFTEN = "{title} wants to be asked less often (429); the work is kept and tried again{later}."
_LATER = "{title} is not ready ({status}{said}); the work is kept and tried again{later}."
_MOVED = (
    "{title} redirects to another place ({status}); put its final address in the configuration, or let us pass the "
    "page where people sign in."
)
_ODD = "{title} did not accept the request ({status}{said}); mend the cause and replay the dead letter."
_BROKE = "{title} failed ({status}{said}); the work is kept and tried again{later}."
_MAYBE = "{title} failed during a write ({status}{said}); its marker is looked for first."

# Statuses that mean the same whether we read or wrote, but for 503; every other 4xx is Permanent.
_KINDS: Mapping[int, tuple[type[OutsideError], str]] = {
    401: (Denied, _REFUSED),
    403: (Denied, _FORBIDDEN),
    404: (Permanent, _GONE),
    408: (Transient, _LATER),
    409: (Permanent, _CLASH),
    425: (Transient, _LATER),
    429: (Transient, _TOO_OFTEN),
    503: (Transient, _LATER),
}


def is_nobody(vendor: str, headers: Mapping[str, str]) -> bool:
    """Whether the vendor did not know us and answered as it would answer anybody: 200 and nothing, or 404."""
    header, reason = VENDORS[vendor].nobody
    told = {part.strip() for part in headers.get(header, "").split(",")}
    return bool(header) and told == {reason}


def retry_after(vendor: str, headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """How long the vendor wants us to wait, from 0 to LONGEST_WAIT; None where it names no time we can read.

    Retry-After goes before the vendor's own header, whose "reset" is seconds, an ISO time or a UNIX time.
    """
    known, asked = VENDORS[vendor], {name.lower(): value for name, value in headers.items()}
    for name, read in (("retry-after", seconds_or_date), (known.reset_header, known.reset)):
        if name in asked:
            try:
                return min(max(read(asked[name], now), timedelta(0)), LONGEST_WAIT)
            except (ValueError, OverflowError, OSError):
                continue
    return None


def fault(
    vendor: str, status: int, message: str, headers: Mapping[str, str], wrote: bool, now: datetime
) -> OutsideError:
    """The error that an HTTP status is to us. `wrote` says that the call asked for an effect.

    401, 403 and redirects Denied; 408, 425, 429 Transient, and 503 with a Retry-After; another 5xx Transient after
    a read, Unsure after a write; everything else Permanent.
    """
    kind, sentence = _KINDS.get(status) or _by_class(status, wrote)
    # Proxies too say 503, and of a write that they had passed on before they lost the server.
    if status == 503 and wrote and not any(name.lower() == "retry-after" for name in headers):
        kind, sentence = Unsure, _MAYBE
    wait = retry_after(vendor, headers, now) if kind is Transient else None
    text = sentence.format(
        title=VENDORS[vendor].title,
        secret=VENDORS[vendor].secret,
        setting=VENDORS[vendor].setting,
        status=status,
        said=f": {message}" if message else "",
        later=f" in {wait.total_seconds():.0f} s" if wait else "",
    )
    if kind is Transient:
        return Transient(text, where=vendor, status=status, retry_after=wait)
    return kind(text, where=vendor, status=status)


def _by_class(status: int, wrote: bool) -> tuple[type[OutsideError], str]:
    if status >= 500:
        return (Unsure, _MAYBE) if wrote else (Transient, _BROKE)
    # What we asked for is not to blame for a redirect: a page to sign in on, or an instance that has moved.
    return (Denied, _MOVED) if 300 <= status < 400 else (Permanent, _ODD)


def said(body: bytes) -> str:
    """What a vendor's error body says, in one line of at most 200 characters; "" where it isn't JSON.

    It goes into logs, dead letters and the audit log, and may repeat what was sent: it is redacted.
    """
    try:
        words = " ".join(" ".join(_strings(json.loads(body))).split())
    except (ValueError, RecursionError):
        return ""
    # A value that is cut in its middle is not known for what it is, so more is read than is kept.
    words = redact(words[: _LONGEST_MESSAGE * 10]).text
    return words if len(words) <= _LONGEST_MESSAGE else words[: _LONGEST_MESSAGE - 1] + "…"


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _strings(item)
