"""Lean calls: other providers' answers are understood with litellm's log silenced, and the log hears nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from connectors.litellm.model import LiteLLMModel
from countersign.errors import Transient
from countersign.ports import Completion
from countersign.prompts import Prompt
from countersign.redaction import Redacted

PROMPT = Prompt(name="t", hash="0", shared="Choose.", case=Redacted("[a1] ⟦disk⟧"), schema={"type": "object"})
ANTHROPIC = {
    "id": "m1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "said"}], "usage": {"input_tokens": 11, "output_tokens": 7},
}  # fmt: skip
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "said"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 7, "totalTokenCount": 18},
}
OPENAI = {
    "id": "c1", "object": "chat.completion", "model": "gpt-4.1-mini", "created": 1795176000,
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "said"}}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
}  # fmt: skip
PROVIDERS = {
    "openai/gpt-4.1-mini": OPENAI,
    "anthropic/claude-sonnet-4-5": ANTHROPIC,
    "gemini/gemini-2.5-flash": GEMINI,
}


def _asked(name: str, answer: Callable[[httpx.Request], httpx.Response]) -> Completion:
    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        return LiteLLMModel(name, timeout_s=5, client=client, api_key="k").complete(PROMPT)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_s_answer_is_understood(name: str) -> None:
    """Text and tokens come through, whatever the provider calls them; the request holds the case."""
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content.decode())
        return httpx.Response(200, json=PROVIDERS[name])

    told = _asked(name, answer)
    assert (told.text, told.tokens_in, told.tokens_out) == ("said", 11, 7)
    assert "⟦disk⟧" in json.dumps(json.loads(sent[0]), ensure_ascii=False)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_s_outage_is_an_outage(name: str) -> None:
    """A 503 is Transient for each of them, and keeps its status."""
    with pytest.raises(Transient) as told:
        _asked(name, lambda _: httpx.Response(503, json={"error": {"message": "overloaded"}}))
    assert told.value.status == 503


@pytest.mark.parametrize("name", ["openai/gpt-4.1-mini", "anthropic/claude-sonnet-4-5"])
def test_litellm_keeps_no_copy_of_a_prompt(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it would hand to callbacks is never made, so no library can carry a case elsewhere."""
    import litellm

    heard: list[Any] = []
    monkeypatch.setattr(litellm, "input_callback", [heard.append])
    _asked(name, lambda _: httpx.Response(200, json=PROVIDERS[name]))
    assert heard == []
