"""Any order, paging and repetition of events comes to the same as counting them by hand."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from countersign.alerts import Alert, AlertState
from tests.ledger_world import World, firing, recovery

KEYS = ("a", "b", "c")
RULES = itertools.count()


@pytest.fixture
def world(ledger_url: str) -> Iterator[World]:
    world = World(ledger_url)
    yield world
    world.close()


# (dedup key, is it a recovery, second at which it occurred)
EVENTS = st.lists(st.tuples(st.sampled_from(KEYS), st.booleans(), st.integers(0, 6)), min_size=1, max_size=14)


def alerts_of(events: Sequence[tuple[str, bool, int]], rule: str) -> list[Alert]:
    make = {True: recovery, False: firing}
    return [
        make[recovered](number, key=key, at=at, rule=rule, source_id=f"{rule}-{number}")
        for number, (key, recovered, at) in enumerate(events)
    ]


def counted_by_hand(alerts: Sequence[Alert]) -> int:
    """How many keys fire: the newest event of each decides, and at one instant the recovery."""
    newest: dict[str, tuple[object, bool]] = {}
    for alert in alerts:
        said = (alert.occurred_at, alert.state is AlertState.RECOVERED)
        newest[alert.dedup_key] = max(newest.get(alert.dedup_key, said), said)  # type: ignore[type-var]
    return sum(not recovered for _, recovered in newest.values())


def pages_of(alerts: Sequence[Alert], chance: random.Random) -> Iterator[list[Alert]]:
    """Everything at least once, in pages of any size, in any order, some of it again and again."""
    everything = [*alerts, *chance.choices(alerts, k=len(alerts))]
    chance.shuffle(everything)
    while everything:
        size = chance.randint(1, 5)
        yield everything[:size]
        del everything[:size]


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=EVENTS, seed=st.integers(0, 2**32))
def test_the_order_of_events_does_not_matter(
    world: World, events: list[tuple[str, bool, int]], seed: int
) -> None:
    """Every alert is recorded once, in one case, and what fires is what a model says that knows the true order."""
    chance = random.Random(seed)
    rule = f"rule-{next(RULES)}"
    alerts = alerts_of(events, rule)
    recorded = [world.record(*page) for page in pages_of(alerts, chance)]
    assert sum(one.alerts for one in recorded) == len(alerts)
    assert sum(one.cases_opened for one in recorded) == 1
    (case_id,) = {case_id for one in recorded for case_id in one.due}
    case = world.ledger.reading.story(case_id).case
    assert (case.alert_count, case.firing) == (len(alerts), counted_by_hand(alerts))
    assert (case.first_at, case.last_at) == (
        min(alert.occurred_at for alert in alerts),
        max(alert.occurred_at for alert in alerts),
    )
