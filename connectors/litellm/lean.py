"""Lean calls: what litellm and OpenAI's SDK do around a request, and nobody here reads, is left out.

litellm copies every prompt into a log of its own, counts its price three times over and hands it to callbacks in
another thread; the SDK walks through the whole schema of the answer. Without that a call costs a third of the CPU.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import httpx


def unlogged() -> None:
    """Has litellm hand this thread's next answer to no thread of its own, for callbacks that nobody has set."""
    importlib.import_module("litellm._internal_context").is_internal_call.set(True)


class Silent:
    """A log of litellm's that keeps nothing: our own records tell what was asked, answered and paid."""

    def __init__(self) -> None:
        self.model_call_details: dict[str, Any] = {}
        self.caching_details = None
        self.callback_duration_ms = None
        self.litellm_call_id = ""
        self.stream = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _nothing


def _nothing(*_told: object, **_more: object) -> None:
    """What a method of the log does here."""


class OpenAIClient:
    """As much of OpenAI's client as litellm calls: one POST over the shared client, and the SDK's own errors."""

    def __init__(self, sdk: Any, http: httpx.Client) -> None:
        self.api_key = sdk.api_key
        self._base_url = sdk.base_url
        self._http = http
        self._url = f"{str(sdk.base_url).rstrip('/')}/chat/completions"
        self._headers = dict(sdk.auth_headers)
        if sdk.organization:
            self._headers["OpenAI-Organization"] = sdk.organization
        if sdk.project:
            self._headers["OpenAI-Project"] = sdk.project
        # litellm goes down this path to the method.
        self.chat = self.completions = self.with_raw_response = self

    def create(
        self,
        *,
        timeout: Any = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, object] | None = None,
        **data: object,
    ) -> _Raw:
        """Raises what the SDK would."""
        openai = importlib.import_module("openai")
        try:
            response = self._http.post(
                self._url,
                json={**data, **(extra_body or {})},
                headers={**self._headers, **(extra_headers or {})},
                timeout=timeout,
            )
        except httpx.TimeoutException as late:
            raise openai.APITimeoutError(request=late.request) from late
        except httpx.RequestError as lost:
            raise openai.APIConnectionError(request=lost.request) from lost
        if response.is_success:
            return _Raw(response)
        kinds = {400: openai.BadRequestError, 422: openai.UnprocessableEntityError}
        kind = kinds.get(response.status_code, openai.APIStatusError)
        raise kind(f"Error code: {response.status_code}", response=response, body=None)


class _Raw:
    """An answer with its headers, as `with_raw_response` gives it."""

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self._response = response

    def parse(self) -> _Answer | None:
        """None where it is no JSON object: litellm says then that the endpoint answers nonsense."""
        try:
            found = self._response.json()
        except ValueError:
            return None
        return _Answer(found) if isinstance(found, dict) else None


class _Answer:
    def __init__(self, found: dict[str, Any]) -> None:
        self._found = found

    def model_dump(self) -> dict[str, Any]:
        return self._found
