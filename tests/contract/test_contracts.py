"""The distilled contracts: what our manifests list, and what the vendors publish, where their documents are at hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from connectors.manifest import read_manifest
from sandbox.server import Sandbox
from sandbox.witness import Exchange
from tests.comparison import SPECS, differences, operations
from tests.deviations import PAGE, page, parts
from tests.judge import VENDORS, complaints, contract_of

pytestmark = pytest.mark.contract
Json = dict[str, Any]
# A value that fits each of our path parameters.
SAMPLES = {
    "monitor_id": "7",
    "sys_id": "a" * 32,
    "standard_change_template_id": "a" * 32,
    "tableName": "incident",
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_contract_is_a_valid_document_that_names_its_sources(vendor: str) -> None:
    """OpenAPI 3, with where each came from."""
    contract = contract_of(vendor)
    validate(contract)
    assert "Sources:" in contract["info"]["description"]


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_contract_holds_exactly_the_calls_of_the_manifest(vendor: str) -> None:
    """What may be called is described, and what is described may be called."""
    manifest = read_manifest(vendor)
    described = list(operations(contract_of(vendor)))
    for method, path, operation in described:
        tables = [p["schema"]["enum"] for p in operation["parameters"] if p.get("name") == "tableName"]
        for table in tables[0] if tables else [""]:
            sample = path.replace("{tableName}", table)
            assert manifest.lists(method.upper(), sample.replace("{", "").replace("}", "")), (
                f"{method} {sample}"
            )
    for call in manifest.calls:
        asked = Exchange(
            vendor=vendor, method=call.method, path=_filled(call.path), query=(), body=b"", status=599, answer=b"",
            headers=(("User-Agent", "countersign/0"),), answer_headers=(), fault="nonsense",
        )  # fmt: skip
        assert not [one for one in complaints(asked) if "not in the contract" in one], call.path


def _filled(path: str) -> str:
    for name in [part.partition("}")[0] for part in path.split("{")[1:]]:
        path = path.replace(f"{{{name}}}", SAMPLES.get(name, "x1"))
    return path


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_429_declares_the_headers_that_we_read(vendor: str) -> None:
    """Each operation foresees it, and the header of the vendor's own is one of those declared."""
    contract = contract_of(vendor)
    for method, path, operation in operations(contract):
        assert operation["responses"]["429"] == {"$ref": "#/components/responses/TooMany"}, f"{method} {path}"
    declared = {name.lower() for name in contract["components"]["responses"]["TooMany"].get("headers", {})}
    wanted = {"datadog": "x-ratelimit-reset", "pagerduty": "ratelimit-reset"}.get(vendor)
    assert (wanted or ("retry-after" if declared else None)) in {*declared, None}
    assert declared or vendor == "splunk"


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 429, 500, 503])
def test_the_sandbox_refuses_as_the_contract_says(vendor: str, status: int) -> None:
    """Error bodies and rate headers of every status are the vendor's own."""
    with Sandbox(seed=7) as box:
        imitated = next(one for one in box.vendors if one.name == vendor)
        answer = imitated.error(status)
    call = next(call for call in read_manifest(vendor).calls if call.method == "GET")
    assert isinstance(answer.body, bytes)
    exchange = Exchange(
        vendor=vendor, method="GET", path=_filled(call.path), query=(), body=b"", status=status, fault="status",
        answer=answer.body, headers=(), answer_headers=tuple(answer.headers.items()),
    )  # fmt: skip
    assert complaints(exchange) == []


def test_an_untrue_answer_and_an_unknown_call_are_complained_about() -> None:
    """The judge bites: a wrong type, a missing field, a wrong request and a call that is not described."""
    known: Json = {
        "vendor": "datadog", "method": "GET", "path": "/api/v1/validate", "query": (), "body": b"", "status": 200,
        "headers": (("User-Agent", "countersign/0"),), "answer_headers": (("Content-Type", "application/json"),),
        "fault": "", "answer": b'{"valid": true}',
    }  # fmt: skip
    assert complaints(Exchange(**known)) == []
    assert complaints(Exchange(**known | {"answer": b'{"valid": "yes"}'}))
    assert complaints(Exchange(**known | {"answer": b"{}"}))
    assert complaints(Exchange(**known | {"path": "/api/v1/user"})) == [
        "GET /api/v1/user: not in the contract"
    ]
    assert complaints(Exchange(**known | {"path": "/api/v1/user", "headers": ()})) == []
    assert complaints(Exchange(**known | {"status": 403, "answer": b'{"error": 1}'}))
    assert complaints(Exchange(**known | {"method": "POST", "path": "/api/v2/events/search", "body": b"{}"}))


# --- against the vendors' own documents -----------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", SPECS)
def test_what_we_rely_on_is_what_the_vendor_publishes(vendor: str, contracts_dir: Path) -> None:
    """Our operations, parameters, fields and enum values exist there; what it requires we send. Or it is known."""
    found = {line for line in differences(vendor, contracts_dir) if not _known(vendor, line)}
    assert not found, "\n".join(sorted(found))


def test_splunks_recorded_answers_fit_our_contract(contracts_dir: Path) -> None:
    """Splunk publishes no specification; a real server's lists and refusal are what we expect of one."""
    base = "/servicesNS/-/-/alerts/fired_alerts"
    json_header = (("Content-Type", "application/json"),)
    for name, path, status in (
        ("fired_alerts.list", base, 200),
        ("fired_alerts.detail", f"{base}/x", 200),
        ("error_403", base, 403),
    ):
        exchange = Exchange(
            vendor="splunk", method="GET", path=path, query=(("output_mode", "json"), ("count", "0")), body=b"",
            headers=(), status=status, answer_headers=json_header, fault="",
            answer=(contracts_dir / "splunk" / f"{name}.json").read_bytes(),
        )  # fmt: skip
        assert complaints(exchange) == []


def test_servicenows_documented_answers_fit_our_contract(contracts_dir: Path) -> None:
    """The examples of its documentation, for those of our operations that have one."""
    wanted = {
        "Table - GET /now/table/{tableName}": ("GET", "/api/now/table/incident", 200),
        "Table - POST /now/table/{tableName}": ("POST", "/api/now/table/incident", 201),
        "Table - PATCH /now/table/{tableName}/{sys_id}": (
            "PATCH",
            f"/api/now/table/incident/{'a' * 32}",
            200,
        ),
        "Attachment - POST /now/attachment/file": ("POST", "/api/now/attachment/file", 201),
        "Change Management - POST /sn_chg_rest/change/normal": (
            "POST",
            "/api/sn_chg_rest/v1/change/normal",
            200,
        ),
        "Change Management - POST /sn_chg_rest/change/emergency": (
            "POST",
            "/api/sn_chg_rest/v1/change/emergency",
            200,
        ),
    }
    examples = json.loads((contracts_dir / "servicenow" / "official-docs-examples.json").read_text())
    judged = 0
    for example in examples:
        for body in example["json"] if example["section"] in wanted else ():
            method, path, status = wanted[example["section"]]
            answer = (("Content-Type", "application/json"),)
            exchange = Exchange(
                vendor="servicenow", method=method, path=path, query=(), body=b"", headers=(), status=status,
                answer=json.dumps(body).encode(), answer_headers=answer, fault="",
            )  # fmt: skip
            assert [one for one in _answers_only(exchange) if not _known("servicenow", one)] == []
            judged += 1
    assert judged >= 3


def _answers_only(exchange: Exchange) -> list[str]:
    """Complaints about the answer alone."""
    from tests.judge import Answered, Asked, _api, _reasons

    errors = _api(exchange.vendor).iter_apicall_response_errors(Asked(exchange), Answered(exchange))
    return [reason for error in errors for reason in _reasons(error)]


def _known(vendor: str, line: str) -> bool:
    return any(part in line for part in parts(vendor))


def test_the_page_of_deviations_is_the_list() -> None:
    """`python -m tests.deviations` writes it."""
    assert PAGE.read_text(encoding="utf-8") == page()
