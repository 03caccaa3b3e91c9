"""`countersign rollback`: takes back what was done, as far as no person has changed it since."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from countersign.errors import ConfigError
from countersign.undo import Selection
from workers.console import AsJson, Config, new_app, show_json, show_table
from workers.settings import load_settings

app = new_app("Take back what was done: a case, or all of a policy's version, a prompt, a model, a time.")


@app.command()
def rollback(
    config: Config = None,
    case: Annotated[str, typer.Option(help="A case id, the beginning of one, or a ticket's key.")] = "",
    policy: Annotated[int | None, typer.Option(min=1, help="A policy's version; with --use-case.")] = None,
    prompt: Annotated[str, typer.Option(help="A prompt, as triage/v1, or its hash.")] = "",
    model: Annotated[str, typer.Option(help="A model, as the decisions name it.")] = "",
    since: Annotated[
        str, typer.Option(help="A time, as 2026-03-01T12:00Z: what was done from then on.")
    ] = "",
    use_case: Annotated[str, typer.Option(help="Only this use case.")] = "",
    per_minute: Annotated[int, typer.Option(min=1, max=6000, help="So many writes a minute.")] = 60,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken back.")] = False,
    as_json: AsJson = False,
) -> None:
    """Plan what takes it back, newest first in each ticket; the workers do it. What people changed is listed."""
    from workers.rollback import roll_back
    from workers.watch import watch
    from workers.wiring import by_people, open_parts

    which = Selection(
        case_id=case, use_case=use_case, policy_version=policy, prompt=prompt, model=model, since=_time(since)
    )
    _refuse_everything(which)
    parts = open_parts(load_settings(config))
    for desk in parts.desks:
        # What people did until now is read first; what it wakes, the sweeper sends.
        list(watch(parts, desk))
    told = roll_back(
        parts.ledger.undoing,
        which,
        by=getpass.getuser(),
        every=timedelta(minutes=1) / per_minute,
        by_people=by_people(),
        dry_run=dry_run,
    )
    parts.close()
    if as_json:
        show_json(told)
        return
    rows = [(one.desk, one.ticket, one.kind, one.case_id, one.why) for one in told.review]
    show_table(("desk", "ticket", "what", "case", "why a person has to look"), rows, empty="")
    would = "would be " if dry_run else ""
    typer.echo(
        f"{told.planned} {would}taken back, {told.already} were before, {told.dropped} {would}dropped before they "
        f"began, {len(told.review)} are for people."
    )


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f'"{text}" is no time; write it as 2026-03-01T12:00Z.') from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _refuse_everything(which: Selection) -> None:
    if which == Selection(use_case=which.use_case):
        raise ConfigError("Say what to take back: --case, --policy, --prompt, --model or --since.")
    if which.policy_version is not None and not which.use_case:
        raise ConfigError("A version belongs to one policy; name it with --use-case.")
