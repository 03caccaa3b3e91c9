"""The boundary of a rule: all of a policy that decides which cases a close is wanted for, as one hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from countersign.assessment import Assessment
from countersign.labels import Versions
from countersign.policy import Policy

# A label of one of these says nothing once it has changed. Autonomy, limits and owners don't change what is wrong.
_PARTS = {"categories", "never_close", "calendars", "storms", "scope", "model"}
_OF_MODEL = {"question", "prompt"}
_KNOWN: dict[str, str] = {}  # by the policy's own hash: asked for every case


def boundary_hash(policy: Policy) -> str:
    """12 hex digits over the parts of a policy that decide which cases a close is wanted for."""
    known = _KNOWN.get(policy.content_hash)
    if known is None:
        known = _KNOWN[policy.content_hash] = _hash(policy)
    return known


def _hash(policy: Policy) -> str:
    document: dict[str, Any] = policy.model_dump(mode="json", by_alias=True, include=_PARTS)
    samples = {"samples": policy.model.samples} if policy.model.samples > 1 else {}
    # One sample is what there was before there were more: its hash stays what it was.
    document["model"] = {key: document["model"][key] for key in sorted(_OF_MODEL)} | samples
    document["scope"] = {"data": document["scope"]["data"]}
    document["rules"] = [
        rule.model_dump(mode="json", by_alias=True, include={"name", "when", "then"}) for rule in policy.rules
    ]
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:12]


def versions_of(policy: Policy, assessment: Assessment) -> Versions:
    """What a risk was computed by: labels and certificates of other versions don't count for it."""
    return replace(
        unscaled(policy, prompt=assessment.prompt_hash, model=assessment.model),
        calibration=assessment.calibration,
    )


def unscaled(policy: Policy, *, prompt: str, model: str) -> Versions:
    """What a confidence was given by, whatever risk is made of it."""
    return Versions(policy=boundary_hash(policy), prompt=prompt, model=model)
