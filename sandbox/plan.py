"""A plan: the faults of one kind of bad day, read from a YAML file of the folder plans/ or of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

import yaml

from sandbox.faults import Fault

SHIPPED = Path(__file__).parent / "plans"
_FIELDS = {one.name for one in fields(Fault) if one.init}


class PlanError(ValueError):
    """A plan that can't be used: one sentence that names the file, the place and what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What goes wrong on this day, in a sentence and as faults. The faults count down, so a plan is used once."""

    name: str
    about: str
    faults: tuple[Fault, ...]


def names() -> tuple[str, ...]:
    """The shipped plans."""
    return tuple(sorted(file.stem for file in SHIPPED.glob("*.yaml")))


def read_plan(name: str) -> Plan:
    """The plan of a file, or a shipped one by its bare name (`outage`). Raises PlanError."""
    file = SHIPPED / f"{name}.yaml" if name in names() else Path(name)
    try:
        read = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError:
        known = ", ".join(names())
        raise PlanError(f"There is no plan {name}; name a YAML file, or one of {known}.") from None
    except yaml.YAMLError as wrong:
        raise PlanError(f"{file} is no YAML: {' '.join(str(wrong).split())}.") from None
    if not isinstance(read, dict) or set(read) != {"about", "faults"} or not isinstance(read["faults"], list):
        raise PlanError(
            f"{file}: write `about:` with a sentence and `faults:` with a list, and nothing else."
        )
    faults = tuple(_fault(f"{file}: fault {at}", one) for at, one in enumerate(read["faults"], 1))
    return Plan(name=file.stem, about=str(read["about"]), faults=faults)


def _fault(place: str, read: object) -> Fault:
    if not isinstance(read, Mapping):
        raise PlanError(f"{place} is no mapping; write it as `{{vendor: jira, kind: hang}}`.")
    unknown = sorted(set(read) - _FIELDS)
    if unknown:
        raise PlanError(f"{place} has no field {unknown[0]}; use {', '.join(sorted(_FIELDS))}.")
    missing = sorted({"vendor", "kind"} - set(read))
    if missing:
        raise PlanError(f"{place} has no {missing[0]}; every fault has a vendor and a kind.")
    try:
        return Fault(**read)
    except (TypeError, ValueError) as wrong:
        raise PlanError(f"{place}: {wrong}") from None
