"""Bundles: a policy, its prompt and the signatures of those who answer for both; whether it may replace another.

Who may do what is written in the policy in force (`rights`): a new policy can't grant itself a right. The keys
of people are kept in the configuration, outside of any bundle. More autonomy needs an author and another person
who approves; narrowing needs one of either.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from countersign.errors import CountersignError
from countersign.policy import Policy, edits
from countersign.prompts import PromptFile

VALID_FOR = timedelta(days=30)
_LARGEST = 64 * 1024
Role = Literal["author", "approver"]
Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class BundleError(CountersignError):
    """Why a bundle does not take effect, as one sentence."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Edition:
    """What is signed together: a policy and the prompt that it names. `prompt` is None where nobody kept its text."""

    policy: Policy
    prompt: PromptFile | None

    @property
    def name(self) -> str:
        return f"{self.policy.use_case} v{self.policy.version}"

    @property
    def prompt_hash(self) -> str:
        return self.prompt.content_hash if self.prompt else ""

    def asks_like(self, other: Edition) -> bool:
        """Whether both put the same question to a model, as far as anybody knows."""
        return None in (self.prompt, other.prompt) or self.prompt == other.prompt


class Signature(BaseModel):
    """One person's word for exactly this edition, until it expires."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    by: Word
    role: Role
    at: AwareDatetime
    expires: AwareDatetime
    signature: Word


class Bundle(BaseModel):
    """What lies beside a policy file: the hashes of all it says and of its prompt, and who signed that."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    use_case: Word
    version: int
    content_hash: Hex
    prompt_hash: Hex
    signatures: tuple[Signature, ...] = ()


def read_bundle(text: str, *, name: str) -> Bundle:
    """Raises BundleError for text that is no bundle."""
    try:
        if len(text) > _LARGEST:
            raise BundleError(f"{name} is larger than a bundle can be; sign the policy again.")
        return Bundle.model_validate_json(text)
    except (ValidationError, RecursionError):
        raise BundleError(f"{name} is not a bundle of signatures; sign the policy again.") from None


def sign(
    edition: Edition,
    bundle: Bundle | None,
    *,
    by: str,
    role: Role,
    key: Ed25519PrivateKey,
    at: datetime,
    valid_for: timedelta = VALID_FOR,
) -> Bundle:
    """The bundle with one more signature; signatures of another content are dropped, as they say nothing of it."""
    signature = Signature(by=by, role=role, at=at, expires=at + valid_for, signature="-")
    text = key.sign(_message(edition, signature))
    signature = signature.model_copy(update={"signature": base64.b64encode(text).decode()})
    signed = Bundle(
        use_case=edition.policy.use_case,
        version=edition.policy.version,
        content_hash=edition.policy.content_hash,
        prompt_hash=edition.prompt_hash,
    )
    kept = bundle.signatures if bundle and bundle.model_copy(update={"signatures": ()}) == signed else ()
    others = tuple(one for one in kept if (one.by, one.role) != (by, role))
    return signed.model_copy(update={"signatures": (*others, signature)})


def verify(
    new: Edition, bundle: Bundle | None, *, keys: Mapping[str, str], in_force: Edition | None, now: datetime
) -> None:
    """Raises BundleError unless this edition may take the place of the one in force.

    `keys`: person -> base64 of the raw Ed25519 public key. The edition in force itself may always go on.
    """
    policy, name, prompt = new.policy, new.name, new.prompt.name if new.prompt else "of no name"
    if in_force is not None and in_force.policy.content_hash == policy.content_hash:
        if new.asks_like(in_force):
            return
        raise BundleError(
            f"Prompt {prompt} is not the text with which policy {name} was signed; put that text back, or name another "
            "prompt version in a new version of the policy and sign it."
        )
    if bundle is None or not bundle.signatures:
        raise BundleError(f"Policy {name} is not signed; sign it with `countersign policy sign`.")
    if (bundle.use_case, bundle.version, bundle.content_hash) != (
        policy.use_case,
        policy.version,
        policy.content_hash,
    ):
        raise BundleError(f"The signatures beside policy {name} are for another content; sign it again.")
    if bundle.prompt_hash != new.prompt_hash:
        raise BundleError(
            f"Prompt {prompt} is not the text that was signed with policy {name}; put that text back, or sign it again."
        )
    if in_force is not None and policy.version <= in_force.policy.version:
        raise BundleError(
            f"Policy {name} is a replay: version {in_force.policy.version} is in force; raise `version` and sign it."
        )
    for signature in bundle.signatures:
        _check(new, signature, keys, now)
    _may(new, bundle, in_force, keys)


def _check(edition: Edition, one: Signature, keys: Mapping[str, str], now: datetime) -> None:
    name = edition.name
    if one.by not in keys:
        raise BundleError(f"Policy {name} is signed by {one.by}, whose key is not in the configuration.")
    try:
        public = Ed25519PublicKey.from_public_bytes(base64.b64decode(keys[one.by], validate=True))
        public.verify(base64.b64decode(one.signature, validate=True), _message(edition, one))
    except (InvalidSignature, ValueError, binascii.Error):
        raise BundleError(
            f"The signature of {one.by} under policy {name} is not valid; sign it again."
        ) from None
    if not one.at <= now < one.expires:
        raise BundleError(f"The signature of {one.by} under policy {name} has expired; sign it again.")


def _may(new: Edition, bundle: Bundle, in_force: Edition | None, keys: Mapping[str, str]) -> None:
    name, policy, before = new.name, new.policy, in_force.policy if in_force else None
    ruling = before or policy
    signers = {one.by for one in bundle.signatures}
    entitled = signers & set(ruling.rights.change)
    if not entitled:
        named = ", ".join(ruling.rights.change) or "nobody"
        raise BundleError(
            f"Policy {name} is signed by {_all(signers)}, but {named} may change it (rights.change)."
        )
    # A model that is asked otherwise may answer otherwise: that counts as more, too.
    if not widens(before, policy) and (in_force is None or new.asks_like(in_force)):
        return
    authors = {one.by for one in bundle.signatures if one.role == "author"}
    approvers = {one.by for one in bundle.signatures if one.role == "approver"} & entitled
    # Two names for one key are one person.
    others = {by for by in approvers if keys[by] not in {keys[author] for author in authors}}
    if not authors or not others:
        raise BundleError(
            f"Policy {name} may do more than before, so another person than its author has to approve it; "
            f"it is signed by {_all(signers)} alone."
        )
    if _raises_autonomy(before, policy) and not signers & set(ruling.rights.promote):
        named = ", ".join(ruling.rights.promote) or "nobody"
        raise BundleError(f"Policy {name} raises its autonomy, which {named} may sign for (rights.promote).")


def widens(old: Policy | None, new: Policy) -> bool:
    """Whether a policy may do more than the one before; what is unclear counts as more."""
    if old is None:
        return new.autonomy != "observe"
    # Version, purpose and the like are no difference in what may be done.
    return any(edit.direction != "narrows" and not edit.text.startswith(_WORDS) for edit in edits(old, new))


_WORDS = ("version:", "purpose:", "worst_case:", "kpi:", "kpi.", "report:", "report.")
_STEPS = ("observe", "draft", "act")


def _raises_autonomy(old: Policy | None, new: Policy) -> bool:
    return _STEPS.index(new.autonomy) > (_STEPS.index(old.autonomy) if old else 0)


def _all(signers: set[str]) -> str:
    return " and ".join(sorted(signers))


def _message(edition: Edition, one: Signature) -> bytes:
    """What is signed: everything but the signature itself, under a name of its own, so that it fits nothing else."""
    policy = edition.policy
    parts = (
        "countersign policy bundle 2", policy.use_case, str(policy.version), policy.content_hash, edition.prompt_hash,
        one.by, one.role, one.at.isoformat(), one.expires.isoformat(),
    )  # fmt: skip
    return "\x1f".join(parts).encode()
