"""Rights: whether somebody may do what a policy leaves to named people, and the proof of it that is kept.

Where the configuration has keys, a right is shown with a key: a signature over what is to be done. An empty list
then means nobody. Without keys the name that is given is taken at its word and recorded, and an empty list means
whoever can reach the ledger.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from countersign.audit import Event
from countersign.errors import CountersignError
from countersign.policy import Policy

Right = Literal["promote", "retrain", "roll_back"]
_WORDS: dict[Right, str] = {
    "promote": "give a rule its autonomy back",
    "retrain": "let the embedded model learn anew",
    "roll_back": "take back what was done",
}


class NoRight(CountersignError):
    """Why somebody may not do that, as one sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Warrant:
    """That somebody was found to have a right, and for what they used it. `signature`: base64; "" without keys."""

    use_case: str
    right: Right
    by: str
    what: str
    at: datetime
    signature: str = ""

    @property
    def event(self) -> Event:
        """The audit record: with it and the person's public key the signature can be verified again."""
        detail: dict[str, object] = {
            "what": self.what, "at": self.at.isoformat(), "signature": self.signature,
        }  # fmt: skip
        return Event(
            actor=self.by, event=f"right.{self.right}", case_id="", subject=self.use_case, detail=detail
        )


def require(
    policy: Policy,
    right: Right,
    *,
    by: str,
    what: str,
    at: datetime,
    keys: Mapping[str, str],
    key: Ed25519PrivateKey | None = None,
) -> Warrant:
    """The warrant for it. Raises NoRight if `by` may not.

    `keys`: person -> base64 of the raw Ed25519 public key, as configured. `key`: the person's own.
    """
    named: tuple[str, ...] = getattr(policy.rights, right)
    warrant = Warrant(use_case=policy.use_case, right=right, by=by, what=what, at=at)
    if by not in named and (named or keys):
        raise NoRight(
            f"{by} may not {_WORDS[right]} under policy {policy.use_case}: {', '.join(named) or 'nobody'} may "
            f"(rights.{right})."
        )
    if not keys:
        return warrant
    if by not in keys:
        raise NoRight(f"The key of {by} is not in the configuration; add it under `keys`.")
    if key is None:
        raise NoRight(
            f"Policies are signed here, so {by} has to show a key: add --key with your private key."
        )
    signed = replace(warrant, signature=base64.b64encode(key.sign(_message(warrant))).decode())
    if not proven(signed, keys[by]):
        raise NoRight(f"This key is not the one that the configuration has for {by}; name your own.")
    return signed


def proven(warrant: Warrant, public: str) -> bool:
    """Whether the warrant was signed with the private part of this key (base64, raw Ed25519)."""
    try:
        known = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        known.verify(base64.b64decode(warrant.signature, validate=True), _message(warrant))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def _message(warrant: Warrant) -> bytes:
    """Under a name of its own, so that it fits neither a bundle nor another right."""
    parts = (
        "countersign right 1", warrant.use_case, warrant.right, warrant.by, warrant.what, warrant.at.isoformat(),
    )  # fmt: skip
    return "\x1f".join(parts).encode()
