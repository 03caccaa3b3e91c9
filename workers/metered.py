"""Metered models: every call is reserved before it is made and settled after it, or not made at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Literal

import structlog

from countersign.budget import Account, Allowance, Grant, Purse, SpendingBook, Spent
from countersign.errors import OutsideError, OverBudget, TooLong, Transient, Unreached
from countersign.ports import Answers, Completion, Model
from countersign.prompts import Prompt
from workers.remembered import Remembered

_log = structlog.get_logger()
_TRIES = 3


@dataclass(kw_only=True, slots=True)
class Tab:
    """What one question may cost and has cost. `allowance` is None in a use case without a budget.

    `one_call` is held while a call is under way, and not while it is paid for. `spent_out` turns True when a call was
    refused: then what is free answers (`local`), or nothing does (`route`).
    """

    account: Account
    case_id: str
    name: str
    book: SpendingBook
    purse: Purse | None
    allowance: Allowance | None
    categories: Sequence[str]
    when_spent: Literal["route", "local"] = "route"
    one_call: AbstractContextManager[object] = field(default_factory=nullcontext)
    spent_out: bool = False
    calls: int = 0

    def next_call(self, model: str, most: int) -> Spent:
        self.calls += 1
        call_id = f"{self.name}.{self.calls}"
        return Spent(call_id=call_id, account=self.account, case_id=self.case_id, model=model, held=most)


class Metered:
    """A model whose calls are paid from a tab. Raises OverBudget instead of asking when nothing is left."""

    def __init__(self, model: Model, tab: Tab, *, only_when_spent: bool = False) -> None:
        self.name = model.name
        self._model = model
        self._tab = tab
        self._only_when_spent = only_when_spent

    def most(self, prompt: Prompt) -> int | None:
        return self._model.most(prompt)

    def complete(self, prompt: Prompt) -> Completion:
        most = self._model.most(prompt)
        if most == 0:
            return self._free(prompt)
        call = self._tab.next_call(self.name, most or 0)
        if self._tab.allowance is not None:
            self._reserve(call, most, self._tab.allowance)
        try:
            with self._tab.one_call:
                completion = self._model.complete(prompt)
        except OutsideError as problem:
            # Providers charge nothing for a refusal; of a call that never came back nobody knows.
            lost = isinstance(problem, Transient) and problem.status is None
            unknown = isinstance(problem, TooLong) or (lost and not isinstance(problem, Unreached))
            problem.micro_usd = call.held if unknown else 0
            self._settle(replace(call, micro_usd=problem.micro_usd))
            raise
        self._settle(
            replace(
                call,
                micro_usd=completion.micro_usd,
                category=_category(completion.text, self._tab.categories),
                tokens_in=completion.tokens_in,
                tokens_out=completion.tokens_out,
            )
        )
        return completion

    def _free(self, prompt: Prompt) -> Completion:
        wanted = self._tab.when_spent == "local" if self._tab.spent_out else not self._only_when_spent
        if not wanted:
            raise OverBudget(f"The policy does not ask {self.name} here.", where=self.name)
        with self._tab.one_call:
            return self._model.complete(prompt)

    def _reserve(self, call: Spent, most: int | None, allowance: Allowance) -> None:
        if most is None:
            raise OverBudget(
                f"{self.name} has no price in prices.json; a use case with a budget does not ask it.",
                where=self.name,
            )
        grant = self._granted(call, allowance)
        if grant is None:
            self._tab.spent_out = True
            raise OverBudget(
                f"The budget of {call.account.use_case} for {call.account.day} does not pay for {self.name}.",
                where=self.name,
            )
        if grant.warned:
            _log.warning(
                "budget.warned", use_case=call.account.use_case, day=call.account.day, used=grant.used,
                limit=allowance.limit,
            )  # fmt: skip

    def _granted(self, call: Spent, allowance: Allowance) -> Grant | None:
        """The grant, once the ledger has it too; None if there is none.

        Counters that were lost between the grant and its row are filled without it, so it is asked for again.
        """
        purse, book, on_record = self._tab.purse, self._tab.book, False
        for _ in range(_TRIES if purse is not None else 0):
            grant = reserve(purse, book, call, allowance)  # type: ignore[arg-type]  # not None here
            if grant.answer != "granted":
                break
            book.hold(call)
            on_record = True
            if purse.epoch(call.account) == grant.epoch:  # type: ignore[union-attr]
                return grant
        if on_record:
            book.settle(replace(call, micro_usd=0))
        return None

    def _settle(self, call: Spent) -> None:
        self._tab.book.settle(call)
        if self._tab.allowance is None or self._tab.purse is None:
            return
        try:
            self._tab.purse.settle(call.account, call.call_id, call.micro_usd or 0, category=call.category)
        except Transient as problem:
            # The hold stands until the counters are filled from the ledger: too little is spent, never too much.
            _log.warning("budget.unsettled", call=call.call_id, problem=str(problem))


def reserve(purse: Purse, book: SpendingBook, call: Spent, allowance: Allowance) -> Grant:
    """A purse's word on a call; a closed account is filled from the ledger first. Closed where Redis is away."""
    try:
        grant = purse.reserve(call.account, call.call_id, call.held, allowance)
        if grant.answer == "closed" and refill(purse, book, call.account):
            grant = purse.reserve(call.account, call.call_id, call.held, allowance)
    except Transient as problem:
        _log.warning("budget.closed", account=call.account.key, problem=str(problem))
        return Grant(answer="closed")
    return grant


def refill(purse: Purse, book: SpendingBook, account: Account) -> bool:
    """Fills a closed account from the ledger; True if it is open now, whoever did it."""
    token = purse.begin(account)
    if token and purse.fill(account, token, book.on(account)):
        _log.info("budget.filled", account=account.key)
    return bool(purse.epoch(account))


def _category(text: str, categories: Sequence[str]) -> str:
    """What an answer is about, for the bill alone; "" where it does not say."""
    try:
        found = json.loads(text)
    except ValueError:
        return ""
    said = found.get("category") if isinstance(found, dict) else None
    return said if isinstance(said, str) and said in categories else ""


def paid(
    models: Sequence[Model], tab: Tab, local: Model | None, answers: Answers | None = None
) -> tuple[Model, ...]:
    """The candidates on a tab, and the embedded model for when it is spent, where the policy says so."""
    metered = (Metered(model, tab) for model in models)
    candidates: tuple[Model, ...] = tuple(
        one if answers is None else Remembered(one, answers) for one in metered
    )
    if tab.when_spent == "route" or local is None or local in models:
        return candidates
    return (*candidates, Metered(local, tab, only_when_spent=True))
