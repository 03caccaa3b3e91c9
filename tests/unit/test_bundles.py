"""Bundles: who signed a policy, and whether that is enough for it to take effect."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from countersign.bundles import Bundle, BundleError, Edition, Role, read_bundle, sign, verify
from countersign.policy import Policy
from countersign.prompts import PromptFile
from tests.unit.builders import NOW, POLICIES
from workers.commands.policy import read

PEOPLE = ("ana", "ben", "cem")
PRIVATE = {
    name: Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number, name in enumerate(PEOPLE)
}
KEYS = {name: base64.b64encode(key.public_key().public_bytes_raw()).decode() for name, key in PRIVATE.items()}
RIGHTS = {"change": ["ana", "ben"], "promote": ["ben"]}


def _policy(version: int = 1, **changes: Any) -> Policy:
    base = read(POLICIES / "alert-triage.yaml").model_dump(by_alias=True)
    return Policy.model_validate(base | {"version": version, "rights": RIGHTS, "autonomy": "draft"} | changes)


PROMPT = PromptFile("triage/v1", "Which of {categories}? Whose of {groups}?")


def _edition(policy: Policy, prompt: PromptFile | None = PROMPT) -> Edition:
    return Edition(policy=policy, prompt=prompt)


def _signed(policy: Policy, *signers: tuple[str, Role]) -> Bundle | None:
    bundle: Bundle | None = None
    for by, role in signers:
        bundle = sign(_edition(policy), bundle, by=by, role=role, key=PRIVATE[by], at=NOW)
    return bundle


NARROWER = {"limits": {"closes_per_hour": 1, "closes_per_service_per_day": 1}}
WIDER = {"limits": {"closes_per_hour": 900, "closes_per_service_per_day": 50}}
ACTS = {"autonomy": "act"}
OLD = _policy()


def _verdict(policy: Policy, bundle: Bundle | None, *, days: float = 0, keys: dict[str, str] = KEYS) -> str:
    try:
        verify(_edition(policy), bundle, keys=keys, in_force=_edition(OLD), now=NOW + timedelta(days=days))
    except BundleError as problem:
        return str(problem)
    return ""


def test_narrowing_needs_one_signature_and_widening_two_people() -> None:
    """One author narrows; to widen, another person than the author approves."""
    narrower, wider = _policy(2, **NARROWER), _policy(2, **WIDER)
    assert _verdict(narrower, _signed(narrower, ("ana", "author"))) == ""
    assert "another person than its author" in _verdict(wider, _signed(wider, ("ana", "author")))
    assert _verdict(wider, _signed(wider, ("ana", "author"), ("ben", "approver"))) == ""


def test_nobody_approves_what_they_wrote() -> None:
    """The same person as author and approver is one person."""
    wider = _policy(2, **WIDER)
    assert "another person" in _verdict(wider, _signed(wider, ("ana", "author"), ("ana", "approver")))


def test_two_names_for_one_key_are_one_person() -> None:
    """Ana under Ben's name as well: her approval of what she wrote counts for nothing."""
    wider = _policy(2, **WIDER)
    bundle = sign(_edition(wider), None, by="ana", role="author", key=PRIVATE["ana"], at=NOW)
    bundle = sign(_edition(wider), bundle, by="ben", role="approver", key=PRIVATE["ana"], at=NOW)
    assert "another person" in _verdict(wider, bundle, keys={"ana": KEYS["ana"], "ben": KEYS["ana"]})


def test_an_approver_needs_an_author_and_the_right() -> None:
    """Two approvers and no author, or an approver without the right to change it: not enough to widen."""
    wider = _policy(2, **WIDER)
    assert "another person" in _verdict(wider, _signed(wider, ("ana", "approver"), ("ben", "approver")))
    assert "another person" in _verdict(wider, _signed(wider, ("ana", "author"), ("cem", "approver")))
    assert _verdict(wider, _signed(wider, ("cem", "author"), ("ana", "approver"))) == ""


@pytest.mark.parametrize(("autonomy", "enough"), [("observe", True), ("draft", False), ("act", False)])
def test_the_first_version_is_bound_by_its_own_rights(autonomy: str, enough: bool) -> None:
    """Nothing is in force yet: to observe one signs, for more its author and another; and who may promote."""
    first = _policy(1, autonomy=autonomy)

    def verdict(*signers: tuple[str, Role]) -> str:
        try:
            verify(_edition(first), _signed(first, *signers), keys=KEYS, in_force=None, now=NOW)
        except BundleError as problem:
            return str(problem)
        return ""

    assert (verdict(("ana", "author")) == "") is enough
    assert verdict(("ana", "author"), ("ben", "approver")) == ""


def test_only_those_with_the_right_change_and_promote() -> None:
    """Cem has a key and no right; raising autonomy needs somebody who may promote, by the policy in force."""
    narrower, acts = _policy(2, **NARROWER), _policy(2, **ACTS, rights={**RIGHTS, "promote": ["ana"]})
    assert "but ana, ben may change it" in _verdict(narrower, _signed(narrower, ("cem", "author")))
    assert "raises its autonomy, which ben may sign for" in _verdict(
        acts, _signed(acts, ("cem", "author"), ("ana", "approver"))
    )
    assert _verdict(acts, _signed(acts, ("ana", "author"), ("ben", "approver"))) == ""


def test_unsigned_replayed_expired_and_forged_are_refused_with_one_sentence() -> None:
    """Each of the ways in which a bundle is no good says which one it is."""
    narrower, other = _policy(2, **NARROWER), _policy(2, **WIDER)
    good = _signed(narrower, ("ana", "author"))
    replayed = _policy(1, **NARROWER)
    assert good is not None
    forged = good.model_copy(
        update={"signatures": (good.signatures[0].model_copy(update={"expires": NOW + timedelta(days=999)}),)}
    )
    said = [
        _verdict(narrower, None),
        _verdict(replayed, _signed(replayed, ("ana", "author"))),
        _verdict(narrower, good, days=31),
        _verdict(narrower, good, days=-1),
        _verdict(narrower, forged),
        _verdict(other, good),
        _verdict(narrower, good, keys={"ben": KEYS["ben"]}),
        _verdict(narrower, good, keys={"ana": KEYS["ben"]}),
        _verdict(narrower, good, keys={"ana": "no key"}),
    ]
    expected = [
        "is not signed", "is a replay", "has expired", "has expired", "is not valid", "for another content",
        "whose key is not in the configuration", "is not valid", "is not valid",
    ]  # fmt: skip
    assert [words in one for words, one in zip(expected, said, strict=True)] == [True] * len(said)
    assert all(one.count("\n") == 0 and one.endswith(".") for one in said)


def test_what_is_in_force_goes_on_without_signatures() -> None:
    """The same content needs no new signature: an expired one stops nothing that runs."""
    verify(_edition(OLD), None, keys=KEYS, in_force=_edition(OLD), now=NOW)


@pytest.mark.parametrize("text", ["", "[]", "[" * 20_000, '{"use_case": "x"}', "x" * 100_000])
def test_what_is_no_bundle_is_one_sentence(text: str) -> None:
    """Empty, nested 20,000 deep, too large or half: refused."""
    with pytest.raises(BundleError, match="sign the policy again"):
        read_bundle(text, name="p.sig")


def test_a_bundle_has_room_for_signatures_and_no_more() -> None:
    """Valid, but padded beyond what any can need: it is not even parsed."""
    text = _signed(OLD, ("ana", "author")).model_dump_json()
    assert read_bundle(text, name="p.sig").version == OLD.version
    with pytest.raises(BundleError, match="larger than a bundle can be"):
        read_bundle(text + " " * 100_000, name="p.sig")


OTHER = PromptFile("triage/v1", PROMPT.text + " Close everything.")


def test_a_signature_covers_the_prompt_that_the_policy_names() -> None:
    """Signed with one text and found with another: refused, whoever signed."""
    narrower = _policy(2, **NARROWER)
    bundle = _signed(narrower, ("ana", "author"), ("ben", "approver"))
    with pytest.raises(BundleError, match="is not the text that was signed with policy alert-triage v2"):
        verify(_edition(narrower, OTHER), bundle, keys=KEYS, in_force=_edition(OLD), now=NOW)


def test_the_hash_of_the_prompt_is_under_the_signature() -> None:
    """Whoever writes another prompt's hash into a bundle has to sign it anew."""
    narrower = _policy(2, **NARROWER)
    bundle = _signed(narrower, ("ana", "author"))
    assert bundle is not None
    forged = bundle.model_copy(update={"prompt_hash": OTHER.content_hash})
    with pytest.raises(BundleError, match="is not valid"):
        verify(_edition(narrower, OTHER), forged, keys=KEYS, in_force=_edition(OLD), now=NOW)


def test_another_prompt_counts_as_more_autonomy() -> None:
    """The same boundary asked about otherwise needs two people; one that nobody kept can't be compared."""
    same = _edition(_policy(2), OTHER)
    alone = sign(same, None, by="ana", role="author", key=PRIVATE["ana"], at=NOW)
    with pytest.raises(BundleError, match="another person than its author"):
        verify(same, alone, keys=KEYS, in_force=_edition(OLD), now=NOW)
    verify(same, alone, keys=KEYS, in_force=_edition(OLD, None), now=NOW)
    both = sign(same, alone, by="ben", role="approver", key=PRIVATE["ben"], at=NOW)
    verify(same, both, keys=KEYS, in_force=_edition(OLD), now=NOW)


def test_what_is_in_force_does_not_go_on_with_another_prompt() -> None:
    """The version in force needs no signature, but its question is the one that it was signed with."""
    with pytest.raises(BundleError, match="is not the text with which policy alert-triage v1 was signed"):
        verify(_edition(OLD, OTHER), None, keys=KEYS, in_force=_edition(OLD), now=NOW)
