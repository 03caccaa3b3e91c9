"""The judge: holds exchanges with the sandbox against the distilled contracts of the connectors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.templating.paths.exceptions import PathError
from werkzeug.datastructures import Headers, ImmutableMultiDict

import connectors
from sandbox.witness import Exchange

VENDORS = ("datadog", "splunk", "pagerduty", "servicenow", "jira")
_HERE = "http://vendor"
# Faults that leave an answer as the vendor would give it.
_TRUTHFUL = frozenset(
    {"", "slow", "late", "lag", "skew", "repeat", "status", "error_after_commit", "revoked"}
)
_FORM = "application/x-www-form-urlencoded"


def contract_of(vendor: str) -> dict[str, Any]:
    file = Path(connectors.__path__[0]) / vendor / "contract.yaml"
    read: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return read


@cache
def _api(vendor: str) -> OpenAPI:
    return OpenAPI.from_dict(
        contract_of(vendor) | {"servers": [{"url": _HERE}]}, config=Config(spec_validator_cls=None)
    )


class Asked:
    """A request as openapi-core wants to see it."""

    def __init__(self, exchange: Exchange) -> None:
        self.host_url, self.path, self.method = _HERE, exchange.path, exchange.method.lower()
        self.body = exchange.body or None
        headers = Headers(list(exchange.headers))
        # Splunk's SDK does not say that its body is a form.
        named = headers.get("Content-Type", "")
        self.content_type = _FORM if exchange.vendor == "splunk" and "json" not in named else named
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(list(exchange.query)), header=headers, cookie=ImmutableMultiDict()
        )


class Answered:
    """A response as openapi-core wants to see it."""

    def __init__(self, exchange: Exchange) -> None:
        self.status_code, self.data = exchange.status, exchange.answer
        self.headers = Headers(list(exchange.answer_headers))
        self.content_type = self.headers.get("Content-Type", "")


def ours(exchange: Exchange) -> bool:
    """Whether a connector made this request, and not a test by hand."""
    return dict(exchange.headers).get("User-Agent", "").startswith("countersign/")


def complaints(exchange: Exchange) -> list[str]:
    """What the contract has against an exchange.

    A connector's request is always judged, and must be one of the contract's operations. A request that a test makes
    by hand or by a bare SDK may be another or wrong on purpose; the answer is judged where the contract foresees one.
    """
    if exchange.vendor not in VENDORS:
        return []
    api, asked, answered = _api(exchange.vendor), Asked(exchange), Answered(exchange)
    found = list(api.iter_apicall_request_errors(asked))
    if any(isinstance(error, PathError) for error in found):
        return [f"{exchange.method} {exchange.path}: not in the contract"] if ours(exchange) else []
    wrong = found if ours(exchange) else []
    if exchange.fault in _TRUTHFUL and (ours(exchange) or not found or exchange.status >= 400):
        wrong += api.iter_apicall_response_errors(asked, answered)
    line = f"{exchange.vendor}: {exchange.method} {exchange.path} -> {exchange.status}"
    return [f"{line}: {reason}" for error in wrong for reason in _reasons(error)]


def _reasons(error: BaseException) -> Iterator[str]:
    """The error with the causes that openapi-core hides: it is the innermost that names the field."""
    causes = getattr(error, "schema_errors", None) or getattr(error.__cause__, "schema_errors", None) or ()
    yield "; ".join([f"{error} {error.__cause__ or ''}", *(_place(one) for one in causes)])


def _place(error: Any) -> str:
    return f"{'.'.join(map(str, error.path))}: {error.message[:200]}"
