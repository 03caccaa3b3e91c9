"""`countersign tryout`: a policy on the tickets of an export, before anything is connected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from countersign.chances import per_cent
from countersign.exports.problems import ExportError
from countersign.policy import Policy
from workers.commands.baseline import AnEncoding, Dates, Zone, known_zone, order, pair, problem_notes
from workers.commands.policy import read as read_policy
from workers.console import AsJson, new_app, show_json, show_table

if TYPE_CHECKING:
    from countersign.exports.reading import Export
    from countersign.kpis.figures import Figure
    from countersign.thresholds.binomial import Estimate
    from countersign.tryout import Tickets, Tried
    from workers.export_files import ExportFile

app = new_app("Try a policy on the tickets of an export: tryout EXPORT.csv --policy FILE.")
_SHOWN = 20


@app.command()
def tryout(
    export: Annotated[
        Path,
        typer.Argument(metavar="EXPORT.csv", help="Tickets of ServiceNow, Jira or another tool (or .gz)."),
    ],
    policy: Annotated[Path, typer.Option("--policy", help="The policy to try.")],
    column: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="Which column holds a field; repeatable."),
    ] = None,
    as_json: AsJson = False,
    dates: Dates = "",
    zone: Zone = "",
    encoding: AnEncoding = "",
) -> None:
    """Show what would have been closed, drafted and routed, how much of it wrongly, and the figures before.

    The embedded model alone reads the tickets: nothing leaves this machine.
    """
    from countersign.tryout import read_tickets, try_out
    from workers.export_files import ExportFile
    from workers.wiring import shipped_reader

    loaded, mapping = read_policy(policy), dict(pair(text) for text in column or ())
    file = ExportFile(export, encoding)
    with file.text() as lines:
        found = read_tickets(lines, mapping)
    assess, learn = shipped_reader(loaded)
    tried = try_out(found.tickets, loaded, assess=assess, learn=learn)
    before = _baseline(file, mapping, dates=dates, zone=zone)
    if as_json:
        show_json(_plain(export, loaded, found, tried, before))
    else:
        _tell(loaded, found, tried, before)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Before:
    """The figures before, and the export they are of; or none, and why."""

    figures: tuple[Figure, ...] = ()
    export: Export | None = None
    unknown: str = ""


def _baseline(file: ExportFile, mapping: dict[str, str], *, dates: str, zone: str) -> _Before:
    from countersign.exports.forms import FIELD_KINDS
    from countersign.exports.reading import read
    from countersign.exports.survey import survey
    from countersign.kpis.engine import measure
    from countersign.kpis.settings import Measuring

    known = {field: name for field, name in mapping.items() if field in FIELD_KINDS}
    try:
        with file.text() as lines:
            plan = survey(lines, mapping=known, order=order(dates))
        with file.text() as text:
            export = read(text, plan, zone=known_zone(zone))
    except ExportError as problem:
        return _Before(unknown=str(problem))
    return _Before(figures=measure(export.tickets, Measuring(until=export.until)), export=export)


def _plain(path: Path, policy: Policy, found: Tickets, tried: Tried, before: _Before) -> dict[str, object]:
    return {
        "export": path.name,
        "policy": {"use_case": policy.use_case, "version": policy.version, "hash": policy.fingerprint},
        "rows": found.rows,
        "tickets": tried.tickets,
        "hidden_from_the_model": found.columns.hidden,
        "by_category": tried.given,
        "groups": tried.groups,
        "a_close_is_wrong_if": tried.tells,
        "the_export_does_not_tell_whether": tried.silent,
        "wrong": tried.wrong,
        "wrong_if_all_were_closed": tried.wrong_if_all,
        "baseline": before.figures,
        "baseline_unknown": before.unknown,
        "baseline_assumptions": before.export.assumptions if before.export else (),
        "baseline_problems": before.export.problems if before.export else (),
        "problem_counts": [
            {"column": column, "problem": kind, "rows": count}
            for (column, kind), count in found.counts.items()
        ],
        "problems": found.problems,
    }


def _tell(policy: Policy, found: Tickets, tried: Tried, before: _Before) -> None:
    typer.echo(f"{tried.tickets:,} tickets in {found.rows:,} rows under {policy.use_case} v{policy.version}.")
    typer.echo(f"Hidden from the model: {', '.join(found.columns.hidden) or 'nothing'}.")
    if found.columns.seen:
        typer.echo("The tickets hold no prose, only codes: the embedded model can make little of them.")
    if tried.tells:
        typer.echo(f"A close counts as wrong if {' or '.join(tried.tells)}.")
    else:
        typer.echo("The export does not tell wrong closes.")
    if tried.silent:
        typer.echo(f"It does not tell whether {'; whether '.join(tried.silent)}: see --map.")
    typer.echo("")
    columns = (
        "category",
        "tickets",
        "closed",
        "wrong",
        "drafted",
        "routed",
        "recorded",
        "once certified",
        "wrong",
    )
    rows = [
        (
            one.category, f"{one.tickets:,}", f"{one.closed:,}", _share(one.wrong), f"{one.drafted:,}",
            f"{one.routed:,}", f"{one.held:,}", f"{one.once_certified:,}", _share(one.wrong_once_certified),
        )
        for one in tried.given
    ]  # fmt: skip
    show_table(columns, rows, empty="There is no ticket.")
    typer.echo(
        "\nClosed: as if the policy acted, without a control lane and without limits per hour and day."
    )
    typer.echo(f"Wrong among all closes that the export tells of: {_share(tried.wrong)}.")
    typer.echo(f"For scale, had every ticket been closed at once: {_share(tried.wrong_if_all)}.")
    if tried.groups:
        groups = tried.groups
        typer.echo(
            f"Groups: of {groups.known} groups the right one was told for {_share(groups.right)}, "
            f"learnt from {groups.learnt_from:,} others."
        )
    _tell_before(before)
    if found.counts:
        typer.echo(f"\n{sum(found.counts.values()):,} problems, of which the first:")
        typer.echo("\n".join(f"  {problem}" for problem in found.problems[:_SHOWN]))


def _tell_before(before: _Before) -> None:
    from countersign.kpis.figures import shown, shown_interval

    if before.export is None:
        typer.echo(f"\nThe figures before are unknown: {before.unknown}")
        return
    typer.echo("\nBefore:")
    for sentence in (*before.export.assumptions, *problem_notes(before.export)):
        typer.echo(f"- {sentence}")
    rows = [
        (figure.title, shown(figure.value, figure.unit), shown_interval(figure), f"{figure.n:,}")
        for figure in before.figures
        if figure.value is not None
    ]
    show_table(("figure", "value", "95 % interval", "n"), rows, empty="There is nothing to measure.")


def _share(found: Estimate) -> str:
    if found.value is None:
        return "unknown"
    value, low, high = (per_cent(share, digits=1) for share in (found.value, found.low, found.high))
    return f"{round(found.value * found.n):,} of {found.n:,}: {value} ({low} to {high})"
