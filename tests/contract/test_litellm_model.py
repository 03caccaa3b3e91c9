"""litellm over HTTP against the sandbox's endpoint: what a model does, and what becomes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.litellm.client import new_client
from connectors.litellm.model import LiteLLMModel, _litellm
from connectors.litellm.prices import Price, priced, prices
from countersign.asking import Asked, ask
from countersign.assessment import ANSWER_CHARACTERS, triage_answer
from countersign.errors import Denied, OutsideError, Permanent, Transient, Unreached
from countersign.policy.schema import CATEGORIES
from countersign.prompts import Prompt, prompt_file, shared_part
from countersign.redaction import Redacted, Redactor
from countersign.spans import CASE_TOKENS, SHARED_TOKENS, case_text
from sandbox.model import FLOOD, TOKEN
from sandbox.server import Sandbox
from tests.unit.builders import ALERT, CASE, TICKET

SHAPE = triage_answer(CATEGORIES, ("database", "platform"))
PROMPT = Prompt(
    name="triage/v1",
    hash="abc",
    shared=f"Choose one of {', '.join(CATEGORIES)}; group: database, platform.",
    case=Redacted("[a1] ⟦disk usage of db-3 is 91 %⟧ (alert of datadog, firing)"),
    schema=SHAPE.model_json_schema(),
)
NAME = "openai/sandbox-small"
TRIAGE = prompt_file("triage/v1", (Path(__file__).parents[2] / "prompts/triage/v1.md").read_text("utf-8"))
ALL_VISIBLE = frozenset({"summary", "body", "severity", "tags", "service", "ci"})
PRICE = Price(read=0.1, written=0.4)
Make = Callable[..., LiteLLMModel]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=3) as box:
        yield box


@pytest.fixture
def make(sandbox: Sandbox) -> Iterator[Make]:
    """Makes models of the sandbox's endpoint that share one client, as those of a worker do."""
    address = f"{sandbox.urls['model']}/v1"
    with new_client() as client:

        def make_model(
            key: str = TOKEN, timeout_s: float = 10.0, price: Price | None = PRICE
        ) -> LiteLLMModel:
            return LiteLLMModel(
                NAME, timeout_s=timeout_s, client=client, api_base=address, api_key=key, price=price
            )

        yield make_model


@pytest.fixture
def set_mode(sandbox: Sandbox) -> Iterator[Callable[[str], None]]:
    def to(mode: str) -> None:
        sandbox.run(lambda: setattr(sandbox.model, "mode", mode))

    yield to
    to("good")


def test_an_answer_with_its_bill(make: Make) -> None:
    """A good answer comes with its tokens and its price in whole micro-dollars, rounded up."""
    completion = make().complete(PROMPT)
    assert SHAPE.model_validate_json(completion.text).category == "capacity"
    assert (completion.model, completion.is_llm, completion.confidence) == (NAME, True, None)
    assert completion.tokens_in > 0
    assert completion.tokens_out > 0
    expected = completion.tokens_in * 0.1 + completion.tokens_out * 0.4
    assert expected <= completion.micro_usd < expected + 1


@pytest.fixture
def set_usage(sandbox: Sandbox) -> Iterator[Callable[[dict[str, Any] | None], None]]:
    def to(usage: dict[str, Any] | None) -> None:
        sandbox.run(lambda: setattr(sandbox.model, "usage", usage))

    yield to
    to({})


@pytest.mark.parametrize(
    "usage",
    [None, {"prompt_tokens": 0}, {"prompt_tokens": -1_000_000}, {"completion_tokens": -5}, {"prompt_tokens": 10**30}],
)  # fmt: skip
def test_an_answer_without_a_bill_costs_what_it_may_have(
    make: Make, set_usage: Callable[[dict[str, Any] | None], None], usage: dict[str, Any] | None
) -> None:
    """Tokens that nobody counted, or nobody can have read, are not free and give no money back."""
    set_usage(usage)
    model = make()
    completion = model.complete(PROMPT)
    assert (completion.tokens_in, completion.tokens_out) == (0, 0)
    assert completion.micro_usd == model.most(PROMPT)
    assert make(price=None).complete(PROMPT).micro_usd == 0


def test_an_answer_that_is_none_may_have_been_billed(make: Make, set_mode: Callable[[str], None]) -> None:
    """The provider took the call: what litellm can't read is no refusal, whatever status litellm gives it."""
    set_mode("no_choice")
    with pytest.raises(Transient, match="no chat completion") as caught:
        make().complete(PROMPT)
    assert caught.value.status is None


def test_no_answer_goes_to_a_log_of_litellms(make: Make) -> None:
    """It would hand each to a thread of its own, which costs a tenth of a case's time on all cores."""
    make().complete(PROMPT)
    assert "litellm-logging" not in {thread.name.rpartition("_")[0] for thread in threading.enumerate()}


def test_what_is_sent(sandbox: Sandbox, make: Make) -> None:
    """The shared part goes first, the case after it, with a bound on the answer and no chance in it."""
    told = make().complete(PROMPT).parameters
    sent = sandbox.run(lambda: sandbox.model.asked[-1])
    assert [(m["role"], m["content"]) for m in sent["messages"]] == [
        ("system", PROMPT.shared),
        ("user", PROMPT.case.text),
    ]
    assert sent["max_tokens"] == 1000
    assert sent["temperature"] == 0
    assert told == {"timeout": 10.0, "max_tokens": 1000, "temperature": 0}
    told = make().complete(replace(PROMPT, sample=2)).parameters
    sent = sandbox.run(lambda: sandbox.model.asked[-1])
    assert {name: sent[name] for name in ("max_tokens", "temperature", "seed")} == {
        name: told[name] for name in ("max_tokens", "temperature", "seed")
    }
    assert (told["seed"], told["temperature"] > 0) == (2, True)
    assert sent["response_format"]["type"] in ("json_schema", "json_object")


@pytest.mark.parametrize(
    ("mode", "detail"),
    [
        ("prose", "not one JSON object"),
        ("nothing", "is empty"),
        ("huge", f"longer than {ANSWER_CHARACTERS} characters"),
        ("wrong_schema", "category: Input should be"),
        ("unknown_word", "category: Input should be"),
        ("translated", "category: Field required"),
        ("chinese", "not one JSON object"),
    ],
)
def test_one_repair_for_an_unreadable_answer(
    sandbox: Sandbox, make: Make, set_mode: Callable[[str], None], mode: str, detail: str
) -> None:
    """Prose in any language, nothing, two megabytes, another schema, and a word that it was not given cost two calls
    each, kept with their price and reason."""
    set_mode(mode)
    asked: Asked = ask([make()], PROMPT, SHAPE)
    assert asked.answer is None
    assert [(call.outcome, call.repair) for call in asked.calls] == [
        ("unreadable", False),
        ("unreadable", True),
    ]
    assert all(detail in call.detail for call in asked.calls)
    assert all(call.micro_usd > 0 for call in asked.calls)
    assert all(len(call.answer) <= ANSWER_CHARACTERS + 1 for call in asked.calls)
    repaired = sandbox.run(lambda: sandbox.model.asked[-1])["messages"]
    assert detail in repaired[-1]["content"]


@pytest.mark.parametrize(
    ("mode", "kind", "status"),
    [
        ("status_500", Transient, 500),
        ("status_503", Transient, 503),
        ("status_429", Transient, 429),
        ("status_408", Transient, None),
        ("status_400", Permanent, 400),
        ("status_404", Permanent, 404),
        ("status_422", Permanent, 422),
        ("status_401", Denied, 401),
        ("status_403", Denied, 403),
    ],
)
def test_a_status_is_one_of_our_errors(
    sandbox: Sandbox,
    make: Make,
    set_mode: Callable[[str], None],
    mode: str,
    kind: type[OutsideError],
    status: int | None,
) -> None:
    """Every status becomes the error that says how it is handled, after a single call."""
    set_mode(mode)
    before = sandbox.model.calls
    with pytest.raises(kind) as caught:
        make().complete(PROMPT)
    assert caught.value.status == status
    assert caught.value.where == NAME
    assert caught.value.parameters == {"timeout": 10.0, "max_tokens": 1000, "temperature": 0}
    assert sandbox.model.calls == before + 1


def test_a_pause_is_kept_then_it_works_again(
    sandbox: Sandbox, make: Make, set_mode: Callable[[str], None]
) -> None:
    """After a 429 the model is left alone for the time it named, without a call, and asked again after it."""
    model = make()
    assert model.complete(PROMPT).text
    set_mode("status_429")
    with pytest.raises(Transient) as first:
        model.complete(PROMPT)
    assert first.value.retry_after == timedelta(seconds=1)
    set_mode("good")
    before = sandbox.model.calls
    with pytest.raises(Transient, match="asked for a pause") as second:
        model.complete(PROMPT)
    assert sandbox.model.calls == before
    assert second.value.retry_after is not None
    assert second.value.parameters == {}  # nothing was sent
    model._not_before -= second.value.retry_after.total_seconds()
    assert model.complete(PROMPT).text


@pytest.mark.parametrize(
    ("says", "pause"),
    [
        ("30", timedelta(seconds=30)),
        ("Wed, 21 Oct 2099 07:28:00 GMT", timedelta(hours=1)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", timedelta(0)),
        ("nan", None),
        ("soon", None),
    ],
)
def test_a_pause_is_read_as_seconds_or_a_date(
    sandbox: Sandbox, make: Make, set_mode: Callable[[str], None], says: str, pause: timedelta | None
) -> None:
    """Both ways of saying when to come back are understood, an hour at most; what is neither is no pause."""
    set_mode("status_429")
    sandbox.run(lambda: setattr(sandbox.model, "retry_after", says))
    with pytest.raises(Transient) as caught:
        make().complete(PROMPT)
    sandbox.run(lambda: setattr(sandbox.model, "retry_after", "1"))
    assert caught.value.retry_after == pause


@pytest.mark.parametrize("mode", ["hang", "drip"])
def test_a_model_that_never_answers(make: Make, set_mode: Callable[[str], None], mode: str) -> None:
    """A call that hangs, or always sends one more byte, ends at the time limit, and the next candidate answers."""
    set_mode(mode)
    model = make(timeout_s=0.5)
    with pytest.raises(Transient, match=r"did not answer within 0\.5 s"):
        model.complete(PROMPT)


def test_a_model_that_is_not_there() -> None:
    """An address where nothing listens is an outage, not a refusal, and nothing can have been billed."""
    model = LiteLLMModel(NAME, timeout_s=2, api_base="http://127.0.0.1:9/v1", api_key="k")
    with pytest.raises(Unreached, match="could not be reached") as caught:
        model.complete(PROMPT)
    assert caught.value.status is None


def test_no_key_shows_anywhere(
    make: Make, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A refused key is in no error, no cause of it, no log and no output."""
    key = "sk-" + "canary9" * 4
    with pytest.raises(Denied) as caught:
        make(key=key).complete(PROMPT)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "canary" not in str(caught.value) + caplog.text + "".join(capfd.readouterr())


def test_without_a_key(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing key is said as such, with what to do."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(Denied, match="has no key; set the key of its provider"):
        make(key="").complete(PROMPT)


def test_a_name_that_nobody_knows() -> None:
    """A model that no provider has is a mistake in the policy, not an outage."""
    with pytest.raises(Permanent, match="check its name"):
        LiteLLMModel("nobody/knows", timeout_s=2).complete(PROMPT)


def test_threads_share_connections(make: Make) -> None:
    """Many calls at once through one client all come back."""
    model = make()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: model.complete(PROMPT).text, range(64)))
    assert len(set(answers)) == 1


def test_prices_are_pinned() -> None:
    """Every pinned price is a price, and a model without one says so and costs nothing in the record."""
    assert all(0 < price.read <= price.written for price in prices().values())
    assert priced("openai/gpt-4.1-mini")
    assert not priced(NAME)
    assert not LiteLLMModel(NAME, timeout_s=1).priced
    assert LiteLLMModel("openai/gpt-4.1-mini", timeout_s=1).priced
    assert Price(read=0.1, written=0.4).micro_usd(tokens_in=1, tokens_out=0) == 1


def test_an_unpriced_answer_is_marked(make: Make) -> None:
    """Without a price the answer is still given, and its cost is not made up."""
    model = make(price=None)
    assert model.complete(PROMPT).micro_usd == 0
    assert not model.priced


def test_imports_and_connects_only_when_asked() -> None:
    """Naming a model imports no litellm; importing litellm then opens no connection."""
    code = (
        "import socket, sys\n"
        "def refuse(*a, **k): raise SystemExit('a connection was opened')\n"
        "from connectors.litellm.model import LiteLLMModel, warm\n"
        "LiteLLMModel('openai/gpt-4.1-mini', timeout_s=1)\n"
        "assert 'litellm' not in sys.modules\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "warm()\n"
        "assert 'litellm' in sys.modules\n"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LITELLM")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=clean,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_outage_cools_down_and_the_next_candidate_answers(
    sandbox: Sandbox, make: Make, set_mode: Callable[[str], None]
) -> None:
    """Works, breaks twice, is left alone, recovers: no call goes out while the provider is taken to be down."""
    model = make()
    assert ask([model], PROMPT, SHAPE).calls[-1].outcome == "answered"
    set_mode("status_503")
    assert [ask([model], PROMPT, SHAPE).calls[-1].outcome for _ in range(2)] == ["transient"] * 2
    before = sandbox.run(lambda: sandbox.model.calls)
    set_mode("good")
    asked = ask([model, make()], PROMPT, SHAPE)
    assert [call.outcome for call in asked.calls] == ["transient", "answered"]
    assert "was down 2 times in a row" in asked.calls[0].detail
    assert sandbox.run(lambda: sandbox.model.calls) == before + 1
    model._not_before -= 15  # the first pause
    assert ask([model], PROMPT, SHAPE).calls[-1].outcome == "answered"


def test_an_answer_that_does_not_end_is_cut_off(
    sandbox: Sandbox, make: Make, set_mode: Callable[[str], None]
) -> None:
    """Of 64 MB a few are read and none kept; one repair, then the next candidate is asked."""
    set_mode("flood")
    sandbox.run(lambda: setattr(sandbox.model, "poured", 0))
    asked = ask([make(), make()], PROMPT, SHAPE)
    assert asked.answer is None
    assert [(call.outcome, call.repair) for call in asked.calls] == [
        ("unreadable", False),
        ("unreadable", True),
    ] * 2
    assert all("goes on for megabytes" in call.detail and not call.answer for call in asked.calls)
    assert sandbox.run(lambda: sandbox.model.poured) < FLOOD  # of four times as much


def test_prose_of_another_language_is_said_and_the_closed_words_decide(
    make: Make, set_mode: Callable[[str], None]
) -> None:
    """A summary in Italian is as good as one in English: nothing is decided by it."""
    set_mode("good")
    plain = ask([make()], PROMPT, SHAPE).answer
    set_mode("italian")
    asked = ask([make()], PROMPT, SHAPE)
    assert [call.outcome for call in asked.calls] == ["answered"]
    assert asked.answer is not None
    assert plain is not None
    assert asked.answer.summary.startswith("Il disco è quasi pieno")
    prose = {"summary", "likely_cause"}
    assert asked.answer.model_dump(exclude=prose) == plain.model_dump(exclude=prose)


WRITTEN = (
    "Filesystem /data/pg on db-3.prod.example.com is 91 % full (412.7 GiB of 450 GiB), inode usage 34 %. ",
    "2026-11-20T03:12:44.713Z ERROR [worker-7] c.e.cart.Checkout - PSP timeout after 30000 ms trace=9f3ab2c14d77 ",
    "Il filesystem /var è quasi pieno: i log archiviati non vengono più rimossi dal 12/11. ",
    "数据库磁盘空间不足，请检查日志文件并清理旧的备份。",
    "Диск переполнен, удалите старые журналы. ",
    "🔥🚨 P1 🔥🚨 ",
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9x9Qz",
)


@pytest.mark.parametrize("written", WRITTEN)
def test_a_case_takes_at_most_800_tokens_and_the_question_1200(written: str) -> None:
    """By a tokenizer of the provider's, whatever is written and however long it is."""
    litellm, _ = _litellm()
    alert = replace(ALERT, summary=written * 9, body=written * 400)
    ticket = replace(TICKET, title=written * 3, description=f"- {written}" * 400)
    text = case_text(replace(CASE, alerts=(alert,), ticket=ticket), ALL_VISIBLE, Redactor()).text
    shared = shared_part(
        TRIAGE, categories=CATEGORIES, groups=tuple(f"operations-group-{n}" for n in range(20))
    )
    assert 100 < litellm.token_counter(model="gpt-4", text=text) <= CASE_TOKENS
    assert litellm.token_counter(model="gpt-4", text=shared) <= SHARED_TOKENS
