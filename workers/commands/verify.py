"""`countersign verify`: whether the books balance, and whether the desks still show what the ledger calls done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from typing import Annotated

import typer

from countersign.errors import ConfigError, OutsideError
from workers.console import AsJson, Config, new_app, show_json, show_table, time_of
from workers.parts import Parts
from workers.settings import load_settings

A_WEEK = timedelta(days=7)
app = new_app("Check that the books balance: nothing lost, nothing without its record.")


@app.command()
def verify(
    config: Config = None,
    desk: Annotated[
        bool,
        typer.Option("--desk", help="Ask the desks too: for every done action, and for every write of ours."),
    ] = False,
    since: Annotated[
        str,
        typer.Option(help="With --desk: writes from this time on, as 2026-03-01T12:00Z; a week if left out."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Compare what came in with where it is, and what was done with what is on record; ends with 1 if uneven."""
    from workers.wiring import now, open_ledger, open_parts

    if since and not desk:
        raise ConfigError("--since says from when on the desks are asked; add --desk.")
    settings = load_settings(config)
    missing: list[str] = []
    unknown: list[str] = []
    with closing(open_ledger(settings)) as ledger:
        balances = ledger.books.balances()
    if desk:
        with closing(open_parts(settings)) as parts:
            missing += _missing(parts)
            unknown += _unknown(parts, time_of(since) or now() - A_WEEK)
    even = all(one.even for one in balances) and not missing and not unknown
    if as_json:
        rows = [{"what": b.what, "expected": b.expected, "found": b.found, "even": b.even} for b in balances]
        show_json({"even": even, "balances": rows, "missing_at_desk": missing,
                   "unknown_to_ledger": unknown})  # fmt: skip
    else:
        table = [("even" if b.even else "NOT EVEN", b.what, b.expected, b.found) for b in balances]
        table += [("NOT EVEN", sentence, 1, 0) for sentence in (*missing, *unknown)]
        show_table(("", "what", "expected", "found"), table, empty="")
    if not even:
        raise typer.Exit(1)


def _unknown(parts: Parts, since: datetime) -> Iterator[str]:
    """A sentence for each write of ours at a desk without an action that was begun, or each desk that won't say."""
    for desk, port in parts.marked.items():
        try:
            for page in port.marks(since):
                begun = parts.ledger.books.begun([mark.key for mark in page])
                for mark in page:
                    if mark.key not in begun:
                        yield f"countersign:{mark.key} in {mark.ticket} at {desk} belongs to no action that was begun"
        except OutsideError as problem:
            yield f"what {desk} holds of ours can't be listed: {problem}"


def _missing(parts: Parts) -> Iterator[str]:
    """A sentence for each done action that its desk does not show, or can't be asked about."""
    for action in parts.ledger.books.done_actions():
        name = f"{action.effect.kind} {action.key} in {action.ticket.key if action.ticket else action.desk}"
        try:
            if action.desk not in parts.desks or parts.desks[action.desk].probe(action) is None:
                yield f"{name} is not at {action.desk}"
        except OutsideError as problem:
            yield f"{name} can't be looked for: {problem}"
