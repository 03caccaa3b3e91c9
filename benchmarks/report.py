"""`python -m benchmarks.report`: the same report over a ledger of 10,000 tickets and one of a million, in one run.

Both have the same 200 days, categories and 400 clusters. Three times, each in CPU seconds:
- "scheduled": what a due report costs the worker that made one before, from the sweep's `fire` to the end of the
  `report` stage: fired, claimed, composed, mailed and settled, under the shipped policy, whose one target is a mail.
  Only its day is another, the last of the ledgers. The mail server is a process of its own; `mail:` says where it is
  and nothing more, so that the mailer uses STARTTLS and reads the system's authorities, which is 20 ms of every mail.
  The server's own authority is added to these for that, by SSL_CERT_FILE in this process, which is the worker.
  Not counted is Celery's message, nor the server's part.
- "figures": of that, the ledger read, the figures, and the mail made with page, CSV, JSON and picture, but not sent.
- "command": `countersign report` as a process of its own, with its peak memory.
And what both reports read: tickets one by one, and those that stand in sums by week.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from connectors.sql.codec import CORRECTION, TICKET
from connectors.sql.deliveries import deliveries
from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import migrate
from connectors.sql.promises import grounds, labels
from connectors.sql.tables import (
    actions,
    assessments,
    audit,
    audit_head,
    cases,
    corrections,
    decisions,
    model_calls,
    schedules,
    tickets,
)
from countersign.composition import Period
from countersign.deliveries import Delivery
from countersign.ledger import Correction
from countersign.policy import CATEGORIES, Policy, load_policy
from countersign.tickets import Ticket, TicketRef, TicketState
from workers import logs
from workers.figures import RECORDED, report_of
from workers.parts import Parts
from workers.reporting import SHOWN, fire, mail_of
from workers.settings import load_settings
from workers.tasks import STAGES
from workers.wiring import open_parts

ROOT = Path(__file__).resolve().parent.parent
USE_CASE = "alert-triage"
POLICY = ROOT / "policies" / f"{USE_CASE}.yaml"
SMALL, LARGE = 10_000, 1_000_000
# 1.5 was aimed at, and the whole command keeps to it. The scheduled one is about there, but runs differ by 0.05 to both
# sides; decision 9 says what is left of it, and why.
ALLOWED = {"scheduled": 1.6, "command": 1.5}
ROUNDS = 9
COMMANDS = 3
DAYS = 200
START = datetime(2026, 3, 1, tzinfo=UTC)
END = START + timedelta(days=DAYS)
# The shipped policy's report comes on the day on which the ledgers end, at the time of theirs in its zone.
DUE = ("when: Mon 07:00", "when: Thu 02:00")
PERIOD = Period(since=END - SHOWN, until=END)
DELIVERY = Delivery(
    id="benchmark", use_case=USE_CASE, fire_time=END, channel="mail", target="owner@example.com", note="", fence=1,
    attempt=1, in_doubt=False,
)  # fmt: skip
_AT_ONCE = 10_000
Rows = dict[sa.Table, list[dict[str, Any]]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("--small", type=int, default=SMALL)
    parser.add_argument("--large", type=int, default=LARGE)
    parser.add_argument("--folder", type=Path, help="Keep the ledgers here, and use those that are there.")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    arguments = parser.parse_args()
    logs.set_up("info", people=False)  # as a worker does
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch)
        small, large = (_ledger(folder, count) for count in (arguments.small, arguments.large))
        found = {
            "scheduled": _scheduled(folder, arguments.small, arguments.large, arguments.rounds),
            "figures": _compared(small, large, arguments.rounds, _figures),
            "command": _commands(folder, arguments.small, arguments.large),
            "read": {"small": _read(small), "large": _read(large)},
        }
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    for name, allowed in ALLOWED.items():
        times = found[name]["large_to_small"]
        if times > allowed:
            sys.exit(f"{name}: {times} times as much, where {allowed} are allowed.")


def _file(folder: Path, count: int) -> Path:
    return folder / f"report-{count}.db"


def _url(folder: Path, count: int) -> str:
    return f"sqlite:///{_file(folder, count)}"


def _ledger(folder: Path, count: int) -> SqlLedger:
    there = _file(folder, count).exists()
    url = _url(folder, count)
    migrate(url)
    if not there:
        fill(url, count)
    ledger = SqlLedger.open(url)
    # As the sweep has done by the time a report is due.
    while ledger.rollups.digest(at_most=_AT_ONCE) or ledger.rollups.sum_up(USE_CASE):
        pass
    return ledger


Measured = TypeVar("Measured")


def _compared(
    small: Measured, large: Measured, rounds: int, seconds: Callable[[Measured], float]
) -> dict[str, float]:
    """Rounds in which each ledger has its turn; the first, which imports and fills caches, does not count."""
    found = [(seconds(small), seconds(large)) for _ in range(rounds + 1)][1:]
    return {
        "small_s": round(statistics.median(one for one, _ in found), 3),
        "large_s": round(statistics.median(other for _, other in found), 3),
        "large_to_small": round(statistics.median(other / one for one, other in found), 2),
    }


def _scheduled(folder: Path, small: int, large: int, rounds: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as scratch, _postbox(Path(scratch)) as mail:
        homes = [_home(Path(scratch), _url(folder, count), mail) for count in (small, large)]
        return _compared(*homes, rounds, _delivered)


@contextmanager
def _postbox(folder: Path) -> Iterator[dict[str, object]]:
    """A mail server in another process, as `mail:` in a configuration; meanwhile it is among those that are trusted."""
    command = [sys.executable, "-m", "benchmarks.postbox", str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            with _trusted(folder / "ca.pem"):
                yield {"host": "localhost", "port": port, "sender": "countersign@example.com"}
        finally:
            process.kill()


@contextmanager
def _trusted(authority: Path) -> Iterator[None]:
    """This process trusts the system's authorities, and one more."""
    systems = ssl.get_default_verify_paths().cafile
    bundle = authority.with_name("authorities.pem")
    bundle.write_bytes((Path(systems).read_bytes() if systems else b"") + authority.read_bytes())
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = str(bundle)
    try:
        yield
    finally:
        del os.environ["SSL_CERT_FILE"]
        if before is not None:
            os.environ["SSL_CERT_FILE"] = before


@dataclass(frozen=True, kw_only=True, slots=True)
class _Home:
    """What a worker of a ledger works with, at the time when its report is due; and the ledger's tables."""

    parts: Parts
    tables: sa.Engine


def _home(folder: Path, url: str, mail: dict[str, object]) -> _Home:
    file = folder / POLICY.name
    file.write_text(POLICY.read_text(encoding="utf-8").replace(*DUE), encoding="utf-8")
    config = folder / "countersign.yaml"
    config.write_text(json.dumps({"ledger": url, "policies": [str(file)], "mail": mail}), encoding="utf-8")
    tables = sa.create_engine(url)
    with tables.begin() as connection:
        # What is recorded from now on follows on the rows that `fill` wrote, which are no chain.
        last = sa.select(sa.func.max(audit.c.seq)).scalar_subquery()
        connection.execute(sa.update(audit_head).values(seq=last))
    parts = open_parts(load_settings(config))
    ledger = SqlLedger.open(url, clock=lambda: END + timedelta(seconds=30))
    return _Home(parts=replace(parts, ledger=ledger), tables=tables)


def _delivered(home: _Home) -> float:
    """CPU seconds from the sweep that finds a report due to its being sent."""
    _make_due(home)
    began = time.process_time()
    for wake in fire(home.parts):
        list(STAGES[wake.stage](home.parts, list(wake.ids)))
    took = time.process_time() - began
    with home.tables.connect() as connection:
        states = connection.execute(sa.select(deliveries.c.state)).scalars().all()
    if states != ["sent"]:
        sys.exit(f"The report was to be sent, but is {states}.")
    return took


def _make_due(home: _Home) -> None:
    """The report of a week before was the last, and nothing of this one is known."""
    wanted = home.parts.policies[USE_CASE].report
    assert wanted is not None
    before = END - timedelta(weeks=1)
    name = f"report {USE_CASE} {wanted.when} {wanted.zone}"
    with home.tables.begin() as connection:
        connection.execute(sa.delete(deliveries))
        connection.execute(sa.delete(schedules))
        connection.execute(sa.insert(schedules).values(name=name, fire_time=before, fired_at=before))


def _figures(ledger: SqlLedger) -> float:
    """CPU seconds of a report in all the forms that are sent."""
    began = time.process_time()
    made = report_of(policy(), ledger, PERIOD)
    mail_of(DELIVERY, made)
    return time.process_time() - began


def _commands(folder: Path, small: int, large: int) -> dict[str, Any]:
    """`countersign report` of each ledger as a process, by turns: median CPU seconds and peak memory."""
    rounds = [(_command(folder, small), _command(folder, large)) for _ in range(COMMANDS)]
    return {
        "small_s": round(statistics.median(one.seconds for one, _ in rounds), 3),
        "large_s": round(statistics.median(other.seconds for _, other in rounds), 3),
        "large_to_small": round(statistics.median(other.seconds / one.seconds for one, other in rounds), 2),
        "small_peak_mb": max(one.peak_mb for one, _ in rounds),
        "large_peak_mb": max(other.peak_mb for _, other in rounds),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """What a process used."""

    seconds: float
    peak_mb: int


def _command(folder: Path, count: int) -> Used:
    with tempfile.TemporaryDirectory() as scratch:
        config = Path(scratch) / "countersign.yaml"
        policies = json.dumps([str(POLICY)])
        config.write_text(f"ledger: {_url(folder, count)}\npolicies: {policies}\n")
        words = ("report", "--config", str(config), "--use-case", USE_CASE, "--out", scratch)
        since = ("--since", f"{SHOWN.days}d")
        ran = subprocess.run(
            [sys.executable, "-c", _RUN, sys.executable, "-m", "workers", *words, *since],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    seconds, peak_kb = ran.stdout.split()
    return Used(seconds=float(seconds), peak_mb=int(peak_kb) // 1024)


# A small process in between: what one is started by counts as its own memory otherwise.
_RUN = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def _read(ledger: SqlLedger) -> dict[str, int]:
    """Of a report's span: the tickets and their bytes, and those that stand in sums by week and the sums' bytes."""
    tickets, past = ledger.columns(USE_CASE, PERIOD.span, recorded=RECORDED)
    return {
        "tickets": len(tickets),
        "tickets_in_sums": int(past.sums[0].sum()),
        "rows_of_sums": len(past.week) + len(past.cluster) + past.reopened.shape[1],
    }


def policy() -> Policy:
    return load_policy(POLICY.read_text(encoding="utf-8"), name=str(POLICY))


def fill(url: str, count: int) -> None:
    """A ledger in which `count` cases of 200 days were decided, closed or worked on, and corrected."""
    engine = sa.create_engine(url)
    draw = random.Random(7)
    for first in range(0, count, _AT_ONCE):
        rows = _rows(range(first, min(count, first + _AT_ONCE)), count, draw)
        with engine.begin() as connection:
            for table, of_one in rows.items():
                if of_one:
                    connection.execute(sa.insert(table), of_one)
    engine.dispose()


def _rows(numbers: range, count: int, draw: random.Random) -> Rows:
    tables = (
        cases,
        tickets,
        assessments,
        decisions,
        grounds,
        model_calls,
        actions,
        corrections,
        labels,
        audit,
    )
    found: Rows = {table: [] for table in tables}
    for number in numbers:
        _add(found, number, START + number * (END - START) / count, draw)
    return found


def _add(found: Rows, number: int, at: datetime, draw: random.Random) -> None:
    case = f"c{number:013}"
    category = draw.choice(CATEGORIES)
    control = draw.random() < 0.1
    closed = not control and draw.random() < 0.3
    worked = at + timedelta(hours=draw.lognormvariate(1.0, 1.2))
    resolved = at + timedelta(minutes=2) if closed else worked
    open_still = resolved > END
    ref = TicketRef(desk="jira", id=str(number), key=f"OPS-{number}")
    told = Ticket(
        ref=ref, title="disk full", version="1", opened_at=at, updated_at=at, priority="P3", service="checkout",
        state=TicketState.OPEN if open_still else TicketState.RESOLVED,
    )  # fmt: skip
    found[cases].append(
        {
            "id": case, "use_case": USE_CASE, "fingerprint": f"f{draw.randrange(400)}", "current": False,
            "stage": "decided", "alert_count": draw.randrange(1, 9), "first_at": at, "last_at": at,
            "heard_at": at, "seen_before": True, "opened_at": at, "ended_at": at, "decided_at": at,
            "desk": "jira", "ticket_id": str(number), "outcome": "close" if closed else "draft_note",
            "rule": "noise", "category": category,
        }
    )  # fmt: skip
    found[tickets].append(
        {
            "desk": "jira", "id": str(number), "key": ref.key, "state": told.state.value, "version": "1",
            "updated_at": at, "body": TICKET.dump(told),
        }
    )  # fmt: skip
    common = {"case_id": case, "revision": 1, "at": at}
    found[assessments].append(common | {"category": category, "body": "{}", "context": "{}"})
    lane = "control" if control else "treated"
    found[decisions].append(
        common
        | {
            "use_case": USE_CASE, "policy_version": 1, "policy_hash": "", "autonomy": "act",
            "outcome": "close" if closed else "draft_note", "rule": "noise", "lane": lane, "service": "checkout",
            "closes": closed, "body": "{}",
        }
    )  # fmt: skip
    found[grounds].append(
        common
        | {
            "use_case": USE_CASE, "risk": 0.01, "alerts": 1, "kind": "k", "category": category, "rule": "noise",
            "lane": lane, "control_share": 0.1, "wanted": True, "alone": True, "versions": "", "facts": "{}",
        }
    )  # fmt: skip
    found[model_calls].append(
        common
        | {
            "use_case": USE_CASE, "model": "local", "outcome": "ok", "tokens_in": 900, "tokens_out": 90,
            "micro_usd": 300, "latency_ms": 2000, "body": "{}",
        }
    )  # fmt: skip
    found[actions].append(
        {
            "key": f"a{number}", "case_id": case, "use_case": USE_CASE, "revision": 1, "seq": 0,
            "kind": "close" if closed else "note", "desk": "jira", "state": "done", "doubtful": False,
            "needs_approval": False, "approved_by": "policy:noise", "payload_hash": "", "code": "", "effect": "{}",
            "planned_at": at, "done_at": at + timedelta(minutes=2),
        }
    )  # fmt: skip
    found[corrections].extend(_corrections(case, at, resolved, closed, open_still, category, draw))
    if control or draw.random() < 0.05:
        found[labels].append(
            {
                "case_id": case, "use_case": USE_CASE, "recorded_at": resolved, "category": category,
                "wrong": draw.random() < 0.01, "body": "",
            }
        )  # fmt: skip
    if number % 100 == 0:
        found[audit].append(
            {
                "seq": 1 + number // 100, "at": at, "actor": "ledger", "event": "case.decided", "case_id": case,
                "subject": "", "detail": "{}", "previous": "", "hash": "",
            }
        )  # fmt: skip


def _corrections(
    case: str,
    at: datetime,
    resolved: datetime,
    closed: bool,
    open_still: bool,
    category: str,
    draw: random.Random,
) -> Iterator[dict[str, Any]]:
    if closed:
        if draw.random() < 0.02:
            yield _told(case, "reopened", at + timedelta(hours=3))
        return
    yield _told(case, "acknowledged", at + timedelta(minutes=20) + (resolved - at) / 50)
    if not open_still:
        yield _told(case, "resolved", resolved)
    if draw.random() < 0.1:
        after = draw.choice(CATEGORIES)
        yield _told(
            case, "corrected", at + timedelta(hours=1), field="category", before=category, after=after
        )


def _told(
    case: str, verdict: str, at: datetime, *, field: str = "", before: str = "", after: str = ""
) -> dict[str, Any]:
    told = Correction(
        case_id=case,
        change_id=verdict,
        verdict=verdict,
        by="ann",
        at=at,
        field=field,
        before=before,
        after=after,
    )
    return {
        "case_id": case, "change_id": verdict, "verdict": verdict, "field": told.field, "at": at,
        "recorded_at": at, "author": "ann", "body": CORRECTION.dump(told),
    }  # fmt: skip


if __name__ == "__main__":
    main()
