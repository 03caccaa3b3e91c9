"""`python -m benchmarks.audit`: how long one million audit records take to verify."""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

from connectors.sql import audit
from connectors.sql.engine import Database
from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import migrate
from countersign.audit import Event

AT_ONCE = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit", description=__doc__)
    parser.add_argument("--records", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.db'}"
        migrate(url)
        _fill(url, asked.records)
        ledger = SqlLedger.open(url)
        rounds = []
        for _ in range(3):
            started = time.perf_counter()
            found = ledger.trail.verify()
            rounds.append(round(time.perf_counter() - started, 2))
            assert (found.records, found.problem) == (asked.records, None)
        ledger.close()
    print(json.dumps({"records": asked.records, "verify_s": sorted(rounds)}))


def _fill(url: str, number: int) -> None:
    """Records as a busy ledger has them."""
    db = Database(url)
    for start in range(0, number, AT_ONCE):
        events = [_event(n) for n in range(start, min(start + AT_ONCE, number))]
        with db.write() as connection:
            audit.append(connection, events, at=db.now(connection))
    db.close()


def _event(n: int) -> Event:
    detail: dict[str, object] = {
        "kind": "note",
        "desk": "servicenow",
        "attempt": 1,
        "in_doubt": False,
        "ticket": f"INC{n}",
    }
    return Event(
        actor="host:4711", event="action.intent", case_id=f"c{n:013}", subject=f"{n:016x}", detail=detail
    )


if __name__ == "__main__":
    main()
