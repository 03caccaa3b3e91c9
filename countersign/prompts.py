"""Prompts: the questions a model is asked, as versioned files, and examples for an embedded model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from countersign.errors import ConfigError
from countersign.redaction import Redacted


@dataclass(frozen=True, slots=True)
class PromptFile:
    """One version of one question (`triage/v1`): its text, and the hash that names it in every record."""

    name: str
    text: str

    @property
    def content_hash(self) -> str:
        """64 hex characters; what is signed."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def hash(self) -> str:
        return self.content_hash[:12]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What goes to a model: the shared part first (providers cache it), then the case, redacted.

    `schema` is the JSON Schema of the answer; `repair` is what was wrong with the answer before, if it was.
    `sample` counts from 1 where the same is asked several times, with chance; 0 is asked once, without.
    """

    name: str
    hash: str
    shared: str
    case: Redacted
    schema: dict[str, object]
    repair: str = ""
    sample: int = 0


class Example(BaseModel):
    """A text and what the right answer to it is: what the embedded model learns from."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    text: str
    category: str
    severity: Literal["info", "low", "medium", "high", "critical"]
    actionability: Literal["none", "watch", "act"]
    group: str = ""
    cause: str = ""


def examples(lines: Iterable[str], *, name: str) -> tuple[Example, ...]:
    """Examples from lines of JSON. Raises ConfigError with file, line and what is wrong."""
    return tuple(_example(line, f"{name}:{number}") for number, line in enumerate(lines, 1) if line.strip())


def _example(line: str, where: str) -> Example:
    try:
        return Example.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "the line"
        raise ConfigError(f"{where}: {field}: {first['msg']}; mend the example or remove it.") from error


def prompt_file(name: str, text: str) -> PromptFile:
    """Raises ConfigError for a prompt that lacks the places it must name."""
    for place in ("{categories}", "{groups}"):
        if place not in text:
            raise ConfigError(
                f"Prompt {name} does not say {place}; add it where the model is told its choices."
            )
    return PromptFile(name, text)


def shared_part(file: PromptFile, *, categories: tuple[str, ...], groups: tuple[str, ...]) -> str:
    """The part of the prompt that is the same for every case of a policy."""
    return file.text.replace("{categories}", ", ".join(categories)).replace(
        "{groups}", ", ".join(groups) or "none"
    )
