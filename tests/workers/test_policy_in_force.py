"""A policy that can't be used, or is not signed as it must be, leaves the last good one in force."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from countersign.errors import CountersignError
from tests.workers.house import ROOT, House
from workers.files import policies_in_force
from workers.main import main
from workers.settings import Settings
from workers.wiring import now

GOOD = (
    (ROOT / "policies" / "alert-triage.yaml")
    .read_text(encoding="utf-8")
    .replace("use_case: alert-triage", "use_case: signed-triage")
)
RIGHTS = "rights: {change: [ana, ben], promote: [ben]}\n"


def _settings(home: House, file: Path, **keys: str) -> Settings:
    return home.parts.settings.model_copy(update={"policies": [file], "keys": keys})


def _version(home: House, file: Path, **keys: str) -> int:
    found = policies_in_force(_settings(home, file, **keys), home.parts.ledger.promises, now())
    return next(iter(found.values())).version


def _person(folder: Path, name: str) -> str:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.pem").write_bytes(pem)
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def _sign(file: Path, by: str, role: str) -> None:
    arguments = ["--key", str(file.parent / f"{by}.pem"), "--by", by, "--role", role]
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "sign", str(file), *arguments])


@pytest.mark.parametrize(
    "broken", ["rules: [", "a: &a [x]\nb: *a\n", "[" * 20_000, "use_case: alert-triage\n"]
)
def test_an_unreadable_policy_leaves_the_last_good_one_in_force(
    home: House, tmp_path: Path, broken: str
) -> None:
    """Cut off, a bomb, nested 20,000 deep or incomplete: the worker goes on with what it had."""
    file = tmp_path / "alert-triage.yaml"
    file.write_text(GOOD, encoding="utf-8")
    assert _version(home, file) == 1
    file.write_text(broken, encoding="utf-8")
    assert _version(home, file) == 1


def test_without_a_good_one_the_mistake_is_told(home: House, tmp_path: Path) -> None:
    """Nothing to go on with: the process ends with what is wrong."""
    file = tmp_path / "never-good.yaml"
    file.write_text("rules: [", encoding="utf-8")
    with pytest.raises(CountersignError):
        _version(home, file)


def test_with_keys_an_unsigned_change_takes_no_effect_until_two_have_signed(
    home: House, tmp_path: Path
) -> None:
    """Version 2 widens: unsigned and self-approved it waits, version 1 stays; author and approver let it in."""
    keys = {name: _person(tmp_path, name) for name in ("ana", "ben")}
    file = tmp_path / "alert-triage.yaml"
    file.write_text(GOOD + RIGHTS, encoding="utf-8")
    _sign(file, "ana", "author")
    _sign(file, "ben", "approver")
    assert _version(home, file, **keys) == 1
    wider = (
        (GOOD + RIGHTS).replace("version: 1", "version: 2").replace("risk_below: 0.10", "risk_below: 0.20")
    )
    file.write_text(wider, encoding="utf-8")
    assert _version(home, file, **keys) == 1
    _sign(file, "ana", "author")
    assert _version(home, file, **keys) == 1
    _sign(file, "ana", "approver")
    assert _version(home, file, **keys) == 1
    _sign(file, "ben", "approver")
    assert _version(home, file, **keys) == 2
