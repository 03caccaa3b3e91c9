"""`countersign rollback`: takes back what was done, as far as no person has changed it since."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from countersign.errors import ConfigError
from countersign.policy import Policy
from countersign.undo import Selection
from workers.console import AsJson, Config, new_app, show_json, show_table, time_of
from workers.parts import Parts
from workers.settings import Settings, load_settings
from workers.warrants import By, Key, Witness, ask

app = new_app("Take back what was done: a case, or all of a policy's version, a prompt, a model, a time.")

# Where no policy says how many writes a minute may undo.
A_MINUTE = 60


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
    per_minute: Annotated[
        int | None, typer.Option(min=1, max=6000, help="So many writes a minute; the policy's if left out.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken back.")] = False,
    by: By = "",
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Plan what takes it back, newest first in each ticket; the workers do it. What people changed is listed."""
    from workers.rollback import roll_back
    from workers.watch import watch
    from workers.wiring import by_people, open_ledger, open_parts

    which = Selection(
        case_id=case,
        use_case=use_case,
        policy_version=policy,
        prompt=prompt,
        model=model,
        since=time_of(since),
    )
    _refuse_everything(which)
    settings = load_settings(config)
    with closing(open_parts(settings)) as parts, closing(open_ledger(settings)) as ledger:
        person = "" if dry_run else _may(settings, ledger.controls, parts, which, by=by, key=key)
        for desk in parts.desks:
            # What people did until now is read first; what it wakes, the sweeper sends.
            list(watch(parts, desk))
        told = roll_back(
            parts.ledger.undoing,
            which,
            by=person,
            every=timedelta(minutes=1) / (per_minute or _rate(parts, which)),
            by_people=by_people(),
            dry_run=dry_run,
        )
        if which.since is not None and which == Selection(use_case=which.use_case, since=which.since):
            # Reports are of no case, so that only a time can choose them.
            reports = ledger.deliveries.take_back(use_case, since=which.since, by=person, dry_run=dry_run)
            told.planned += reports.planned
            told.dropped += reports.dropped
            told.review += reports.review
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


def _may(
    settings: Settings, witness: Witness, parts: Parts, which: Selection, *, by: str, key: Path | None
) -> str:
    """Who takes it back; raises NoRight where a policy of what is chosen leaves that to others."""
    ruling = _ruling(parts, which)
    return ask(settings, witness, ruling, "roll_back", what=_words(which), at=parts.clock(), by=by, key=key)


def _ruling(parts: Parts, which: Selection) -> tuple[Policy, ...]:
    """The policies in force that what is chosen was done under."""
    use_case = which.use_case
    if which.case_id:
        use_case = parts.ledger.reading.story(which.case_id).case.use_case
    if not use_case:
        return tuple(parts.policies.values())
    if use_case in parts.policies:
        return (parts.policies[use_case],)
    from workers.in_force import last_good

    last = last_good(parts.ledger.promises, use_case=use_case)
    return (last.policy,) if last else ()


def _rate(parts: Parts, which: Selection) -> int:
    """Writes a minute: the fewest that a policy of what is chosen asks for."""
    written = (policy.rollback for policy in _ruling(parts, which))
    return min((one.per_minute for one in written if one is not None), default=A_MINUTE)


def _words(which: Selection) -> str:
    """What is chosen, as the audit log keeps it and a key signs it."""
    chosen = {
        "case": which.case_id, "use case": which.use_case, "policy version": which.policy_version,
        "prompt": which.prompt, "model": which.model, "since": which.since and which.since.isoformat(),
    }  # fmt: skip
    return "roll back " + ", ".join(f"{name} {value}" for name, value in chosen.items() if value)


def _refuse_everything(which: Selection) -> None:
    if which == Selection(use_case=which.use_case):
        raise ConfigError("Say what to take back: --case, --policy, --prompt, --model or --since.")
    if which.policy_version is not None and not which.use_case:
        raise ConfigError("A version belongs to one policy; name it with --use-case.")
