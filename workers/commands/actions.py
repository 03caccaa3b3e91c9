"""`countersign actions`: what was written, or waits to be written, in other systems."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from countersign.actions import ActionState
from workers.console import AsJson, Config, Limit, new_app, one_of, show_json, show_table
from workers.settings import load_settings

app = new_app("List what was written, or waits to be, in other systems.")


@app.command()
def actions(
    config: Config = None,
    as_json: AsJson = False,
    limit: Limit = 50,
    state: Annotated[str, typer.Option(help="Only actions in this state, as done or planned.")] = "",
) -> None:
    """List actions, newest first."""
    from workers.wiring import open_ledger

    one_of("state", state, ActionState)
    with closing(open_ledger(load_settings(config))) as ledger:
        lines = ledger.reading.actions(limit=limit, state=state)
    if as_json:
        show_json(lines)
        return
    rows = [
        (
            line.planned_at.strftime("%m-%d %H:%M:%S"),
            line.kind,
            line.desk,
            line.ticket,
            line.state,
            line.case_id,
            line.approved_by,
        )
        for line in lines
    ]
    show_table(
        ("planned", "what", "desk", "ticket", "state", "case", "approved by"),
        rows,
        empty=f"No action is {state} now." if state else "No action was ever planned.",
    )
