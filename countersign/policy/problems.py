"""What is wrong with a policy file, told by file, line and one sentence."""

from __future__ import annotations

from dataclasses import dataclass

from countersign.errors import CountersignError

_SHOWN = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One mistake. `line` and `column` count from 1; `where` is the path, as rules[0].then, or empty."""

    file: str
    line: int
    column: int
    where: str
    sentence: str

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{self.file}:{self.line}: {place}{self.sentence}"


class PolicyError(CountersignError):
    """A policy that can't be used: its message holds one line for each problem, in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        lines = [str(problem) for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            lines.append(f"… and {len(problems) - _SHOWN} more; mend these first.")
        super().__init__("\n".join(lines))
        self.problems = problems
