"""The comparison: each thing in a distilled contract that the vendor's own documents don't have, as one line."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from tests.judge import contract_of

Json = dict[str, Any]
METHODS = ("get", "post", "put", "patch", "delete")
SPECS = {
    "datadog": ("datadog/slice-v1.json", "datadog/slice-v2.json"),
    "pagerduty": ("pagerduty/slice-rest.prism.json",),
    "jira": ("jira/slice-cloud-v3.prism.json",),
    "servicenow": ("servicenow/openapi.json",),
}
# Operations of which the collected documents hold no description.
UNDESCRIBED = {
    "pagerduty": {"delete /incidents/{id}/notes/{note_id}"},
    "jira": {
        "get /rest/api/3/mypermissions",
        "get /rest/api/3/user/groups",
        "delete /rest/api/3/attachment/{id}",
    },
    "servicenow": {
        "delete /api/now/attachment/{sys_id}",
        "post /api/sn_chg_rest/v1/change/emergency",
        "post /api/sn_chg_rest/v1/change/standard/{standard_change_template_id}",
    },
}


def operations(document: Json) -> Iterator[tuple[str, str, Json]]:
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                shared = item.get("parameters", [])
                yield (
                    method,
                    path,
                    item[method] | {"parameters": [*shared, *item[method].get("parameters", [])]},
                )


def differences(vendor: str, folder: Path) -> Iterator[str]:
    """Each thing in our contract that the vendor's documents don't have, as one line."""
    contract = contract_of(vendor)
    published = [json.loads((folder / name).read_text()) for name in SPECS[vendor]]
    for method, path, ours in operations(contract):
        name = f"{method} {path}"
        if name in UNDESCRIBED.get(vendor, ()):
            continue
        found = [(document, one) for document in published if (one := _find(document, method, path))]
        if not found:
            yield f"{name}: no such operation"
            continue
        document, theirs = found[0]
        yield from (f"{name}: {line}" for line in _parameters(contract, ours, document, theirs))
        yield from (f"{name}: {line}" for line in _bodies(contract, ours, document, theirs))


def _find(document: Json, method: str, path: str) -> Json | None:
    """Their operation, whose path parameters may be called otherwise, and whose version may be left out."""
    wanted = _parts(path.replace("/sn_chg_rest/v1/", "/sn_chg_rest/"))
    for have, item in document["paths"].items():
        if method in item and _parts(have) == wanted:
            shared, own = item.get("parameters", []), item[method].get("parameters", [])
            return dict(item[method]) | {"parameters": [*shared, *own]}
    return None


def _parts(path: str) -> list[str]:
    return [part if not part.startswith("{") else "{}" for part in path.split("/")]


def _parameters(contract: Json, ours: Json, document: Json, theirs: Json) -> Iterator[str]:
    mine = {
        (p["in"], p["name"]): p
        for p in (_at(contract, one) for one in ours["parameters"])
        if p["in"] != "path"
    }
    known = {(p["in"], p["name"]): p for p in (_at(document, one) for one in theirs["parameters"])}
    for place, parameter in mine.items():
        if place not in known:
            yield f"parameter {place[1]} is not published"
        else:
            yield from _schema(
                contract, parameter["schema"], document, known[place].get("schema", {}), place[1]
            )
    for place, parameter in known.items():
        if parameter.get("required") and place[0] != "path" and place not in mine:
            yield f"parameter {place[1]} is required"


def _bodies(contract: Json, ours: Json, document: Json, theirs: Json) -> Iterator[str]:
    asked, wanted = _content(contract, ours.get("requestBody")), _content(document, theirs.get("requestBody"))
    if asked is not None and wanted is not None:
        yield from _schema(contract, asked, document, wanted, "request", sent=True)
    for status, response in ours["responses"].items():
        if status.startswith("2"):
            if status not in theirs["responses"]:
                yield f"status {status} is not published"
                continue
            shown, promised = _content(contract, response), _content(document, theirs["responses"][status])
            if shown is not None and promised is not None:
                yield from _schema(contract, shown, document, promised, "response")


def _content(document: Json, holder: Any) -> Json | None:
    content = _at(document, holder).get("content", {}) if holder else {}
    return next((one.get("schema") for kind, one in content.items() if "json" in kind), None)


def _at(document: Json, thing: Any) -> Json:
    while isinstance(thing, Mapping) and "$ref" in thing:
        place: Any = document
        for step in thing["$ref"].removeprefix("#/").split("/"):
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            place = place[int(name)] if isinstance(place, list) else place[name]
        thing = place
    return dict(thing)


def _shape(document: Json, schema: Any) -> tuple[Json, set[str], set[Any], set[str], Any, bool]:
    """Properties, required names, enum values, types and items of a schema; and whether it says all there is."""
    found = _at(document, schema)
    properties, required = dict(found.get("properties", {})), set(found.get("required", ()))
    enum, types = set(found.get("enum", ())), {found["type"]} if "type" in found else set()
    items, open_ = found.get("items"), not found.get("properties")
    for word in ("allOf", "oneOf", "anyOf"):
        for part in found.get(word, ()):
            p, r, e, t, i, o = _shape(document, part)
            properties |= p
            required |= r if word == "allOf" else set()
            enum |= e
            types |= t
            items = items or i
            open_ = open_ and o
    return properties, required, enum, types, items, open_


def _schema(
    contract: Json, ours: Any, document: Json, theirs: Any, place: str, *, sent: bool = False
) -> Iterator[str]:
    mine, have = _shape(contract, ours), _shape(document, theirs)
    if mine[3] and have[3] and not (mine[3] & have[3] or (mine[3] <= {"integer"} and "number" in have[3])):
        yield f"{place} is {sorted(have[3])[0]}, not {sorted(mine[3])[0]}"
        return
    if mine[2] and have[2] and not mine[2] <= have[2]:
        yield f"{place} has no value {sorted(map(str, mine[2] - have[2]))}"
    if sent:
        for name in sorted(have[1] - mine[1]):
            yield f"{place}.{name} is required"
    for name, schema in mine[0].items():
        if name in have[0]:
            yield from _schema(contract, schema, document, have[0][name], f"{place}.{name}", sent=sent)
        elif not have[5]:
            yield f"{place}.{name} is not published"
    if mine[4] is not None and have[4] is not None:
        yield from _schema(contract, mine[4], document, have[4], f"{place}[]", sent=sent)
