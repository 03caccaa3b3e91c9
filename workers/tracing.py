"""Tracing: spans of pull, assess and act, and of each model call with the GenAI attribute names.

OpenTelemetry's API is an extra (`tracing`); where it is not installed, or no exporter is configured, nothing is
done. Names and figures alone go into a span: no text of an alert, a prompt or an answer. A wake-up carries the
trace on, so that what a pull has set in motion is one trace down to the write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from functools import cache
from time import time_ns
from typing import Any, TypeVar

from countersign.asking import Call

SCOPE = "countersign"
T = TypeVar("T")
R = TypeVar("R")
Value = str | int | float | bool


@cache
def _tracer() -> Any | None:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace.get_tracer(SCOPE)


@contextmanager
def span(
    name: str, attributes: Mapping[str, Value], carried: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A span around a stage or a part of one (`countersign.assess`); the attributes get our prefix.

    `carried` are the headers of the message that it answers, with the trace it belongs to (W3C's traceparent).
    """
    tracer = _tracer()
    if tracer is None:
        yield
        return
    named = {f"{SCOPE}.{key}": value for key, value in attributes.items()}
    context = None
    if carried:
        from opentelemetry import propagate

        context = propagate.extract(carried)
    with tracer.start_as_current_span(name, context=context, attributes=named):
        yield


def carried(found: object) -> dict[str, str]:
    """What of a message's headers is of a trace; a message of anybody's making may hold anything."""
    told = found if isinstance(found, Mapping) else {}
    return {name: told[name] for name in ("traceparent", "tracestate") if isinstance(told.get(name), str)}


def in_this_trace(do: Callable[[T], R]) -> Callable[[T], R]:
    """The same for another thread, where it would begin a trace of its own."""
    here = copy_context()
    return lambda one: here.copy().run(do, one)


def headers() -> dict[str, str]:
    """What a message takes along of the present trace; nothing where nobody traces."""
    found: dict[str, str] = {}
    if _tracer() is not None:
        from opentelemetry import propagate

        propagate.inject(found)
    return found


def record_call(call: Call) -> None:
    """A span for a model call that has just ended, as long as the call was."""
    tracer = _tracer()
    if tracer is None:
        return
    ended = time_ns()
    one = tracer.start_span(
        f"chat {call.model}",
        start_time=ended - call.latency_ms * 1_000_000,
        attributes=genai_attributes(call),
    )
    one.end(end_time=ended)


def genai_attributes(call: Call) -> Mapping[str, Value]:
    """OpenTelemetry's semantic conventions for generative AI; what they have no name for is ours."""
    provider, _, model = call.model.rpartition("/")
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": provider or "countersign.local",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": call.tokens_in,
        "gen_ai.usage.output_tokens": call.tokens_out,
        f"{SCOPE}.outcome": call.outcome,
        f"{SCOPE}.micro_usd": call.micro_usd,
        f"{SCOPE}.repair": call.repair,
        **({"error.type": call.outcome} if call.outcome not in ("answered", "cached") else {}),
    }
