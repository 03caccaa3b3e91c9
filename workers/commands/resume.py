"""`countersign resume`: goes on where `countersign stop` stopped."""

from __future__ import annotations

import getpass

import typer

from workers.commands.stop import EVERYTHING, UseCase, told
from workers.console import Config, new_app
from workers.settings import load_settings

app = new_app("Go on writing where `countersign stop` stopped.")


@app.command()
def resume(config: Config = None, use_case: UseCase = EVERYTHING) -> None:
    """Lift a stop. What was stopped by name stays stopped when everything is resumed."""
    from workers.wiring import open_ledger

    ledger = open_ledger(load_settings(config))
    lifted = ledger.controls.resume(use_case, by=getpass.getuser())
    typer.echo(f"{told(use_case)}: {'goes on' if lifted else 'was not stopped'}")
    for one in ledger.controls.stopped():
        typer.echo(
            f"still stopped: {told(one.use_case)}, by {one.by}; lift it with --use-case {one.use_case}"
        )
