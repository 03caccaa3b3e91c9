"""Ids are short, rise with time, never meet within a batch, and forgive how they are typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from countersign.ids import as_typed, new_ids

AT = datetime(2026, 3, 1, tzinfo=UTC)


def test_ids_of_a_batch_are_different_and_rise() -> None:
    """A thousand at once, in the order they are given."""
    ids = new_ids("c", AT, 1000)
    assert len(set(ids)) == 1000
    assert list(ids) == sorted(ids)


def test_ids_rise_with_time() -> None:
    """An id of a later millisecond sorts after all of an earlier one."""
    assert max(new_ids("c", AT, 100)) < min(new_ids("c", AT + timedelta(milliseconds=1), 100))


def test_an_id_is_short_and_unmistakable() -> None:
    """Fourteen characters, without i, l, o and u after the prefix."""
    (made,) = new_ids("c", AT, 1)
    assert len(made) == 14
    assert made.startswith("c")
    assert not set(made[1:]) & set("ilou")


def test_an_id_may_be_typed_in_capitals_and_misread() -> None:
    """O is read as 0, I and L as 1; spaces around it do not matter."""
    assert as_typed("  COIL7 ") == "c0117"
