"""Language models of any provider, through litellm: one call, one answer, its tokens and its price."""

from __future__ import annotations

import importlib
import json
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cache
from typing import Any, Literal

import httpx

from connectors.litellm import faults
from connectors.litellm.client import HEARD, new_client
from connectors.litellm.lean import OpenAIClient, Silent, unlogged
from connectors.litellm.prices import Price, prices
from countersign.assessment import ANSWER_CHARACTERS
from countersign.errors import OutsideError, Transient
from countersign.ports import Completion
from countersign.prompts import Prompt

_MAX_TOKENS = 1000
# One failure may be chance; from the second in a row on the provider is taken to be down.
_OUTAGES = 2
_FIRST_PAUSE = timedelta(seconds=15)
_LONGEST_PAUSE = timedelta(minutes=5)
# The temperature at which the same is asked several times: answers that hang by a thread then differ.
_CHANCE = 0.7
# What a provider adds around messages and a schema.
_FRAME_TOKENS = 400
_LONGEST_NAME = 200
# No model reads or writes more at once: beyond it, and for nothing read, a provider's count is no count.
_MOST_COUNTED = 10_000_000
# For whose calls litellm takes a client in a wrapper of its own.
_HANDLED = frozenset({"anthropic", "gemini", "vertex_ai"})
# Whose calls do without litellm's own log; others look things up in it.
_SILENCED = frozenset({"openai", "anthropic"})
_AGAIN = "Your last answer could not be used: {repair} Answer the question about the case above again."
_Form = Literal["schema", "json", "free"]
_importing = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wire:
    client: Any
    form: _Form
    silent: bool


class LiteLLMModel:
    """One model as litellm names it (provider/name). Keys come from the environment, as each provider says.

    `timeout_s` bounds a whole call. `client` (of `new_client`) is shared with other models where given;
    `api_base` and `api_key` are for an endpoint of one's own that speaks OpenAI's protocol; `price` is for a
    model that is not in prices.json. May be shared by threads. Nothing is imported or sent before the first call.
    """

    def __init__(
        self,
        name: str,
        *,
        timeout_s: float,
        client: httpx.Client | None = None,
        api_base: str | None = None,
        api_key: str | None = None,
        price: Price | None = None,
        max_tokens: int = _MAX_TOKENS,
    ) -> None:
        self.name = name
        self._timeout_s = timeout_s
        self._http = client or new_client()
        self._api_base = api_base or None
        self._api_key = api_key or None
        self._price = price or prices().get(name)
        self._max_tokens = max_tokens
        self._not_before = 0.0
        self._outages = 0
        self._why = ""
        self._wired: _Wire | None = None

    @property
    def priced(self) -> bool:
        """Whether what a call costs is known; if not, `micro_usd` is 0 and a budget can't be kept."""
        return self._price is not None

    def most(self, prompt: Prompt) -> int | None:
        """Upper bound of one call: no tokenizer makes more tokens than bytes, and the answer is cut off."""
        if self._price is None:
            return None
        parts = (prompt.shared, prompt.case.text, prompt.repair, json.dumps(prompt.schema), _AGAIN)
        return self._price.micro_usd(
            tokens_in=sum(len(part.encode()) for part in parts) + _FRAME_TOKENS, tokens_out=self._max_tokens
        )

    def _cost(self, tokens_in: int, tokens_out: int) -> int | None:
        return (
            None if self._price is None else self._price.micro_usd(tokens_in=tokens_in, tokens_out=tokens_out)
        )

    def close(self) -> None:
        """Closes the connections, those of a shared client too."""
        self._http.close()

    def complete(self, prompt: Prompt) -> Completion:
        """Asks once, without retries. Raises Transient, Permanent or Denied when there is no answer.

        After a 429 the model is not asked again before the time that it named: that is Transient at once.
        """
        litellm, errors = _litellm()
        started = time.monotonic()
        if started < self._not_before:
            wait = timedelta(seconds=self._not_before - started)
            raise Transient(
                f"{self.name} {self._why}; it is asked again later.",
                where=self.name,
                status=429,
                retry_after=wait,
            )
        HEARD.set(None)
        unlogged()
        try:
            response = litellm.completion(**self._request(litellm, prompt))
        except errors as error:
            fault = faults.fault(self.name, error, self._timeout_s, HEARD.get())
            fault.parameters = self._chosen(prompt)
            self._pause_after(fault)
            # The provider's text may repeat the key or the prompt: it is not carried along.
            raise fault from None
        self._outages = 0
        completion = self._completion(prompt, response, round((time.monotonic() - started) * 1000))
        return replace(completion, parameters=self._chosen(prompt))

    def _pause_after(self, fault: OutsideError) -> None:
        """As long as a 429 asks for; after outages in a row, twice as long each time: others are asked meanwhile."""
        if not isinstance(fault, Transient):
            return
        self._outages += fault.retry_after is None
        pause = fault.retry_after or timedelta(0)
        self._why = "asked for a pause that has not ended"
        if fault.retry_after is None and self._outages >= _OUTAGES:
            self._why = f"was down {self._outages} times in a row and is left alone for a while"
            pause = min(_FIRST_PAUSE * 2 ** (self._outages - _OUTAGES), _LONGEST_PAUSE)
        self._not_before = max(self._not_before, time.monotonic() + pause.total_seconds())

    def _request(self, litellm: Any, prompt: Prompt) -> dict[str, Any]:
        wire = self._wire(litellm)
        messages = [
            {"role": "system", "content": prompt.shared},
            {"role": "user", "content": prompt.case.text},
        ]
        if prompt.repair:
            messages.append({"role": "user", "content": _AGAIN.format(repair=prompt.repair)})
        return {
            "model": self.name,
            "messages": messages,
            "num_retries": 0,
            "max_retries": 0,
            **self._chosen(prompt),
            "drop_params": True,
            "api_base": self._api_base,
            "api_key": self._api_key,
            "client": wire.client,
            "litellm_logging_obj": Silent() if wire.silent else None,
            "response_format": _format(wire.form, prompt.schema),
        }

    def _chosen(self, prompt: Prompt) -> dict[str, float]:
        """What a request says besides its words."""
        chosen = {"timeout": self._timeout_s, "max_tokens": self._max_tokens, "temperature": 0.0}
        return {**chosen, "temperature": _CHANCE, "seed": prompt.sample} if prompt.sample else chosen

    def _wire(self, litellm: Any) -> _Wire:
        """What is the same for every call, found out once: a client around our own, and the form of answers."""
        if self._wired is None:
            _, provider, _, _ = litellm.get_llm_provider(self.name, api_base=self._api_base)
            self._wired = _Wire(
                client=self._client(provider),
                form=_form(litellm, self.name, provider),
                silent=provider in _SILENCED,
            )
        return self._wired

    def _client(self, provider: str) -> Any:
        """What litellm calls a client, around our own: plain calls would open a connection each."""
        if provider in _HANDLED:
            handler = importlib.import_module("litellm.llms.custom_httpx.http_handler")
            return handler.HTTPHandler(client=self._http)
        if provider == "openai":
            openai = importlib.import_module("openai")
            sdk = openai.OpenAI(
                api_key=self._api_key, base_url=self._api_base, http_client=self._http, max_retries=0
            )
            return OpenAIClient(sdk, self._http)
        return None

    def _completion(self, prompt: Prompt, response: Any, latency_ms: int) -> Completion:
        text = (response.choices[0].message.content or "") if response.choices else ""
        tokens_in, tokens_out = _counted(response)
        # Where nobody says what it took, it may have taken all it could.
        cost = self._cost(tokens_in, tokens_out) if tokens_in else self.most(prompt)
        return Completion(
            # One character too many is enough for the answer to be refused, and a million are not kept.
            text=text[: ANSWER_CHARACTERS + 1],
            model=self.name,
            is_llm=True,
            tokens_in=tokens_in,
            tokens_out=tokens_out,
            micro_usd=cost or 0,
            latency_ms=latency_ms,
            answered_by=str(getattr(response, "model", None) or "")[:_LONGEST_NAME],
        )


def _counted(response: Any) -> tuple[int, int]:
    """The tokens read and written as the provider counts them; 0 and 0 where it does not, or can't have."""
    usage = getattr(response, "usage", None)
    read, written = (int(getattr(usage, name, 0) or 0) for name in ("prompt_tokens", "completion_tokens"))
    believed = 0 < read <= _MOST_COUNTED and 0 <= written <= _MOST_COUNTED
    return (read, written) if believed else (0, 0)


def _form(litellm: Any, name: str, provider: str) -> _Form:
    """The strictest form of answer that the model takes: our schema, any JSON, or whatever it writes."""
    if litellm.supports_response_schema(model=name):
        return "schema"
    takes = litellm.get_supported_openai_params(model=name, custom_llm_provider=provider) or ()
    return "json" if "response_format" in takes else "free"


def _format(form: _Form, schema: Mapping[str, object]) -> dict[str, Any] | None:
    if form == "schema":
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": dict(schema)}}
    return {"type": "json_object"} if form == "json" else None


def warm() -> None:
    """Imports litellm now (about three seconds): for the parent of workers, before they are forked."""
    _litellm()


def _litellm() -> tuple[Any, type[Exception]]:
    """litellm, told to stay local and silent, and the class of every error that it raises."""
    with _importing:
        return _imported()


@cache
def _imported() -> tuple[Any, type[Exception]]:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    import litellm

    errors = importlib.import_module("openai").OpenAIError
    litellm.telemetry = False
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_hf_tokenizer_download = True
    logging.getLogger("LiteLLM").setLevel(logging.CRITICAL)
    return litellm, errors
