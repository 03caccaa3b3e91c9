"""`countersign costs`: what model calls cost, by use case, category, model and day."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import date
from typing import Annotated

import typer

from countersign.budget import MICRO, CostLine, PerThousand, per_thousand
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
    if not lines:
        typer.echo("No model was paid since then.")
    for use_case in sorted({one.use_case for one in lines}):
        _show(use_case, [one for one in lines if one.use_case == use_case], day)
    for one in told:
        typer.echo(_beside_naive(one))
    for use_case, counts in others.items():
        for sentence in others_told(counts):
            typer.echo(f"{use_case}: {sentence}")


def _show(use_case: str, lines: Sequence[CostLine], day: str) -> None:
    """What a use case cost in all, then by day, category and model: narrow enough for any terminal."""
    unsettled = sum(one.unsettled for one in lines)
    bound = f", {unsettled} of them not settled and counted at the most that they can have cost" * bool(
        unsettled
    )
    typer.echo(
        f"{use_case}: {_usd(sum(one.micro_usd for one in lines))} USD since {day}, "
        f"for {sum(one.calls for one in lines)} calls{bound}."
    )
    show_table(
        ("day", "category", "model", "calls", "tokens in+out", "USD"),
        (
            (
                one.day, one.category or "-", one.model, one.calls,
                f"{one.tokens_in:,} + {one.tokens_out:,}", _usd(one.micro_usd),
            )
            for one in lines
        ),
        empty="",
    )  # fmt: skip
    typer.echo()


def _usd(micro_usd: int) -> str:
    return f"{micro_usd / MICRO:.6f}"


def _beside_naive(one: PerThousand) -> str:
    price = one.naive_micro_usd
    naive = "an unknown price" if price is None else f"{price / MICRO:.4f} USD"
    return (
        f"{one.use_case}: 1,000 alerts take {one.calls:,.0f} calls and {one.micro_usd / MICRO:.4f} USD "
        f"({one.alerts} came in); one call for each would be {one.naive_calls:,.0f} calls and {naive}."
    )
