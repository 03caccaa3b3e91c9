"""`countersign migrate`: brings the ledger's tables up to this version."""

from __future__ import annotations

import typer

from workers.console import Config, new_app
from workers.settings import load_settings

app = new_app("Bring the ledger's tables up to this version.")


@app.command()
def migrate(config: Config = None) -> None:
    """Migrate forwards; workers of the version before may go on meanwhile."""
    from workers.wiring import migrate as bring_up_to_date

    bring_up_to_date(load_settings(config))
    typer.echo("The ledger is up to date.")
