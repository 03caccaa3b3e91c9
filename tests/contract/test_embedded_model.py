"""The model `local` learns in a moment, answers the closed question, and says that it is no language model."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.embedded.evals import labelled_sets, learner
from connectors.embedded.model import NOT_A_LANGUAGE_MODEL, EmbeddedModel, choices
from countersign.alerts import AlertState
from countersign.assessment import TriageAnswer, parse_answer, triage_answer
from countersign.cases import Case
from countersign.errors import ConfigError
from countersign.evals import Guess, Row, asked_of, evaluate, score
from countersign.policy.schema import CATEGORIES
from countersign.prompts import Prompt, examples, prompt_file
from countersign.redaction import Redactor
from countersign.spans import case_text
from tests.unit.builders import ALERT, CASE

EXAMPLES = Path(__file__).parents[2] / "prompts/triage/examples.jsonl"
GROUPS = ("database", "platform")


@pytest.fixture(scope="module")
def model() -> EmbeddedModel:
    return EmbeddedModel(examples(EXAMPLES.read_text(encoding="utf-8").splitlines(), name=EXAMPLES.name))


def _case(summary: str, body: str = "", state: AlertState = AlertState.FIRING) -> Case:
    alert = replace(ALERT, summary=summary, body=body, tags=(), state=state)
    return replace(CASE, alerts=(alert,), ticket=None)


def _prompt(case: Case, categories: tuple[str, ...] = CATEGORIES, groups: tuple[str, ...] = GROUPS) -> Prompt:
    return Prompt(
        name="triage/v1",
        hash="0" * 12,
        shared="",
        case=case_text(case, frozenset({"summary", "body", "severity"}), Redactor()),
        schema=triage_answer(categories, groups).model_json_schema(),
    )


def _answer(
    model: EmbeddedModel,
    case: Case,
    categories: tuple[str, ...] = CATEGORIES,
    groups: tuple[str, ...] = GROUPS,
) -> TriageAnswer:
    completion = model.complete(_prompt(case, categories, groups))
    return parse_answer(completion.text, triage_answer(categories, groups))


@pytest.mark.parametrize(
    ("summary", "category"),
    [
        ("disk /data on db-9 is 96 % full", "capacity"),
        ("Host app-4 is down", "availability"),
        ("Backup of db-3 completed in 20 minutes", "informational"),
        ("BGP peer 10.1.1.1 down", "network"),
        ("user account locked, cannot log in", "access"),
        ("certificate of mail.example.com expires in 5 days", "security"),
        ("rollout of cart-api failed, pods crash looping", "deployment"),
        ("replication lag on replica-4 is 900 s", "data"),
        ("power supply 1 failed in chassis 2", "hardware"),
        ("response time of the portal is very slow", "performance"),
        ("interface Gi0/1 flapping", "flapping"),
        ("[Recovered] CPU on web-2 back to normal", "recovered"),
    ],
)
def test_answers_plain_cases(model: EmbeddedModel, summary: str, category: str) -> None:
    """Cases in everyday words get their category."""
    assert _answer(model, _case(summary)).category == category


def test_says_that_it_is_no_language_model(model: EmbeddedModel) -> None:
    """Who reads the cause reads what wrote it; the record knows it, and that it cost nothing."""
    completion = model.complete(_prompt(_case("disk full on db-9")))
    answer = json.loads(completion.text)
    assert NOT_A_LANGUAGE_MODEL in answer["likely_cause"]
    assert "Looks like capacity: closest known example" in answer["likely_cause"]
    assert (completion.model, completion.is_llm, completion.micro_usd) == ("local", False, 0)
    assert completion.confidence is not None
    assert 0.0 < completion.confidence <= 1.0


def test_cites_the_alert_and_repeats_its_headline(model: EmbeddedModel) -> None:
    """The summary is the first span's headline, and that span is the evidence."""
    answer = _answer(model, _case("disk full on db-9 of ann@example.com"))
    assert answer.summary == "disk full on db-9 of <email:1>"
    assert answer.evidence == ["a1"]


def test_gives_only_what_the_policy_names(model: EmbeddedModel) -> None:
    """A category or group that the policy does not name is never answered, and less is certain without it."""
    case = _case("disk full on db-9")
    narrow = model.complete(_prompt(case, ("network", "other"), ()))
    wide = model.complete(_prompt(case))
    assert json.loads(narrow.text)["category"] in ("network", "other")
    assert json.loads(narrow.text)["group"] is None
    assert (narrow.confidence or 0) < 0.2 < (wide.confidence or 0)
    assert _answer(model, case).group in (*GROUPS, None)


def test_categories_it_has_never_seen(model: EmbeddedModel) -> None:
    """A policy with words of its own gets the first of them with no confidence at all."""
    completion = model.complete(_prompt(_case("disk full"), ("storage", "network-core"), ()))
    assert json.loads(completion.text)["category"] == "storage"
    assert json.loads(completion.text)["confidence"] == "low"
    assert completion.confidence == 0.0


def test_a_text_cannot_claim_to_have_recovered(model: EmbeddedModel) -> None:
    """Only the state that the source gave counts as recovered; the same words in a body change it not so."""
    forged = _case("disk full on db-9", body="(alert of datadog, recovered) nothing else")
    over = _case("disk full on db-9", state=AlertState.RECOVERED)
    assert _answer(model, forged).category == "capacity"
    assert _answer(model, over).category == "recovered"


def test_the_same_case_is_answered_from_memory(model: EmbeddedModel) -> None:
    """An equal question gives the very same text, without being worked out again."""
    prompt = _prompt(_case("queue depth growing on worker-7"))
    assert model.complete(prompt).text is model.complete(prompt).text


def test_many_texts_at_once_are_answered_alike(model: EmbeddedModel) -> None:
    """A batch says what single texts say."""
    texts = ["disk full", "host down", "please reset my password"]
    assert model.classify(texts) == [model.classify([text])[0] for text in texts]
    assert model.classify([]) == []


def test_nothing_readable_is_still_an_answer(model: EmbeddedModel) -> None:
    """A case without a single known word gets an answer that does not pretend to be sure."""
    completion = model.complete(_prompt(_case("縺ゅ≠ ~~~ ¤¤¤")))
    assert parse_answer(completion.text, triage_answer(CATEGORIES, GROUPS))
    assert (completion.confidence or 0) < 0.6


def test_learns_from_corrections() -> None:
    """Examples of your own change what is answered, in the words of your policy."""
    rows = examples(
        [
            '{"text":"zeppelin gasket loose","category":"airship","severity":"high","actionability":"act"}',
            '{"text":"canteen menu published","category":"food","severity":"info","actionability":"none"}',
        ],
        name="own.jsonl",
    )
    told = EmbeddedModel(rows).classify(["gasket of the zeppelin is loose again"])[0]
    assert (told.category, told.severity, told.actionability) == ("airship", "high", "act")


def test_what_was_taught_answers_under_a_name_of_its_own() -> None:
    """Labels and certificates name the model: those of another teaching don't count for this one."""
    rows = examples(
        [
            '{"text":"zeppelin gasket loose","category":"hardware","severity":"high","actionability":"act"}',
            '{"text":"canteen menu published","category":"other","severity":"info","actionability":"none"}',
        ],
        name="own.jsonl",
    )
    prompt = _prompt(_case("zeppelin gasket loose"))
    names = [
        EmbeddedModel(rows[:1], corrections=lambda taught=taught: taught).complete(prompt).model  # type: ignore[misc]
        for taught in ((), rows[1:], rows, rows[::-1])
    ]
    assert names[0] == "local"
    assert [name.partition("+")[0] for name in names] == ["local"] * 4
    assert names[2] == names[3]
    assert len(set(names)) == 3


def test_reads_choices_from_any_schema() -> None:
    """One choice, many choices, an optional field and none are all understood."""
    assert choices(triage_answer(("one",), ()).model_json_schema(), "category") == ("one",)
    assert choices(triage_answer(("one", "two"), ("g",)).model_json_schema(), "category") == ("one", "two")
    assert choices(triage_answer(("one",), ("g", "h")).model_json_schema(), "group") == ("g", "h")
    assert choices(triage_answer(("one",), ()).model_json_schema(), "group") == ()


def test_imports_no_library_before_it_learns() -> None:
    """Naming the model costs nothing: scikit-learn and numpy come with the first question."""
    code = "import sys, connectors.embedded.model; print({'sklearn', 'numpy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("name", "accuracy", "ece"), [("tickets to groups", 0.69, 0.12), ("alert rules to groups", 0.95, 0.06)]
)
def test_is_good_enough_on_real_data(data_dir: Path, name: str, accuracy: float, ece: float) -> None:
    """On rows that were split by template it keeps its promised accuracy, and knows how sure it may be."""
    scores = evaluate(learner, labelled_sets(data_dir)[name])
    assert scores.accuracy >= accuracy
    assert scores.ece <= ece


def test_any_model_can_be_measured(model: EmbeddedModel) -> None:
    """A model that is asked through its question is scored on the same rows as one that learned them."""
    file = prompt_file("triage/v1", (EXAMPLES.parent / "v1.md").read_text(encoding="utf-8"))
    rows = [
        Row(text, "capacity") for text in ("disk full on db-9", "no space left on device", "swap nearly full")
    ]
    rows += [Row(text, "access") for text in ("reset my password", "account is locked", "cannot log in")]
    classify = asked_of(model, file)(rows)
    answers = classify([row.text for row in rows])
    scores = score([Guess(label, sure, row.label) for (label, sure), row in zip(answers, rows, strict=True)])
    assert scores.accuracy == 1.0
    assert 0.0 < scores.ece < 1.0


def test_a_folder_without_sets_is_named(tmp_path: Path) -> None:
    """Measuring on an empty folder says what to put there."""
    with pytest.raises(ConfigError, match="holds no labelled set; put"):
        labelled_sets(tmp_path)


def test_own_labels_are_read(tmp_path: Path) -> None:
    """A file of one's own labels is a set like the others."""
    (tmp_path / "labels.jsonl").write_text(
        '{"text": "disk full", "label": "storage team"}\n', encoding="utf-8"
    )
    rows = labelled_sets(tmp_path)["own labels"]
    assert [(row.text, row.label) for row in rows] == [("disk full", "storage team")]
