"""`countersign stop`: nothing is written anywhere until somebody says `countersign resume`."""

from __future__ import annotations

import getpass
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.errors import ConfigError
from workers.console import Config, new_app
from workers.settings import Settings, load_settings

if TYPE_CHECKING:
    from countersign.promises import PromiseBook

app = new_app("Write nothing anywhere until `countersign resume`; what is planned is kept.")
EVERYTHING = "*"
UseCase = Annotated[
    str, typer.Option("--use-case", help="Only this use case, as its policy is called.", show_default=False)
]


@app.command()
def stop(config: Config = None, use_case: UseCase = EVERYTHING) -> None:
    """Stop all external writes. Reading, assessing and deciding go on; a call on its way may still arrive."""
    from workers.wiring import open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        look_up(settings, ledger.promises, use_case)
        ledger.controls.stop(use_case, by=getpass.getuser())
        for one in ledger.controls.stopped():
            typer.echo(f"stopped: {told(one.use_case)}, by {one.by} at {one.at:%Y-%m-%d %H:%M:%S} UTC")
    typer.echo("Nothing is lost: `countersign resume` goes on where this stopped.")


def told(use_case: str) -> str:
    return "every use case" if use_case == EVERYTHING else use_case


def look_up(settings: Settings, book: PromiseBook, use_case: str) -> None:
    """Refuses a name that no policy has, as it would stop nothing; while policies can't be read, any name will do."""
    from workers.in_force import UNUSABLE, in_force
    from workers.wiring import now

    try:
        known = in_force(settings, book, now(), keep=False).policies
    except UNUSABLE:
        return
    if use_case != EVERYTHING and use_case not in known:
        raise ConfigError(f"No policy is called {use_case}; name one of {', '.join(sorted(known))}.")
