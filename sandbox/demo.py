"""The demo: one night in the sandbox, worked through by the real product from its own command line."""

from __future__ import annotations

import argparse
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import yaml
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from sandbox import datadog, pagerduty, splunk
from sandbox.jira_records import JIRA_FIELDS
from sandbox.plan import PlanError, names, read_plan
from sandbox.realdata import load, look_into
from sandbox.scenario import Scenario, play
from sandbox.server import Sandbox
from sandbox.tickets import Ticket, tickets

ROOT = Path(__file__).resolve().parent.parent
OUT = Path("var/demo")
POLICIES = ("alert-triage.yaml", "jira-triage.yaml")
LONGEST_S, QUIET_S, ROUNDS = 150.0, 2.5, 2
ENDED = "the log has ended"
_LINE = 240
Json = dict[str, Any]


@dataclass(slots=True)
class Night:
    """What the log has told so far."""

    alerts: int = 0
    cases: int = 0
    decided: int = 0
    written: int = 0
    finished: bool = False
    last: float = field(default_factory=time.monotonic)
    problems: Counter[str] = field(default_factory=Counter)


def main() -> None:
    arguments = _arguments()
    # For a file or another program a decision is a line too; a terminal cuts it off.
    people = sys.stdout.isatty() or "COLUMNS" in os.environ
    console = Console(highlight=False, width=None if people else _LINE)
    try:
        plan = read_plan(arguments.faults) if arguments.faults else None
        if arguments.data:
            look_into(arguments.data)
    except (PlanError, FileNotFoundError) as wrong:
        sys.exit(str(wrong))
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    started = time.monotonic()
    with Sandbox(seed=arguments.seed) as box:
        scenario = load(box, arguments.data) if arguments.data else play(box)
        box.faults.add(*(plan.faults if plan else ()))
        before = _photographs(box)
        config = _write_config(box, _hurried() if plan else [ROOT / "policies" / name for name in POLICIES])
        console.print(
            f"A night with {scenario.alerts} alerts from three sources and {scenario.tickets} tickets in two desks "
            f"({scenario.linked} opened by monitoring). Ledger, log and configuration: {OUT}/"
        )
        if plan:
            console.print(f"A bad one ({plan.name}): {plan.about}")
        with _running(config) as lines:
            night = _watch(console, box, scenario, lines, started + arguments.longest, config)
        summary = _summary(box, scenario, config)
        summary["faults"] = box.run(lambda: dict(box.faults.taken))
        _show_tickets(console, box, before, config)
    kpis = _countersign(config, "report", "--out", str(OUT))
    summary["seconds"] = round(time.monotonic() - started, 1)
    (OUT / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    _show_summary(console, summary, night)
    console.print(f"KPI summary: {kpis.strip().splitlines()[-1]}")
    console.print(
        f"The story of any case: countersign case show ID --config {config}   (countersign cases lists them)"
    )
    fields = ("alerts", "cases", "noted", "closed", "changes", "routed", "held", "lost", "doubled", "model")
    console.print("demo: " + " ".join(f"{name}={summary[name]}" for name in fields), soft_wrap=True)
    raise SystemExit(1 if summary["lost"] or summary["doubled"] else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    parser.add_argument(
        "--data", type=Path, help="Folder of real alerts and tickets, instead of the sandbox's own night."
    )
    parser.add_argument("--faults", help=f"A bad day: {', '.join(names())}, or a YAML file like these.")
    parser.add_argument(
        "--longest", type=float, default=LONGEST_S, help="Seconds after which it ends in any case."
    )
    parser.add_argument("--seed", type=int, default=7, help="Another seed is another night.")
    return parser.parse_args()


def _hurried() -> list[Path]:
    """The policies with a hold that suits the sandbox, whose searches lag by seconds and not by minutes."""
    copies = []
    for name in POLICIES:
        text = re.sub(
            r"^desk_hold:.*\n", "", (ROOT / "policies" / name).read_text("utf-8"), flags=re.MULTILINE
        )
        copies.append(OUT.resolve() / name)
        copies[-1].write_text(f"{text.rstrip()}\ndesk_hold: 8s\n", encoding="utf-8")
    return copies


def _write_config(box: Sandbox, policies: list[Path]) -> Path:
    """A configuration as a company would write it, but for its addresses and its hurry."""
    urls = box.urls
    config = {
        "ledger": f"sqlite:///{OUT.resolve()}/ledger.db",
        "policies": [str(file) for file in policies],
        "timing": {
            "pull": "4s", "watch": "4s", "sweep": "1s", "settle": "2s", "look_back": "9h", "overlap": "30s",
            "vendor_settle": "0s",
        },
        "workers": {"processes": 1, "model_threads": 2, "health_port": 0},
        "datadog": {"url": urls["datadog"], "api_key": datadog.API_KEY, "app_key": datadog.APP_KEY},
        "splunk": {"url": urls["splunk"], "token": splunk.TOKEN},
        "pagerduty": {"url": urls["pagerduty"], "token": pagerduty.TOKEN, "sender": pagerduty.BOT_EMAIL},
        "servicenow": {"url": urls["servicenow"], "user": "countersign", "password": "demo"},
        "jira": {
            "url": urls["jira"], "user": "countersign@example.com", "token": "demo", "project": "OPS",
            "change_project": "CHG", "ticket_type": "Incident", "fields": JIRA_FIELDS, "overlap": "30s",
        },
    }  # fmt: skip
    path = OUT / "countersign.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return path


def _command() -> list[str]:
    installed = Path(sys.executable).parent / "countersign"
    return [str(installed)] if installed.is_file() else [str(shutil.which("countersign") or "countersign")]


def _countersign(config: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*_command(), *arguments, "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode:
        sys.exit(f"countersign {' '.join(arguments)} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _running(config: Path) -> Iterator[queue.SimpleQueue[Json]]:
    """`countersign up` in a process of its own; gives its log as it comes, and keeps it in up.log."""
    lines: queue.SimpleQueue[Json] = queue.SimpleQueue()
    process = subprocess.Popen(
        [*_command(), "up", "--config", str(config)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert process.stderr is not None
    reader = threading.Thread(target=_read, args=(process.stderr, lines), daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.terminate()
        try:
            process.wait(timeout=40)
        except subprocess.TimeoutExpired:
            process.kill()
        reader.join(timeout=5)


def _read(stream: IO[str], lines: queue.SimpleQueue[Json]) -> None:
    with (OUT / "up.log").open("w", encoding="utf-8") as log:
        for line in stream:
            log.write(line)
            log.flush()
            try:
                lines.put(json.loads(line))
            except ValueError:
                lines.put({"event": "said", "text": line.strip()})
    lines.put({"event": ENDED})


def _waiting(config: Path) -> int:
    """What is on its way: cases to decide and actions to do."""
    return int(json.loads(_countersign(config, "status", "--json"))["waiting"])


def _watch(
    console: Console,
    box: Sandbox,
    scenario: Scenario,
    lines: queue.SimpleQueue[Json],
    until: float,
    config: Path,
) -> Night:
    """Shows the log as progress; lets the engineers act whenever it has gone quiet, and ends when it stays so."""
    night, rounds = Night(), 0
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    ) as progress:
        bar = progress.add_task(
            "alerts and tickets read", total=scenario.alerts + scenario.tickets - scenario.linked
        )
        while time.monotonic() < until and rounds <= ROUNDS:
            try:
                _hear(lines.get(timeout=0.2), night, progress, bar)
            except queue.Empty:
                if night.decided and time.monotonic() - night.last > QUIET_S and not _waiting(config):
                    rounds += 1
                    night.last = time.monotonic()
                    if rounds <= ROUNDS:
                        _people(progress, box)
        night.finished = rounds > ROUNDS
        progress.update(
            bar, description=f"{night.cases} cases, {night.decided} decisions, {night.written} writes"
        )
    return night


def _hear(line: Json, night: Night, progress: Progress, bar: TaskID) -> None:
    if line.get("event") == ENDED:
        sys.exit(f"countersign up has ended before its time; {OUT}/up.log says why.")
    handler = _HEARD.get(line.get("event", ""))
    if handler is not None:
        if line.get("alerts") != 0 or line["unreadable"]:  # reading nothing new is no news
            night.last = time.monotonic()
        handler(line, night, progress)
    elif line.get("level") in ("error", "critical") or line.get("event") == "said":
        night.problems[str(line.get("event"))] += 1
        progress.console.print(Text(f"  ! {json.dumps(line)[:300]}", style="red"))
    progress.update(bar, completed=night.alerts)


def _recorded(line: Json, night: Night, _progress: Progress) -> None:
    night.alerts += line["alerts"] + line["unreadable"]
    night.cases += line["cases"]


def _decided(line: Json, night: Night, progress: Progress) -> None:
    night.decided += 1
    what = f"{line['outcome'].replace('_', ' '):<12}"
    ticket = line["ticket"] or "no ticket"
    told = Text(f"  {ticket:<11} {what} {line['rule']}: {line['because']}")
    progress.console.print(told, overflow="ellipsis", no_wrap=True)


def _done(_line: Json, night: Night, _progress: Progress) -> None:
    night.written += 1


def _approved(line: Json, _night: Night, progress: Progress) -> None:
    progress.console.print(f"  {line['by']} approved in case {line['case']}", style="green", markup=False)


_HEARD: dict[str, Callable[[Json, Night, Progress], None]] = {
    "pull.recorded": _recorded,
    "case.decided": _decided,
    "action.done": _done,
    "approval.given": _approved,
}


def _people(progress: Progress, box: Sandbox) -> None:
    acts = box.run(box.engineers.step)
    counts = Counter(act.did for act in acts)
    said = ", ".join(f"{number} {did}" for did, number in counts.most_common())
    progress.console.print(
        f"  the engineers look at their tickets: {said or 'nothing to do'}", style="cyan", markup=False
    )


# --- what came of it ------------------------------------------------------------------------------------------


def _summary(box: Sandbox, scenario: Scenario, config: Path) -> Json:
    """The counts, checked against the sandbox's own log of writes: what the ledger says was done was done, once."""
    tally = json.loads(_countersign(config, "status", "--json"))
    actions = json.loads(_countersign(config, "actions", "--json", "--limit", "100000"))
    writes = box.run(lambda: list(box.world.writes))
    ours = Counter((write.vendor, write.kind, write.target, write.marker) for write in writes if write.marker)
    found = {write.marker for write in writes}
    missing = [one for one in actions if one["state"] == "done" and f"countersign:{one['key']}" not in found]
    letters = json.loads(_countersign(config, "dead-letters", "list", "--json", "--limit", "100000"))
    unreadable = sum(letter["kind"] == "alert" for letter in letters)
    told = scenario.alerts + scenario.tickets - scenario.linked
    unread = told - tally["alerts"] - unreadable
    outcomes = tally["outcomes"]
    return {
        "alerts": tally["alerts"],
        "cases": sum(tally["cases"].values()),
        **{
            name: outcomes.get(name, 0)
            for name in ("noted", "closed", "changes", "routed", "held", "waiting")
        },
        "unreadable": unreadable,
        "lost": max(unread, 0) + len(missing) + outcomes.get("waiting", 0),
        "doubled": sum(count - 1 for count in ours.values()),
        "writes": sum(ours.values()),
        "model": "local",
    }


def _show_summary(console: Console, summary: Json, night: Night) -> None:
    table = Table(box=None, pad_edge=False, show_header=False)
    rows = {
        "noted": "have a draft note that waits for an engineer",
        "closed": "were closed, by the rules or by an engineer's approval",
        "changes": "have a change request drafted",
        "routed": "went to another group, with the reason",
        "held": "were left alone on purpose (control lane, observed, no ticket, finished by people)",
        "unreadable": "alerts could not be read and lie in the dead letters",
    }
    for name, words in rows.items():
        table.add_row(str(summary[name]), words)
    console.print(table)
    if summary["lost"] and not night.finished:
        console.print(
            "It ran out of time: what was not read or decided by then counts as lost here; "
            "python -m sandbox.demo --longest SECONDS gives it more."
        )
    if summary["faults"]:
        console.print(f"What went wrong, and how often: {summary['faults']}")
    if night.problems:
        console.print(f"Problems in the log ({OUT}/up.log): {dict(night.problems)}", style="red")


@dataclass(frozen=True, slots=True)
class Photograph:
    """A ticket as an engineer saw it at one moment."""

    title: str
    status: str
    notes: int


def _photographs(box: Sandbox) -> dict[str, Photograph]:
    return box.run(
        lambda: {
            t.key: Photograph(t.title, t.status, len(t.notes())) for t in tickets(box.servicenow, box.jira)
        }
    )


def _show_tickets(console: Console, box: Sandbox, before: dict[str, Photograph], config: Path) -> None:
    """Three tickets before and after: one closed, one with a change, one with a note."""
    cases = json.loads(_countersign(config, "cases", "--json", "--limit", "100000"))
    now = {t.key: t for t in box.run(lambda: list(tickets(box.servicenow, box.jira)))}
    for outcome in ("close", "draft_change", "draft_note"):
        shown = next((c for c in cases if c["outcome"] == outcome and _answered(now.get(c["ticket"]))), None)
        if shown is not None:
            console.print(_before_and_after(before[shown["ticket"]], now[shown["ticket"]]))


def _answered(ticket: Ticket | None) -> bool:
    return ticket is not None and len(ticket.notes()) >= 1


def _before_and_after(was: Photograph, ticket: Ticket) -> Panel:
    text = Text()
    text.append(
        f"before: {was.status}, {_notes(was.notes)}\nafter:  {ticket.status}, {_notes(len(ticket.notes()))}\n"
    )
    for note in ticket.notes()[was.notes :][:3]:
        text.append(f"\n{note.author} at {note.at:%H:%M}\n", style="bold")
        text.append(note.text + "\n")
    return Panel(text, title=Text(f"{ticket.key}  {was.title[:80]}"), title_align="left", width=118)


def _notes(count: int) -> str:
    return "no note" if not count else "1 note" if count == 1 else f"{count} notes"


if __name__ == "__main__":
    main()
