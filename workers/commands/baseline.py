"""`countersign baseline`: the figures of a ticket export, before Countersign does anything."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast
from zoneinfo import ZoneInfo

import typer

from countersign.errors import ConfigError
from workers.console import AsJson, new_app, show_json, show_table
from workers.progress import Bar

if TYPE_CHECKING:
    from countersign.exports.changes import ChangeExport
    from countersign.exports.reading import Export
    from countersign.kpis.figures import Figure
    from countersign.kpis.settings import Measuring
    from workers.checkpoints import Checkpoints
    from workers.export_files import ExportFile

app = new_app("Compute the figures from a ticket export, before starting: baseline EXPORT.csv.")
_SHOWN = 20
_NO_CHANGES = "no export of changes was given (--changes)"
Dates = Annotated[str, typer.Option(help="day-first or month-first, where dates leave it open.")]
Zone = Annotated[str, typer.Option(help="Zone of times that name none, as Europe/Rome.")]
AnEncoding = Annotated[str, typer.Option(help="Encoding of the file; found from its bytes if left out.")]


@app.command()
def baseline(
    export: Annotated[
        Path,
        typer.Argument(metavar="EXPORT.csv", help="Tickets of ServiceNow, Jira or another tool (or .gz)."),
    ],
    as_json: AsJson = False,
    changes: Annotated[
        Path | None,
        typer.Option(metavar="CHANGES.csv", help="Change requests of ServiceNow, for the share that failed."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Which column holds a field (change.FIELD of changes); repeatable.",
        ),
    ] = None,
    form: Annotated[
        str, typer.Option(help="servicenow, jira, log or mapped; found by the header if left out.")
    ] = "",
    dates: Dates = "",
    zone: Zone = "",
    encoding: AnEncoding = "",
    business_hours: Annotated[str, typer.Option(help="Hours on the business clock.")] = "Mon-Fri 08:00-18:00",
    reopened_within: Annotated[
        int, typer.Option(min=0, help="Days in which a reopening undoes a resolution.")
    ] = 7,
    horizon: Annotated[int, typer.Option(min=1, help="Days that restricted means look ahead.")] = 30,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the report page to this file too.")
    ] = None,
    usd_per_hour: Annotated[
        float | None,
        typer.Option(min=0.01, help="What an hour of people's time costs, in US dollars."),
    ] = None,
) -> None:
    """Times to acknowledge and resolve, reopenings and the rest, each with n, interval and what was left out."""
    of_tickets, of_changes = _mappings(column or (), with_changes=changes is not None)
    told = _Told(order=order(dates), zone=known_zone(zone), encoding=encoding)
    read, kept = _read(export, of_tickets, told, form=form, links=changes is not None)
    changed = _read_changes(changes, of_changes, told, read) if changes else None

    from countersign.kpis.changes import Changes
    from countersign.kpis.engine import measure
    from countersign.kpis.settings import Measuring
    from countersign.kpis.times import BusinessHours

    try:
        hours = BusinessHours(text=business_hours, zone=zone or "UTC").checked()
    except ValueError as problem:
        raise ConfigError(f"--business-hours: {problem}") from None
    how = Measuring(
        until=read.until,
        reopened_within=timedelta(days=reopened_within),
        horizon=timedelta(days=horizon),
        business=hours,
        usd_per_hour=usd_per_hour,
    )
    if usd_per_hour is not None:
        read = _without_model(read)
    counted = changed.changes if changed else Changes(unknown=_NO_CHANGES)
    figures = measure(read.tickets, how, changes=counted)
    if html:
        _write_page(html, export, read, how, figures, changed)
    if as_json:
        show_json(_plain(export, read, how, figures) | {"changes": _plain_changes(changes, changed)})
    else:
        _tell(read, figures, changed)
    kept.forget()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """What the caller says of how files are written."""

    order: Literal["day-first", "month-first"] | None
    zone: ZoneInfo | None
    encoding: str


def _mappings(texts: Sequence[str], *, with_changes: bool) -> tuple[dict[str, str], dict[str, str]]:
    """Field -> column of the tickets and of the changes. Raises ConfigError where there are no changes to map."""
    from countersign.exports.forms import CHANGES, LINKS

    tickets: dict[str, str] = {}
    changes: dict[str, str] = {}
    for field, name in map(pair, texts):
        bare = field.removeprefix(CHANGES.prefix)
        if not with_changes and (bare != field or field in LINKS):
            raise ConfigError(
                f"--map {field} is of use only with the export of changes; add --changes CHANGES.csv."
            )
        (tickets if bare == field else changes)[bare] = name
    return tickets, changes


def _read_changes(path: Path, mapping: dict[str, str], told: _Told, tickets: Export) -> ChangeExport:
    from dataclasses import replace

    from countersign.exports.changes import read_changes
    from countersign.exports.forms import CHANGES
    from countersign.exports.problems import ExportError
    from countersign.exports.survey import survey
    from workers.export_files import ExportFile

    file = ExportFile(path, told.encoding)
    try:
        with file.text() as lines:
            plan = survey(lines, mapping=mapping, form=CHANGES, order=told.order)
        with file.text() as text:
            found = read_changes(text, plan, tickets, zone=told.zone)
    except ExportError as problem:
        raise ExportError(f"{path.name}: {problem}") from None
    assumed = (file.encoding.assumption,) if file.encoding.assumption else ()
    return replace(found, assumptions=(*assumed, *found.assumptions))


def _read(
    path: Path, mapping: dict[str, str], told: _Told, *, form: str, links: bool
) -> tuple[Export, Checkpoints]:
    from dataclasses import replace

    from countersign.exports.reading import read
    from countersign.exports.survey import survey
    from workers.checkpoints import Checkpoints, cache_home
    from workers.export_files import ExportFile

    file = ExportFile(path, told.encoding)
    with file.text() as lines:
        plan = survey(lines, mapping=mapping, form=form, order=told.order, links=links)
    kept = Checkpoints(path, plan, encoding=file.encoding.name, zone=str(told.zone or ""), home=cache_home())
    with file.text() as text, _Progress(file, kept) as progress:
        export = read(text, plan, zone=told.zone, progress=progress, parts=kept)
    assumed = (file.encoding.assumption,) if file.encoding.assumption else ()
    return replace(export, assumptions=(*assumed, *export.assumptions)), kept


def _without_model(read: Export) -> Export:
    """What it costs before a model is asked, unless a column tells what one cost."""
    from dataclasses import replace

    import numpy as np

    if "model_usd" in read.tickets.recorded:
        return read
    tickets = replace(
        read.tickets,
        model_usd=np.zeros(len(read.tickets)),
        recorded=read.tickets.recorded | {"model_usd"},
    )
    assumed = "No model was asked about these tickets: people's minutes are all that they cost."
    return replace(read, tickets=tickets, assumptions=(*read.assumptions, assumed))


class _Progress:
    """Tells on stderr how far reading is, and where it goes on after an interruption."""

    def __init__(self, file: ExportFile, kept: Checkpoints) -> None:
        self._file, self._kept = file, kept
        self._begun = False
        self._bar = Bar()

    def __enter__(self) -> _Progress:
        return self

    def __call__(self, rows: int) -> None:
        """Called with the number of rows."""
        self._tell_resumed()
        self._bar.draw(min(self._file.share(), 1.0), f"{rows:,} rows read")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._tell_resumed()
        self._bar.end()
        if kind is KeyboardInterrupt:
            rows = self._kept.rows
            then = f"goes on after {rows:,} rows" if rows else "starts over: too little was read to be kept"
            sys.stderr.write(f"Interrupted; the same command {then}.\n")
            raise typer.Exit(130)

    def _tell_resumed(self) -> None:
        if not self._begun and self._kept.rows:
            sys.stderr.write(f"It goes on after {self._kept.rows:,} rows that an interrupted run had read.\n")
        self._begun = True


def pair(text: str) -> tuple[str, str]:
    field, separator, name = text.partition("=")
    if not separator or not name:
        raise ConfigError(f'--map {text!r} has no column; write it as --map opened="Created on".')
    return field.strip(), name


def order(text: str) -> Literal["day-first", "month-first"] | None:
    if text in ("", "day-first", "month-first"):
        return cast("Literal['day-first', 'month-first'] | None", text or None)
    raise ConfigError(f"--dates is day-first or month-first, not {text!r}.")


def known_zone(name: str) -> ZoneInfo | None:
    from countersign.policy import calendars

    try:
        return ZoneInfo(calendars.known_zone(name)) if name else None
    except ValueError as problem:
        raise ConfigError(f"--zone: {problem}") from None


def _plain(path: Path, read: Export, how: Measuring, figures: tuple[Figure, ...]) -> dict[str, object]:
    return {
        "export": path.name,
        "rows": read.rows,
        "tickets": len(read.tickets),
        "until": read.until,
        "assumptions": read.assumptions,
        "measuring": how,
        "figures": figures,
        "problem_counts": _counts(read),
        "problems": read.problems,
    }


def _plain_changes(path: Path | None, changed: ChangeExport | None) -> dict[str, object] | None:
    if path is None or changed is None:
        return None
    return {
        "export": path.name,
        "rows": changed.rows,
        "counted": len(changed.changes.histories),
        "assumptions": changed.assumptions,
        "problem_counts": _counts(changed),
        "problems": changed.problems,
    }


def _write_page(
    page: Path,
    path: Path,
    read: Export,
    how: Measuring,
    figures: tuple[Figure, ...],
    changed: ChangeExport | None,
) -> None:
    from countersign.kpis.trend import trends
    from countersign.report_page import render
    from countersign.reports import Report

    report = Report(
        use_case="baseline",
        title=f"Baseline of {path.name}",
        since=read.since,
        until=read.until,
        zone=how.business.zone,
        figures=figures,
        trends=trends(read.tickets, how),
        notes=(*read.assumptions, *problem_notes(read), *_change_notes(changed)),
    )
    try:
        page.write_text(render(report), encoding="utf-8")
    except OSError as problem:
        raise ConfigError(f"{page} can't be written ({problem.strerror}); name another file.") from None


def _change_notes(changed: ChangeExport | None) -> Iterator[str]:
    if changed:
        yield from (f"Changes: {sentence}" for sentence in (*changed.assumptions, *problem_notes(changed)))


def problem_notes(read: Export | ChangeExport) -> Iterator[str]:
    for (column, kind), count in sorted(read.counts.items()):
        yield f"{count:,} x {kind}" + (f" in {column}" if column else "") + "."


def _counts(read: Export | ChangeExport) -> list[dict[str, object]]:
    return [
        {"column": column, "problem": kind, "rows": count}
        for (column, kind), count in sorted(read.counts.items())
    ]


def _tell(read: Export, figures: tuple[Figure, ...], changed: ChangeExport | None) -> None:
    from countersign.kpis.figures import shown, shown_interval

    typer.echo(f"{len(read.tickets):,} tickets in {read.rows:,} rows, known until {_minute(read.until)}.")
    for sentence in read.assumptions:
        typer.echo(f"- {sentence}")
    if changed:
        typer.echo(f"{len(changed.changes.histories):,} changes of {changed.rows:,} rows ended in that time.")
        for sentence in changed.assumptions:
            typer.echo(f"- {sentence}")
    typer.echo("")
    known = [figure for figure in figures if figure.value is not None]
    rows = [
        (
            figure.title,
            shown(figure.value, figure.unit),
            shown_interval(figure),
            f"{figure.n:,}",
            shown(figure.detectable, figure.unit) if figure.detectable else "",
        )
        for figure in known
    ]
    columns = ("figure", "value", "95 % interval", "n", "change to be seen")
    show_table(columns, rows, empty="There is nothing to measure.")
    typer.echo(
        "\nThe last column is the smallest change that two periods of this size would show (power 80 %)."
    )
    left_out = ((f"{left.count:,}: {left.reason}", figure) for figure in known for left in figure.excluded)
    _tell_reasons("Left out", left_out)
    _tell_reasons("Unknown", ((figure.unknown, figure) for figure in figures if figure.value is None))
    _tell_problems(read, "problems")
    if changed:
        _tell_problems(changed, "problems of the changes")


def _tell_reasons(heading: str, reasons: Iterable[tuple[str, Figure]]) -> None:
    """One line for each reason, with the figures it holds for."""
    titles: dict[str, dict[str, None]] = {}
    for reason, figure in reasons:
        titles.setdefault(reason, {})[figure.title.split(",")[0]] = None
    if titles:
        typer.echo(f"\n{heading}:")
    for reason, named in titles.items():
        typer.echo(f"- {reason} ({', '.join(named)})")


def _tell_problems(read: Export | ChangeExport, what: str) -> None:
    if not read.counts:
        return
    typer.echo(f"\n{sum(read.counts.values()):,} {what}, of which the first:")
    for problem in read.problems[:_SHOWN]:
        typer.echo(f"  {problem}")
    for note in problem_notes(read):
        typer.echo(note)


def _minute(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
