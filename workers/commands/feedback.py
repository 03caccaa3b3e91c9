"""`countersign feedback`: labels made anew, what may be learnt from corrections, and corrections as data."""

from __future__ import annotations

import getpass
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from countersign.errors import ConfigError
from countersign.feedback.pool import PoolBook, PoolVersion
from countersign.policy import Policy
from countersign.promises import Relabelled
from workers.console import AsJson, Config, new_app, show_json, show_table
from workers.progress import Bar
from workers.settings import load_settings
from workers.warrants import By, Key, ask

if TYPE_CHECKING:
    from workers.exporting import Format

app = new_app("Make labels anew, look at and activate what was learnt, export corrections as data.")
FORMATS = ("chat", "preferences", "parquet", "csv")
UseCase = Annotated[str, typer.Option("--use-case", help="Only this use case; all of them if left out.")]


@app.callback()
def feedback() -> None:
    """What people corrected, as data."""


@app.command()
def relabel(config: Config = None, use_case: UseCase = "", as_json: AsJson = False) -> None:
    """Make all labels anew from the corrections, by the rules of this version; the audit log keeps what they were."""
    from countersign.labelling import RULE_VERSION
    from workers.in_force import chosen
    from workers.learn import relabel as anew
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        told = {
            policy.use_case: anew(ledger, policy.use_case)
            for policy in chosen(settings, ledger.promises, now(), use_case)
        }
    if as_json:
        show_json(told)
        return
    for name, found in told.items():
        typer.echo(f"{name}, by rules {RULE_VERSION}: {_words(found.answers)}.")
        if found.readings != Relabelled():
            typer.echo(f"  of what the embedded model read: {_words(found.readings)}.")


def _words(found: Relabelled) -> str:
    return f"{found.same} as before, {found.new} new, {found.changed} changed, {found.withdrawn} withdrawn"


@app.command()
def export(
    use_case: Annotated[str, typer.Option("--use-case", help="The use case.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write to; it is made.")],
    kind: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.", metavar="FORMAT")
    ] = "csv",
    since: Annotated[str, typer.Option(help="How far back, as 90d.")] = "3650d",
    unsettled: Annotated[
        bool, typer.Option("--unsettled", help="Also what one person said and no quorum has settled.")
    ] = False,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Write corrections as chat examples, preference pairs, Parquet or CSV, the newest clusters kept for evaluation."""
    from workers.exporting import Export, digest, write_export
    from workers.figures import length
    from workers.in_force import chosen
    from workers.wiring import now, open_ledger, prompt_named

    if kind not in FORMATS:
        raise ConfigError(f"--format is one of {', '.join(FORMATS)}, not {kind!r}.")
    settings = load_settings(config)
    bar = Bar()
    with closing(open_ledger(settings)) as ledger:
        policy = _one(chosen(settings, ledger.promises, now(), use_case))
        cases = partial(ledger.material, use_case, since=now() - length(since))
        try:
            told = write_export(
                Export.of(policy, cases, progress=bar.draw),
                cast("Format", kind),
                out,
                prompt_of=lambda name: prompt_named(settings, name),
                entries=ledger.pool.entries(use_case, ledger.pool.active(use_case)),
                unsettled=unsettled,
            )
        except KeyboardInterrupt:
            bar.end()
            typer.echo(f"Interrupted; what is in {out} is as it was before.", err=True)
            raise typer.Exit(130) from None
    bar.end()
    if as_json:
        show_json({"export": told, "sha256": digest(out, list(told.files))})
        return
    for name, number in told.files.items():
        typer.echo(f"{out / name}: {number}")
    for reason, number in told.left_out.items():
        typer.echo(f"left out {number}: {reason}.")


@app.command()
def pool(
    config: Config = None,
    use_case: UseCase = "",
    build: Annotated[
        bool, typer.Option("--build", help="Choose anew from all corrections: a version, not in force yet.")
    ] = False,
    versions: Annotated[bool, typer.Option("--versions", help="List all versions.")] = False,
    activate: Annotated[
        int | None, typer.Option(min=0, help="Put this version in force; 0 forgets all that was learnt.")
    ] = None,
    rollback: Annotated[int | None, typer.Option(min=0, help="Go back to this earlier version.")] = None,
    by: By = "",
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Show what the embedded model may learn, and what waits or is disputed; build, activate or roll back versions."""
    from workers.in_force import chosen
    from workers.pool import build as built
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        policies, book = chosen(settings, ledger.promises, now(), use_case), ledger.pool
        if build:
            for policy in policies:
                made = built(book, policy, by=by or getpass.getuser())
                typer.echo(f"{policy.use_case}: version {made.version} has {len(made.entries)} entries.")
        wanted = activate if rollback is None else rollback
        if wanted is not None:
            policy = _one(policies)
            _allowed(book, policy, wanted, back=rollback is not None)
            what = f"put version {wanted} of the pool of {policy.use_case} in force"
            who = ask(settings, ledger.controls, [policy], "retrain", what=what, at=now(), by=by, key=key)
            book.activate(policy.use_case, wanted, by=who)
            typer.echo(
                f"{policy.use_case}: version {wanted} of the pool is in force; running workers take it up within "
                "seconds. The embedded model answers under another name then: certificates of the old one don't "
                "hold for it."
            )
        elif not build or versions:
            _show(book, policies, every=versions, as_json=as_json)


def _allowed(book: PoolBook, policy: Policy, wanted: int, *, back: bool) -> None:
    """Raises ConfigError for a version that is in force already, or is none to go back to."""
    active = book.active(policy.use_case)
    if back and wanted >= active:
        raise ConfigError(f"Version {active} is in force; --rollback takes an earlier one.")
    if wanted == active:
        raise ConfigError(f"Version {active} of the pool of {policy.use_case} is in force already.")


def _show(book: PoolBook, chosen: Sequence[Policy], *, every: bool, as_json: bool) -> None:
    found = [(one, book.active(one.use_case)) for policy in chosen for one in book.versions(policy.use_case)]
    shown = [(one, active) for one, active in found if every or one.version == active or _newest(one, found)]
    if as_json:
        show_json([{"active": one.version == active, "pool": one} for one, active in shown])
        return
    show_table(
        ("use case", "version", "in force", "built", "by", "entries", "waiting", "disputed", "over the caps"),
        (
            (
                one.use_case, one.version, "yes" if one.version == active else "", f"{one.at:%Y-%m-%d %H:%M}", one.by,
                len(one.entries), one.waiting, len(one.disputes), one.capped,
            )
            for one, active in shown
        ),
        empty="There is no version of the pool yet: `countersign feedback pool --build` chooses one.",
    )  # fmt: skip
    for one, _ in shown:
        for dispute in one.disputes if _newest(one, found) else ():
            said = ", ".join(f"{count} say {category}" for category, count in dispute.said)
            typer.echo(f"{one.use_case}: people disagree about {dispute.cluster}: {said}.")


def _newest(one: PoolVersion, found: Sequence[tuple[PoolVersion, int]]) -> bool:
    return one.version == max(other.version for other, _ in found if other.use_case == one.use_case)


def _one(chosen: Sequence[Policy]) -> Policy:
    if len(chosen) != 1:
        raise ConfigError(f"Name one with --use-case: {', '.join(policy.use_case for policy in chosen)}.")
    return chosen[0]
