"""Learning: what engineers corrected is what the embedded model says next time."""

from __future__ import annotations

from pathlib import Path

from tests.workers.house import house
from workers.wiring import new_embedded_model

TEXT = "Zeppelin mooring line tension out of band at mast seven"


def test_a_correction_in_a_ticket_teaches_the_embedded_model(tmp_path: Path, sqlite_url: str) -> None:
    """A ticket of a kind never seen, corrected in the ticket: after a restart its like is told rightly."""
    with house(tmp_path, sqlite_url) as home:
        home = home.with_policy(control_lane=0.0)
        desk = home.box.servicenow
        row = home.box.run(lambda: desk.open_incident(short_description=TEXT, description=TEXT))
        home.once()
        home.box.run(
            lambda: desk.add_note(row["sys_id"], "lena.fischer", "/countersign wrong category=hardware")
        )
        home.run("watch")
        unknowing, taught = (
            new_embedded_model(home.parts.settings, corrections=corrections).classify([TEXT])[0].category
            for corrections in (False, True)
        )
        assert (unknowing == "hardware", taught) == (False, "hardware")
