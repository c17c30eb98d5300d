"""Faults on demand: what tests ask the warehouse to do wrong, and when."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["cut_before", "cut_after", "fail"]


@dataclass
class Fault:
    """One fault, used up after `times` statements.

    Attributes:
        kind: `cut_before` ends the session and breaks the connection instead of running the
            statement, `cut_after` does so once it ran, `fail` answers with `errno` and `message`.
        word: Only statements whose text contains this word or words, in any case.
        times: How many statements it still strikes.
        skip: How many such statements it leaves alone before that.
        errno: Snowflake's error number, for `fail`.
        message: Its text, for `fail`.
    """

    kind: Kind
    word: str
    times: int = 1
    skip: int = 0
    errno: int = 603
    message: str = "SQL execution internal error: a fault was asked for."


class Faults:
    """The faults that wait to strike."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, request: dict[str, Any]) -> Fault:
        """Take `{"cut_before": "COPY", "times": 1}` and the like.

        Raises:
            ValueError: The request names no kind of fault, or something unknown.
        """
        options = dict(request)
        kinds: tuple[Kind, ...] = ("cut_before", "cut_after", "fail")
        for kind in kinds:
            if kind in options:
                fault = Fault(kind, str(options.pop(kind)), **options)
                self._waiting.append(fault)
                return fault
        raise ValueError(f"A fault is one of {', '.join(kinds)}; got {sorted(request)}.")

    def take(self, sql: str) -> Fault | None:
        """The first fault that this statement meets; counts it."""
        for fault in self._waiting:
            if re.search(rf"\b{re.escape(fault.word)}\b", sql, re.IGNORECASE):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self._waiting.remove(fault)
                return fault
        return None

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(fault) for fault in self._waiting]

    def clear(self) -> None:
        self._waiting.clear()
