"""What was found, for people and for programs; keys are shown, never other values."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from reconcile.compare import Difference
    from reconcile.keys import KeyColumns

KINDS = ("missing", "extra", "changed")


@dataclass
class Outcome:
    """One table's comparison.

    Attributes:
        name: The stream.
        seconds: How long it took.
        key: The columns by which its rows are told apart; None when it could not be compared.
        difference: What was found; None likewise.
        left: What still differs after a repair; None without one.
        error: Why it could not be compared or repaired.
    """

    name: str
    seconds: float = 0
    key: KeyColumns | None = None
    difference: Difference | None = None
    left: Difference | None = None
    error: str | None = None

    @property
    def exit_code(self) -> int:
        """0 when both sides are equal, at last; 1 when they differ; 2 when that is not known."""
        if self.error is not None or self.difference is None:
            return 2
        return int((self.left or self.difference).keys > 0)

    def keys(self, kind: str, most: int) -> list[list[str]]:
        """The first keys that differ in this way, as people read them."""
        if self.key is None or self.difference is None:
            return []
        return [list(self.key.shown(key)) for key in getattr(self.difference, kind)[:most]]


def table(outcomes: Iterable[Outcome]) -> Table:
    """A table with a line for each outcome."""
    grid = Table("table")
    for name in ("source", "Snowflake", "missing", "extra", "changed", "newer", "seconds"):
        grid.add_column(name, justify="right")
    grid.add_column("")
    for outcome in outcomes:
        found = outcome.difference
        if found is None:
            grid.add_row(escape(outcome.name), *[""] * 7, "not compared")
            continue
        counts = (
            found.source_rows, found.copy_rows, len(found.missing), len(found.extra),
            len(found.changed), found.newer,
        )  # fmt: skip
        numbers = [f"{count:,}" for count in counts]
        seconds = f"{outcome.seconds:.1f}"
        grid.add_row(escape(outcome.name), *numbers, seconds, _verdict(outcome))
    return grid


def key_lines(outcomes: Iterable[Outcome], shown: int) -> Iterator[str]:
    """A line for each of the first keys that differ."""
    for outcome in outcomes:
        for kind in KINDS:
            for key in outcome.keys(kind, shown):
                yield f"{outcome.name}, {kind}: {', '.join(key)}"


def as_json(outcomes: Iterable[Outcome], shown: int) -> str:
    """The same as JSON: a list with an object for each table."""
    return json.dumps([_object(outcome, shown) for outcome in outcomes], indent=2)


def _object(outcome: Outcome, shown: int) -> dict[str, Any]:
    result: dict[str, Any] = {"table": outcome.name, "seconds": round(outcome.seconds, 3)}
    if found := outcome.difference:
        result |= {
            "source_rows": found.source_rows,
            "snowflake_rows": found.copy_rows,
            **{kind: len(getattr(found, kind)) for kind in KINDS},
            "newer": found.newer,
            "all_ranges": found.is_whole,
            "keys": {kind: outcome.keys(kind, shown) for kind in KINDS},
        }
    if outcome.left is not None:
        result["left_after_repair"] = outcome.left.keys
    if outcome.error is not None:
        result["error"] = outcome.error
    return result


def _verdict(outcome: Outcome) -> str:
    found = outcome.difference
    if found is None or not found.keys:
        return "equal"
    at_least = "" if found.is_whole else "at least "
    text = f"{at_least}{found.keys:,} differ"
    if outcome.left is not None:
        text += f", {outcome.left.keys:,} after the repair"
    return text
