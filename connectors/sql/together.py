"""Together: rows that threads want written at the same time share one transaction, and so one wait for the disk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Batch(Generic[T]):
    rows: list[T] = field(default_factory=list)
    written: Future[None] = field(default_factory=Future)


class Together(Generic[T]):
    """Whoever comes first writes for all that come while the batch before is being written."""

    def __init__(self, write: Callable[[Sequence[T]], None]) -> None:
        """`write` writes rows in their order: all of them or none, when it raises."""
        self._write = write
        self._filling = Lock()
        self._writing = Lock()
        self._batch: _Batch[T] = _Batch()

    @property
    def waiting(self) -> int:
        """How many rows the next transaction has so far."""
        with self._filling:
            return len(self._batch.rows)

    def write(self, row: T) -> None:
        """Returns when the row is committed; raises what its transaction raised."""
        with self._filling:
            batch = self._batch
            batch.rows.append(row)
            first = len(batch.rows) == 1
        if first:
            self._write_all_of(batch)
        batch.written.result()

    def _write_all_of(self, batch: _Batch[T]) -> None:
        with self._writing:
            with self._filling:
                self._batch = _Batch()
            try:
                self._write(batch.rows)
            except BaseException as problem:  # noqa: BLE001 - whoever waits is told, this thread among them
                batch.written.set_exception(problem)
            else:
                batch.written.set_result(None)
