"""`countersign resume`: goes on where `countersign stop` stopped, or lets a rule close again after many reopens."""

from __future__ import annotations

import getpass
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.errors import ConfigError
from workers.commands.stop import EVERYTHING, UseCase, look_up, told
from workers.console import Config, new_app
from workers.settings import Settings, load_settings
from workers.warrants import By, Key, Witness, ask

if TYPE_CHECKING:
    from pathlib import Path

    from countersign.promises import PromiseBook

app = new_app("Go on where `countersign stop` stopped, or let a rule close again after many reopens.")


@app.command()
def resume(
    config: Config = None,
    use_case: UseCase = EVERYTHING,
    rule: Annotated[
        str, typer.Option(help="Lets this rule of the use case close again; needs the right to promote.")
    ] = "",
    by: By = "",
    key: Key = None,
) -> None:
    """Lift a stop. What was stopped by name stays stopped when everything is resumed."""
    from workers.wiring import open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        if rule:
            _lift(settings, ledger.promises, ledger.controls, use_case, rule, by, key)
            return
        lifted = ledger.controls.resume(use_case, by=getpass.getuser())
        if not lifted:
            look_up(settings, ledger.promises, use_case)
        typer.echo(f"{told(use_case)}: {'goes on' if lifted else 'was not stopped'}")
        for one in ledger.controls.stopped():
            typer.echo(
                f"still stopped: {told(one.use_case)}, by {one.by}; lift it with --use-case {one.use_case}"
            )


def _lift(
    settings: Settings,
    book: PromiseBook,
    witness: Witness,
    use_case: str,
    rule: str,
    by: str,
    key: Path | None,
) -> None:
    from workers.in_force import in_force

    now = datetime.now(UTC)
    policy = in_force(settings, book, now, keep=False).policies.get(use_case)
    if policy is None:
        raise ConfigError("A rule belongs to one policy; name it with --use-case.")
    what = f"let rule {rule} close again"
    person = ask(settings, witness, [policy], "promote", what=what, at=now, by=by, key=key)
    if book.lift(use_case, rule, by=person):
        typer.echo(f'Rule "{rule}" of {use_case} closes again, by {person}.')
    else:
        raise ConfigError(
            f'Rule "{rule}" of {use_case} was not sent back to drafts by reopens; a broken promise needs a new '
            "certificate (`countersign policy certify`)."
        )
