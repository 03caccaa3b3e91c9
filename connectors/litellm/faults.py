"""How a failed model call becomes one of our errors: by its status, never by its text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta

from connectors.litellm.client import TooLarge
from countersign.errors import Denied, OutsideError, Permanent, TooLong, Transient

_LONGEST_PAUSE_S = 3600.0
_DENIED = frozenset({401, 403})
_TRANSIENT = frozenset({408, 409, 425, 429})


def fault(model: str, error: Exception, timeout_s: float) -> OutsideError:
    """The error of a call that litellm gave up."""
    status = _status(error)
    if any(isinstance(cause, TooLarge) for cause in _causes(error)):
        return TooLong(
            f"The answer of {model} goes on for megabytes; answer with the JSON object alone.", where=model
        )
    if "Timeout" in type(error).__name__:
        return Transient(
            f"{model} did not answer within {timeout_s:g} s; the next one is asked.", where=model
        )
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
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * unit
        except ValueError:
            continue
        return timedelta(seconds=min(max(seconds, 0.0), _LONGEST_PAUSE_S))
    return None
