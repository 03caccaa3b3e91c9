"""The policy reference and the JSON Schema, generated from the schema, so that they can't lie."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from countersign.policy.durations import format_duration
from countersign.policy.fields import Part
from countersign.policy.schema import Policy
from countersign.policy.shape import keys_of, section_of, sections, unwrap

_INTRO = """# Policy reference

One YAML file is one use case. This page is generated from the schema (`make docs`); don't edit it.

An unknown key, an anchor, an alias, a tag and a key written twice are errors, told by line.
Texts are compared letter by letter: a policy holds no regular expressions, so that none can hang.
A time is written `30s`, `10m`, `24h` or `7d`. Editors check a file that starts with
`# yaml-language-server: $schema=policy.schema.json`.
"""

Schema = dict[str, Any]


def json_schema_text() -> str:
    """policies/policy.schema.json: what editors complete and check with."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_json_schema()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def reference_markdown() -> str:
    """docs/policy-reference.md: every key with its kind, its default and its meaning."""
    definitions = _json_schema()["$defs"]
    return _INTRO + "".join(_section(path, section, definitions) for path, section in sections())


def _json_schema() -> Schema:
    schema: Schema = _tidy(Policy.model_json_schema(by_alias=True, schema_generator=_Generator))
    return {**schema, "title": "Countersign policy"}


class _Generator(GenerateJsonSchema):
    """Writes the default of a time span as people write it."""

    def encode_default(self, dft: Any) -> Any:
        """JSON for a default."""
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def _tidy(schema: Any) -> Any:
    """Without titles, and without defaults that are sections or nothing, which editors would offer."""
    if isinstance(schema, list):
        return [_tidy(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {
        key: _tidy(inner) for key, inner in schema.items() if not (key == "title" and isinstance(inner, str))
    }
    if isinstance(kept.get("default"), dict) or ("default" in kept and kept["default"] is None):
        del kept["default"]
    return kept


def _section(path: str, section: type[Part], definitions: Schema) -> str:
    rows = [_row(key, field, section, definitions) for key, field in keys_of(section).items()]
    heading = f"## `{path}`" if path else "## The file"
    table = "\n".join(("| key | kind | default | meaning |", "|---|---|---|---|", *rows))
    return f"\n{heading}\n\n{section.__doc__}\n\n{table}\n"


def _row(key: str, field: FieldInfo, section: type[Part], definitions: Schema) -> str:
    written = section.model_json_schema(by_alias=True, schema_generator=_Generator)["properties"][key]
    default = "**required**" if field.is_required() else _default(written, field.annotation)
    cells = (f"`{key}`", _kind(written, definitions), default, field.description or "")
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _default(field: Schema, annotation: Any) -> str:
    value = field.get("default")
    if value in (None, [], {}, "") or (
        section_of(annotation) and section_of(annotation) is unwrap(annotation)
    ):
        return ""
    return f"`{', '.join(value) if isinstance(value, list) else json.dumps(value).strip(chr(34))}`"


def _kind(field: Schema, definitions: Schema) -> str:
    if "$ref" in field:
        return _kind(definitions[field["$ref"].rsplit("/", 1)[-1]], definitions)
    if "anyOf" in field:
        kinds = dict.fromkeys(_kind(one, definitions) for one in field["anyOf"] if one != {"type": "null"})
        return next(iter(kinds))
    if "enum" in field:
        return ", ".join(f"`{word}`" for word in field["enum"])
    kind = field.get("type")
    if kind == "array":
        return f"list of {_kind(field['items'], definitions)}"
    if kind == "object":
        return "section" if "properties" in field else "sections by name"
    if kind == "string":
        return "time span" if field.get("pattern", "").endswith("[smhd]$") else "text"
    words = {"integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
    return words[str(kind)] + _range(field)


_LIMITS = (
    ("minimum", "from"),
    ("exclusiveMinimum", "above"),
    ("maximum", "to"),
    ("exclusiveMaximum", "below"),
)


def _range(field: Schema) -> str:
    parts = [f"{word} {field[limit]:.12g}" for limit, word in _LIMITS if limit in field]
    return f" {' '.join(parts)}" if parts else ""
