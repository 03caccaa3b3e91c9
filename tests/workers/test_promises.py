"""Promises through the whole house: drafts until certified, closes then, drafts again once it breaks its promise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.workers.house import House, house, shipped
from workers.main import main

LEAD = "dana.okafor"
ENOUGH, ENOUGH_AGAIN = 17, 21  # labels, none wrong, for 30 %, 80 % sure, at the second and fourth look
WRONG = 5


@pytest.fixture
def home(tmp_path: Path, ledger_url: str) -> Iterator[House]:
    """A house whose one closing rule closes on a promise, without a control lane."""
    document = yaml.safe_load(shipped())
    document["rules"][0]["when"]["category"] = ["informational"]
    document["rules"][0]["threshold"] = {"wrong_closes_at_most": 0.3, "sure": 0.8}
    document["control_lane"] = 0.0
    file = tmp_path / "promise.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    with house(tmp_path, ledger_url, policies=[str(file)]) as one:
        yield one


def _tickets(home: House, number: int, name: str, *, act: bool = True) -> list[str]:
    """So many quiet tickets, read and decided; what was decided is not done yet without `act`."""
    desk = home.box.servicenow
    opened = [
        home.box.run(
            lambda title=f"Certificate of {name}-{host} was renewed": desk.open_incident(  # type: ignore[misc]
                short_description=title,
                description="Certificate renewal finished, valid for 90 days, no action needed",
                impact="3",
                urgency="3",
            )
        )
        for host in range(number)
    ]
    {True: home.once, False: lambda: home.run_only("pull", "sweep", "assess")}[act]()
    return [str(row["number"]) for row in opened]


def _open(home: House, tickets: list[str]) -> list[bool]:
    states = [home.box.run(lambda key=key: home.box.servicenow.incident(key)["state"]) for key in tickets]  # type: ignore[misc]
    return [state not in ("6", "7") for state in states]


def _say(home: House, tickets: list[str], text: str) -> None:
    desk = home.box.servicenow
    for ticket in tickets:
        code = next(
            (a.action.code for a in home.parts.ledger.reading.story(ticket).actions if a.state == "planned"),
            "",
        )
        said = text.format(code=code)
        home.box.run(lambda key=ticket, said=said: desk.add_note(desk.incident(key)["sys_id"], LEAD, said))  # type: ignore[misc]
    home.run("watch", "sweep")


def _certify(home: House, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "certify", "--config", str(home.config)])
    return capsys.readouterr().out


def test_a_promise_is_earned_kept_broken_and_earned_again(
    home: House, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uncertified it drafts; certified it closes; wrong closes demote it and say so; a new certificate restores it."""
    assert "not certified" in _certify(home, capsys)

    taught = _tickets(home, ENOUGH, "mail")
    assert all(_open(home, taught))
    _say(home, taught, "/countersign approve {code}")
    assert not any(_open(home, taught))
    assert len(home.parts.ledger.promises.labels("alert-triage")) == ENOUGH
    assert ": certified." in _certify(home, capsys)

    closed = _tickets(home, WRONG, "proxy")
    assert not any(_open(home, closed))
    _say(home, closed[:-1], "/countersign wrong category=security")
    assert home.parts.ledger.promises.standing("alert-triage").demoted == frozenset()
    underway = _tickets(home, 1, "dns", act=False)
    _say(home, closed[-1:], "/countersign wrong category=security")
    assert home.parts.ledger.promises.standing("alert-triage").demoted == {"noise"}
    story = home.parts.ledger.reading.story(closed[-1])
    told = [one for one in story.actions if "only drafts from now on" in str(one.action.effect)]
    assert [one.state for one in told] == ["done"]
    assert [one.event for one in story.audit if one.event == "rule.demoted"] == ["rule.demoted"]

    held = home.parts.ledger.reading.story(underway[0])
    assert held.decisions[-1].decision.closes
    assert ([one.state for one in held.actions], _open(home, underway)) == (["dropped"], [True])

    again = _tickets(home, ENOUGH_AGAIN, "mail")
    assert all(_open(home, again))
    assert "lost its autonomy" in str(
        home.parts.ledger.reading.story(again[0]).decisions[-1].decision.because
    )
    assert "not certified" in _certify(home, capsys)  # what broke the promise is not asked again
    _say(home, again, "/countersign approve {code}")
    assert ": certified." in _certify(home, capsys)
    assert not any(_open(home, _tickets(home, 1, "imap")))
