"""`countersign baseline`: figures of an export from the command line, in words and as JSON."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import countersign

pytestmark = pytest.mark.e2e

LIST = "Number,Opened,Resolved,State,Reopen count\n"
ROWS = "INC1,2026-03-02 09:00:00,2026-03-02 11:00:00,Closed,0\nINC2,2026-03-02 09:00:00,?,New,0\n"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_figures_of_an_export_come_as_json_in_any_encoding(tmp_path: Path, codec: str) -> None:
    """Encoding and form are found; unknown is null with its reason."""
    export = tmp_path / "export.csv"
    export.write_bytes((LIST + ROWS.replace("INC1", "Störung1")).encode(codec))
    done = countersign("baseline", str(export), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    figures = {figure["key"]: figure for figure in told["figures"]}
    assert (told["tickets"], told["rows"], told["problems"]) == (2, 2, [])
    assert figures["time_to_resolve.median"]["value"] == 2
    assert figures["time_to_resolve.median"]["censored"] == 1
    assert figures["deflection_rate"]["value"] is None
    assert "not recorded" in figures["deflection_rate"]["unknown"]


def test_words_tell_what_was_assumed_left_out_and_wrong(tmp_path: Path) -> None:
    """A reader sees the value, its interval, what is unknown and which row to mend."""
    export = tmp_path / "export.csv"
    export.write_text(LIST + ROWS + "INC3,2026-03-02 09:00:00,tomorrow,Closed,0\n", encoding="utf-8")
    done = countersign("baseline", str(export))
    assert done.returncode == 0, done.stderr
    assert "3 tickets in 3 rows" in done.stdout
    assert "Times have no zone" in done.stdout
    assert "1: it is finished, but has no time of resolution" in done.stdout
    assert 'row 4, Resolved: "tomorrow" is not a time' in done.stdout
    assert "not recorded: who closed a ticket" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nowhere.csv"], "nowhere.csv can't be read (No such file or directory); name a CSV file."),
        (["{file}", "--dates", "odd"], "--dates is day-first or month-first, not 'odd'."),
        (["{file}", "--map", "opened"], "--map 'opened' has no column"),
        (["{file}", "--zone", "Rome"], '"Rome" is not a time zone'),
        (["{file}", "--business-hours", "always"], '"always" is not a span of business hours'),
        (["{file}", "--encoding", "utf-99"], "--encoding: there is none called 'utf-99'"),
        (["{file}", "--form", "remedy"], 'There is no form "remedy"'),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """No traceback: what is wrong, and what to write."""
    export = tmp_path / "export.csv"
    export.write_text(LIST + ROWS, encoding="utf-8")
    done = countersign("baseline", *(argument.format(file=export) for argument in arguments))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_the_same_export_gives_the_same_bytes(tmp_path: Path) -> None:
    """Hash seeds differ between runs; the result does not."""
    export = tmp_path / "export.csv"
    export.write_text(LIST + ROWS + ROWS, encoding="utf-8")
    first, second = (
        subprocess.check_output(
            [sys.executable, "-m", "workers", "baseline", str(export), "--json"],
            env={**os.environ, "PYTHONHASHSEED": seed}, timeout=100,
        )
        for seed in ("1", "2")
    )  # fmt: skip
    assert first == second


def test_what_a_ticket_costs_before_a_model_is_asked_is_peoples_time(tmp_path: Path) -> None:
    """At what an hour is said to cost; unknown while nobody says it."""
    export = tmp_path / "export.csv"
    lines = ["Issue key,Created,Time Spent", "OPS-1,2026-03-12 09:15,5400", "OPS-2,2026-03-12 09:15,1800"]
    export.write_text("\n".join(lines) + "\n", encoding="utf-8")
    costs = []
    for rate in ([], ["--usd-per-hour", "60"]):
        done = countersign("baseline", str(export), "--json", *rate)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        (cost,) = [figure for figure in told["figures"] if figure["key"] == "cost_per_ticket"]
        costs.append((cost["value"], cost["n"], told["assumptions"][-1].startswith("No model was asked")))
    assert costs == [(None, 0, False), (60.0, 2, True)]


def test_the_page_is_written_beside_the_figures(tmp_path: Path) -> None:
    """`--html` gives one file to hand on; where it can't be written, one sentence says so."""
    export, page = tmp_path / "export.csv", tmp_path / "page.html"
    export.write_text(LIST + ROWS, encoding="utf-8")
    assert countersign("baseline", str(export), "--html", str(page)).returncode == 0
    assert "Baseline of export.csv" in page.read_text(encoding="utf-8")
    done = countersign("baseline", str(export), "--html", str(tmp_path / "nowhere" / "page.html"))
    assert done.returncode == 1
    assert "can't be written" in done.stderr


@pytest.mark.parametrize("form", ["list", "log"])
def test_an_export_of_openings_alone_has_figures_that_are_unknown(tmp_path: Path, form: str) -> None:
    """The least that is needed is enough, as a packed file too; what is not recorded is said to be so."""
    rows = {
        "list": "Number,Opened\nINC1,2026-03-02 09:00:00\n",
        "log": "number,incident_state,sys_mod_count,sys_updated_at,opened_at\n"
        "INC1,New,0,2026-03-02 09:00,2026-03-02 09:00\n",
    }[form]
    export = tmp_path / "export.csv.gz"
    export.write_bytes(gzip.compress(rows.encode()))
    done = countersign("baseline", str(export), "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["tickets"], told["problems"]) == (1, [])
    assert {figure["value"] for figure in told["figures"] if "detect" in figure["key"]} == {None}


def test_help_costs_no_numpy() -> None:
    """Only a run that measures pays for the machinery."""
    code = "import sys; from workers.main import main; main(['--help']); print('numpy' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "baseline" in done.stdout
    assert done.stdout.endswith("False\n")


CHANGES = (
    "number,type,state,close_code,closed_at\n"
    "CHG1,normal,Closed,successful,2026-03-02 10:00:00\n"
    "CHG2,normal,Closed,unsuccessful,2026-03-02 10:00:00\n"
    "CHG3,normal,Closed,odd,2026-03-02 10:00:00\n"
)


def test_changes_are_counted_beside_the_tickets(tmp_path: Path) -> None:
    """In words, as JSON and on the page: the share that failed, and the row that has to be mended."""
    export, changes, page = tmp_path / "export.csv", tmp_path / "changes.csv", tmp_path / "page.html"
    export.write_text(LIST + ROWS, encoding="utf-8")
    changes.write_text(CHANGES.replace("close_code", "fine"), encoding="utf-8")
    asked = ("baseline", str(export), "--changes", str(changes), "--map", "change.close_code=fine")
    done = countersign(*asked, "--html", str(page))
    assert done.returncode == 0, done.stderr
    assert "3 changes of 3 rows ended in that time." in done.stdout
    assert 'row 4, fine: "odd" is not a known close code' in done.stdout
    assert "1 x not a known close code in fine." in page.read_text(encoding="utf-8")
    told = json.loads(countersign(*asked, "--json").stdout)
    (rate,) = [figure for figure in told["figures"] if figure["key"] == "change_fail_rate"]
    assert (rate["value"], rate["n"], rate["excluded"][0]["count"]) == (0.5, 2, 1)
    assert (told["changes"]["export"], told["changes"]["rows"], told["problems"]) == ("changes.csv", 3, [])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["--changes", "{changes}"],
            'changes.csv: No column is known to hold ended; add --map change.ended="…"',
        ),
        (["--map", "change.ended=x"], "--map change.ended is of use only with the export of changes"),
        (["--map", "caused_by=Number"], "--map caused_by is of use only with the export of changes"),
    ],
)
def test_a_mistake_with_changes_is_one_sentence(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    """It says which of the two files is meant."""
    export, changes = tmp_path / "export.csv", tmp_path / "changes.csv"
    export.write_text(LIST + ROWS, encoding="utf-8")
    changes.write_text("number\nCHG1\n", encoding="utf-8")
    done = countersign("baseline", str(export), *(argument.format(changes=changes) for argument in arguments))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
