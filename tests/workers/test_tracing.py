"""Tracing: spans of stages and model calls, with the GenAI names, and nothing of what anybody wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from countersign.asking import Call
from tests.workers.house import House
from workers import tracing
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


@dataclass
class Recorder:
    """A tracer in OpenTelemetry's shape that keeps what it is given."""

    spans: list[tuple[str, dict[str, object]]] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)

    @contextmanager
    def start_as_current_span(self, name: str, attributes: Mapping[str, object]) -> Iterator[None]:
        self.spans.append((name, dict(attributes)))
        yield

    def start_span(self, name: str, start_time: int, attributes: Mapping[str, object]) -> Recorder:
        self.spans.append((name, dict(attributes)))
        self.lengths.append(-start_time)
        return self

    def end(self, end_time: int) -> None:
        self.lengths[-1] += end_time


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    one = Recorder()
    monkeypatch.setattr(tracing, "_tracer", lambda: one)
    return one


def test_a_call_has_the_names_of_the_convention() -> None:
    """Operation, provider, model and tokens; outcome and cost under our own prefix; no text."""
    told = genai_attributes(CALL)
    assert told["gen_ai.provider.name"] == "openai"
    assert told["gen_ai.request.model"] == "gpt-4.1-mini"
    assert (told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"]) == (900, 80)
    assert told["countersign.micro_usd"] == 488
    assert "error.type" not in told
    assert CALL.answer not in told.values()


def test_a_call_is_a_span_of_its_length(recorder: Recorder) -> None:
    """Two seconds, ended now."""
    record_call(CALL)
    assert recorder.spans[0][0] == "chat openai/gpt-4.1-mini"
    assert recorder.lengths == [2_000_000_000]


def test_a_run_traces_its_calls_and_tells_no_text(recorder: Recorder, home: House) -> None:
    """A ticket's words are in no attribute."""
    home.box.run(
        lambda: home.box.servicenow.open_incident(short_description="Canary sings", description="la")
    )
    with span("countersign.test", {"ids": 1}):
        home.once()
    names = [name for name, _ in recorder.spans]
    assert names == ["countersign.test", "chat local"]
    assert "anary" not in str(recorder.spans)


def test_without_opentelemetry_nothing_is_done() -> None:
    """The extra is not installed here: spans cost nothing and need nothing."""
    with span("countersign.test", {}):
        record_call(CALL)
