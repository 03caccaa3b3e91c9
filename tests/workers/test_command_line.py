"""The command line: what a person types, and the one sentence they get when it does not work."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.main import get_command

from sandbox.scenario import play
from tests.terminal import Told, countersign
from tests.workers.house import House
from workers.main import COMMANDS, help_text

HEAVY = ("litellm", "sklearn", "celery", "sqlalchemy", "numpy", "typer")


def _countersign(*arguments: str, **environment: str) -> Told:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERSIGN_")}
    with patch.dict(os.environ, clean | environment, clear=True):
        return countersign(*arguments)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The configuration of a house after a night."""
    from tests.workers.house import house

    folder = tmp_path_factory.mktemp("cli")
    with house(folder, f"sqlite:///{folder / 'ledger.db'}") as home:
        play(home.box)
        home.once()
    return home.config


def test_every_command_of_the_table_exists() -> None:
    """The table that help is printed from names real commands with a description."""
    modules = [module for module, _ in COMMANDS.values() if module]
    assert all(get_command(import_module(f"workers.commands.{module}").app).help for module in modules)
    assert all(f"  {name} " in help_text() for name in COMMANDS)


@pytest.mark.parametrize("arguments", [["--help"], ["policy", "check", "policies/alert-triage.yaml"]])
def test_help_and_policy_check_import_nothing_heavy(arguments: list[str]) -> None:
    """Neither a model, Celery, SQLAlchemy nor numpy is imported for them; help needs not even typer."""
    code = (
        "import sys\nfrom workers.main import main\n"
        f"try:\n    main({arguments!r})\nexcept SystemExit:\n    pass\n"
        f"print('imported:', [m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True
    )
    allowed = "['typer']" if arguments[0] == "policy" else "[]"
    assert done.stdout.splitlines()[-1] == f"imported: {allowed}"


def test_a_typing_mistake_is_met_with_the_nearest_command() -> None:
    """`countersign caess` says which command was meant, and its process ends with 2."""
    done = subprocess.run(
        [sys.executable, "-m", "workers", "caess"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "countersign: there is no command 'caess', did you mean 'cases'?; see countersign --help.\n"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ledgre: x", "there is no setting ledgre; remove it or mend its spelling."),
        (
            "servicenow: {user: x}",
            "servicenow.url is missing; write it there or set COUNTERSIGN_SERVICENOW__URL.",
        ),
        ("timing: {pull: soon}", 'timing.pull: "soon" is not a duration'),
        ("ledger: [", "this is not YAML"),
    ],
)
def test_a_wrong_setting_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """The file, the setting and what to do; no traceback."""
    config = tmp_path / "countersign.yaml"
    config.write_text(text, encoding="utf-8")
    done = _countersign("cases", "--config", str(config))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_every_policy_file_is_checked_though_one_cannot_be_read(tmp_path: Path) -> None:
    """A folder, a missing file and one that is not UTF-8 are told, by line where there is one; the next is checked."""
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("use_case: a\npurpose: Lärm\n".encode("latin-1"))
    none = tmp_path / "none.yaml"
    done = _countersign(
        "policy", "check", str(tmp_path), str(none), str(latin), "policies/observe-first.yaml"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{tmp_path} can't be read (Is a directory); name a policy file.",
        f"{none} can't be read (No such file or directory); name a policy file.",
        f"{latin}:2: byte 0xE4 is not UTF-8; save the file as UTF-8.",
    ]
    assert "observe-first v1" in done.stdout


def test_a_missing_configuration_is_one_sentence(tmp_path: Path) -> None:
    """It names the file that is not there."""
    done = _countersign("cases", "--config", str(tmp_path / "none.yaml"))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "There is no configuration file" in done.stderr


def test_a_ledger_without_tables_says_what_to_run(tmp_path: Path) -> None:
    """A fresh ledger is met with `countersign migrate`, not with an SQL error."""
    done = _countersign("cases", COUNTERSIGN_LEDGER=f"sqlite:///{tmp_path / 'new.db'}")
    assert done.returncode == 1
    assert "countersign migrate" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("cases", "--stage", "foo"), 'There is no stage "foo"; write one of due, decided, dead.'),
        (("actions", "--state", "foo"), 'There is no state "foo"; write one of planned, approved, '),
        (
            ("dead-letters", "list", "--state", "foo"),
            'There is no state "foo"; write one of open, replayed, dismissed.',
        ),
        (("resume", "--use-case", "foo"), "No policy is called foo; name one of alert-triage, jira-triage."),
        (("verify", "--since", "2026-03-01"), "add --desk."),
        (("worker", "--queues", "act,asess", "--threads", "1"), "There is no queue asess; write some of "),
        (("worker", "--queues", "act"), "A worker has --processes, --threads or both; name one of them."),
    ],
)
def test_what_does_not_exist_is_no_empty_answer(
    told: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    """A name that nothing can have is told with those that there are, not answered as if nothing were there."""
    done = _countersign(*arguments, "--config", str(told))
    assert (done.returncode, done.stdout) == (1, "")
    assert sentence in done.stderr


def test_an_empty_list_says_what_was_looked_for(told: Path) -> None:
    """With a filter nothing is said of the whole ledger, which holds a night."""
    asked = (
        ("cases", "--ticket", "INC9"),
        ("actions", "--state", "dead"),
        ("dead-letters", "list", "--state", "dismissed"),
    )
    answers = [_countersign(*one, "--config", str(told)).stdout.strip() for one in asked]
    assert answers == ["There is no such case.", "No action is dead now.", "No dead letter is dismissed."]


def test_pages_are_generated_into_the_project_alone(tmp_path: Path) -> None:
    """A mistyped root is told, and no folder is made of it."""
    done = _countersign("docs", "--root", str(tmp_path / "nowhere"))
    assert (done.returncode, list(tmp_path.iterdir())) == (1, [])
    assert "is not the folder of the project; name it with --root" in done.stderr


@pytest.mark.parametrize("name", ["doctor", "alive", "costs", "pull"])
def test_help_begins_with_what_the_command_is_for(name: str) -> None:
    """As the list of commands says it; how it goes about it comes after."""
    lines = [line.strip() for line in _countersign(name, "--help", COLUMNS="150").stdout.splitlines()]
    said = [line for line in lines if line and not line.startswith("Usage")]
    assert said[0] == COMMANDS[name][1]


def test_the_lists_are_json_for_machines(told: Path) -> None:
    """cases, actions, status and dead-letters print JSON that agrees with one another."""
    asked = (
        ("cases", "--limit", "1000"),
        ("actions", "--limit", "1000"),
        ("status",),
        ("dead-letters", "list"),
    )
    cases, actions, status, letters = (
        json.loads(_countersign(*one, "--json", "--config", str(told)).stdout) for one in asked
    )
    assert len(cases) == sum(status["cases"].values())
    assert len(actions) == sum(status["actions"].values())
    assert len(letters) == status["dead_letters"] == 3
    assert sum(case["alerts"] for case in cases) == status["alerts"]


def test_the_story_of_a_case_is_told_from_its_ticket(told: Path) -> None:
    """`case show INC…` tells alerts, context, assessment, decision, what was written, and the audit log."""
    listed = json.loads(_countersign("cases", "--json", "--limit", "1000", "--config", str(told)).stdout)
    # Closes are few, and the control lane may draw them all.
    noted = next(line for line in listed if line["outcome"] == "draft_note")
    story = _countersign("case", "show", noted["ticket"], "--config", str(told)).stdout
    parts = [
        "Case c",
        "\nAlerts:",
        "\nContext",
        "\nDecision 1",
        "because rule",
        "\nWhat was written",
        "\nAudit log",
    ]
    places = [story.index(part) for part in parts]
    assert places == sorted(places)
    assert "not a language model" in story


def test_the_story_names_the_change_request_that_a_note_tells_of(told: Path) -> None:
    """As it stands in the ticket: the number of the change that was drafted before the note was written."""
    listed = json.loads(_countersign("cases", "--json", "--limit", "1000", "--config", str(told)).stdout)
    drafted = next(line for line in listed if line["outcome"] == "draft_change")
    story = _countersign("case", "show", drafted["id"], "--config", str(told)).stdout
    assert "{change}" not in story
    assert re.search(r"a change request was drafted \((CHG|CHG-)\d+\)", story)


def test_a_case_that_is_not_there_is_one_sentence(told: Path) -> None:
    """It says where to look instead."""
    done = _countersign("case", "show", "INC9999999", "--config", str(told))
    assert (done.returncode, done.stdout) == (1, "")
    assert "countersign cases" in done.stderr


def test_dead_letters_are_shown_and_dismissed_once(told: Path) -> None:
    """A letter shows its payload and reason; dismissed, it leaves the list; again, nothing changes."""
    first = json.loads(_countersign("dead-letters", "list", "--json", "--config", str(told)).stdout)[0]
    shown = json.loads(_countersign("dead-letters", "show", first["id"], "--config", str(told)).stdout)
    once = _countersign("dead-letters", "dismiss", first["id"], "--config", str(told))
    twice = _countersign("dead-letters", "dismiss", first["id"], "--config", str(told))
    left = json.loads(_countersign("dead-letters", "list", "--json", "--config", str(told)).stdout)
    assert shown["reason"]
    assert shown["payload"]
    assert once.stdout == twice.stdout
    assert first["id"] not in [letter["id"] for letter in left]


def test_doctor_names_what_works_and_what_is_missing(home: House) -> None:
    """Against the sandbox everything is in order; with a wrong key it says which and ends with 1."""
    config = str(home.config)
    well = _countersign("doctor", "--json", "--config", config)
    ill = _countersign("doctor", "--json", "--config", config, COUNTERSIGN_SPLUNK__TOKEN="wrong")
    assert [check["what"] for check in json.loads(well.stdout) if not check["ok"]] == []
    assert well.returncode == 0
    broken = [check for check in json.loads(ill.stdout) if not check["ok"]]
    assert ill.returncode == 1
    assert all("splunk" in check["what"].lower() for check in broken)
    assert all(check["detail"].endswith(".") for check in broken)


def test_the_generated_pages_are_up_to_date() -> None:
    """`countersign docs --check` agrees with the pages in the tree."""
    assert _countersign("docs", "--check").stderr == ""
