"""Chaos, the short form of `make chaos`: real workers and a real Redis, killed, and nothing lost or done twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import chaos

# PostgreSQL too and more of everything in the long form (`make nightly`); `make chaos` runs both at full size.
NIGHTLY = bool(os.environ.get("COUNTERSIGN_NIGHTLY"))
LEDGERS = ["sqlite_url", "postgres_url"] if NIGHTLY else ["sqlite_url"]
TICKETS, FAULTS = (120, 20) if NIGHTLY else (80, 12)


@pytest.fixture(params=LEDGERS)
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(request.param))


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_nothing_is_lost_and_nothing_doubled_under_chaos(tmp_path: Path, url: str) -> None:
    """Many actions and a dozen faults and more; the oracle is the vendors' own log."""
    told = chaos.run(tmp_path, url, tickets=TICKETS, faults=FAULTS)
    assert (told.lost, told.doubled, told.dead_letters, told.books_even) == (0, 0, 0, True)
    assert (told.actions >= TICKETS, told.faults) == (True, FAULTS)
