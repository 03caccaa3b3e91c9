"""Replay: every decision of a night is made again from the ledger alone, and comes out the same."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from countersign.errors import NotFound
from countersign.ledger import Story
from countersign.policy import Policy
from countersign.replay import decision_hash, policy_then, replay
from tests.workers.house import House, shipped
from workers.again import asked_again
from workers.main import main


def _stories(night: House) -> list[Story]:
    reading = night.parts.ledger.reading
    return [reading.story(line.id) for line in reading.cases(limit=1000)]


def _policy(night: House, story: Story) -> Policy:
    return night.parts.policies[story.case.use_case]


def test_every_decision_of_a_night_comes_out_the_same(night: House) -> None:
    """Equal hashes for all, from the record: nobody is asked, and no vendor is called."""
    before = len(night.box.world.writes)
    replayed = [replay(story, _policy(night, story)) for story in _stories(night)]
    assert len(replayed) > 20
    assert [one.differences for one in replayed if not one.equal] == []
    assert len(night.box.world.writes) == before


def test_a_decision_is_made_again_under_the_policy_of_its_time(night: House) -> None:
    """The ledger has what the policy said then, once, whatever its file says now."""
    for story in _stories(night)[:10]:
        then = policy_then(story, night.parts.ledger.reading.policy_text)
        assert then is not None
        assert then.fingerprint == story.decisions[-1].policy_hash
        assert replay(story, then).equal
    assert policy_then(story, lambda _: None) is None


def test_an_edited_policy_does_not_change_what_a_replay_says(tmp_path: Path, home: House) -> None:
    """Its file says `observe` and has a budget: a replay is equal, with `--now` it is not; a paid model is refused."""
    home.box.run(lambda: home.box.servicenow.open_incident(short_description="Job is slow", description="x"))
    home.once()
    (line,) = home.parts.ledger.reading.cases(limit=5)
    text = shipped()
    edited = text.replace("autonomy: act", "autonomy: observe").replace("version: 1", "version: 2", 1)
    file = tmp_path / "alert-triage.yaml"
    file.write_text(edited.replace("prompt: v1", "prompt: v1\n  budget: {usd_per_day: 1}"), encoding="utf-8")
    settings = yaml.safe_load(home.config.read_text(encoding="utf-8")) | {"policies": [str(file)]}
    home.config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    asked = ("openai/gpt-4.1-mini", "--now")
    told = [home.command("replay", line.id, *more) for more in ((), ("--now",), ("--model", *asked))]
    assert "  equal" in told[0].stdout
    assert "autonomy is observe" in told[1].stdout
    assert "--outside-budget" in told[2].stderr


def test_another_policy_decides_otherwise_and_says_so(night: House) -> None:
    """Under a policy that only observes, what was noted is held; policy and outcome are told as differences."""
    noted = next(story for story in _stories(night) if story.decisions[-1].decision.outcome == "draft_note")
    old = _policy(night, noted)
    observing = Policy.model_validate(old.model_dump(by_alias=True) | {"autonomy": "observe", "version": 99})
    told = {what: (then, now) for what, then, now in replay(noted, observing).differences}
    assert told["outcome"] == ("draft_note", "hold")
    assert told["policy"][1].startswith("v99 ")


def test_another_answer_is_decided_on(night: House) -> None:
    """The recorded prompt can be put to a model again: the same one says the same."""
    story = next(one for one in _stories(night) if one.decisions[-1].decision.outcome == "draft_change")
    policy = _policy(night, story)
    again = asked_again(night.parts, story, policy, "local", "triage/v1")
    assert replay(story, policy, again).equal
    worse = replace(again, category="security", risk=0.9)
    assert {w: n for w, _, n in replay(story, policy, worse).differences}["outcome"] == "draft_note"


def test_another_model_reads_what_the_decision_of_that_revision_rested_on(home: House) -> None:
    """Asked about an earlier decision, it gets the text of then; where nobody was asked, nobody is."""
    home.box.run(lambda: home.box.servicenow.open_incident(short_description="Disk of db-3 is full"))
    home.once()
    (line,) = home.parts.ledger.reading.cases(limit=5)
    story = home.parts.ledger.reading.story(line.id)
    first = story.decisions[-1]
    text = "[a1] ⟦Login of lena fails, password expired⟧"
    later = replace(
        first, revision=first.revision + 1, calls=tuple(replace(call, rendered=text) for call in first.calls)
    )
    unasked = replace(first, revision=later.revision + 1, calls=())
    story = replace(story, decisions=(*story.decisions, later, unasked))
    policy = _policy(home, story)
    said = [
        asked_again(home.parts, story, policy, "local", "", revision=one.revision).category
        for one in (first, later)
    ]
    assert said == ["capacity", "access"]
    with pytest.raises(NotFound, match=f"decision {unasked.revision} of {line.id}; nobody was asked then"):
        asked_again(home.parts, story, policy, "local", "")


def test_another_answer_is_weighed_as_at_work(home: House) -> None:
    """Read in pieces: a sentence that says something else keeps a change request from being drafted here too."""
    title = "Disk of db-3 is full. Visitors like the new menu of the canteen."
    home.box.run(
        lambda: home.box.servicenow.open_incident(short_description=title, description="97 % of /var")
    )
    home.once()
    (line,) = home.parts.ledger.reading.cases(limit=5)
    story = home.parts.ledger.reading.story(line.id)
    policy, then = _policy(home, story), story.decisions[-1]
    assert (then.decision.rule, then.decision.would or then.decision.outcome) == ("capacity", "draft_note")
    again = asked_again(home.parts, story, policy, "local", "triage/v1")
    assert again == then.assessment
    assert replay(story, policy, again).equal


@pytest.mark.parametrize("more", [[], ["--model", "local", "--prompt", "triage/v1"]])
def test_a_replay_is_offline(
    home: House, more: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It needs the ledger alone: no connection is opened, not for the embedded model's answer either."""
    home.box.run(lambda: home.box.servicenow.open_incident(short_description="Job is slow", description="x"))
    home.once()
    (line,) = home.parts.ledger.reading.cases(limit=5)
    calls = len(home.box.world.writes)
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, _refuse)
    with pytest.raises(SystemExit, match="0"):
        main(["replay", line.id, *more, "--config", str(home.config)])
    assert "  equal" in capsys.readouterr().out
    assert len(home.box.world.writes) == calls


def test_a_storm_that_came_later_changes_nothing(home: House) -> None:
    """The alerts that a case had when it was decided count, however many it has by now."""

    def fire(hosts: range) -> None:
        for host in hosts:
            home.box.datadog.fire("Link flapping", 7, f"host:sw-{host}", "Warn", message="12 state changes")

    home.box.run(lambda: home.box.datadog.add_monitor("Link flapping", monitor_id=7, priority=5))
    home.box.run(lambda: fire(range(1)))
    home.once()
    home.box.run(lambda: fire(range(1, 80)))
    home.run_only("pull")
    (line,) = home.parts.ledger.reading.cases(limit=5)
    story = home.parts.ledger.reading.story(line.id)
    assert (story.case.alert_count, story.decisions[-1].alerts) == (80, 1)
    assert replay(story, _policy(home, story), revision=story.decisions[-1].revision).equal


def _refuse(*_: object) -> None:
    raise AssertionError("a replay opened a connection")


def test_a_decision_without_its_ground_can_not_be_replayed(night: House) -> None:
    """Rows of a release that kept none are understood, and refused with a sentence."""
    story = _stories(night)[0]
    bare = replace(story, decisions=tuple(replace(one, facts=None) for one in story.decisions))
    with pytest.raises(NotFound, match="recorded without what it rested on"):
        replay(bare, _policy(night, story))


def test_a_hash_tells_decisions_apart(night: House) -> None:
    """One reason more is another decision."""
    decision = _stories(night)[0].decisions[-1].decision
    assert decision_hash(decision) != decision_hash(replace(decision, because=(*decision.because, "x")))
