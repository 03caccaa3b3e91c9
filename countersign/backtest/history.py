"""History: recorded decisions as columns, with all that `decide` reads of each, so that they can be decided again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np
import numpy.typing as npt

from countersign.alerts import Alert, AlertState
from countersign.assessment import Assessment, Unassessed
from countersign.cases import Case
from countersign.circumstances import Circumstances, PastDecision
from countersign.tickets import Ticket, TicketRef, TicketState

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# (case id, microseconds since 1970, risk or None, alerts, name of its circumstances)
Row = tuple[str, int, float | None, int, str]

UNASSESSED = "(not assessed)"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """Recorded decisions as columns of equal length, in order of time.

    `at` is in microseconds since 1970 (UTC); `risk` is NaN where nobody assessed the case; `kind` is the index
    into `kinds` of the circumstances.
    """

    ids: Sequence[str]
    at: Integers
    risk: Floats
    alerts: Integers
    kind: Integers
    kinds: Sequence[Circumstances]

    @classmethod
    def of(cls, decisions: Iterable[PastDecision]) -> Self:
        """The decisions, put in order of time (and of their ids where the times are equal)."""
        ordered = sorted(decisions, key=lambda past: (past.at, past.id))
        kinds: dict[Circumstances, int] = {}
        # Most records share the object of their circumstances, and a look at its id is cheaper than its hash.
        shared = {id(past.circumstances): past.circumstances for past in ordered}
        codes = {known: kinds.setdefault(kind, len(kinds)) for known, kind in shared.items()}
        risks = [np.nan if past.risk is None else past.risk for past in ordered]
        return cls(
            ids=[past.id for past in ordered],
            at=np.array([microseconds(past.at) for past in ordered], dtype=np.int64),
            risk=np.array(risks, dtype=np.float64),
            alerts=np.array([past.alerts for past in ordered], dtype=np.int64),
            kind=np.array([codes[id(past.circumstances)] for past in ordered], dtype=np.int64),
            kinds=tuple(kinds),
        )

    @classmethod
    def of_rows(cls, rows: Sequence[Row], kinds: Mapping[str, Circumstances]) -> Self:
        """Recorded rows in order of time; a case that was decided again counts once, as it was decided last."""
        ids, at, risk, alerts, kind = zip(*_last(rows), strict=True) if rows else ((),) * 5
        codes = {name: code for code, name in enumerate(kinds)}
        return cls(
            ids=ids,
            at=np.array(at, dtype=np.int64),
            risk=np.array(risk, dtype=np.float64),  # None is NaN
            alerts=np.array(alerts, dtype=np.int64),
            kind=np.array([codes[name] for name in kind], dtype=np.int64),
            kinds=tuple(kinds.values()),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def moment(self, index: int) -> datetime:
        return _EPOCH + int(self.at[index]) * _MICROSECOND

    def case(self, index: int) -> Case:
        """A case that `decide` can't tell from the recorded one."""
        kind, moment = self.kinds[int(self.kind[index])], self.moment(index)
        born = TicketRef(desk="desk", id="1", key="BACKTEST-1")
        alert = Alert(
            source=kind.source,
            source_id="1",
            dedup_key="1",
            state=AlertState.RECOVERED if kind.recovered else AlertState.FIRING,
            occurred_at=moment,
            summary="",
            severity=kind.severity,
            service=kind.service,
            tags=tuple(sorted(kind.tags)),
            ticket=born if kind.born_in_desk else None,
        )
        return Case(
            id=self.ids[index],
            use_case="",
            fingerprint="",
            alerts=(alert,),
            alert_count=int(self.alerts[index]),
            firing=0 if kind.recovered else 1,
            first_at=moment,
            last_at=moment,
            ticket=_ticket(kind, kind.ticket, born, moment) if kind.ticket else None,
        )

    def assessment(self, index: int) -> Assessment | Unassessed:
        kind = self.kinds[int(self.kind[index])]
        if kind.category is None:
            return Unassessed(reason=kind.unassessed, because="")
        return Assessment(
            category=kind.category,
            severity=kind.assessed_severity,
            actionability="none",
            summary="",
            likely_cause="",
            evidence=(),
            group=None,
            confidence=0.0,
            risk=float(self.risk[index]),
            model="",
            is_llm=False,
            prompt="",
            prompt_hash="",
        )


def _last(rows: Sequence[Row]) -> Iterable[Row]:
    """The last row of each case, in the order of the rows."""
    last = {row[0]: place for place, row in enumerate(rows)}
    if len(last) == len(rows):
        return rows
    return [rows[place] for place in sorted(last.values())]


def _ticket(kind: Circumstances, state: TicketState, ref: TicketRef, moment: datetime) -> Ticket:
    return Ticket(
        ref=ref,
        title="",
        state=state,
        version="",
        opened_at=moment,
        updated_at=moment,
        group=kind.group,
        assignee="somebody" if kind.assigned else "",
    )


def microseconds(moment: datetime) -> int:
    """An aware moment as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND
