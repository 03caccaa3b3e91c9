"""Parts: everything a stage works with, by role. Stages get it; only wiring.py knows what is behind it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from countersign.actions import Action
from countersign.budget import Purse, SpendingBook
from countersign.deliveries import DeliveryBook
from countersign.feedback.pool import PoolBook
from countersign.ledger import (
    ActionBook,
    CaseBook,
    Intake,
    Memory,
    Reading,
    ReplyBook,
    RollupBook,
    Span,
    WatchBook,
)
from countersign.local_readings import LocalReadingBook
from countersign.policy import Policy
from countersign.ports import (
    AlertSource,
    Answers,
    Cmdb,
    Desk,
    Directory,
    LogSearch,
    Mailer,
    Marked,
    Model,
    Reader,
)
from countersign.promises import PromiseBook
from countersign.prompts import PromptFile
from countersign.scales import ScaleBook
from countersign.signals import DriftBook
from workers.crowd import Crowd
from workers.rollback import UndoBook
from workers.settings import Settings

if TYPE_CHECKING:
    from countersign.ended_changes import EndedChange
    from countersign.kpis.history import Histories
    from countersign.kpis.weeks import Weeks
    from countersign.results import Results


class Ledger(Protocol):
    """The ledger as its books."""

    @property
    def intake(self) -> Intake: ...
    @property
    def cases(self) -> CaseBook: ...
    @property
    def actions(self) -> ActionBook: ...
    @property
    def watch(self) -> WatchBook: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def reading(self) -> Reading: ...
    @property
    def undoing(self) -> UndoBook: ...
    @property
    def books(self) -> Books: ...
    @property
    def replies(self) -> ReplyBook: ...
    @property
    def promises(self) -> PromiseBook: ...
    @property
    def scales(self) -> ScaleBook: ...
    @property
    def local_readings(self) -> LocalReadingBook: ...
    @property
    def spending(self) -> SpendingBook: ...
    @property
    def deliveries(self) -> DeliveryBook: ...
    @property
    def rollups(self) -> RollupBook: ...
    @property
    def pool(self) -> PoolBook: ...
    @property
    def drifts(self) -> DriftBook: ...

    def columns(self, use_case: str, span: Span, *, recorded: frozenset[str]) -> tuple[Histories, Weeks]: ...

    def results(
        self, use_case: str, *, since: datetime, until: datetime, promised: Collection[str]
    ) -> Results: ...

    def ended_changes(self, use_case: str, *, since: datetime, until: datetime) -> Sequence[EndedChange]: ...

    def known_until(self) -> datetime | None: ...

    def close(self) -> None: ...


def never() -> bool:
    return False


class Books(Protocol):
    """What `verify` holds against the desks."""

    def done_actions(self) -> Iterator[Action]: ...
    def begun(self, keys: Sequence[str]) -> frozenset[str]: ...


class Closing(Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What one process works with. `worker` names the process in leases; `models` gives a policy's candidates.

    `started` is when, in whole seconds: what it is told of things before that, another may have been told already.
    `monotonic` (seconds, since whenever) bounds what is done on a lease; `stopping` says that the process ends.
    `local` is the embedded model, asked for a second opinion whatever the candidates are, as it was `taught` by these
    versions of the pool (by use case). Without a `purse`
    no use case with a budget spends anything; `answers` remembers those that were paid for. `crowd` are the
    threads on which models are waited for.
    """

    settings: Settings
    worker: str
    clock: Callable[[], datetime]
    started: datetime
    ledger: Ledger
    policies: Mapping[str, Policy]
    prompts: Mapping[str, PromptFile]
    sources: Mapping[str, AlertSource]
    desks: Mapping[str, Desk]
    directories: Mapping[str, Directory]
    cmdb: Cmdb | None
    logs: Mapping[str, LogSearch]
    models: Callable[[Policy], Sequence[Model]]
    local: Reader | None = None
    taught: Mapping[str, int] = field(default_factory=dict)
    purse: Purse | None = None
    answers: Answers | None = None
    monotonic: Callable[[], float] = time.monotonic
    stopping: Callable[[], bool] = never
    mailer: Mailer | None = None
    marked: Mapping[str, Marked] = field(default_factory=dict)
    crowd: Crowd = field(default_factory=Crowd)
    clients: Sequence[Closing] = ()

    def close(self) -> None:
        """Ends every connection; the parts are of no use afterwards."""
        kept = (one for one in (self.purse, self.answers) if one is not None)
        for client in (self.crowd, *self.clients, *kept, self.ledger):
            client.close()


@dataclass(frozen=True, slots=True)
class Wake:
    """A message to send once everything is committed: the stage, and the ids it should look at.

    One that waits longer than `expires_s` is of no use any more, because another one will have been sent.
    """

    stage: str
    ids: tuple[str, ...]
    expires_s: float | None = None
