"""The audit trail: what was changed, cut off or computed anew is found, the last two with a checkpoint alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import create_engine, text

from connectors.sql import audit
from connectors.sql.engine import Database
from countersign.audit import Event
from countersign.checkpoints import Checkpoint, dump, holds, load, new_key, sign
from countersign.errors import ConfigError
from tests.ledger_world import NOTE, START, World, ticket

PRIVATE, PUBLIC = new_key()
_OPEN_THE_LOG = {
    "sqlite": ("DROP TRIGGER audit_no_UPDATE", "DROP TRIGGER audit_no_DELETE"),
    "postgresql": ("DROP TRIGGER audit_no_change ON audit", "DROP TRIGGER audit_no_truncate ON audit"),
}


class Intruder:
    """Somebody who may write all of the ledger's tables, its triggers too."""

    def __init__(self, url: str) -> None:
        self.db = Database(url, clock=lambda: START)
        self.run(*_OPEN_THE_LOG[self.db.engine.dialect.name])

    def run(self, *statements: str) -> None:
        engine = create_engine(self.db.url)
        with engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement))
        engine.dispose()

    def cut(self, last: int) -> None:
        """Removes everything after a record, and sets the head to it."""
        self.run(
            f"DELETE FROM audit WHERE seq > {last}",
            f"UPDATE audit_head SET seq = {last}, hash = (SELECT hash FROM audit WHERE seq = {last})",
        )

    def chain_anew(self) -> None:
        """Writes the whole log again, without whoever approved, with hashes that fit."""
        with self.db.read() as connection:
            records = list(audit.records(connection))
        self.run("DELETE FROM audit", f"UPDATE audit_head SET seq = 0, hash = '{'0' * 64}'")
        with self.db.write() as connection:
            for one in records:
                event = Event(
                    actor="nobody", event=one.event, case_id=one.case_id, subject=one.subject, detail={}
                )
                audit.append(connection, [event], at=one.at)
        self.db.close()


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    world.decided(effects=[NOTE], on=ticket())
    world.do_all()
    yield world
    world.close()


def _checkpoint(world: World) -> Checkpoint:
    seq, last_hash, at = world.ledger.trail.head()
    return sign(seq, last_hash, at, PRIVATE)


def _problem(world: World, checkpoint: Checkpoint | None = None) -> str:
    found = world.ledger.trail.verify(checkpoint, public_key=PUBLIC).problem
    return found.sentence if found else ""


def test_a_whole_log_holds(world: World) -> None:
    """Every record is counted; a checkpoint of before goes on holding while the log grows."""
    early = _checkpoint(world)
    world.ledger.controls.stop(by="ann")
    assert world.ledger.trail.verify().records == early.seq + 1
    assert _problem(world, early) == ""


def test_a_changed_record_is_found(world: World) -> None:
    """One word in one record."""
    Intruder(world.url).run("UPDATE audit SET actor = 'nobody' WHERE seq = 2")
    assert _problem(world) == "Record 2 was changed after it was written."


def test_a_removed_record_is_found(world: World) -> None:
    """A hole in the middle."""
    Intruder(world.url).run("DELETE FROM audit WHERE seq = 2")
    assert _problem(world) == "Record 2 is missing: 3 follows 1."


def test_a_clumsy_cut_is_found(world: World) -> None:
    """The end was removed and the head forgotten."""
    Intruder(world.url).run("DELETE FROM audit WHERE seq > 2")
    assert "its end was cut off" in _problem(world)


def test_a_cut_end_is_found_with_a_checkpoint_and_not_without(world: World) -> None:
    """What the chain itself can't show."""
    checkpoint = _checkpoint(world)
    Intruder(world.url).cut(2)
    assert _problem(world) == ""
    assert "is gone: the log's end was cut off" in _problem(world, checkpoint)


def test_a_chain_computed_anew_is_found_with_a_checkpoint_and_not_without(world: World) -> None:
    """Every hash fits, and nobody did anything."""
    checkpoint = _checkpoint(world)
    Intruder(world.url).chain_anew()
    assert _problem(world) == ""
    assert "the chain was computed anew" in _problem(world, checkpoint)


def test_a_checkpoint_of_somebody_else_proves_nothing(world: World) -> None:
    """Signed with another key, or changed after signing."""
    seq, last_hash, at = world.ledger.trail.head()
    other = sign(seq, last_hash, at, new_key()[0])
    assert _problem(world, other) == "The checkpoint's signature is not of the expected key."
    text_of = dump(_checkpoint(world)).replace(f'"seq": {seq}', f'"seq": {seq - 1}')
    assert not holds(load(text_of))


def test_a_checkpoint_survives_its_file(world: World) -> None:
    """Written and read again it is the same; what is none is refused with a sentence."""
    checkpoint = _checkpoint(world)
    assert load(dump(checkpoint)) == checkpoint
    with pytest.raises(ConfigError, match="no checkpoint"):
        load(dump(checkpoint).replace('"kind": "', '"kind": "another '))
    with pytest.raises(ConfigError, match="no checkpoint"):
        load("{}")
    with pytest.raises(ConfigError, match="no Ed25519 private key"):
        sign(1, "x", START, PUBLIC)


def test_a_key_of_another_kind_is_refused(world: World) -> None:
    """It reads as a key and can't have signed: told in a sentence, whichever half it is."""
    another = X25519PrivateKey.generate()
    private = another.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = another.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(ConfigError, match="no Ed25519 private key"):
        sign(1, "x", START, private)
    with pytest.raises(ConfigError, match="no Ed25519 public key"):
        holds(_checkpoint(world), public)


def test_the_export_is_the_log_line_by_line(world: World) -> None:
    """JSON Lines in order, each with what it was chained by."""
    lines = [json.loads(line) for line in world.ledger.trail.export()]
    assert [line["seq"] for line in lines] == list(range(1, len(lines) + 1))
    assert all(later["previous"] == earlier["hash"] for earlier, later in pairwise(lines))
    assert len(list(world.ledger.trail.export(after=2))) == len(lines) - 2
