"""Faults on demand that any vendor can have: statuses, slowness, cut connections, other bodies."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Fault:
    """One fault, used up after `times` requests.

    Attributes:
        path: Only requests whose path (with its query) contains this text.
        times: How many requests it still strikes.
        skip: How many matching requests pass unharmed before.
        status: Answer with this status instead of asking the vendor.
        headers: Headers of that answer.
        body: Text of that answer.
        cut_after: Let the vendor answer, but break the connection after so many bytes of its body.
        delay_seconds: Wait so long before anything else.
    """

    path: str = ""
    times: int = 1
    skip: int = 0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    cut_after: int | None = None
    delay_seconds: float = 0.0


class Faults:
    """The faults of one vendor that wait to strike."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, **request: Any) -> Fault:  # noqa: ANN401 - the fields of Fault
        """Let a fault strike, first in the order they were added.

        Raises:
            TypeError: no such field.
        """
        fault = Fault(**request)
        self._waiting.append(fault)
        return fault

    def take(self, path: str) -> Fault | None:
        """The fault that this request meets; counts it."""
        for fault in self._waiting:
            if fault.path not in path:
                continue
            if fault.skip > 0:
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
