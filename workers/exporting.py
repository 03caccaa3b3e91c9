"""Exporting: a use case's corrections as files, for whoever tunes a model or looks at them in a table."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from countersign.assessment import TriageAnswer, triage_answer
from countersign.feedback.examples import Lesson, as_chat, as_preference, lesson
from countersign.feedback.files import as_csv, as_lines, as_parquet
from countersign.feedback.pool import Chosen, Entry, apart_from
from countersign.feedback.rows import Material, Split, rows_of, settled_in, splits
from countersign.policy import Policy
from countersign.prompts import PromptFile, shared_part

Format = Literal["chat", "preferences", "parquet", "csv"]
SPLITS: tuple[Split, ...] = ("train", "eval")


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written: files with their sizes in lines or rows, and why cases were left out."""

    files: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """The corrected cases of a use case, split, with what is settled of them."""

    policy: Policy
    cases: Sequence[Material]
    split: Mapping[str, Split]
    settled: Mapping[str, Chosen]

    @classmethod
    def of(cls, policy: Policy, cases: Sequence[Material]) -> Export:
        quorum = policy.feedback.quorum
        return cls(
            policy=policy,
            cases=cases,
            split=splits(cases),
            settled=settled_in(cases, quorum=quorum, known=policy.categories),
        )

    def table(self, kind: Literal["parquet", "csv"]) -> bytes:
        """All corrections as rows; the split is a column."""
        return {"csv": as_csv, "parquet": as_parquet}[kind](rows_of(self.cases, self.split, self.settled))

    def retrievable(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """The part of the pool that an evaluation on this split may retrieve from."""
        held = {case.cluster for case in self.cases if self.split[case.case_id] == "eval"}
        words = {case.template for case in self.cases if self.split[case.case_id] == "eval"}
        return tuple(one for one in apart_from(entries, held) if one.template not in words)

    def lessons(
        self, prompt_of: Callable[[str], PromptFile | None], left_out: Counter[str], *, unsettled: bool
    ) -> Iterator[tuple[Split, str, Lesson]]:
        """(split, system text, lesson) of each case that teaches something; counts why others don't."""
        shape: type[TriageAnswer] = triage_answer(self.policy.categories, self.policy.groups)
        quorum = self.policy.feedback.quorum
        for case in self.cases:
            found = lesson(case, shape, self.settled.get(case.case_id), quorum=quorum, unsettled=unsettled)
            if not isinstance(found, Lesson):
                left_out[found.reason] += 1
                continue
            file = prompt_of(case.prompt)
            if file is None or file.hash != case.prompt_hash:
                left_out[f"prompt {case.prompt} is no longer what it was asked with"] += 1
                continue
            system = shared_part(file, categories=self.policy.categories, groups=self.policy.groups)
            yield self.split[case.case_id], system, found


def write_export(
    export: Export,
    kind: Format,
    folder: Path,
    *,
    prompt_of: Callable[[str], PromptFile | None],
    entries: Sequence[Entry],
    unsettled: bool,
) -> Exported:
    """Writes the files of a format into the folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    told = Exported()
    if kind == "csv" or kind == "parquet":
        name = f"corrections.{kind}"
        (folder / name).write_bytes(export.table(kind))
        told.files[name] = sum(len(case.corrections) for case in export.cases)
        return told
    left_out: Counter[str] = Counter()
    lines: dict[Split, list[dict[str, Any]]] = {split: [] for split in SPLITS}
    for split, system, one in export.lessons(prompt_of, left_out, unsettled=unsettled):
        if kind == "chat":
            lines[split].append(as_chat(system, one))
        elif one.rejected is None:
            left_out["the model was right: there is nothing to prefer"] += 1
        else:
            lines[split].append(as_preference(system, one))
    for split, documents in lines.items():
        (folder / f"{kind}.{split}.jsonl").write_bytes(as_lines(documents))
        told.files[f"{kind}.{split}.jsonl"] = len(documents)
    kept = export.retrievable(entries)
    (folder / "pool.jsonl").write_bytes(as_lines(_plain(one) for one in kept))
    told.files["pool.jsonl"] = len(kept)
    told.left_out.update(sorted(left_out.items()))
    return told


def _plain(one: Entry) -> dict[str, Any]:
    """An entry without the people behind it."""
    return {**asdict(one), "by": len(one.by), "at": one.at.isoformat()}


def digest(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The sha256 of each file, to say later which data a model was tuned with."""
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
