"""What a user can put right, as sentences."""

from __future__ import annotations

from dataclasses import dataclass


class OrchestrateError(Exception):
    """A command cannot go on; its text says what was found and what to do."""


@dataclass(frozen=True, order=True)
class Problem:
    """One finding in one file.

    Attributes:
        path: The file, relative to the project.
        line: Its line, counted from 1; 0 where the file as a whole is meant.
        text: What is wrong and what to do, as a sentence.
    """

    path: str
    line: int
    text: str

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        return f"{place}: {self.text}"


class ProblemsError(OrchestrateError):
    """What the project says cannot be put on a cluster."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in sorted(set(problems))))
        self.problems = problems
