"""`python -m benchmarks.backtest`: a million recorded decisions, read and decided under two policies."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connectors.sql.codec import CIRCUMSTANCES
from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import migrate
from connectors.sql.promises import circumstances, grounds
from countersign.backtest import backtest
from countersign.circumstances import Circumstances
from countersign.policy import CATEGORIES, Policy, load_policy
from countersign.ports import Firing
from countersign.severity import Severity

ROOT = Path(__file__).resolve().parent.parent
ALLOWED_S = 30.0
DECISIONS = 1_000_000
KINDS = 20_000
START = datetime(2026, 8, 1, tzinfo=UTC)
_AT_ONCE = 50_000


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.backtest", description=__doc__)
    parser.add_argument("--decisions", type=int, default=DECISIONS)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'ledger.db'}"
        migrate(url)
        _fill(url, arguments.decisions)
        found = _measured(url)
    sys.stdout.write(json.dumps(found, indent=2) + "\n")
    if arguments.decisions >= DECISIONS and found["seconds"] > ALLOWED_S:
        sys.exit(f"{found['seconds']:.1f} s, where {ALLOWED_S:.0f} are allowed.")


def _measured(url: str) -> dict[str, Any]:
    old = _policy()
    new = old.model_copy(update={"version": 2, "rules": (_stricter(old), *old.rules[1:])})
    ledger = SqlLedger.open(url)
    began, cpu = time.monotonic(), time.process_time()
    history = ledger.promises.history("alert-triage", since=START)
    read = time.monotonic()
    found = backtest(history, new, against=old)
    done = time.monotonic()
    ledger.close()
    return {
        "decisions": found.cases,
        "kinds": len(history.kinds),
        "changes": len(found.changes),
        "seconds_to_read": round(read - began, 2),
        "seconds_to_decide_twice": round(done - read, 2),
        "seconds": round(done - began, 2),
        "cpu_seconds": round(time.process_time() - cpu, 2),
    }


def _policy() -> Policy:
    file = ROOT / "policies" / "alert-triage.yaml"
    return load_policy(file.read_text(encoding="utf-8"), name=str(file))


def _stricter(policy: Policy) -> Any:
    rule = policy.rules[0]
    assert rule.threshold is not None
    return rule.model_copy(update={"threshold": rule.threshold.model_copy(update={"risk_below": 0.05})})


def _fill(url: str, decisions: int) -> None:
    draw = random.Random(7)
    kinds = [_kind(draw) for _ in range(KINDS)]
    engine = sa.create_engine(url)
    rows = [{"kind": f"k{number}", "body": CIRCUMSTANCES.dump(kind)} for number, kind in enumerate(kinds)]
    with engine.begin() as connection:
        connection.execute(sa.insert(circumstances), rows)
        for first in range(0, decisions, _AT_ONCE):
            some = range(first, min(decisions, first + _AT_ONCE))
            connection.execute(sa.insert(grounds), [_row(number, draw) for number in some])
    engine.dispose()


def _kind(draw: random.Random) -> Circumstances:
    return Circumstances(
        source=draw.choice(("datadog", "splunk", "pagerduty")),
        severity=draw.choice(list(Severity)),
        service=f"service-{draw.randrange(400)}",
        tags=frozenset(draw.sample([f"tag-{number}" for number in range(50)], 3)),
        recovered=draw.random() < 0.5,
        firing=draw.choice(list(Firing)),
        first_seen=draw.random() < 0.2,
        category=draw.choice(CATEGORIES),
        assessed_severity=draw.choice(list(Severity)),
    )


def _row(number: int, draw: random.Random) -> dict[str, object]:
    return {
        "case_id": f"c{number:013}", "revision": 1, "use_case": "alert-triage",
        "at": START + timedelta(seconds=7 * number), "risk": draw.random(), "alerts": draw.randrange(1, 80),
        "kind": f"k{draw.randrange(KINDS)}", "category": "", "rule": "", "lane": "treated",
        "control_share": 0.1, "wanted": False, "alone": False, "versions": "", "facts": "{}",
    }  # fmt: skip


if __name__ == "__main__":
    main()
