"""`countersign costs`: what model calls cost, by use case, category, model and day."""

from __future__ import annotations

from contextlib import closing
from datetime import date
from typing import Annotated

import typer

from countersign.budget import MICRO, PerThousand, per_thousand
from workers.console import AsJson, Config, new_app, show_json, show_table
from workers.settings import load_settings

app = new_app("Tell what model calls cost, by use case, category, model and day.")


@app.command()
def costs(
    config: Config = None,
    as_json: AsJson = False,
    since: Annotated[str, typer.Option(help="How far back, as 30d.")] = "30d",
) -> None:
    """A call that nobody settled counts at the most it can have cost. The embedded model costs nothing."""
    from workers.drifts import others_told
    from workers.figures import length
    from workers.wiring import now, open_ledger

    settings = load_settings(config)
    day = (now() - length(since)).date().isoformat()
    with closing(open_ledger(settings)) as ledger:
        lines = ledger.spending.costs(since=day)
        told = per_thousand(lines, ledger.spending.alerts(since=day))
        others = ledger.drifts.others(since=date.fromisoformat(day))
    if as_json:
        show_json({"lines": lines, "per_1000_alerts": told})
        return
    show_table(
        ("day", "use case", "category", "model", "calls", "unsettled", "tokens in", "tokens out", "USD"),
        (
            (
                one.day, one.use_case, one.category or "-", one.model, one.calls, one.unsettled, one.tokens_in,
                one.tokens_out, f"{one.micro_usd / MICRO:.6f}",
            )
            for one in lines
        ),
        empty="No model was paid since then.",
    )  # fmt: skip
    for one in told:
        typer.echo(_beside_naive(one))
    for use_case, counts in others.items():
        for sentence in others_told(counts):
            typer.echo(f"{use_case}: {sentence}")


def _beside_naive(one: PerThousand) -> str:
    price = one.naive_micro_usd
    naive = "an unknown price" if price is None else f"{price / MICRO:.4f} USD"
    return (
        f"{one.use_case}: 1,000 alerts take {one.calls:.0f} calls and {one.micro_usd / MICRO:.4f} USD "
        f"({one.alerts} came in); one call for each would be {one.naive_calls:,.0f} calls and {naive}."
    )
