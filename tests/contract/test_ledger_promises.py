"""The ledger's book of promises, on both databases: last good policies, looks at the labels, and history."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.sql.ledger import SqlLedger
from countersign.promises import Kept

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


@pytest.fixture
def ledger(ledger_url: str) -> SqlLedger:
    return SqlLedger.open(ledger_url)


def test_the_policy_that_was_last_in_force_is_kept(ledger: SqlLedger) -> None:
    """By its file, or by its use case; the same content put in force again is the newest again."""
    book = ledger.promises
    for version, content in ((1, "a"), (2, "b"), (1, "a")):
        book.keep_policy(
            "triage", version, content_hash=content, file="p.yaml", text=f"v{version}", prompt="p"
        )
    assert book.good_policy(file="p.yaml") == Kept(text="v1", prompt="p")
    assert book.good_policy(file="q.yaml", use_case="triage") == Kept(text="v1", prompt="p")
    assert book.good_policy(file="q.yaml") is None
    assert [book.policy_hashes("triage", version) for version in (1, 2, 3)] == [{"a"}, {"b"}, set()]
    ledger.close()


def test_each_look_at_the_labels_is_counted(ledger: SqlLedger) -> None:
    """From 1, for each use case of its own."""
    book = ledger.promises
    looks = [book.begin_certification(case) for case in ("triage", "triage", "other", "triage")]
    assert (looks, book.labels("triage"), book.standing("triage").issued) == ([1, 2, 1, 3], (), ())
    ledger.close()


def test_a_use_case_without_decisions_has_an_empty_history(ledger: SqlLedger) -> None:
    """No rows: no error."""
    assert len(ledger.promises.history("triage", since=NOW)) == 0
    ledger.close()
