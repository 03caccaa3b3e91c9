"""`countersign audit`, and what happens while the log can't be written."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import create_engine, text

from tests.workers.house import House


def _run(home: House, statement: str) -> None:
    engine = create_engine(home.parts.settings.ledger.get_secret_value())
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def _note_waits(home: House) -> House:
    home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description="Report of the night run is late",
            description="It took longer",
            impact="2",
            urgency="2",
        )
    )
    home.run_only("pull", "assess")
    return home


def test_while_the_log_is_broken_nothing_reaches_the_desk(home: House) -> None:
    """No audit record, no action; when the log can be written again, all goes on."""
    home = _note_waits(home)
    _run(home, "ALTER TABLE audit RENAME TO audit_away")
    home.try_to("sweep")
    assert [write for write in home.box.world.writes if write.marker] == []
    _run(home, "ALTER TABLE audit_away RENAME TO audit")
    home.later(minutes=10)
    assert len([write for write in home.box.world.writes if write.marker]) == 1


def test_a_checkpoint_is_made_and_verified_on_the_command_line(home: House, tmp_path: Path) -> None:
    """A key, a checkpoint, a log that holds; then a record is changed, and the command ends with 1."""
    home = _note_waits(home)
    key, out = str(tmp_path / "key.pem"), str(tmp_path / "point.json")
    assert home.command("audit", "key", key, config=False).returncode == 0
    assert "already" in home.command("audit", "key", key, config=False).stderr
    assert home.command("audit", "checkpoint", "--key", key, "--out", out).returncode == 0
    whole = home.command("audit", "verify", "--checkpoint", out, "--public-key", f"{key}.pub", "--json")
    assert (whole.returncode, json.loads(whole.stdout)["problem"]) == (0, None)
    assert json.loads(home.command("audit", "export").stdout.splitlines()[0])["seq"] == 1
    _run(home, "DROP TRIGGER audit_no_UPDATE")
    _run(home, "UPDATE audit SET actor = 'nobody' WHERE seq = 1")
    broken = home.command("audit", "verify")
    assert (broken.returncode, broken.stdout) == (1, "Record 1 was changed after it was written.\n")
    assert "nothing is signed" in home.command("audit", "checkpoint", "--key", key, "--out", out).stderr
