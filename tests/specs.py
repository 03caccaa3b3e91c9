"""A vendor's published specification as a judge of one exchange over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

import requests
from openapi_core import Config, OpenAPI
from openapi_core.contrib.requests import RequestsOpenAPIRequest, RequestsOpenAPIResponse


class Specification:
    """An OpenAPI document whose server is the given base URL."""

    def __init__(self, path: Path, base_url: str) -> None:
        document = json.loads(path.read_text())
        document["servers"] = [{"url": base_url}]
        self._api = OpenAPI.from_dict(document, config=Config(spec_validator_cls=None))

    def complaints(self, answer: requests.Response) -> list[str]:
        """What the specification has against this request and response; empty when both are true to it."""
        request, response = RequestsOpenAPIRequest(answer.request), RequestsOpenAPIResponse(answer)
        found = [*self._api.iter_apicall_request_errors(request)]
        found += self._api.iter_apicall_response_errors(request, response)
        return [_reason(error) for error in found]


def _reason(error: BaseException) -> str:
    """The error with the causes that openapi-core hides: it is the innermost that names the field."""
    causes = getattr(error, "schema_errors", None) or getattr(error.__cause__, "schema_errors", None) or ()
    return "; ".join([str(error), *(f"{list(one.path)}: {one.message[:200]}" for one in causes)])
