"""Exported feedback: splits by cluster and time, examples that hold no answer, files that are safe to open."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import timedelta

import polars
import pytest

from countersign.assessment import triage_answer
from countersign.feedback.examples import Lesson, Without, as_chat, as_preference, lesson, without_similar
from countersign.feedback.files import COLUMNS, csv_lines, json_lines, parquet_groups
from countersign.feedback.pool import Chosen
from countersign.feedback.rows import Material, Row, Split, rows_of, settled_in
from countersign.feedback.rows import splits as splits_of
from countersign.labels import Versions
from countersign.ledger import About, Correction
from tests.unit.builders import NOW

CATEGORIES = ("network", "capacity", "data")
SHAPE = triage_answer(CATEGORIES, ("tier-2",))
ANSWER = {
    "category": "capacity", "severity": "low", "actionability": "act", "group": None, "summary": "A link flaps.",
    "likely_cause": "A worn cable.", "evidence": ["a1", "s1"], "confidence": "high",
}  # fmt: skip
RENDERED = (
    "[a1] ⟦link down⟧ (alert)\n[s1] ⟦link down⟧ (earlier case INC1, network) resolution=⟦it is network⟧"
)
ABOUT = About(
    decision="c1/1", policy_version=3, policy_hash="abc", versions=Versions(policy="p", prompt="q", model="local"),
    category="capacity", confidence=0.9, risk=0.1, lane="treated", cluster="f1", seen=True,
)  # fmt: skip


def splits(cases: Sequence[Material]) -> dict[str, Split]:
    return splits_of([case.outline for case in cases])


def as_csv(rows: Iterable[Row]) -> bytes:
    return b"".join(csv_lines(rows))


def as_parquet(rows: Iterable[Row]) -> bytes:
    (one,) = parquet_groups(rows)
    return one


def _told(by: str, after: str = "network", *, field: str = "category", **more: object) -> Correction:
    told = Correction(
        case_id="c1", change_id=f"{by} {field}", verdict="wrong", by=by, at=NOW, field=field, after=after, about=ABOUT
    )  # fmt: skip
    return replace(told, **more)  # type: ignore[arg-type]


def _case(*told: Correction, number: int = 1, cluster: str = "", words: str = "", days: int = 0) -> Material:
    name = f"c{number:03}"
    said = told or (_told("ann"),)
    at = NOW + timedelta(days=days)
    return Material(
        case_id=name, cluster=cluster or f"f{number}", template=words, rendered=RENDERED, answer=json.dumps(ANSWER),
        prompt="triage/v1", prompt_hash="q", corrections=tuple(replace(one, case_id=name, at=at) for one in said),
    )  # fmt: skip


def _chosen(*by: str) -> Chosen:
    return Chosen(case_id="c001", cluster="f1", category="network", by=by, at=NOW)


def test_the_newest_clusters_are_for_evaluation_and_no_cluster_is_in_both() -> None:
    """A fifth of the cases; nothing taught is newer than what is asked; equal words are one group too."""
    cases = [
        _case(number=n, cluster=f"f{n // 3}", words=f"w{n // 6}" if n < 60 else "", days=n % 40)
        for n in range(100)
    ]
    found = splits(cases)
    sides = [{case.cluster for case in cases if found[case.case_id] == side} for side in ("train", "eval")]
    words = [
        {case.template for case in cases if found[case.case_id] == side} - {""} for side in ("train", "eval")
    ]
    newest = [
        max(case.outline.last_at for case in cases if found[case.case_id] == side)
        for side in ("train", "eval")
    ]
    assert sides[0] & sides[1] == set()
    assert words[0] & words[1] == set()
    assert newest[0] <= newest[1]
    assert 20 <= sum(side == "eval" for side in found.values()) <= 26
    assert splits(list(reversed(cases))) == found


def test_clusters_of_the_same_words_stay_together() -> None:
    """An old cluster whose words come again under a new fingerprint would tell the answer."""
    old, new = _case(number=1, words="disk full"), _case(number=9, words="disk full", days=9)
    others = [_case(number=number, days=number) for number in range(2, 8)]
    found = splits([old, *others, new])
    assert {name for name, side in found.items() if side == "eval"} == {"c001", "c009"}


def test_an_export_is_not_capped_as_the_pool_is() -> None:
    """Whatever is settled is exported: thousands of cases by two people, all of one cluster."""
    cases = [_case(_told("ann"), _told("bob"), number=number, cluster="f") for number in range(2_100)]
    assert len(settled_in([case.outline for case in cases], quorum=2, known=CATEGORIES)) == 2_100


def test_one_cluster_alone_is_taught() -> None:
    """There is nothing to ask about that would not have been told."""
    cases = [_case(number=n, cluster="f") for n in range(9)]
    assert set(splits(cases).values()) == {"train"}
    assert splits([]) == {}


def test_a_question_holds_no_similar_case() -> None:
    """What people said of its like is the answer, more often than not; and nothing cites it any more."""
    found = lesson(_case(_told("ann"), _told("bob")), SHAPE, _chosen("ann", "bob"), quorum=2)
    assert isinstance(found, Lesson)
    assert found.user == without_similar(RENDERED) == "[a1] ⟦link down⟧ (alert)"
    assert json.loads(found.chosen) == ANSWER | {"category": "network", "evidence": ["a1"]}
    assert json.loads(found.rejected or "") == ANSWER | {"evidence": ["a1"]}


def test_examples_have_the_forms_that_are_tuned_with() -> None:
    """A conversation of system, user and assistant; a pair of what was right and what the model had said."""
    found = lesson(_case(_told("ann"), _told("bob")), SHAPE, _chosen("ann", "bob"), quorum=2)
    assert isinstance(found, Lesson)
    chat, pair = as_chat("You triage.", found), as_preference("You triage.", found)
    assert [one["role"] for one in chat["messages"]] == ["system", "user", "assistant"]
    assert pair["prompt"] == chat["messages"][:2]
    assert (pair["chosen"][0]["content"], pair["rejected"][0]["content"]) == (found.chosen, found.rejected)
    assert b"".join(json_lines([chat, pair])).decode().count("\n") == 2


def test_other_fields_are_taken_from_those_who_settled_it_alone() -> None:
    """A third person's severity is not what a quorum said."""
    case = _case(
        _told("ann"),
        _told("bob"),
        _told("bob", "tier-2", field="group"),
        _told("eve", "critical", field="severity"),
    )
    found = lesson(case, SHAPE, _chosen("ann", "bob"), quorum=2)
    assert isinstance(found, Lesson)
    assert [json.loads(found.chosen)[name] for name in ("group", "severity")] == ["tier-2", "low"]


@pytest.mark.parametrize(
    ("told", "quorum", "reason"),
    [
        ([_told("ann")], 2, "people agree on nothing yet"),
        ([_told("ann", field="", verdict="good")], 2, "people agree on nothing yet"),
        ([_told("bot", source="bot")], 1, "people agree on nothing yet"),
        ([_told("ann", "made-up")], 1, "what people said is none of the policy's words"),
    ],
)
def test_what_teaches_nothing_says_why(told: list[Correction], quorum: int, reason: str) -> None:
    """One person's word, a bot's, and what is no category."""
    assert lesson(_case(*told), SHAPE, None, quorum=quorum) == Without(reason)


@pytest.mark.parametrize("answer", ["", "no JSON", json.dumps(ANSWER | {"category": "gone"})])
def test_an_answer_that_cannot_be_read_teaches_nothing(answer: str) -> None:
    """There was none, it was none, or the policy has other categories now."""
    case = replace(_case(_told("ann"), _told("bob")), answer=answer)
    assert isinstance(lesson(case, SHAPE, _chosen("ann", "bob"), quorum=2), Without)


def test_what_a_model_got_right_is_taught_and_has_no_pair() -> None:
    """A person who may approve did, or a quorum found the draft good."""
    approved = lesson(_case(_told("ann", field="", verdict="approved")), SHAPE, None, quorum=2)
    good = [_told(who, field="", verdict="good") for who in ("ann", "bob")]
    found = [approved, lesson(_case(*good), SHAPE, None, quorum=2)]
    assert [isinstance(one, Lesson) and one.rejected for one in found] == [None, None]


def test_rows_are_the_same_in_both_tables_and_name_nobody() -> None:
    """Typed columns; a text that a spreadsheet would run is disarmed in the CSV, and whole in Parquet."""
    cases = [
        _case(_told("ann@example.com", "network", text="=HYPERLINK(1)", distance=0.25), number=n)
        for n in (1, 2)
    ]
    rows = list(
        rows_of(
            cases, splits(cases), settled_in([case.outline for case in cases], quorum=1, known=CATEGORIES)
        )
    )
    read = list(csv.DictReader(io.StringIO(as_csv(rows).decode())))
    frame = polars.read_parquet(io.BytesIO(as_parquet(rows)))
    assert tuple(frame.columns) == tuple(read[0]) == COLUMNS
    assert [(one["person"], one["settled"], one["text"]) for one in read] == [
        ("person 1", "network", "'=HYPERLINK(1)")
    ] * 2
    first = frame.row(0, named=True)
    assert (first["text"], first["distance"], first["at"], first["seen"]) == (
        "=HYPERLINK(1)",
        0.25,
        NOW,
        True,
    )
    assert b"ann@example.com" not in as_csv(rows) + as_parquet(rows)
    assert (as_csv(rows), as_parquet(rows)) == (as_csv(rows), as_parquet(rows))


def test_no_rows_are_a_table_all_the_same() -> None:
    """With its columns and their kinds."""
    frame = polars.read_parquet(io.BytesIO(as_parquet([])))
    assert (tuple(frame.columns), frame.height, frame.schema["risk"]) == (COLUMNS, 0, polars.Float64)
