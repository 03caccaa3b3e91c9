"""Exporting: an evaluation on what was exported never finds its own answers, in no file."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from countersign.feedback.pool import Entry
from countersign.feedback.rows import Material
from countersign.ledger import Correction
from countersign.prompts import PromptFile
from tests.workers.house import POLICIES
from workers.commands.policy import read
from workers.exporting import Export, write_export

NOW = datetime(2026, 11, 20, tzinfo=UTC)
POLICY = read(Path(POLICIES[0]))
PROMPT = PromptFile("triage/v1", "Choose one of {categories}; groups: {groups}.")
ANSWER = {
    "category": "capacity", "severity": "low", "actionability": "act", "group": None, "summary": "s",
    "likely_cause": "c", "evidence": [], "confidence": "high",
}  # fmt: skip


def _case(number: int) -> Material:
    """Case n of cluster n // 2, whose text is its cluster's and names an earlier case of it, with its answer."""
    cluster, name = f"cluster{number // 2:02}", f"c{number:02}"
    told = [
        Correction(
            case_id=name, change_id=who, verdict="wrong", by=who, at=NOW + timedelta(days=number),
            field="category", after="hardware",
        )
        for who in ("ann", "bob")
    ]  # fmt: skip
    return Material(
        case_id=name, cluster=cluster, template=f"words of {cluster}",
        rendered=f"[a1] ⟦{cluster}⟧ (alert)\n[s1] ⟦{cluster}⟧ (earlier case X, hardware) resolution=⟦2 people said⟧",
        answer=json.dumps(ANSWER), prompt=PROMPT.name, prompt_hash=PROMPT.hash, corrections=tuple(told),
    )  # fmt: skip


def _entry(case: Material) -> Entry:
    return Entry(
        id=f"e{case.case_id}", case_id=case.case_id, cluster=case.cluster, template=case.template, title="t",
        text=case.rendered, category="hardware", severity="low", by=("ann", "bob"), at=NOW,
    )  # fmt: skip


def test_what_is_asked_is_neither_taught_nor_retrieved(tmp_path: Path) -> None:
    """The clusters of the evaluation stand in no line that is taught, and in no entry of the pool beside it."""
    cases = [_case(number) for number in range(20)]
    export = Export.of(POLICY, cases)
    told = write_export(
        export,
        "chat",
        tmp_path,
        prompt_of=lambda _: PROMPT,
        entries=[_entry(case) for case in cases],
        unsettled=False,
    )
    taught, asked, pool = (
        (tmp_path / name).read_text(encoding="utf-8")
        for name in ("chat.train.jsonl", "chat.eval.jsonl", "pool.jsonl")
    )
    held = {case.cluster for case in cases if export.split[case.case_id] == "eval"}
    assert held == {"cluster08", "cluster09"}
    assert not any(cluster in text for cluster in held for text in (taught, pool))
    assert all(cluster in asked for cluster in held)
    assert told.files == {"chat.train.jsonl": 16, "chat.eval.jsonl": 4, "pool.jsonl": 16}
    questions = [json.loads(line)["messages"][1]["content"] for line in asked.splitlines()]
    assert not any("hardware" in question or "people said" in question for question in questions)


def test_a_case_of_another_prompt_is_left_out_and_counted(tmp_path: Path) -> None:
    """The words that it was asked with are not there any more: another question would have another answer."""
    told = write_export(
        Export.of(POLICY, [_case(1)]),
        "preferences",
        tmp_path,
        prompt_of=lambda _: None,
        entries=(),
        unsettled=False,
    )
    assert told.left_out == {"prompt triage/v1 is no longer what it was asked with": 1}
