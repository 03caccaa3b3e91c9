"""`countersign case show ID`: the whole story of one case."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from workers.console import AsJson, Config, new_app, show_json
from workers.settings import load_settings
from workers.story import tell, without_secrets

app = new_app("Tell the whole story of one case: countersign case show ID.")


@app.callback()
def case() -> None:
    """One case, from its alerts to its audit records."""


@app.command()
def show(
    case_id: Annotated[
        str, typer.Argument(metavar="ID", help="Case id, the beginning of one, or a ticket's key.")
    ],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Show alerts, context, assessment, decision with reasons, actions, corrections and audit."""
    from workers.wiring import open_ledger

    with closing(open_ledger(load_settings(config))) as ledger:
        story = without_secrets(ledger.reading.story(case_id))
    if as_json:
        show_json(story)
        return
    typer.echo("\n".join(tell(story)))
