"""Replayed alerts: what no mapping could read comes in once when one can, and stays a dead letter until then."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from countersign.alerts import Alert
from countersign.errors import ConfigError, UnreadableAlert
from countersign.fingerprint import fingerprint
from countersign.ledger import DeadLetter
from tests.workers.crashes import Killed, Stages, Trap, Watcher
from tests.workers.house import House, house
from workers.replay import replay

# What maps a payload of each source; the rest of the source is as it is.
MAPPINGS = {
    "datadog": "connectors.datadog.source.to_alert",
    "splunk": "connectors.splunk.source.to_alert",
    "pagerduty": "connectors.pagerduty.source.to_alert",
    "servicenow": "connectors.servicenow.mapping.to_ticket",
    "jira": "connectors.jira.mapping.to_ticket",
}
TEXT = "Disk of node-7 is full"
TELL: dict[str, Callable[[House], object]] = {
    "datadog": lambda home: home.box.datadog.fire(TEXT, 7, "host:node-7,service:cart", message="90 %"),
    "splunk": lambda home: home.box.splunk.fire(TEXT, [{"host": "node-7"}], 3),
    "pagerduty": lambda home: home.box.pagerduty.fire(
        TEXT, "storage", "warning", "node-7", {"host": "node-7"}
    ),
    "servicenow": lambda home: home.box.servicenow.open_incident(short_description=TEXT, description="90 %"),
    "jira": lambda home: home.box.jira.open_issue(user="dana.okafor", summary=TEXT, description="90 %"),
}
STEPS = ("reading.dead_letter", "source.reread", "intake.record_replayed")
POINTS = [f"replay {step} {when}" for step in STEPS for when in ("before", "after")]


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One sandbox for the crash points; each has a ledger and tickets of its own."""
    folder = tmp_path_factory.mktemp("replays")
    with house(folder, f"sqlite:///{folder / 'ledger.db'}") as one:
        yield one


@pytest.fixture
def fresh(homes: House, memory_path: Path, sqlite_template: Path) -> Iterator[House]:
    with homes.with_ledger(memory_path, sqlite_template) as one:
        one.clear()
        yield one


@pytest.fixture
def either(tmp_path: Path, ledger_url: str) -> Iterator[House]:
    """A house on each kind of ledger."""
    with house(tmp_path, ledger_url) as one:
        yield one


def _untold(home: House, source: str) -> DeadLetter:
    """One alert of the source, read by a mapping that can't read it; gives its letter."""
    home.box.run(lambda: TELL[source](home))
    with pytest.MonkeyPatch.context() as patch:
        _blind(patch, source)
        list(home.pull(source))
    (letter,) = home.ledger.reading.dead_letters(limit=5)
    assert home.ledger.reading.tally().alerts == 0
    return letter


def _blind(patch: pytest.MonkeyPatch, source: str, why: str = "this shape is new") -> None:
    def refuse(*_: object, **__: object) -> Alert:
        raise UnreadableAlert(why)

    patch.setattr(MAPPINGS[source], refuse)


def _replay(home: House, letter: DeadLetter) -> DeadLetter:
    return replay(home.parts, letter.id, by="ann")


def _alerts(home: House) -> list[Alert]:
    stories = [home.ledger.reading.story(line.id) for line in home.ledger.reading.cases(limit=9)]
    return [alert for story in stories for alert in story.case.alerts]


def _known_by(alert: Alert) -> tuple[object, ...]:
    """What makes it the same alert, of the same kind; what was redacted in its text is no part of it."""
    return (
        alert.source_id, alert.version, alert.dedup_key, alert.state, alert.occurred_at, alert.severity,
        fingerprint(alert),
    )  # fmt: skip


def _on_record(home: House) -> list[str]:
    told = [json.loads(line)["event"] for line in home.ledger.trail.export()]
    return [event for event in told if event.startswith("letter.")]


def _even(home: House) -> bool:
    return all(balance.even for balance in home.ledger.books.balances())


@pytest.mark.parametrize("source", MAPPINGS)
def test_a_mended_mapping_reads_what_was_kept(home: House, source: str) -> None:
    """It is the very alert that the source itself shows: read from its start again, nothing is new."""
    done = _replay(home, _untold(home, source))
    (alert,) = _alerts(home)
    assert (done.state, alert.source, alert.summary) == ("replayed", source, TEXT)
    pages = list(home.parts.sources[source].read(None))
    (shown,) = (one for page in pages for one in page.alerts)
    assert _known_by(alert) == _known_by(shown)
    list(home.pull(source))
    assert (home.ledger.reading.tally().alerts, home.ledger.reading.tally().dead_letters) == (1, 0)


def test_replaying_twice_ends_in_the_same_state(either: House) -> None:
    """The case is decided like any other; the second replay, or one beside it, changes nothing."""
    letter = _untold(either, "servicenow")
    with ThreadPoolExecutor(4) as people:
        done = list(people.map(lambda _: _replay(either, letter), range(4)))
    either.run("sweep")
    before = either.ledger.reading.tally(), list(either.ledger.trail.export())
    assert [one.state for one in (*done, _replay(either, letter))] == ["replayed"] * 5
    assert (either.ledger.reading.tally(), list(either.ledger.trail.export())) == before
    assert [line.stage for line in either.ledger.reading.cases(limit=5)] == ["decided"]
    assert _on_record(either) == ["letter.replayed"]
    assert _even(either)


def test_what_can_still_not_be_read_stays_a_letter(either: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the new reason, redacted, and the attempts counted; mended later, it comes in all the same."""
    letter = _untold(either, "servicenow")
    _blind(monkeypatch, "servicenow", "the caller is jo@example.com")
    again = [_replay(either, letter), _replay(either, letter)]
    assert [(one.state, one.attempts, one.reason) for one in again] == [
        ("open", tries, "the caller is <email:1>") for tries in (2, 3)
    ]
    assert again[-1].payload == letter.payload
    monkeypatch.undo()
    assert _replay(either, letter).state == "replayed"
    assert (either.ledger.reading.tally().alerts, either.ledger.reading.tally().dead_letters) == (1, 0)
    assert _on_record(either) == ["letter.unreadable", "letter.unreadable", "letter.replayed"]
    assert _even(either)


def test_what_came_in_meanwhile_is_not_a_second_alert(fresh: House) -> None:
    """The mended release has read the page again, in its overlap, before somebody replays the letter."""
    letter = _untold(fresh, "servicenow")
    list(fresh.pull("servicenow"))
    assert fresh.ledger.reading.tally().alerts == 1
    assert _replay(fresh, letter).state == "replayed"
    assert (fresh.ledger.reading.tally().alerts, len(_alerts(fresh))) == (1, 1)


def test_a_replay_moves_no_cursor(fresh: House) -> None:
    """The feed goes on from where it was, whoever reads it meanwhile."""
    letter = _untold(fresh, "servicenow")
    lease = fresh.parts.settings.timing.lease
    held = fresh.ledger.intake.claim_feed("servicenow", worker="puller", lease=lease)
    assert held is not None
    assert _replay(fresh, letter).state == "replayed"
    fresh.ledger.intake.release_feed("servicenow", held[0])
    assert fresh.ledger.intake.claim_feed("servicenow", worker="other", lease=lease) == (held[0] + 1, held[1])


def test_a_dismissed_letter_is_not_replayed(fresh: House) -> None:
    """People have decided; and one that was replayed can't be dismissed."""
    letter = _untold(fresh, "servicenow")
    fresh.ledger.reading.resolve_dead_letter(letter.id, how="dismissed", by="ann")
    assert _replay(fresh, letter).state == "dismissed"
    assert fresh.ledger.intake.record_replayed(letter.id, entries=[], by="ann").state == "dismissed"
    assert fresh.ledger.intake.record_unreadable(letter.id, reason="no", by="ann").attempts == 1
    assert fresh.ledger.reading.tally().alerts == 0


def test_a_payload_that_was_cut_says_so(home: House) -> None:
    """20 KB of a larger one are no JSON: one sentence, and the letter stays for people."""
    tags = ["source:alert", "x" * 50_000]
    odd = {"id": "odd", "attributes": {"tags": tags, "attributes": {"title": [1]}}}
    home.box.run(lambda: home.box.datadog.put_raw(odd, datetime.now(UTC)))
    list(home.pull("datadog"))
    (letter,) = home.ledger.reading.dead_letters(limit=5)
    again = _replay(home, letter)
    assert (again.state, again.attempts) == ("open", 2)
    assert "not a whole JSON object" in again.reason
    assert "\n" not in again.reason


def test_an_alert_whose_name_was_redacted_is_not_guessed(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a placeholder it could come in beside itself: it stays a letter that says so."""
    home.box.run(lambda: home.box.datadog.fire(TEXT, 7, "host:10.20.30.40"))
    _blind(monkeypatch, "datadog")
    list(home.pull("datadog"))
    monkeypatch.undo()
    (letter,) = home.ledger.reading.dead_letters(limit=5)
    again = _replay(home, letter)
    assert again.state == "open"
    assert "was redacted" in again.reason
    list(home.pull("datadog"))
    assert home.ledger.reading.tally().alerts == 1


def test_a_ticket_that_was_finished_is_no_alert(fresh: House) -> None:
    """It is readable now, and tells of nothing: the letter is over, and no case is opened."""
    letter = _untold(fresh, "servicenow")
    finished = replace(fresh.parts, sources={"servicenow": _Finished()})  # type: ignore[dict-item]
    assert replay(finished, letter.id, by="ann").state == "replayed"
    assert fresh.ledger.reading.tally().alerts == 0
    assert _even(fresh)


class _Finished:
    """A source that finds no alert in what it reads again."""

    name = "servicenow"

    def reread(self, payload: str) -> None:
        assert json.loads(payload)


def test_a_source_that_is_gone_is_named(fresh: House) -> None:
    """The letter stays as it is until somebody configures its source."""
    letter = _untold(fresh, "servicenow")
    with pytest.raises(ConfigError, match="came from servicenow"):
        replay(replace(fresh.parts, sources={}), letter.id, by="ann")
    assert fresh.ledger.reading.dead_letter(letter.id) == letter


def test_a_person_replays_and_is_told(home: House) -> None:
    """`dead-letters replay` says what became of it, and ends with 1 while it can't be read."""
    letter = _untold(home, "pagerduty")
    home.box.run(lambda: home.box.splunk.fire_raw("Legacy", {"savedsearch_name": ["?"], "sid": None}))
    list(home.pull("splunk"))
    (broken,) = (one for one in home.ledger.reading.dead_letters(limit=5) if one.id != letter.id)
    well = home.command("dead-letters", "replay", letter.id)
    ill = home.command("dead-letters", "replay", broken.id)
    assert (well.returncode, well.stdout) == (0, f"{letter.id}: alert {letter.subject} is replayed.\n")
    assert (ill.returncode, ill.stdout) == (1, f"{broken.id}: alert {broken.subject} is open.\n")
    assert "It can still not be read: firing.entry.content" in ill.stderr
    assert [alert.source for alert in _alerts(home)] == ["pagerduty"]


def test_every_step_of_a_replay_has_its_crash_point(fresh: House) -> None:
    """A new call on a port in a replay is missing here until it is in STEPS, and so among the crash points."""
    seen: dict[str, None] = {}
    letter = _untold(fresh, "servicenow")
    Stages(fresh, Watcher(seen)).do("replay", lambda parts: replay(parts, letter.id, by="ann"))
    assert list(seen) == POINTS


@pytest.mark.parametrize("happening", ["killed", "failed", "overtaken"])
@pytest.mark.parametrize("point", POINTS)
def test_whatever_happens_to_a_replay_the_alert_comes_in_once(
    fresh: House, point: str, happening: str
) -> None:
    """Killed, failing, or overtaken by another person's replay at each step: replayed again, all is as it should be."""
    letter = _untold(fresh, "servicenow")
    trap = Trap(point, then=_HAPPENINGS[happening](fresh, letter))
    with suppress(Killed, RuntimeError):
        Stages(fresh, trap).do("replay", lambda parts: replay(parts, letter.id, by="ann"))
    assert trap.sprung
    assert _replay(fresh, letter).state == "replayed"
    assert (fresh.ledger.reading.tally().alerts, fresh.ledger.reading.tally().dead_letters) == (1, 0)
    assert _on_record(fresh) == ["letter.replayed"]
    assert _even(fresh)


def _raiser(what: BaseException) -> Callable[[], None]:
    def raise_() -> None:
        raise what

    return raise_


def _overtaken(home: House, letter: DeadLetter) -> Callable[[], None]:
    def other() -> None:
        _replay(home, letter)

    return other


_HAPPENINGS: dict[str, Callable[[House, DeadLetter], Callable[[], None]]] = {
    "killed": lambda _home, _letter: _raiser(Killed()),
    "failed": lambda _home, _letter: _raiser(RuntimeError("a mistake")),
    "overtaken": _overtaken,
}
