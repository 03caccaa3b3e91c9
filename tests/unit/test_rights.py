"""Rights: who may do what a policy leaves to named people, with keys and without."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.policy import Policy
from countersign.rights import NoRight, Right, Warrant, proven, require
from tests.unit.builders import NOW, POLICIES
from workers.commands.policy import read

ANA, BEN = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))
KEYS = {
    name: base64.b64encode(key.public_key().public_bytes_raw()).decode()
    for name, key in (("ana", ANA), ("ben", BEN))
}


def _policy(**rights: list[str]) -> Policy:
    base = read(POLICIES / "alert-triage.yaml").model_dump(by_alias=True)
    return Policy.model_validate(base | {"rights": rights})


def _ask(policy: Policy, by: str, **how: Any) -> Warrant:
    right: Right = how.pop("right", "roll_back")
    return require(policy, right, by=by, what="roll back case 7", at=NOW, **{"keys": {}, **how})


def test_without_keys_the_name_is_checked_and_recorded() -> None:
    """Ana is named and may; Ben is not and is told who may."""
    policy = _policy(roll_back=["ana"])
    event = _ask(policy, "ana").event
    assert (event.actor, event.event, event.detail["what"]) == ("ana", "right.roll_back", "roll back case 7")
    with pytest.raises(NoRight, match=r"ben may not take back what was done.* ana may \(rights.roll_back\)"):
        _ask(policy, "ben")


def test_where_nobody_is_named_keys_decide() -> None:
    """An empty list: without keys anybody may, with keys nobody."""
    assert _ask(_policy(), "whoever").by == "whoever"
    with pytest.raises(NoRight, match="nobody may"):
        _ask(_policy(), "ana", keys=KEYS, key=ANA)


def test_each_right_is_its_own() -> None:
    """Who may roll back may not retrain."""
    with pytest.raises(NoRight, match="let the embedded model learn anew"):
        _ask(_policy(roll_back=["ana"], retrain=["ben"]), "ana", right="retrain")


def test_with_keys_a_name_alone_is_not_enough() -> None:
    """No key, somebody else's key, or a name without a configured one: refused, each with what to do."""
    policy = _policy(roll_back=["ana", "cem"])
    with pytest.raises(NoRight, match="has to show a key"):
        _ask(policy, "ana", keys=KEYS)
    with pytest.raises(NoRight, match="not the one that the configuration has"):
        _ask(policy, "ana", keys=KEYS, key=BEN)
    with pytest.raises(NoRight, match="add it under `keys`"):
        _ask(policy, "cem", keys=KEYS, key=ANA)


def test_a_warrant_proves_what_it_was_for_and_nothing_else() -> None:
    """What the audit log keeps can be verified; another deed, right or person under the same signature can't."""
    given = _ask(_policy(roll_back=["ana"]), "ana", keys=KEYS, key=ANA)
    assert proven(given, KEYS["ana"])
    others = (
        replace(given, what="roll back everything"),
        replace(given, right="retrain"),
        replace(given, by="ben"),
        replace(given, use_case="another"),
        replace(given, signature=""),
    )
    assert [proven(one, KEYS["ana"]) for one in others] == [False] * len(others)
