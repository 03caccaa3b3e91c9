"""The control lane's share is recorded with every decision, raised or not."""

from __future__ import annotations

from tests.workers.house import House


def test_each_decision_records_the_probability_of_its_lane(home: House) -> None:
    """What was never seen before has the raised share, and the story tells it."""
    home = home.with_policy(control_lane=0.1, control_lane_raised=0.4)
    row = home.box.run(
        lambda: home.box.servicenow.open_incident(
            short_description="Certificate of mail-relay was renewed", description="Valid for 90 days"
        )
    )
    home.once()
    decided = home.parts.ledger.reading.story(str(row["number"])).decisions[-1]
    assert decided.facts is not None
    assert (decided.facts.first_seen, decided.facts.control_share) == (True, 0.4)
