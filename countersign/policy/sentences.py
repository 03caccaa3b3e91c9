"""What pydantic found, said to someone who writes policies: one sentence with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from countersign.policy.checks import Place, closest
from countersign.policy.fields import FORMS
from countersign.policy.shape import keys_of, section_at, sections
from countersign.severity import Severity


def sentence(error: ErrorDetails, place: Place) -> str:
    """Say one validation error of the value at `place`."""
    say = _SENTENCES.get(error["type"])
    return say(error, place) if say else f"{shown(error['input'])} does not fit here ({error['msg']})."


def shown(value: Any) -> str:
    """A value as its writer would recognise it."""
    if isinstance(value, str):
        return f'"{value[:60]}{"…" if len(value) > 60 else ""}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value}"
    return {type(None): "an empty value", list: "a list", dict: "a section"}.get(type(value), "this")


def _missing(_error: ErrorDetails, place: Place) -> str:
    key = str(place[-1])
    field = keys_of(section_at(place[:-1]))[key]
    what = (field.description or "").rstrip(".")
    return f"is missing; write {key}: … ({what[:1].lower()}{what[1:]})."


def _unknown(_error: ErrorDetails, place: Place) -> str:
    key, known = str(place[-1]), tuple(keys_of(section_at(place[:-1])))
    homes = [path for path, section in sections() if path and key in keys_of(section)]
    if homes:
        return f'"{key}" is not a key here; it belongs under {" or ".join(homes[:2])}.'
    near = get_close_matches(key, known, n=1)
    if near:
        return f'"{key[:60]}" is not a key here; did you mean "{near[0]}"?'
    return f'"{key[:60]}" is not a key here; write one of {", ".join(known)}.'


def _choice(error: ErrorDetails, _place: Place) -> str:
    choices = tuple(re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", ""))))
    given = error["input"]
    hint = closest(str(given), choices) if isinstance(given, str) else "write one of them"
    if hint.startswith("write one of"):
        hint = _severity_hint(given) if error["type"] == "enum" else "write one of them"
    return f"{shown(given)} is not one of {', '.join(choices)}; {hint}."


def _severity_hint(given: Any) -> str:
    try:
        return f'write "{Severity.parse(given)}"'
    except (ValueError, AttributeError):
        return "write one of them"


def _text(error: ErrorDetails, _place: Place) -> str:
    given = error["input"]
    if isinstance(given, int | float):
        return f'{shown(given)} is not a text; write "{shown(given)}" in quotes.'
    return f"{shown(given)} is not a text; write one, in quotes."


def _list(error: ErrorDetails, _place: Place) -> str:
    given = error["input"]
    if isinstance(given, dict):
        return 'a section is not a list; begin each item with a dash and a space, as "- ".'
    example = f"[{given[:40]}]" if isinstance(given, str) else "[a, b]"
    return f"{shown(given)} is not a list; write {example}."


def _section(error: ErrorDetails, place: Place) -> str:
    keys = ", ".join(keys_of(section_at(place)))
    return f"{shown(error['input'])} is not a section; write its keys below it, indented ({keys})."


def _mapping(error: ErrorDetails, _place: Place) -> str:
    return f"{shown(error['input'])} is not a section; write names with values below it, indented."


# 10 %, 0,10 and "0.10"; not 1,000, which is a thousand to some.
_FIGURE = re.compile(r"(-?[0-9]{1,9}(?:\.[0-9]{1,9}|,[0-9]{1,2})?|0,[0-9]{1,9})\s*(%?)")


def _number(error: ErrorDetails, place: Place) -> str:
    given = error["input"]
    figure = _FIGURE.fullmatch(given.strip()) if isinstance(given, str) else None
    if figure is None:
        return _write(_A_NUMBER)(error, place)
    value = float(figure[1].replace(",", ".")) / (100 if figure[2] else 1)
    return f"{shown(given)} is a text; write {value:.10g}."


def _too_much(error: ErrorDetails, _place: Place) -> str:
    """A share is often written in percent."""
    given, limits = error["input"], error.get("ctx", {})
    limit, words = (limits["lt"], "less than") if "lt" in limits else (limits["le"], "at most")
    meant = isinstance(given, int | float) and limit <= 1 <= given and given / 100 < limit
    example = f", as {given / 100:.10g} for {given:.10g} %" if meant else ""
    return f"{shown(given)} does not fit; write {words} {limit:.12g}{example}."


def _form(error: ErrorDetails, _place: Place) -> str:
    pattern = str(error.get("ctx", {}).get("pattern"))
    return f"{shown(error['input'])} does not have the right form; write {FORMS[pattern]}."


def _own(error: ErrorDetails, _place: Place) -> str:
    return str(error.get("ctx", {}).get("error", error["msg"]))


def _write(what: str) -> Callable[[ErrorDetails, Place], str]:
    """A sentence "… does not fit; write <what>", in which {name} stands for pydantic's limits."""

    def say(error: ErrorDetails, _place: Place) -> str:
        return f"{shown(error['input'])} does not fit; write {what.format(**error.get('ctx', {}))}."

    return say


def _say(words: str) -> Callable[[ErrorDetails, Place], str]:
    """A sentence of its own, in which {name} stands for pydantic's limits."""
    return lambda error, _place: words.format(**error.get("ctx", {}))


_WHOLE, _A_NUMBER, _DOLLARS = (
    "a whole number, as 10",
    "a number, as 0.5",
    "US dollars as a number, as 25 or 0.50",
)

_SENTENCES: dict[str, Callable[[ErrorDetails, Place], str]] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _choice,
    "enum": _choice,
    "string_type": _text,
    "tuple_type": _list,
    "model_type": _section,
    "model_attributes_type": _section,
    "dict_type": _mapping,
    "string_pattern_mismatch": _form,
    "value_error": _own,
    "int_type": _write(_WHOLE),
    "float_type": _number,
    "finite_number": _write(_A_NUMBER),
    "bool_type": _write("true or false"),
    "decimal_type": _write(_DOLLARS),
    "decimal_parsing": _write(_DOLLARS),
    "decimal_max_digits": _write(_DOLLARS),
    "decimal_max_places": _write("at most {decimal_places} digits after the point"),
    "decimal_whole_digits": _write(_DOLLARS),
    "greater_than": _write("more than {gt:.12g}"),
    "greater_than_equal": _write("at least {ge:.12g}"),
    "less_than": _too_much,
    "less_than_equal": _too_much,
    "too_short": _say("a list of {actual_length} is too short; write at least {min_length} in it."),
    "too_long": _say("a list of {actual_length} is too long; write at most {max_length} in it."),
    "string_too_short": _write("at least {min_length} character"),
    "string_too_long": _write("at most {max_length} characters"),
}
