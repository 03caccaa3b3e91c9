"""Tracing: spans of stages and model calls, with the GenAI names, one trace a night, and nothing anybody wrote."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from opentelemetry import propagate
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from countersign.asking import Call
from tests.workers.house import House
from workers import tracing
from workers.tasks import register
from workers.tracing import genai_attributes, record_call, span

CALL = Call(
    model="openai/gpt-4.1-mini",
    is_llm=True,
    outcome="answered",
    tokens_in=900,
    tokens_out=80,
    micro_usd=488,
    latency_ms=2000,
    answer="Peter's disk is full",
)


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """OpenTelemetry's own SDK, which keeps in memory what it would send."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer(tracing.SCOPE))
    yield kept
    provider.shutdown()


def _through_messages(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pull and all that it wakes, each stage as a task of its own, as messages would bring them."""
    app, sent = Celery(), deque([("countersign.pull", [["servicenow"]], dict[str, str]())])
    monkeypatch.setattr(app, "send_task", lambda name, args, headers, **_: sent.append((name, args, headers)))
    register(app, lambda: home.parts)
    while sent:
        name, args, headers = sent.popleft()
        app.tasks[name].apply(args=args, headers=headers)


def _named(spans: tuple[ReadableSpan, ...], name: str) -> ReadableSpan:
    return next(one for one in spans if one.name == name)


def test_a_call_has_the_names_of_the_convention() -> None:
    """Operation, provider, model and tokens; outcome and cost under our own prefix; no text."""
    told = genai_attributes(CALL)
    assert told["gen_ai.provider.name"] == "openai"
    assert told["gen_ai.request.model"] == "gpt-4.1-mini"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (900, 80)
    assert told["countersign.micro_usd"] == 488
    assert "error.type" not in told
    assert CALL.answer not in told.values()


def test_the_names_of_the_convention_stand_in_one_module() -> None:
    """The convention still changes: one file follows it."""
    folders = (Path(tracing.__file__).parents[1] / name for name in ("countersign", "connectors", "workers"))
    named = [
        file.name
        for folder in folders
        for file in folder.rglob("*.py")
        if "gen_ai." in file.read_text("utf-8")
    ]
    assert named == ["tracing.py"]


def test_a_call_is_a_span_of_its_length(exporter: InMemorySpanExporter) -> None:
    """Two seconds, ended now."""
    record_call(CALL)
    (one,) = exporter.get_finished_spans()
    assert one.name == "chat openai/gpt-4.1-mini"
    assert one.start_time is not None
    assert one.end_time == one.start_time + 2_000_000_000


def test_pull_assess_and_act_are_one_trace(
    exporter: InMemorySpanExporter, home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wake-ups carry the trace: the model's call lies in its case, the case in its assess, all under the pull."""
    home.box.run(
        lambda: home.box.servicenow.open_incident(short_description="Canary sings", description="la")
    )
    _through_messages(home, monkeypatch)
    spans = exporter.get_finished_spans()
    pull, assess, case, chat, act, action = (
        _named(spans, f"countersign.{name}" if name != "chat local" else name)
        for name in ("pull", "assess", "case", "chat local", "act", "action")
    )
    above = [(chat, case), (case, assess), (assess, pull), (action, act), (act, assess)]
    assert [low.parent and low.parent.span_id for low, _ in above] == [h.context.span_id for _, h in above]
    assert {one.context.trace_id for one in spans} == {pull.context.trace_id}
    assert case.attributes is not None
    assert action.attributes is not None
    assert case.attributes["countersign.case"] == action.attributes["countersign.case"]
    assert chat.attributes is not None
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert "anary" not in "".join(one.to_json() for one in spans)


def test_headers_of_anybody_s_making_are_no_trace(exporter: InMemorySpanExporter) -> None:
    """What is no text, or no trace, is left out: a stage runs whatever a message claims."""
    found = tracing.carried({"traceparent": 7, "tracestate": "x", "baggage": "secret=1"})
    assert found == {"tracestate": "x"}
    with span("countersign.test", {}, {"traceparent": "nonsense"}):
        assert propagate.extract(tracing.headers())
    assert tracing.carried("nonsense") == {}


def test_without_opentelemetry_nothing_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the extra is not installed, spans cost nothing and need nothing, and messages carry nothing."""
    monkeypatch.setattr(tracing, "_tracer", lambda: None)
    with span("countersign.test", {}):
        record_call(CALL)
        assert tracing.headers() == {}
