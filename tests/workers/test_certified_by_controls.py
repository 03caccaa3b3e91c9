"""Certificates from the control lane alone, whose cases were drawn with unequal, recorded probabilities."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import yaml

from countersign.boundary import versions_of
from countersign.circumstances import Circumstances
from countersign.decision import Facts
from countersign.lanes import Lane
from countersign.ledger import Correction, Grounds
from tests.ledger_world import World, assessed, firing, verdict
from tests.workers.house import House, house, shipped
from workers.learn import learn
from workers.main import main

BASE, RAISED = 0.1, 0.5
_NUMBERS = count(1)  # an alert's own: another one is another alert


@pytest.fixture
def home(tmp_path: Path, ledger_url: str) -> Iterator[House]:
    """A house whose one closing rule promises 30 % wrong closes at most, 80 % sure."""
    document = yaml.safe_load(shipped())
    document["rules"][0]["when"]["category"] = ["informational"]
    document["rules"][0]["threshold"] = {"wrong_closes_at_most": 0.3, "sure": 0.8}
    document |= {"control_lane": BASE, "control_lane_raised": RAISED}
    file = tmp_path / "promise.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    with house(tmp_path, ledger_url, policies=[str(file)]) as one:
        yield one


@pytest.fixture
def world(home: House) -> Iterator[World]:
    """The house's ledger, to tell it of cases that were decided."""
    one = World(home.parts.settings.ledger.get_secret_value())
    yield one
    one.close()


def _cases(
    home: House, world: World, name: str, *shares: float, told: str, lane: Lane = Lane.CONTROL
) -> None:
    """Cases that the treated lane closes alone, each drawn with its share; people said this of every one."""
    policy, said = home.parts.policies["alert-triage"], []
    for number, share in enumerate(shares):
        key = f"{name}-{number}"
        claimed = world.case(firing(next(_NUMBERS), key=key, rule=key))
        given = verdict(claimed)
        facts = Facts(now=world.clock(), lane=lane, control_share=share, first_seen=False)
        grounds = Grounds(
            facts=facts,
            circumstances=Circumstances.of(claimed.case, assessed(), facts),
            alerts=1,
            risk=0.04,
            wanted=True,
            alone=True,
            versions=versions_of(policy, assessed()),
        )
        decision = replace(given.decision, lane=lane)
        world.ledger.cases.record_verdicts([replace(given, decision=decision, grounds=grounds)])
        said.append(
            Correction(case_id=claimed.case.id, change_id=key, verdict=told, by="lena", at=world.clock())
        )
    world.ledger.watch.record_corrections(said)
    list(learn(home.parts, [one.case_id for one in said]))


def _certify(home: House, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit, match="0"):
        main(["policy", "certify", "--config", str(home.config)])
    return capsys.readouterr().out


def test_a_promise_is_certified_by_what_the_control_lane_drew(
    home: House, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each label has the share it was drawn with; those drawn often count less, so too few say how many more."""
    _cases(home, world, "few", *[RAISED] * 12, *[BASE] * 3, told="resolved")
    _cases(home, world, "alone", RAISED, BASE, told="good", lane=Lane.TREATED)
    labels = home.parts.ledger.promises.labels("alert-triage")
    assert sorted({label.probability for label in labels}) == [BASE, RAISED]
    assert len(labels) == 15  # what people say of a ticket that was closed alone is no label
    assert "not certified" in (first := _certify(home, capsys))
    assert "more needed" in first

    _cases(home, world, "more", *[BASE] * 20, told="resolved")
    assert ": certified. 0 of" in _certify(home, capsys)


def test_the_same_labels_drawn_alike_would_have_been_enough(
    home: House, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fifteen labels of one probability are enough at the first look: it was the unequal draw that asked for more."""
    _cases(home, world, "even", *[BASE] * 15, told="resolved")
    assert ": certified. 0 of 15" in _certify(home, capsys)


def test_a_rule_whose_category_another_promises_more_of_is_told_to_wait(
    tmp_path: Path, ledger_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The looser promise is certified, the stricter is not: the category's certificate closes nothing."""
    document = yaml.safe_load(shipped())
    first = document["rules"][0]
    first["when"]["category"] = ["informational"]
    first["threshold"] = {"wrong_closes_at_most": 0.01, "sure": 0.8}
    calm = {"name": "calm", "when": {"category": ["informational"]}, "then": "close"}
    document["rules"].insert(1, calm | {"threshold": {"wrong_closes_at_most": 0.4, "sure": 0.8}})
    file = tmp_path / "two.yaml"
    file.write_text(yaml.safe_dump(document | {"control_lane": BASE}), encoding="utf-8")
    with house(tmp_path, ledger_url, policies=[str(file)]) as home:
        world = World(home.parts.settings.ledger.get_secret_value())
        _cases(home, world, "even", *[BASE] * 25, told="resolved")
        world.close()
        told = _certify(home, capsys)
    assert "rule calm: informational: at most 40% of its closes are wrong, 90% sure, for risks" in told
    assert "rule calm: informational is not closed yet, as another rule promises more of it" in told


def test_wrong_closes_in_the_control_lane_keep_the_rule_drafting(
    home: House, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """A third of what was drawn was wrong: no number of labels like these certifies it."""
    _cases(home, world, "right", *[BASE] * 20, told="resolved")
    _cases(home, world, "wrong", *[BASE] * 10, told="wrong")
    assert "not certified" in (said := _certify(home, capsys))
    assert "10 of 30 at any risk" in said
