"""`countersign cases`: the cases, newest first."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Annotated

import typer

from countersign.cases import Stage
from countersign.redaction import redact
from workers.console import AsJson, Config, Limit, new_app, one_of, show_json, show_table
from workers.settings import load_settings

app = new_app("List the cases, newest first.")


@app.command()
def cases(
    config: Config = None,
    as_json: AsJson = False,
    limit: Limit = 30,
    stage: Annotated[str, typer.Option(help="Only cases at this stage: due, decided or dead.")] = "",
    ticket: Annotated[str, typer.Option(help="Only the cases of this ticket, as INC0010023.")] = "",
) -> None:
    """List cases with their ticket, what was decided, and by which rule."""
    from workers.wiring import open_ledger

    one_of("stage", stage, Stage)
    with closing(open_ledger(load_settings(config))) as ledger:
        found = ledger.reading.cases(limit=limit, stage=stage, ticket=ticket)
    lines = [replace(line, title=redact(line.title, frozenset({"secrets"})).text) for line in found]
    if as_json:
        show_json(lines)
        return
    rows = [
        (
            line.id,
            line.ticket,
            line.title[:60],
            line.alerts,
            line.outcome or line.stage,
            line.rule,
            line.category,
        )
        for line in lines
    ]
    show_table(
        ("case", "ticket", "what", "alerts", "outcome", "rule", "category"),
        rows,
        empty="There is no such case." if stage or ticket else "There is no case yet.",
    )
