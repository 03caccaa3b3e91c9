"""How a failed model call becomes one of our errors: by its status, never by its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

import httpx

from connectors.faults import LONGEST_WAIT, seconds_or_date
from connectors.litellm.client import TooLarge
from countersign.errors import Denied, OutsideError, Permanent, TooLong, Transient, Unreached

_UNREACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_DENIED = frozenset({401, 403})
_TRANSIENT = frozenset({408, 409, 425, 429})


def fault(model: str, error: Exception, timeout_s: float, heard: int | None = None) -> OutsideError:
    """The error of a call that litellm gave up. `heard`: the provider's own status, where one came."""
    status = _status(error)
    if (lost := _without_answer(model, error, timeout_s, heard)) is not None:
        return lost
    if type(error).__name__ == "OpenAIError":
        return Denied(f"{model} has no key; set the key of its provider in the environment.", where=model)
    if status in _DENIED:
        return Denied(
            f"{model} refused our key with {status}; set the key of its provider.", where=model, status=status
        )
    if status is None or status in _TRANSIENT or status >= 500:
        said = f"answered {status}" if status else "could not be reached"
        after = _retry_after(error) if status == 429 else None
        return Transient(
            f"{model} {said}; the next one is asked.", where=model, status=status, retry_after=after
        )
    return Permanent(
        f"{model} does not take this request ({status}); check its name and that it can answer with JSON.",
        where=model,
        status=status,
    )


def _without_answer(model: str, error: Exception, timeout_s: float, heard: int | None) -> OutsideError | None:
    """The error of a call that no answer came of which says anything; None where the provider refused it."""
    if any(isinstance(cause, TooLarge) for cause in _causes(error)):
        return TooLong(
            f"The answer of {model} goes on for megabytes; answer with the JSON object alone.", where=model
        )
    if any(isinstance(cause, _UNREACHED) for cause in _causes(error)):
        return Unreached(f"{model} could not be reached; the next one is asked.", where=model)
    if "Timeout" in type(error).__name__:
        return Transient(
            f"{model} did not answer within {timeout_s:g} s; the next one is asked.", where=model
        )
    if heard is not None and heard < 300:
        # litellm makes a status of its own for it, but the provider took the call and may want it paid.
        return Transient(f"{model} answered what is no chat completion; the next one is asked.", where=model)
    return None


def _status(error: Exception) -> int | None:
    """The HTTP status, or None where the call never got one (litellm says 500 then)."""
    if any("Connect" in type(cause).__name__ for cause in _causes(error)):
        return None
    status = getattr(error, "status_code", None)
    return int(status) if isinstance(status, int | str) and str(status).isdigit() else None


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _retry_after(error: Exception) -> timedelta | None:
    response = getattr(error, "response", None)
    headers: Mapping[str, str] = (
        getattr(error, "litellm_response_headers", None) or getattr(response, "headers", None) or {}
    )
    now = datetime.now(UTC)
    for name, read in (("retry-after-ms", _milliseconds), ("retry-after", seconds_or_date)):
        try:
            return min(max(read(headers.get(name, ""), now), timedelta(0)), LONGEST_WAIT)
        except (ValueError, OverflowError):
            continue
    return None


def _milliseconds(text: str, now: datetime) -> timedelta:
    return seconds_or_date(text, now) / 1000
