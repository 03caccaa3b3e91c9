"""Budgets on a real Redis and a real ledger: nothing is overspent, whoever dies, repeats or forgets."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import pytest
import redis
import structlog

from connectors.redis.budget import RedisPurse
from connectors.redis.server import EmbeddedRedis
from connectors.sql.ledger import SqlLedger
from connectors.sql.migrate import migrate
from countersign.asking import ask
from countersign.assessment import TriageAnswer
from countersign.budget import Account, Allowance, Grant, Spent, account, allowance
from countersign.errors import OverBudget, Transient, Unreached
from countersign.ports import Completion
from countersign.prompts import Prompt
from countersign.redaction import Redacted
from workers.metered import Metered, Tab, paid, refill

DAY = Account(use_case="alert-triage", policy_version=3, day="2026-11-20")
LIMIT = Allowance(limit=10_000, warn=8_000)
PROMPT = Prompt(name="triage/v1", hash="0", shared="", case=Redacted("[a1] ⟦x⟧"), schema={})


@pytest.fixture
def purse(redis_url: str) -> Iterator[RedisPurse]:
    one = RedisPurse(redis_url, prefix="test:")
    assert one.fill(DAY, one.begin(DAY), [])
    yield one
    one.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[SqlLedger]:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    migrate(url)
    one = SqlLedger.open(url)
    yield one
    one.close()


def _spent(call_id: str, held: int, micro_usd: int | None = None) -> Spent:
    return Spent(call_id=call_id, account=DAY, case_id="c1", model="m", held=held, micro_usd=micro_usd)


class Priced:
    """A model whose calls cost at most 400 and truly 150."""

    name = "openai/priced"

    def __init__(self, fails: Exception | None = None, most: int | None = 400) -> None:
        self.asked = 0
        self._fails = fails
        self._most = most

    def most(self, prompt: Prompt) -> int | None:
        return self._most

    def complete(self, prompt: Prompt) -> Completion:
        self.asked += 1
        if self._fails:
            raise self._fails
        text = '{"category": "capacity"}'
        return Completion(text=text, model=self.name, is_llm=True, tokens_in=9, tokens_out=3, micro_usd=150)


def _tab(ledger: SqlLedger, purse: RedisPurse | None, name: str = "c1/1/1", limit: int = 10_000) -> Tab:
    return Tab(
        account=DAY, case_id="c1", name=name, book=ledger.spending, purse=purse,
        allowance=Allowance(limit=limit, warn=limit // 2), categories=("capacity",),
    )  # fmt: skip


def test_an_account_is_a_use_case_a_policy_version_and_a_day() -> None:
    """The day is the one in Greenwich, and a budget is rounded down to whole micro-dollars."""
    late = datetime.fromisoformat("2026-11-20T23:30:00-05:00")
    assert account("u", 3, late) == Account(use_case="u", policy_version=3, day="2026-11-21")
    assert account("u", 3, datetime(2026, 11, 20, tzinfo=UTC)).key == "u:3:2026-11-20"
    assert allowance(Decimal("25.0000019"), 0.8) == Allowance(limit=25_000_001, warn=20_000_000)


def test_reserve_then_settle(purse: RedisPurse) -> None:
    """A hold counts at its bound, a settlement at its cost; the same id again changes neither."""
    for _ in range(2):
        assert purse.reserve(DAY, "a", 4_000, LIMIT).used == 4_000
    for cost in (150, 90):  # who settles second is not heard, whatever it says
        purse.settle(DAY, "a", cost, category="capacity")
    assert purse.reserve(DAY, "b", 1_000, LIMIT).used == 1_150
    assert purse.reserve(DAY, "a", 4_000, LIMIT).answer == "refused"


def test_what_does_not_fit_is_refused_and_another_day_is_another_account(purse: RedisPurse) -> None:
    """A micro-dollar too much is too much."""
    assert purse.reserve(DAY, "a", 6_000, LIMIT).answer == "granted"
    assert purse.reserve(DAY, "b", 4_001, LIMIT).answer == "refused"
    assert purse.reserve(DAY, "c", 4_000, LIMIT).answer == "granted"
    assert purse.reserve(replace(DAY, day="2026-11-21"), "d", 1, LIMIT).answer == "closed"


def test_the_owner_is_warned_once_a_day(purse: RedisPurse) -> None:
    """At the policy's share, not again above it."""
    warned = [purse.reserve(DAY, str(n), 1_000, LIMIT).warned for n in range(10)]
    assert warned == [False] * 7 + [True, False, False]


def _fuzz(url: str, seed: int) -> int:
    """Fifty calls of a worker that dies, repeats itself and settles twice; gives what it really spent."""
    dice, purse, spent = random.Random(seed), RedisPurse(url, prefix="test:", timeout_s=30), 0
    for number in range(50):
        call, bound = f"{seed}.{number}", dice.randint(1, 400)
        grants = [purse.reserve(DAY, call, bound, LIMIT) for _ in range(dice.choice((1, 1, 2)))]
        if grants[-1].answer != "granted":
            continue
        cost = dice.randint(0, bound)
        spent += cost
        for _ in range(dice.choice((0, 1, 1, 2))):  # 0: it dies after the call, before it settles
            purse.settle(DAY, call, cost, category=dice.choice(("capacity", "")))
    purse.close()
    return spent


def test_500_workers_at_once_overspend_nothing(redis_url: str, purse: RedisPurse) -> None:
    """500 threads in four processes, a quarter of them dying before they settle: never more than the limit."""
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as processes:
        spent = sum(processes.map(_many, [(redis_url, start) for start in range(0, 500, 125)]))
    used = purse.reserve(DAY, "one more", 0, LIMIT).used
    assert 0.8 * LIMIT.limit < used <= LIMIT.limit
    assert spent <= used


def _many(work: tuple[str, int]) -> int:
    url, start = work
    with ThreadPoolExecutor(125) as threads:
        return sum(threads.map(lambda seed: _fuzz(url, seed), range(start, start + 125)))


def test_counters_that_were_lost_come_back_from_the_ledger(
    redis_url: str, purse: RedisPurse, ledger: SqlLedger
) -> None:
    """Closed until they are filled; then holds count at their bound and settlements at their cost."""
    ledger.spending.hold(_spent("a", 4_000))
    ledger.spending.settle(_spent("b", 3_000, 500))
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert purse.reserve(DAY, "c", 1, LIMIT).answer == "closed"
    assert refill(purse, ledger.spending, DAY)
    assert purse.reserve(DAY, "c", 5_501, LIMIT).answer == "refused"
    assert purse.reserve(DAY, "c", 5_500, LIMIT).used == 10_000
    purse.settle(DAY, "a", 100, category="")
    assert purse.reserve(DAY, "d", 3_900, LIMIT).used == 10_000


def test_the_sums_of_categories_come_back_too(redis_url: str, purse: RedisPurse, ledger: SqlLedger) -> None:
    """Whatever the counters said, of each category too, they say again once they are filled."""
    model = Priced()
    for name in ("a", "b"):
        Metered(model, _tab(ledger, purse, name)).complete(PROMPT)
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        (key,) = client.keys("test:budget:*:sums")
        before = {name: one for name, one in client.hgetall(key).items() if name not in ("epoch", "warned")}
        client.flushall()
        assert refill(purse, ledger.spending, DAY)
        after = {name: one for name, one in client.hgetall(key).items() if name not in ("epoch", "warned")}
    assert before == {"used": "300", "category:capacity": "300"}
    assert after == before


def test_a_filling_that_was_overtaken_changes_nothing(redis_url: str, purse: RedisPurse) -> None:
    """Who read the ledger before Redis was lost once more must not write what it read."""
    later = replace(DAY, day="2026-11-22")
    old = purse.begin(later)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    new = purse.begin(later)
    assert not purse.fill(later, old, [])
    assert purse.fill(later, new, [_spent("x", 70)])
    assert not purse.fill(later, new, [])
    assert purse.begin(later) == ""
    assert purse.reserve(later, "y", 1, LIMIT).used == 71


def test_a_call_is_held_made_and_settled_in_both_places(purse: RedisPurse, ledger: SqlLedger) -> None:
    """The ledger's row has tokens, category and cost; the counters have the cost alone."""
    assert Metered(Priced(), _tab(ledger, purse)).complete(PROMPT).micro_usd == 150
    (row,) = ledger.spending.on(DAY)
    assert (row.held, row.micro_usd, row.category, row.tokens_in) == (400, 150, "capacity", 9)
    assert purse.reserve(DAY, "next", 0, LIMIT).used == 150


class Forgetful(RedisPurse):
    """A purse whose Redis loses everything just after its first grant; another call fills and uses it meanwhile."""

    def __init__(self, url: str, ledger: SqlLedger, taken: int) -> None:
        super().__init__(url, prefix="test:")
        self._book, self._taken, self._lose = ledger.spending, taken, True

    def reserve(self, account: Account, call_id: str, micro_usd: int, allowance: Allowance) -> Grant:
        grant = super().reserve(account, call_id, micro_usd, allowance)
        lost, self._lose = self._lose, False
        for _ in range(lost):
            self._redis.flushall()
            assert refill(self, self._book, account)
            super().reserve(account, "other", self._taken, allowance)
        return grant


@pytest.mark.parametrize(("taken", "asked", "cost"), [(9_700, 0, 0), (9_600, 1, 150)])
def test_a_grant_that_redis_lost_before_its_row_is_asked_for_again(
    redis_url: str, purse: RedisPurse, ledger: SqlLedger, taken: int, asked: int, cost: int
) -> None:
    """Counters that were filled without it may have given its money away: then the call is not made."""
    model, forgetful = Priced(), Forgetful(redis_url, ledger, taken)
    tab = replace(_tab(ledger, purse), purse=forgetful)
    with suppress(OverBudget):
        Metered(model, tab).complete(PROMPT)
    assert (model.asked, tab.spent_out) == (asked, not asked)
    assert ledger.spending.on(DAY)[0].micro_usd == cost
    assert purse.reserve(DAY, "next", 0, LIMIT).used == taken + cost
    forgetful.close()


def test_a_closed_account_takes_no_settlement(redis_url: str, purse: RedisPurse, ledger: SqlLedger) -> None:
    """The ledger has it; in Redis it would be a sum without its day's other calls, which nothing ever takes away."""
    purse.reserve(DAY, "a", 400, LIMIT)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
        purse.settle(DAY, "a", 150, category="capacity")
        assert client.keys("test:budget:*") == []
    ledger.spending.settle(_spent("a", 400, 150))
    assert refill(purse, ledger.spending, DAY)
    assert purse.reserve(DAY, "next", 0, LIMIT).used == 150


@pytest.mark.parametrize(("when_spent", "answers"), [("route", 0), ("local", 1)])
@pytest.mark.parametrize("candidates", [("priced", "free"), ("priced",)])
def test_a_spent_budget_sends_to_people_what_the_policy_does_not_leave_to_the_local_model(
    purse: RedisPurse, ledger: SqlLedger, when_spent: Literal["route", "local"], answers: int,
    candidates: tuple[str, ...],
) -> None:  # fmt: skip
    """`when_spent: route` asks nothing more, not even what is free and stands among the candidates."""
    models = {"priced": Priced(), "free": Priced(most=0)}
    tab = replace(_tab(ledger, purse, limit=399), when_spent=when_spent)
    asked = paid([models[name] for name in candidates], tab, models["free"])
    for model in asked:
        with suppress(OverBudget):
            model.complete(PROMPT)
    assert (models["priced"].asked, models["free"].asked) == (0, answers)


def test_what_may_not_be_asked_is_no_candidate(purse: RedisPurse, ledger: SqlLedger) -> None:
    """Under `when_spent: route` the local model is not put behind the policy's own: it would be refused, and say so."""
    tab = _tab(ledger, purse)
    assert len(paid([Priced()], tab, Priced(most=0))) == 1
    assert len(paid([Priced()], replace(tab, when_spent="local"), Priced(most=0))) == 2


def test_nothing_is_asked_when_the_budget_does_not_pay(purse: RedisPurse, ledger: SqlLedger) -> None:
    """Refused before the call: no call, no row, and the tab says that the budget is spent."""
    model, tab = Priced(), _tab(ledger, purse, limit=399)
    with pytest.raises(OverBudget, match="does not pay for openai/priced"):
        Metered(model, tab).complete(PROMPT)
    assert (model.asked, tab.spent_out, ledger.spending.on(DAY)) == (0, True, ())


def test_a_model_without_a_price_is_refused_in_a_use_case_with_a_budget(
    purse: RedisPurse, ledger: SqlLedger
) -> None:
    """What it would cost is unknown, so it is not asked; without a budget it is."""
    model = Priced(most=None)
    with pytest.raises(OverBudget, match="has no price"):
        Metered(model, _tab(ledger, purse)).complete(PROMPT)
    free = replace(_tab(ledger, None), allowance=None)
    Metered(model, free).complete(PROMPT)
    assert model.asked == 1


@pytest.mark.parametrize(
    ("fails", "cost"),
    [
        (Transient("late", where="m"), 400),
        (Transient("busy", where="m", status=503), 0),
        (Unreached("away", where="m"), 0),
    ],
)
def test_a_call_that_never_came_back_counts_at_its_bound(
    purse: RedisPurse, ledger: SqlLedger, fails: Exception, cost: int
) -> None:
    """A timeout may have been billed; a refusal, and what never arrived, was not. The case's record says the same."""
    asked = ask([Metered(Priced(fails), _tab(ledger, purse))], PROMPT, TriageAnswer)
    assert [(call.outcome, call.micro_usd) for call in asked.calls] == [("transient", cost)]
    assert ledger.spending.on(DAY)[0].micro_usd == cost
    assert purse.reserve(DAY, "next", 0, LIMIT).used == cost


def test_redis_goes_and_comes_back(ledger: SqlLedger) -> None:
    """Works, breaks, recovers: while it is away nothing is asked; back and empty, it knows what was spent."""
    server = EmbeddedRedis().start()
    purse = RedisPurse(server.url, prefix="test:", timeout_s=10)
    model = Priced()
    Metered(model, _tab(ledger, purse, "one")).complete(PROMPT)
    server.kill()
    with structlog.testing.capture_logs() as logs, pytest.raises(OverBudget):
        Metered(model, _tab(ledger, purse, "two")).complete(PROMPT)
    assert [event["event"] for event in logs] == ["budget.closed"]
    server.start()
    Metered(model, _tab(ledger, purse, "three", limit=550)).complete(PROMPT)
    with pytest.raises(OverBudget):
        Metered(model, _tab(ledger, purse, "four", limit=600)).complete(PROMPT)
    assert model.asked == 2
    purse.close()
    server.stop()


def test_counters_of_before_a_restart_are_not_believed(ledger: SqlLedger) -> None:
    """A broker that keeps snapshots comes back with old sums: what was spent since is read from the ledger."""
    server = EmbeddedRedis().start()
    purse, model = RedisPurse(server.url, prefix="test:", timeout_s=10), Priced()
    Metered(model, _tab(ledger, purse, "one")).complete(PROMPT)
    with redis.Redis.from_url(server.url) as client:
        snapshot = {key: client.dump(key) for key in client.keys("test:budget:*")}
    Metered(model, _tab(ledger, purse, "two")).complete(PROMPT)
    server.kill()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        for key, value in snapshot.items():
            client.restore(key, 0, value)
    with pytest.raises(OverBudget):
        Metered(model, _tab(ledger, purse, "three", limit=699)).complete(PROMPT)
    Metered(model, _tab(ledger, purse, "four", limit=700)).complete(PROMPT)
    assert model.asked == 3
    purse.close()
    server.stop()


def test_what_it_cost_by_day_model_and_category(ledger: SqlLedger) -> None:
    """Unsettled calls count at their bound, and are told apart."""
    ledger.spending.settle(replace(_spent("a", 400, 100), category="capacity"))
    ledger.spending.settle(replace(_spent("a", 400, 999), category="data"))
    ledger.spending.hold(_spent("b", 400))
    lines = ledger.spending.costs(since="2026-11-01")
    assert [(line.category, line.calls, line.unsettled, line.micro_usd) for line in lines] == [
        ("", 1, 1, 400),
        ("capacity", 1, 0, 100),
    ]
    assert ledger.spending.costs(since="2026-11-21") == ()


class Killed(BaseException):
    """What ends a worker in the middle of a call."""


class Deadly(Priced):
    """A model in whose call the worker dies."""

    def complete(self, prompt: Prompt) -> Completion:
        raise Killed


def test_a_worker_that_dies_in_a_call_has_spent_its_bound(
    redis_url: str, purse: RedisPurse, ledger: SqlLedger
) -> None:
    """Its hold is in the ledger before the call is made, so that it still counts once Redis has lost it."""
    with pytest.raises(Killed):
        Metered(Deadly(), _tab(ledger, purse)).complete(PROMPT)
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    assert refill(purse, ledger.spending, DAY)
    assert purse.reserve(DAY, "next", 0, LIMIT).used == 400
