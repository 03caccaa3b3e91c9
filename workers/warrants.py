"""Warrants: a command that policies leave to named people asks here first, and what they show is recorded."""

from __future__ import annotations

import getpass
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from countersign.errors import ConfigError
from countersign.policy import Policy
from countersign.rights import Right, Warrant, require
from workers.settings import Settings

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

By = Annotated[
    str, typer.Option("--by", help="Who you are, as in the policy's `rights`; your account if left out.")
]
Key = Annotated[
    Path | None, typer.Option("--key", help="Your Ed25519 private key, in PEM; where `keys` are configured.")
]


class Witness(Protocol):
    """Who keeps warrants: the ledger's controls."""

    def warranted(self, warrants: Iterable[Warrant]) -> None: ...


def ask(
    settings: Settings,
    witness: Witness,
    policies: Iterable[Policy],
    right: Right,
    *,
    what: str,
    at: datetime,
    by: str = "",
    key: Path | None = None,
) -> str:
    """Who may: the name for the audit log, once every one of these policies admits it. Raises NoRight, ConfigError.

    `policies` are those in force; `what` is one sentence of what is to be done, which is recorded and signed.
    """
    person = by or getpass.getuser()
    own = private_key(key) if key else None
    warrants = [
        require(policy, right, by=person, what=what, at=at, keys=settings.keys, key=own)
        for policy in policies
    ]
    witness.warranted(warrants)
    return person


def private_key(file: Path) -> Ed25519PrivateKey:
    """Raises ConfigError for a file that is no Ed25519 private key in PEM."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(file.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as problem:
        raise ConfigError(
            f"{file} can't be read as a private key ({type(problem).__name__}); name a PEM."
        ) from None
    if not isinstance(private, Ed25519PrivateKey):
        raise ConfigError(
            f"{file} is not an Ed25519 key; make one with `openssl genpkey -algorithm ed25519`."
        )
    return private
