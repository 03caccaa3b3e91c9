"""`countersign status`: what came in, what was done, what waits, and which policies are in force, in one look."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from workers.console import AsJson, Config, as_plain, new_app, show_json, show_table
from workers.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from countersign.promises import PromiseBook
    from countersign.signals import DriftBook, Raised

app = new_app("Count what came in, what was done and what waits; say which policies are in force.")


@app.command()
def status(config: Config = None, as_json: AsJson = False) -> None:
    """Show the counts of the whole ledger, policies in force or refused, and control lanes that drift has raised."""
    from workers.wiring import open_ledger

    settings = load_settings(config)
    with closing(open_ledger(settings)) as ledger:
        tally = ledger.reading.tally()
        versions, refused = _policies(settings, ledger.promises)
        raised = _raised(ledger.drifts, versions)
    if as_json:
        policies = {"policies": versions, "policies_refused": refused, "control_lanes_raised": raised}
        show_json({**as_plain(tally), **policies})
        return
    rows: list[tuple[str, str, object]] = [("alerts", "recorded", tally.alerts)]
    rows += [("cases", stage, count) for stage, count in sorted(tally.cases.items())]
    rows += [("outcomes", outcome, count) for outcome, count in sorted(tally.outcomes.items())]
    rows += [("actions", state, count) for state, count in sorted(tally.actions.items())]
    rows += [("dead letters", "open", tally.dead_letters), ("waiting", "due now or later", tally.waiting)]
    rows += [("policy", use_case, f"version {version}") for use_case, version in versions.items()]
    rows += [("policy", "REFUSED", sentence) for sentence in refused]
    rows += [
        ("control lane", use_case, f"raised until {lane.until:%Y-%m-%d}: {lane.why}")
        for use_case, lane in raised.items()
    ]
    show_table(("what", "which", "how many"), rows, empty="The ledger is empty.")


def _raised(book: DriftBook, use_cases: Iterable[str]) -> dict[str, Raised]:
    """The control lanes that drift has raised and that are raised now."""
    from workers.wiring import now

    at = now()
    found = {use_case: book.lanes(use_case, since=at, until=at) for use_case in use_cases}
    return {use_case: lanes[-1] for use_case, lanes in found.items() if lanes and lanes[-1].ended is None}


def _policies(settings: Settings, book: PromiseBook) -> tuple[dict[str, int], list[str]]:
    """The version in force of each use case, and what is refused; the counts are shown whatever the policies are."""
    from workers.in_force import UNUSABLE, in_force, one_sentence
    from workers.wiring import now

    try:
        found = in_force(settings, book, now(), keep=False)
    except UNUSABLE as problem:
        return {}, [one_sentence(problem)]
    versions = {use_case: policy.version for use_case, policy in found.policies.items()}
    return versions, [one.sentence for one in found.refused]
