"""Exporting: a use case's corrections as files, for whoever tunes a model or looks at them in a table."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, Protocol

from countersign.assessment import TriageAnswer, triage_answer
from countersign.errors import ConfigError
from countersign.feedback.examples import Lesson, as_chat, as_preference, lesson
from countersign.feedback.files import GROUP, csv_lines, json_lines, parquet_groups
from countersign.feedback.pool import Chosen, Entry, apart_from
from countersign.feedback.rows import Material, Outline, Row, Split, rows_of, settled_in, splits
from countersign.policy import Policy
from countersign.prompts import PromptFile, shared_part

Format = Literal["chat", "preferences", "parquet", "csv"]
SPLITS: tuple[Split, ...] = ("train", "eval")
# Cases between two words of progress.
TOLD_AFTER = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What was written: files with their sizes in lines or rows, and why cases were left out."""

    files: dict[str, int] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


class Cases(Protocol):
    """The corrected cases, each time from the first: they are read twice, as their texts are too much to hold."""

    def __call__(self, *, answers: bool) -> Iterable[Material]:
        """Without `answers`, what the model was shown and said is left out."""
        ...


# Told how much was done, from 0 to 1, and what that was, in words.
Progress = Callable[[float, str], None]


def _untold(share: float, words: str) -> None:
    """Nobody looks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """The corrected cases of a use case, split, with what is settled of them. Of each only its outline is held."""

    policy: Policy
    cases: Cases
    outlines: Sequence[Outline]
    split: Mapping[str, Split]
    settled: Mapping[str, Chosen]
    progress: Progress = _untold

    @classmethod
    def of(cls, policy: Policy, cases: Cases, *, progress: Progress = _untold) -> Export:
        outlines: list[Outline] = []
        for case in cases(answers=False):
            outlines.append(case.outline)
            if len(outlines) % TOLD_AFTER == 0:
                progress(0.0, f"{len(outlines):,} cases found")
        return cls(
            policy=policy,
            cases=cases,
            outlines=outlines,
            split=splits(outlines),
            settled=settled_in(outlines, quorum=policy.feedback.quorum, known=policy.categories),
            progress=progress,
        )

    def rows(self) -> Iterator[Row]:
        """All corrections as rows; the split is a column."""
        return rows_of(self._read(answers=False), self.split, self.settled)

    def _read(self, *, answers: bool) -> Iterator[Material]:
        """The cases again; those of which something was said only since the first time have no split yet."""
        number = 0
        for case in self.cases(answers=answers):
            if case.case_id in self.split:
                yield case
                number += 1
                if number % TOLD_AFTER == 0 or number == len(self.split):
                    self.progress(number / len(self.split), f"{number:,} of {len(self.split):,} cases")

    def retrievable(self, entries: Sequence[Entry]) -> tuple[Entry, ...]:
        """The part of the pool that an evaluation on this split may retrieve from."""
        held = {case.cluster for case in self.outlines if self.split[case.case_id] == "eval"}
        words = {case.template for case in self.outlines if self.split[case.case_id] == "eval"}
        return tuple(one for one in apart_from(entries, held) if one.template not in words)

    def lessons(
        self, prompt_of: Callable[[str], PromptFile | None], left_out: Counter[str], *, unsettled: bool
    ) -> Iterator[tuple[Split, str, Lesson]]:
        """(split, system text, lesson) of each case that teaches something; counts why others don't."""
        shape: type[TriageAnswer] = triage_answer(self.policy.categories, self.policy.groups)
        quorum = self.policy.feedback.quorum
        for case in self._read(answers=True):
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
    """Writes the files of a format into the folder, which is made; interrupted, the folder is as it was before."""
    with _whole(folder) as drafts:
        if kind == "csv" or kind == "parquet":
            name, rows = f"corrections.{kind}", _Counted(export.rows())
            _TABLES[kind](rows, drafts / name)
            return Exported(files={name: rows.number})
        left_out: Counter[str] = Counter()
        lessons = export.lessons(prompt_of, left_out, unsettled=unsettled)
        files = _examples(lessons, kind, drafts, left_out)
        kept = export.retrievable(entries)
        _write(json_lines(_plain(one) for one in kept), drafts / "pool.jsonl")
        return Exported(files={**files, "pool.jsonl": len(kept)}, left_out=dict(sorted(left_out.items())))


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder within it to write to. What is there at the end gets its place and its name; else nothing is left."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".export-", dir=folder) as drafts:
            yield Path(drafts)
            for file in sorted(Path(drafts).iterdir()):
                file.replace(folder / file.name)
    except OSError as problem:
        raise ConfigError(
            f"{folder} can't be written ({problem.strerror}); name another folder with --out."
        ) from None


class _Counted:
    """Rows that are counted as they pass."""

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = rows
        self.number = 0

    def __iter__(self) -> Iterator[Row]:
        for row in self._rows:
            self.number += 1
            yield row


def _write(pieces: Iterable[bytes], file: Path) -> None:
    with file.open("wb") as out:
        out.writelines(pieces)


def _csv(rows: Iterable[Row], file: Path) -> None:
    _write(csv_lines(rows), file)


def _parquet(rows: Iterable[Row], file: Path) -> None:
    """One row group after the other, put together from the disk."""
    with TemporaryDirectory(dir=file.parent) as folder:
        groups: list[Path] = []
        for group in parquet_groups(rows):
            groups.append(Path(folder, f"{len(groups):06}.parquet"))
            groups[-1].write_bytes(group)
        if len(groups) == 1:
            groups[0].replace(file)
            return
        import polars  # 0.1 s and 60 MB, which other commands can do without

        polars.scan_parquet(groups).sink_parquet(file, row_group_size=GROUP)


_TABLES: Mapping[str, Callable[[Iterable[Row], Path], None]] = {"csv": _csv, "parquet": _parquet}


def _examples(
    lessons: Iterable[tuple[Split, str, Lesson]],
    kind: Literal["chat", "preferences"],
    drafts: Path,
    left_out: Counter[str],
) -> dict[str, int]:
    """Writes each lesson to the file of its split; gives how many stand in each."""
    told = {f"{kind}.{split}.jsonl": 0 for split in SPLITS}
    with ExitStack() as opened:
        files = {name: opened.enter_context((drafts / name).open("wb")) for name in told}
        for split, system, one in lessons:
            if kind == "preferences" and one.rejected is None:
                left_out["the model was right: there is nothing to prefer"] += 1
                continue
            document = as_chat(system, one) if kind == "chat" else as_preference(system, one)
            name = f"{kind}.{split}.jsonl"
            files[name].writelines(json_lines([document]))
            told[name] += 1
    return told


def _plain(one: Entry) -> dict[str, Any]:
    """An entry without the people behind it."""
    return {**asdict(one), "by": len(one.by), "at": one.at.isoformat()}


def digest(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The sha256 of each file, to say later which data a model was tuned with."""
    return {name: _sha256(folder / name) for name in names}


def _sha256(file: Path) -> str:
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()
