"""Exporting: an evaluation on what was exported never finds its own answers, in no file."""

from __future__ import annotations

import io
import json
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars
import pytest

from countersign.feedback import files
from countersign.feedback.pool import Entry
from countersign.feedback.rows import Material
from countersign.ledger import Correction
from countersign.prompts import PromptFile
from tests.workers.house import POLICIES
from workers import exporting
from workers.commands.policy import read
from workers.exporting import Export, Exported, Format, write_export
from workers.progress import Bar

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
    export = Export.of(POLICY, lambda *, answers: cases)
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
        Export.of(POLICY, lambda *, answers: [_case(1)]),
        "preferences",
        tmp_path,
        prompt_of=lambda _: None,
        entries=(),
        unsettled=False,
    )
    assert told.left_out == {"prompt triage/v1 is no longer what it was asked with": 1}


FORMATS: tuple[Format, ...] = ("chat", "preferences", "csv", "parquet")
BIG = 20_000  # characters of a text


def _write(export: Export, kind: Format, folder: Path) -> Exported:
    return write_export(export, kind, folder, prompt_of=lambda _: PROMPT, entries=(), unsettled=False)


def _big(number: int) -> Iterator[Material]:
    """Cases made as they are asked for, each with long texts of its own."""
    for case in map(_case, range(number)):
        text = f"{case.case_id} " * (BIG // 4)
        told = tuple(replace(one, text=text) for one in case.corrections)
        yield replace(case, rendered=f"[a1] ⟦{text}⟧ (alert)", corrections=told)


@pytest.mark.parametrize("kind", FORMATS)
def test_no_more_than_a_few_cases_are_in_memory(
    kind: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of three hundred with long texts of their own; of a table that goes out in groups, one group."""
    monkeypatch.setattr(files, "GROUP", 20)
    monkeypatch.setattr(exporting, "GROUP", 20)
    _write(Export.of(POLICY, lambda *, answers: _big(3)), kind, tmp_path)  # what is loaded once
    tracemalloc.start()
    try:
        told = _write(Export.of(POLICY, lambda *, answers: _big(300)), kind, tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert sum(told.files.values()) in (300, 600)
    assert most < 4_000_000


def test_a_table_of_many_rows_has_its_rows_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order; the bytes are those of the whole table written at once in such groups."""
    cases = [_case(number) for number in range(60)]
    _write(Export.of(POLICY, lambda *, answers: cases), "parquet", tmp_path)
    whole = polars.read_parquet(tmp_path / "corrections.parquet")
    monkeypatch.setattr(files, "GROUP", 7)
    monkeypatch.setattr(exporting, "GROUP", 7)
    _write(Export.of(POLICY, lambda *, answers: cases), "parquet", tmp_path)
    at_once = io.BytesIO()
    whole.write_parquet(at_once, row_group_size=7)
    assert whole.height == 120
    assert (tmp_path / "corrections.parquet").read_bytes() == at_once.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_interrupted_export_leaves_what_was_there(kind: Format, tmp_path: Path) -> None:
    """Neither half a file under its name nor anything else; the next run writes all of it."""
    cases = [_case(number) for number in range(20)]
    _write(Export.of(POLICY, lambda *, answers: cases[:10]), kind, tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*")}
    export = Export.of(POLICY, lambda *, answers: cases)
    with pytest.raises(KeyboardInterrupt):
        _write(replace(export, cases=lambda *, answers: _interrupted(cases)), kind, tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*")} == before
    _write(export, kind, tmp_path)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*")} != before


def _interrupted(cases: Iterable[Material]) -> Iterator[Material]:
    yield from cases
    raise KeyboardInterrupt


def test_what_was_said_of_first_while_it_was_written_comes_with_the_next(tmp_path: Path) -> None:
    """A case that nobody had split is in neither part."""
    cases = [_case(number) for number in range(20)]
    export = Export.of(POLICY, lambda *, answers: cases[:10])
    told = _write(replace(export, cases=lambda *, answers: cases), "chat", tmp_path)
    assert sum(told.files.values()) == 10


def test_whoever_waits_sees_a_bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, up to the last case; elsewhere nothing is drawn."""
    drawn = []
    cases = [_case(number) for number in range(250)]
    for terminal in (True, False):
        screen = io.StringIO()
        monkeypatch.setattr(screen, "isatty", lambda terminal=terminal: terminal)
        monkeypatch.setattr(sys, "stderr", screen)
        bar = Bar()
        _write(Export.of(POLICY, lambda *, answers: cases, progress=bar.draw), "csv", tmp_path)
        bar.end()
        drawn.append([line.split(maxsplit=1)[1] for line in screen.getvalue().split("\r")[1:]])
    assert drawn == [
        [
            "0%  100 cases found", "0%  200 cases found", "40%  100 of 250 cases", "80%  200 of 250 cases",
            "100%  250 of 250 cases\n",
        ],
        [],
    ]  # fmt: skip
