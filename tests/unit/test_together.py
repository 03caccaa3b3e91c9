"""Together: rows of threads that write at the same time share a transaction, and each is told how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from connectors.sql.together import Together


class Disk:
    """Takes batches of rows. The first comes back when somebody lets it; a batch with a 0 fails."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.began, self.go = Event(), Event()

    def write(self, rows: Sequence[int]) -> None:
        self.batches.append(list(rows))
        self.began.set()
        assert self.go.wait(20)
        assert all(rows)


@pytest.fixture
def disk() -> Disk:
    return Disk()


def _told(disk: Disk, first: int, others: Sequence[int]) -> list[BaseException | None]:
    """What each of these writers is told; the others come while the first is being written."""
    shared = Together(disk.write)
    with ThreadPoolExecutor(1 + len(others)) as pool:
        asked = [pool.submit(shared.write, first)]
        assert disk.began.wait(20)
        asked += [pool.submit(shared.write, row) for row in others]
        while shared.waiting < len(others):
            assert not any(one.done() for one in asked)
        disk.go.set()
        return [one.exception(20) for one in asked]


def test_who_comes_while_others_are_written_shares_the_next_transaction(disk: Disk) -> None:
    """Five rows in two transactions, every one once, and nobody is told before its own is committed."""
    assert _told(disk, 1, [2, 3, 4, 5]) == [None] * 5
    assert [len(batch) for batch in disk.batches] == [1, 4]
    assert sorted(row for batch in disk.batches for row in batch) == [1, 2, 3, 4, 5]


def test_a_transaction_that_fails_is_told_to_all_whose_rows_it_held(disk: Disk) -> None:
    """And to nobody else: the one before was committed."""
    told = _told(disk, 1, [2, 0, 4])
    assert told[0] is None
    assert [type(one) for one in told[1:]] == [AssertionError] * 3


def test_after_a_failure_the_next_is_written(disk: Disk) -> None:
    """What failed is not tried again with the next row."""
    disk.go.set()
    shared = Together(disk.write)
    with pytest.raises(AssertionError):
        shared.write(0)
    shared.write(7)
    assert disk.batches == [[0], [7]]
