"""Figures: the report of a use case, composed from what the ledger holds, and its files."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from countersign.composition import Period, compose, promised
from countersign.ended_changes import EndedChange
from countersign.errors import ConfigError
from countersign.kpis.history import Histories
from countersign.kpis.weeks import Weeks
from countersign.ledger import Span
from countersign.policy import Policy
from countersign.policy.durations import parse_duration
from countersign.report_page import render
from countersign.reports import Report, as_csv, as_json, mail_text
from countersign.results import Results
from countersign.signals import DriftBook
from workers.drifts import drift_of

# What the ledger records of a case; every other field of a history is unknown, not absent.
RECORDED = frozenset(
    {
        "opened", "began", "detected", "acknowledged", "resolved", "reopened", "finished", "category", "priority",
        "service", "cluster", "lane", "control_share", "moves", "reopens", "alerts", "needed_work",
        "closed_by_policy", "wrong", "draft", "minutes", "model_usd",
    }
)  # fmt: skip


class ResultBook(Protocol):
    """The ledger, as reports read it."""

    @property
    def drifts(self) -> DriftBook: ...

    def columns(self, use_case: str, span: Span, *, recorded: frozenset[str]) -> tuple[Histories, Weeks]:
        """The decided cases of a span, and the sums of those before; what these are not right of is among the cases."""
        ...

    def results(
        self, use_case: str, *, since: datetime, until: datetime, promised: Collection[str]
    ) -> Results: ...

    def ended_changes(self, use_case: str, *, since: datetime, until: datetime) -> Sequence[EndedChange]:
        """The change requests that we drafted and that ended in this time."""
        ...

    def known_until(self) -> datetime | None:
        """When the ledger last heard of anything; None while it is empty."""
        ...


def report_of(policy: Policy, ledger: ResultBook, period: Period, *, notes: tuple[str, ...] = ()) -> Report:
    """The report of one use case over a period. The same ledger and period give the same report."""
    tickets, past = ledger.columns(policy.use_case, period.span, recorded=RECORDED)
    results = ledger.results(
        policy.use_case, since=period.since, until=period.until, promised=promised(policy)
    )
    ended = ledger.ended_changes(policy.use_case, since=period.before.since, until=period.until)
    made = compose(policy, tickets, past, results, period, ended=ended, notes=notes)
    found, attention = drift_of(ledger.drifts, policy, since=period.since, until=period.until)
    return replace(made, drift=found, attention=tuple(attention))


def files_of(report: Report) -> Mapping[str, str]:
    """The report in each of its forms, by file name."""
    return {
        "report.html": render(report),
        "report.txt": mail_text(report),
        "report.csv": as_csv(report),
        "report.json": as_json(report),
    }


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    """Writes files into a folder, which is made. Raises ConfigError where that can't be done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8", newline="")
    except OSError as problem:
        raise ConfigError(
            f"{folder} can't be written ({problem.strerror}); name another folder with --out."
        ) from None


def length(text: str) -> timedelta:
    """A length of time as a person types it. Raises ConfigError with what to write."""
    try:
        return parse_duration(text)
    except ValueError as problem:
        raise ConfigError(f"--since: {problem}") from None
