"""Rights at the command line: a rollback is for those whom the policy names, and the audit log has who did it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from countersign.errors import ConfigError
from tests.workers.house import House, shipped
from workers.main import main
from workers.settings import load_settings
from workers.warrants import private_key
from workers.wiring import open_parts


def _person(folder: Path, name: str) -> str:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / f"{name}.pem").write_bytes(pem)
    return base64.b64encode(key.public_key().public_bytes_raw()).decode()


def _ruled(home: House, folder: Path, rights: str) -> House:
    """The house's configuration with one policy that has these rights, in force before keys are asked for."""
    text = shipped()
    text = text.replace("version: 1", "version: 2", 1) + f"rights: {rights}\n"
    (folder / "ruled.yaml").write_text(text, encoding="utf-8")
    _configure(home, policies=[str(folder / "ruled.yaml")])
    open_parts(load_settings(home.config), keep=True).close()
    return home


def _configure(home: House, **settings: object) -> None:
    found = yaml.safe_load(home.config.read_text(encoding="utf-8"))
    home.config.write_text(yaml.safe_dump(found | settings), encoding="utf-8")


def _roll_back(home: House, capsys: pytest.CaptureFixture[str], *how: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main(["rollback", "--since", "2026-01-01", *how, "--config", str(home.config)])
    code = ended.value.code
    return int(code or 0), capsys.readouterr().err


def _used(home: House) -> list[tuple[str, str, str]]:
    """(who, use case, whether signed) of every right that was used."""
    with home.ledger.reading.audit() as lines:
        return [
            (line.actor, line.subject, "signed" if line.detail["signature"] else "named")
            for line in lines
            if line.event == "right.roll_back"
        ]


def test_a_rollback_is_for_those_whom_the_policy_names(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without keys: who is not named is refused and nothing begins; who is goes into the audit log."""
    home = _ruled(home, tmp_path, "{roll_back: [ana]}")
    code, said = _roll_back(home, capsys, "--by", "ben")
    assert (code != 0, "ana may (rights.roll_back)" in said, _used(home)) == (True, True, [])
    assert _roll_back(home, capsys, "--by", "ana")[0] == 0
    assert _used(home) == [("ana", "alert-triage", "named")]


def test_where_policies_are_signed_a_rollback_needs_a_key(
    home: House, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With keys a name is not enough, another's key neither; looking first needs no right."""
    home = _ruled(home, tmp_path, "{roll_back: [ana], change: [ana]}")
    _configure(home, keys={name: _person(tmp_path, name) for name in ("ana", "ben")})
    assert "has to show a key" in _roll_back(home, capsys, "--by", "ana")[1]
    assert "not the one" in _roll_back(home, capsys, "--by", "ana", "--key", str(tmp_path / "ben.pem"))[1]
    assert _roll_back(home, capsys, "--dry-run")[0] == 0
    assert _used(home) == []
    assert _roll_back(home, capsys, "--by", "ana", "--key", str(tmp_path / "ana.pem"))[0] == 0
    assert _used(home) == [("ana", "alert-triage", "signed")]


def test_a_key_of_another_kind_signs_nothing(tmp_path: Path) -> None:
    """It reads as a private key: told in a sentence, with how to make one that signs; so is what is no key."""
    file = tmp_path / "ana.pem"
    file.write_bytes(
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(ConfigError, match="is not an Ed25519 key; make one with"):
        private_key(file)
    file.write_text("nothing like a key")
    with pytest.raises(ConfigError, match="can't be read as a private key"):
        private_key(file)
