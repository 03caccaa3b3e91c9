"""The report: composed from a ledger after a night, the same bytes for the same ledger, on every kind of ledger."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from countersign.composition import OTHERS, Period
from countersign.report_page import render_mail
from countersign.reports import Report, verdict
from tests.browser import Browser
from tests.workers.house import House
from workers.figures import files_of, report_of

FORMS = ("report.html", "report.txt", "report.csv", "report.json")


def report(home: House, use_case: str = "alert-triage") -> Report:
    until = home.ledger.known_until()
    assert until is not None
    period = Period(since=until - timedelta(days=90), until=until)
    return report_of(home.parts.policies[use_case], home.ledger, period)


def test_the_same_ledger_gives_the_same_bytes(night: House) -> None:
    """In every form, however often and whenever it is composed."""
    first, again = (files_of(report(night)) for _ in range(2))
    assert first == again
    assert set(first) == set(FORMS)


def test_it_says_what_the_ledger_knows(night: House) -> None:
    """Goal, figures, effect, policy by category and costs; who was not counted is unknown and never 0."""
    made = report(night)
    text = files_of(made)["report.txt"]
    assert verdict(made).startswith(("Deflection", "Whether"))
    assert {line.category for line in made.policy} == {
        "informational", "flapping", "recovered", "capacity", OTHERS,
    }  # fmt: skip
    assert [line.what for line in made.costs] == ["Model local", "People's time", "A ticket, on average"]
    assert made.costs[1].usd is None
    assert "People's time: unknown" in text
    assert made.effects[0].key == "effect.time_to_resolve.mean_ratio"
    assert len(files_of(made)["report.html"].encode()) <= 200_000


def test_what_engineers_corrected_is_counted(home: House) -> None:
    """From what the model had said to what they say it is, told in a comment."""
    desk = home.box.servicenow
    row = home.box.run(lambda: desk.open_incident(short_description="Disk full on db-1", description="97 %"))
    home.once()
    home.box.run(lambda: desk.add_note(row["sys_id"], "lena.fischer", "/countersign wrong category=hardware"))
    home.run("watch")
    (line,) = report(home).corrections
    assert (line.field, line.after, line.count) == ("category", "hardware", 1)
    assert line.before != ""


def test_a_ticket_costs_the_minutes_that_engineers_log_and_the_model(home: House) -> None:
    """Of tickets on which somebody logged time, at what the policy says of an hour, in every form of the report."""
    home = priced(home, 90.0)
    assert {one.key: one for one in report(home).figures}["minutes_per_ticket"].value is None
    logged(home, minutes=12)
    made = report(home)
    found = {one.key: one for one in made.figures}
    assert (found["minutes_per_ticket"].value, found["minutes_per_ticket"].n) == (12, 1)
    cost = found["cost_per_ticket"]
    assert (cost.value, cost.n) == (pytest.approx(18.0), 1)
    assert cost.definition.endswith("An hour of people's time costs $90.00.")
    told = {line.what: line for line in made.costs}
    assert told["People's time"].usd == pytest.approx(18.0)
    assert told["People's time"].detail == "12 min, logged on 1 of 1 tickets, at $90.00 an hour"
    assert told["A ticket, on average"].usd == cost.value
    forms = files_of(made)
    assert "A ticket, on average: $18.00 n = 1;" in " ".join(forms["report.txt"].split())
    assert "<dt>Cost per ticket: $18.00</dt>" in forms["report.html"]
    assert '<th scope="row">A ticket, on average</th><td>$18.00</td>' in render_mail(made)
    rows = {row["key"]: row for row in csv.DictReader(io.StringIO(forms["report.csv"]))}
    assert (float(rows["cost_per_ticket"]["value"]), rows["cost_per_ticket"]["n"]) == (
        pytest.approx(18.0),
        "1",
    )
    (plain,) = [one for one in json.loads(forms["report.json"])["figures"] if one["key"] == "cost_per_ticket"]
    assert plain["value"] == pytest.approx(18.0)


def test_no_wage_is_made_up(home: House) -> None:
    """Where the policy does not say what an hour costs, the minutes are told, and what they cost stays unknown."""
    home = priced(home, None)
    logged(home, minutes=12)
    made = report(home)
    cost = next(one for one in made.figures if one.key == "cost_per_ticket")
    assert (cost.value, cost.unknown) == (None, "not told: what an hour of people's time costs")
    assert [line.usd for line in made.costs[-2:]] == [None, None]
    text = " ".join(files_of(made)["report.txt"].split())
    assert "People's time: unknown 12 min, logged on 1 of 1 tickets; not told: what an hour" in text
    assert "A ticket, on average: unknown not told: what an hour" in text


def priced(home: House, usd_per_hour: float | None) -> House:
    """A house whose policy says what an hour costs, with one ticket."""
    wanted = home.parts.policies["alert-triage"].report
    assert wanted is not None
    home = home.with_policy(report=wanted.model_dump() | {"usd_per_hour": usd_per_hour})
    desk = home.box.servicenow
    home.box.run(lambda: desk.open_incident(short_description="Disk full on db-1", description="97 %"))
    home.once()
    return home


def logged(home: House, *, minutes: int) -> None:
    """Somebody logs time on the one ticket, and it is seen."""
    desk = home.box.servicenow
    (row,) = home.box.run(lambda: list(desk.records.rows["incident"].values()))
    worked = {"time_worked": f"1970-01-01 00:{minutes}:00"}
    home.box.run(lambda: desk.set_fields(row["sys_id"], "lena.fischer", **worked))
    home.run("watch")


@pytest.mark.parametrize("use_case", ["", "alert-triage"])
def test_the_command_writes_every_form_and_says_where(home: House, tmp_path: Path, use_case: str) -> None:
    """One folder a use case, over the time that is asked for; the last line names the summary of all. The same ledger,
    the same files."""
    home.once()
    out = tmp_path / "out"
    asked = ("--use-case", use_case) if use_case else ()
    contents = []
    for _ in range(2):
        done = home.command("report", "--out", str(out), "--since", "30d", *asked)
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1] == str(out / "kpis.md")
        contents.append({file: file.read_bytes() for file in out.rglob("*") if file.is_file()})
    assert contents[0] == contents[1]
    folder = out / "reports" / "alert-triage"
    assert {file.name for file in folder.iterdir()} == set(FORMS)
    told = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert told["use_case"] == "alert-triage"
    since, until = (datetime.fromisoformat(told[end]) for end in ("since", "until"))
    assert until - since == timedelta(days=30)


def _open(home: House, out: Path) -> subprocess.CompletedProcess[str]:
    """In a process of its own, as one looks only once for the browsers that there are."""
    asked = ["report", "--out", out, "--use-case", "alert-triage", "--open", "--config", home.config]
    return subprocess.run(
        [sys.executable, "-m", "workers", *asked], capture_output=True, text=True, timeout=100, check=False
    )


def test_open_shows_the_pages_in_the_browser(
    home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page once, as an address of a file that is there; without a browser it says what to open."""
    seen, browser = tmp_path / "seen", tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {seen}\n')
    browser.chmod(0o755)
    out = tmp_path / "out"
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    done = _open(home, out)
    assert done.returncode == 0, done.stderr
    page = out / "reports" / "alert-triage" / "report.html"
    assert seen.read_text().split() == [page.as_uri()]
    assert page.is_file()
    monkeypatch.setenv("BROWSER", str(tmp_path / "gone"))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("DISPLAY", raising=False)
    done = _open(home, out)
    assert f"open {page} yourself" in done.stderr


def test_a_report_of_a_night_is_small_and_everybody_can_read_it(
    night: House, browser: Browser, tmp_path: Path
) -> None:
    """With real figures too: at most 200 KB, nothing blocked, and nothing that axe finds."""
    html = files_of(report(night))["report.html"]
    assert len(html.encode()) <= 200_000
    file = tmp_path / "report.html"
    file.write_text(html, encoding="utf-8")
    browser.show(file, scheme="dark", width=360)
    assert (browser.complaints, browser.findings()) == ([], [])


def test_the_check_holds_reports_against_every_row(home: House) -> None:
    """They agree; a day that says something else is named, ends the command with 1, and is made anew."""
    desk = home.box.servicenow
    home.box.run(lambda: desk.open_incident(short_description="Disk full on db-1", description="97 %"))
    home.once()
    even = home.command("report", "--check")
    assert (even.returncode, even.stdout) == (0, "Reports say what the rows of the ledger say.\n")
    engine = create_engine(home.parts.settings.ledger.get_secret_value())
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM rollups"))
    engine.dispose()
    uneven = home.command("report", "--check")
    assert uneven.returncode == 1
    assert "cases are in the rollup" in uneven.stdout
    assert home.command("report", "--check").returncode == 0
