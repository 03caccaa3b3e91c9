"""Rollback: what was done is taken back once, newest first, and what people changed since is theirs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
import yaml
from sqlalchemy import create_engine, select

from benchmarks import rollback
from connectors.sql.tables import actions
from countersign.ledger import ActionRecord, Story
from tests.workers.house import House, house, shipped

QUIET = "Certificate of mail-relay was renewed"


def _noted_and_closed(home: House) -> tuple[House, str]:
    """A house that has closed a ticket, and the ticket's number."""
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description=QUIET,
            description="Certificate renewal finished, valid for 90 days, no action needed",
            impact="3",
            urgency="3",
        )
    )
    home.once()
    assert _state(home, str(row["number"])) == "6"
    return home, str(row["number"])


def _state(home: House, number: str) -> str:
    return str(home.box.run(lambda: home.box.servicenow.incident(number)["state"]))


def _by_hand(home: House, number: str, **fields: str) -> None:
    desk = home.box.servicenow
    home.box.run(lambda: desk.set_fields(desk.incident(number)["sys_id"], "lena.fischer", **fields))


def _story(home: House, number: str) -> Story:
    return home.parts.ledger.reading.story(number)


def _closes(home: House, number: str) -> list[ActionRecord]:
    return [one for one in _story(home, number).actions if one.action.effect.kind in ("close", "reopen")]


def _roll_back(home: House, *how: str) -> dict[str, object]:
    ended = home.command("rollback", "--json", *how)
    assert ended.returncode == 0, ended.stderr
    told: dict[str, object] = json.loads(ended.stdout)
    return told


def test_a_case_is_taken_back_as_an_ordinary_action(home: House) -> None:
    """The ticket is open again, by an action of its own with its own audit records; its original is compensated."""
    home, number = _noted_and_closed(home)
    planned = _roll_back(home, "--case", number)
    home.later(minutes=10)
    assert planned["planned"] == len(
        [one for one in _story(home, number).actions if one.state == "compensated"]
    )
    assert _state(home, number) == "2"
    assert {one.action.effect.kind: one.state for one in _closes(home, number)} == {
        "close": "compensated",
        "reopen": "done",
    }
    events = [record.event for record in _story(home, number).audit]
    assert events.count("action.compensated") == planned["planned"]
    assert events[-2:] == ["action.done", "action.compensated"]


def test_a_second_rollback_writes_nothing(home: House) -> None:
    """What was taken back is neither planned nor written again."""
    home, number = _noted_and_closed(home)
    first = _roll_back(home, "--case", number)
    home.later(minutes=10)
    writes = len(home.box.world.writes)
    again = _roll_back(home, "--case", number)
    home.later(minutes=10)
    assert (again["planned"], len(home.box.world.writes)) == (0, writes)
    assert first["planned"] != 0


def test_a_dry_run_plans_nothing(home: House) -> None:
    """It says what would be taken back; neither ledger nor ticket changes."""
    home, number = _noted_and_closed(home)
    before = home.parts.ledger.reading.tally()
    told = _roll_back(home, "--case", number, "--dry-run")
    assert told["planned"] != 0
    assert home.parts.ledger.reading.tally() == before


def test_what_a_person_has_changed_since_is_listed(home: House) -> None:
    """Reopened and given another state by hand: the ticket stays so, and the rollback says who did it."""
    home, number = _noted_and_closed(home)
    _by_hand(home, number, state="3")
    home.later(seconds=1)
    told = _roll_back(home, "--case", number)
    home.later(minutes=10)
    assert "lena.fischer has changed it" in str(told["review"])
    assert _state(home, number) == "3"


def test_a_change_between_the_plan_and_the_write_is_seen(home: House) -> None:
    """Planned while nobody had touched it, reopened by hand before its turn: a dead letter, and no write."""
    home, number = _noted_and_closed(home)
    _roll_back(home, "--case", number)
    _by_hand(home, number, state="3")
    writes = len([one for one in home.box.world.writes if one.kind == "reopen"])
    home.later(minutes=10)
    letters = home.parts.ledger.reading.dead_letters(limit=5)
    assert [one.reason for one in letters] == ["The ticket is open again already; a person has reopened it."]
    assert len([one for one in home.box.world.writes if one.kind == "reopen"]) == writes


def test_what_a_person_has_closed_between_the_plan_and_the_write_stays_closed(home: House) -> None:
    """A ticket that is not open looks as we left it, so the desk is asked who has changed it since."""
    home, number = _noted_and_closed(home)
    _roll_back(home, "--case", number)
    _by_hand(home, number, state="7")
    home.later(minutes=10)
    assert _state(home, number) == "7"
    letters = home.parts.ledger.reading.dead_letters(limit=5)
    assert ["lena.fischer has changed it" in one.reason for one in letters] == [True]


@pytest.mark.parametrize("planned", [False, True])
def test_a_note_that_a_person_has_written_over_is_not_deleted(home: House, planned: bool) -> None:
    """In Jira taking a note back deletes it: with words of a person in it, it is left, and people are told."""
    jira = home.box.jira
    issue = home.box.run(
        lambda: jira.open_issue(summary="Queue of the mail relay grows", labels=["team:NOC"])
    )
    home.once()
    ours = next(one for one in issue.comments if "countersign:" in one.body.text)
    for _ in range(planned):
        _roll_back(home, "--case", issue.key)
    home.box.run(lambda: jira.edit_comment(issue.key, ours, "tomas.silva", "It is the nightly dump."))
    home.later(minutes=1)
    told = _roll_back(home, "--case", issue.key)
    home.later(minutes=10)
    assert ours in issue.comments
    assert "has changed it" in str(told["review"])


def test_what_could_not_be_taken_back_is_listed_by_the_next_rollback_too(home: House) -> None:
    """It was planned and given up: it was not taken back before, people have to look."""
    home, number = _noted_and_closed(home)
    _roll_back(home, "--case", number)
    _by_hand(home, number, state="3")
    home.later(minutes=10)
    told = _roll_back(home, "--case", number)
    assert told["already"] == 0
    assert "a person has reopened it" in str(told["review"])


def test_what_waits_for_an_approval_is_dropped(home: House) -> None:
    """Nobody can approve afterwards what a rollback has found waiting."""
    home = home.with_policy(autonomy="draft")
    home.box.run(
        lambda: home.box.servicenow.open_incident(short_description=QUIET, description="no action needed")
    )
    home.once()
    told = _roll_back(home, "--policy", "1", "--use-case", "alert-triage")
    states = home.parts.ledger.reading.tally().actions
    assert (told["dropped"], states.get("planned", 0)) == (states["dropped"], 0)


def test_a_rollback_of_everything_by_mistake_is_refused(home: House) -> None:
    """Without saying what, nothing is taken back; a version without its policy is nothing either."""
    assert "Say what to take back" in home.command("rollback").stderr
    assert "name it with --use-case" in home.command("rollback", "--policy", "1").stderr


@pytest.mark.parametrize(("how", "found"), [("--prompt", "triage/v1"), ("--model", "local")])
def test_a_prompt_or_a_model_chooses_what_it_decided(home: House, how: str, found: str) -> None:
    """All that rests on its answers, and nothing else."""
    home, _ = _noted_and_closed(home)
    assert _roll_back(home, how, found, "--dry-run")["planned"] != 0
    assert _roll_back(home, how, "another", "--dry-run")["planned"] == 0


def test_a_stop_holds_up_a_rollback_too(home: House) -> None:
    """After `stop` nothing is written, whatever the reason."""
    home, number = _noted_and_closed(home)
    home.controls.stop(by="ann")
    _roll_back(home, "--case", number)
    home.later(minutes=10)
    assert _state(home, number) == "6"
    home.controls.resume(by="ann")
    home.later(minutes=10)
    assert _state(home, number) == "2"


def test_the_look_before_the_write_is_what_protects(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin with that look off: the person's state is overwritten."""
    home, number = _noted_and_closed(home)
    _roll_back(home, "--case", number)
    _by_hand(home, number, state="3")
    monkeypatch.setattr("workers.act._look_again", lambda *_: None)
    home.later(minutes=10)
    assert {one.action.effect.kind: one.state for one in _closes(home, number)}["close"] == "compensated"


@pytest.mark.parametrize(("how", "seconds"), [((), 20.0), (("--per-minute", "60"), 1.0)])
def test_the_policy_says_how_fast_and_a_flag_overrides_it(
    tmp_path: Path, sqlite_url: str, how: tuple[str, ...], seconds: float
) -> None:
    """With three writes a minute they are due twenty seconds apart."""
    slow = yaml.safe_load(shipped())
    slow["rollback"]["per_minute"] = 3
    (tmp_path / "slow.yaml").write_text(yaml.safe_dump(slow, allow_unicode=True), encoding="utf-8")
    with house(tmp_path, sqlite_url, policies=[str(tmp_path / "slow.yaml")]) as home:
        home.box.run(
            lambda: home.box.servicenow.open_incident(short_description="Queue of the mail relay grows")
        )
        home, _ = _noted_and_closed(home)
        _roll_back(home, "--since", "2020-01-01", *how)
        first, second = sorted(_due_back(home))
    assert (second - first).total_seconds() == seconds


def _due_back(home: House) -> list[datetime]:
    """When what takes others back is due."""
    engine = create_engine(home.parts.settings.ledger.get_secret_value())
    with engine.connect() as connection:
        due = connection.execute(select(actions.c.due_at).where(actions.c.undoes != "")).scalars().all()
    engine.dispose()
    return list(due)


@pytest.mark.slow
def test_three_desks_and_a_driver_that_is_killed(tmp_path: Path, sqlite_url: str) -> None:
    """300 actions, the driver killed six times: each compensated once or listed, no edited ticket touched."""
    found = rollback.run(tmp_path, sqlite_url, actions=300, kills=6)
    assert found.actions == 300
    assert replace(found, actions=0, kills=0, compensated=0, listed=0, seconds=0) == rollback.Result(
        0, 0, 0, 0, 0, 0, 0, 0, 0
    )
    assert found.compensated > 200
    assert found.listed >= 50  # PagerDuty's closes, and what people edited
