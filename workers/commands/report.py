"""`countersign report`: what the use cases were worth so far, as a page, as text and as data."""

from __future__ import annotations

import json
import webbrowser
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from countersign.ledger import RollupBook
from workers.console import Config, as_plain, new_app
from workers.settings import load_settings

app = new_app("Compute the figures of the use cases from the ledger.")


@app.command()
def report(
    config: Config = None,
    use_case: Annotated[str, typer.Option(help="Only this use case; all of them if left out.")] = "",
    since: Annotated[str, typer.Option(help="How far back, as 30d.")] = "90d",
    out: Annotated[
        Path, typer.Option(help="Folder for kpis.md and kpis.json, with one folder for each use case.")
    ] = Path("var"),
    show: Annotated[bool, typer.Option("--open", help="Open the pages in the browser.")] = False,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Only hold what reports are made of against every row; 1 if it differs."
        ),
    ] = False,
) -> None:
    """Write report.html, .txt, .csv and .json of each use case, and the figures of all; say where.

    The period ends when the ledger last heard of anything, so that the same ledger gives the same bytes.
    """
    from countersign.composition import Period
    from countersign.kpis.summary import summary_text
    from workers.figures import files_of, length, report_of, write_files
    from workers.in_force import chosen
    from workers.mailing import unmailed
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        policies = chosen(settings, ledger.promises, now(), use_case)
        for why in unmailed(settings.mail, policies):
            typer.echo(why, err=True)
        if check:
            _check(ledger.rollups, [policy.use_case for policy in policies])
            return
        until = ledger.known_until() or now()
        period = Period(since=until - length(since), until=until)
        figures, pages = {}, []
        for policy in policies:
            made = report_of(policy, ledger, period)
            figures[policy.use_case] = (*made.figures, *made.effects)
            folder = out / "reports" / policy.use_case
            write_files(folder, files_of(made))
            pages.append(folder / "report.html")
            typer.echo(pages[-1])
    kpis = {
        "kpis.json": json.dumps(as_plain(figures), indent=2) + "\n",
        "kpis.md": summary_text(figures, until=until),
    }
    write_files(out, kpis)
    typer.echo(out / "kpis.md")
    if show:
        for page in pages:
            if not webbrowser.open(page.resolve().as_uri()):
                typer.echo(f"No browser was found here; open {page} yourself.", err=True)


def _check(rollups: RollupBook, use_cases: Sequence[str]) -> None:
    """Says what differs and has it packed anew; ends with 1 then."""
    while rollups.digest():
        pass
    uneven = False
    for use_case in use_cases:
        found = list(rollups.differences(use_case))
        for sentence in found:
            typer.echo(f"{use_case}: {sentence}")
        if found:
            rollups.mark_all(use_case)
            uneven = True
    if uneven:
        typer.echo("All of it is made anew from the rows, by the next report or in the background.")
        raise typer.Exit(1)
    typer.echo("Reports say what the rows of the ledger say.")
