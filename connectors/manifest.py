"""Manifests: what each connector may do, read from its manifest.yaml; a call that is not in there is not made."""

from __future__ import annotations

import re
from functools import cache, cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from countersign.errors import ConfigError
from countersign.policy.schema import Autonomy

# From the least on; what a higher one needs, it needs on top of the lower ones.
AUTONOMIES: tuple[Autonomy, ...] = ("observe", "draft", "act")
_PART = re.compile(r"\{\w+\}")
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Scope(_Part):
    """A right at the vendor. `grant` is the sentence that says what to click; `shown_by` the call that fails without
    it, or "" for one that only a write would show."""

    name: str
    why: str
    autonomy: Autonomy
    grant: str
    shown_by: str = ""


class Call(_Part):
    """An operation that we may ask for. `path` is relative to the vendor's address; {x} stands for one part."""

    method: Method
    path: str
    why: str
    autonomy: Autonomy

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        fixed = [re.escape(piece) for piece in _PART.split(self.path)]
        return re.compile("[^/]+".join(fixed))


class Rule(_Part):
    """One of the rules that all connectors keep: `done` says how, `exempt` says why not."""

    rule: str
    done: str = ""
    exempt: str = ""


class Manifest(_Part):
    """One connector's manifest."""

    vendor: str
    owner: str
    scopes: tuple[Scope, ...]
    calls: tuple[Call, ...]
    rules: tuple[Rule, ...]

    def scope(self, name: str) -> Scope:
        """Raises KeyError for a scope that the manifest does not ask for: then no check may name it."""
        return {scope.name: scope for scope in self.scopes}[name]

    def lists(self, method: str, path: str) -> Call | None:
        """The call that this request is; None if the manifest does not allow for it."""
        return next(
            (call for call in self.calls if call.method == method and call.pattern.fullmatch(path)), None
        )


def path_below(base: str, url: str) -> str:
    """The path of a request below the vendor's address, which may have a path of its own."""
    return urlsplit(url).path.removeprefix(urlsplit(base).path.rstrip("/"))


@cache
def read_manifest(vendor: str) -> Manifest:
    """The manifest of a connector's folder. Raises ConfigError: a build without it makes no call."""
    file = Path(__file__).parent / vendor / "manifest.yaml"
    try:
        return Manifest.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"There is no manifest {file}; install Countersign again.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise ConfigError(f"{file}: {place}: {first['msg']}.") from error
