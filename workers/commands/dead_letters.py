"""`countersign dead-letters`: what could not be handled, and what people decide about it."""

from __future__ import annotations

import getpass
from contextlib import closing
from typing import Annotated, get_args, get_type_hints

import typer

from countersign.ledger import DeadLetter
from workers.console import AsJson, Config, Limit, new_app, one_of, show_json, show_table
from workers.settings import load_settings

app = new_app("List, show, replay or dismiss what could not be handled.")
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the dead letter, as `list` shows it.")]


@app.callback()
def dead_letters() -> None:
    """Alerts that could not be read, cases and actions that failed three times."""


@app.command("list")
def list_(
    config: Config = None,
    as_json: AsJson = False,
    limit: Limit = 50,
    state: Annotated[
        str, typer.Option(help="Only letters in this state: open, replayed or dismissed.")
    ] = "open",
) -> None:
    """List dead letters, newest first."""
    from workers.wiring import open_ledger

    one_of("state", state, get_args(get_type_hints(DeadLetter)["state"]))
    with closing(open_ledger(load_settings(config))) as ledger:
        letters = ledger.reading.dead_letters(limit=limit, state=state)
    if as_json:
        show_json(letters)
        return
    rows = [
        (one.id, one.kind, one.subject, one.reason, one.attempts, one.at.strftime("%m-%d %H:%M"))
        for one in letters
    ]
    show_table(("id", "kind", "what", "why", "tries", "when"), rows, empty=f"No dead letter is {state}.")


@app.command()
def show(letter: Id, config: Config = None) -> None:
    """Show one dead letter with its (redacted) payload, as JSON."""
    from workers.wiring import open_ledger

    with closing(open_ledger(load_settings(config))) as ledger:
        show_json(ledger.reading.dead_letter(letter))


@app.command()
def replay(letter: Id, config: Config = None) -> None:
    """Try again from the start; a second replay changes nothing. Ends with 1 where it can still not be read."""
    from workers.replay import replay as again
    from workers.wiring import open_ledger, open_parts

    settings = load_settings(config)
    by = getpass.getuser()
    with closing(open_ledger(settings)) as ledger:
        found = ledger.reading.dead_letter(letter)
        if found.kind == "alert" and found.state == "open":
            with closing(open_parts(settings)) as parts:
                done = again(parts, found.id, by=by)
        else:
            done = ledger.reading.resolve_dead_letter(found.id, how="replayed", by=by)
    _tell(done)
    if done.state == "open":
        typer.echo(f"It can still not be read: {done.reason}", err=True)
        raise typer.Exit(1)


@app.command()
def dismiss(letter: Id, config: Config = None) -> None:
    """Leave it to people, for good."""
    from workers.wiring import open_ledger

    with closing(open_ledger(load_settings(config))) as ledger:
        _tell(ledger.reading.resolve_dead_letter(letter, how="dismissed", by=getpass.getuser()))


def _tell(done: DeadLetter) -> None:
    typer.echo(f"{done.id}: {done.kind} {done.subject} is {done.state}.")
