"""The console: what all commands share. Results go to stdout, as tables or JSON; mistakes to stderr, as a sentence."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel
from typer.main import get_command

from countersign.errors import ConfigError, CountersignError, Denied
from workers import logs

Config = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file; COUNTERSIGN_CONFIG if left out.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many rows.")]
# Characters of the longest name that a table keeps in one piece: a case's id has 15.
_NAME = 16
_LINE = 240


def new_app(summary: str) -> typer.Typer:
    """A command's application, without the machinery that slows its start."""
    return typer.Typer(
        help=summary, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=False
    )


def run(app: typer.Typer, name: str, arguments: Sequence[str]) -> None:
    """Runs a command's application. A mistake ends it with one sentence; a bug keeps its traceback."""
    # Results alone go to stdout; a command that works for long says more than warnings (see the roles).
    logs.set_up("WARNING")
    command = get_command(app)
    if not hasattr(command, "commands"):  # what it is for comes before how it goes about it
        command.help = f"{app.info.help}\n\n{command.help}"
    try:
        command(args=list(arguments), prog_name=f"countersign {name}")
    except CountersignError as problem:
        sys.stderr.write(f"countersign: {problem}\n")
        raise SystemExit(3 if isinstance(problem, Denied) else 1) from None


def as_plain(value: object) -> Any:
    """A value of ours as what JSON knows: times in ISO form, durations in seconds, effects as their fields."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_plain(item) for item in value]
    for kind, plain in _PLAIN.items():
        if isinstance(value, kind):
            return plain(value)
    return value


_PLAIN: dict[type, Callable[[Any], Any]] = {
    BaseModel: lambda model: model.model_dump(mode="json"),
    Enum: lambda member: member.value,
    datetime: lambda moment: moment.isoformat(),
    timedelta: lambda duration: duration.total_seconds(),
}


def show_json(value: object) -> None:
    sys.stdout.write(json.dumps(as_plain(value), ensure_ascii=False, indent=2) + "\n")


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """A table that fits the terminal; `empty` is the sentence when there is nothing to show.

    Columns of names are not broken, so that an id can be copied. For a file or another program a row is a line.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    cells = [[str(cell) for cell in row] for row in rows]
    for place, column in enumerate(columns):
        names = all(len(row[place]) <= _NAME and " " not in row[place] for row in cells)
        table.add_column(column, overflow="fold", no_wrap=names)
    for row in cells:
        table.add_row(*map(Text, row))
    people = sys.stdout.isatty() or "COLUMNS" in os.environ
    Console(soft_wrap=False, width=None if people else _LINE).print(table if table.row_count else empty)


def one_of(option: str, given: str, names: Iterable[str]) -> str:
    """What was given, if it is one of the names or nothing. Raises ConfigError."""
    known = tuple(names)
    if given and given not in known:
        raise ConfigError(f'There is no {option} "{given}"; write one of {", ".join(known)}.')
    return given


def time_of(text: str) -> datetime | None:
    """A time as people write it, UTC unless it says otherwise; None for nothing. Raises ConfigError."""
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f'"{text}" is no time; write it as 2026-03-01T12:00Z.') from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
