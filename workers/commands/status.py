"""`countersign status`: what came in, what was done and what waits, in one look."""

from __future__ import annotations

from workers.console import AsJson, Config, new_app, show_json, show_table
from workers.settings import load_settings

app = new_app("Count what came in, what was done and what waits.")


@app.command()
def status(config: Config = None, as_json: AsJson = False) -> None:
    """Show the counts of the whole ledger."""
    from workers.wiring import open_ledger

    tally = open_ledger(load_settings(config)).reading.tally()
    if as_json:
        show_json(tally)
        return
    rows: list[tuple[str, str, object]] = [("alerts", "recorded", tally.alerts)]
    rows += [("cases", stage, count) for stage, count in sorted(tally.cases.items())]
    rows += [("outcomes", outcome, count) for outcome, count in sorted(tally.outcomes.items())]
    rows += [("actions", state, count) for state, count in sorted(tally.actions.items())]
    rows += [("dead letters", "open", tally.dead_letters), ("waiting", "due now or later", tally.waiting)]
    show_table(("what", "which", "how many"), rows, empty="The ledger is empty.")
