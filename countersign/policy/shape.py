"""The sections and keys of the schema, found by path: what may be written where."""

from __future__ import annotations

from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from countersign.policy.checks import Place
from countersign.policy.fields import Part
from countersign.policy.schema import Policy


def unwrap(annotation: Any) -> Any:
    """The type inside Annotated and Optional; a union of several stays as it is."""
    if get_origin(annotation) is Annotated:
        return unwrap(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        inner = [argument for argument in get_args(annotation) if argument is not type(None)]
        return unwrap(inner[0]) if len(inner) == 1 else annotation
    return annotation


def section_of(annotation: Any) -> type[Part] | None:
    """The section that a type holds, directly or in a list or mapping of them."""
    annotation = unwrap(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return annotation
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple:
        return section_of(arguments[0])
    if get_origin(annotation) is dict:
        return section_of(arguments[1])
    return None


def keys_of(section: type[Part]) -> dict[str, FieldInfo]:
    """The keys as written in YAML, with their fields."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def section_at(place: Place) -> type[Part]:
    """The section whose keys are written at a path, as ("rules", 0) for Rule; else the one around it."""
    section: type[Part] = Policy
    for step in place:
        field = keys_of(section).get(str(step))
        inner = section_of(field.annotation) if field and isinstance(step, str) else None
        section = inner or section
    return section


def sections() -> Iterator[tuple[str, type[Part]]]:
    """Every section with its path, in the order of the schema; the policy itself is ""."""
    yield from _walk("", Policy)


def _walk(path: str, section: type[Part]) -> Iterator[tuple[str, type[Part]]]:
    yield path, section
    for key, field in keys_of(section).items():
        inner = section_of(field.annotation)
        if inner is not None:
            origin = get_origin(unwrap(field.annotation))
            suffix = {tuple: "[]", dict: ".NAME[]"}.get(origin, "")
            yield from _walk(f"{path}.{key}{suffix}".lstrip("."), inner)
