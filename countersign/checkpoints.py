"""Checkpoints: a signed word on where the audit chain stood, to be kept where the ledger's owner can't write.

With one, a cut-off end and a chain computed anew are found: the record of its seq must still have its hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from countersign.errors import ConfigError

_KIND = "countersign audit checkpoint 1"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The chain's last record at a time. `key` is the public key (hex) it was signed with."""

    seq: int
    hash: str
    at: datetime
    key: str
    signature: str


def new_key() -> tuple[bytes, bytes]:
    """A fresh Ed25519 key as PEM: the private part, which signs, and the public one, which verifies."""
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def sign(seq: int, chain_hash: str, at: datetime, private_pem: bytes) -> Checkpoint:
    """Raises ConfigError for what is no Ed25519 private key."""
    try:
        key = load_pem_private_key(private_pem, None)
    except (ValueError, TypeError) as error:
        raise ConfigError(_NO_KEY) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(_NO_KEY)
    public = key.public_key().public_bytes_raw().hex()
    signature = key.sign(_signed(seq, chain_hash, at)).hex()
    return Checkpoint(seq=seq, hash=chain_hash, at=at, key=public, signature=signature)


_NO_KEY = "This is no Ed25519 private key in PEM; make one with `countersign audit key`."


def holds(checkpoint: Checkpoint, public_pem: bytes | None = None) -> bool:
    """Whether its signature is of its key, and its key is the one expected, if one is."""
    expected = checkpoint.key if public_pem is None else _public_hex(public_pem)
    if expected != checkpoint.key:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(checkpoint.key)).verify(
            bytes.fromhex(checkpoint.signature), _signed(checkpoint.seq, checkpoint.hash, checkpoint.at)
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def dump(checkpoint: Checkpoint) -> str:
    """One line of JSON."""
    fields = {name: getattr(checkpoint, name) for name in ("seq", "hash", "key", "signature")}
    return json.dumps({"kind": _KIND, "at": checkpoint.at.isoformat(), **fields}, sort_keys=True) + "\n"


def load(text: str) -> Checkpoint:
    """Raises ConfigError for what is no checkpoint."""
    try:
        found: Mapping[str, object] = json.loads(text)
        if found["kind"] != _KIND:
            raise ValueError(found["kind"])
        return Checkpoint(
            seq=int(str(found["seq"])),
            hash=str(found["hash"]),
            at=datetime.fromisoformat(str(found["at"])),
            key=str(found["key"]),
            signature=str(found["signature"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError("This is no checkpoint of `countersign audit checkpoint`.") from error


def _signed(seq: int, chain_hash: str, at: datetime) -> bytes:
    return f"{_KIND}\n{seq}\n{chain_hash}\n{at.astimezone(UTC).isoformat()}\n".encode()


def _public_hex(pem: bytes) -> str:
    try:
        key = load_pem_public_key(pem)
    except ValueError as error:
        raise ConfigError("This is no public key in PEM; take the one beside your private key.") from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError("This is no Ed25519 public key; take the one that `countersign audit key` wrote.")
    return key.public_bytes_raw().hex()
