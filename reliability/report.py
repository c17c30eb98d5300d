"""The kill matrix as a table, as JSON and as a page."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from reliability.matrix import Result

WIDTH = 120


def write(results: Sequence[Result], folder: Path) -> None:
    """Write `kill-matrix.json` and `kill-matrix.html`."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"totals": totals(results), "kills": [asdict(result) for result in results]}
    (folder / "kill-matrix.json").write_text(json.dumps(document, indent=1))
    page = Console(record=True, width=WIDTH, file=io.StringIO())  # a quiet one records nothing
    show(results, page)
    page.save_html(str(folder / "kill-matrix.html"))


def show(results: Sequence[Result], console: Console) -> None:
    """Print what was killed by boundary and by tap, and the totals last."""
    console.print(_table("boundary", results, lambda result: result.boundary))
    console.print(_table("tap and lane", results, lambda result: result.target))
    console.print(summary(results))


def totals(results: Sequence[Result]) -> dict[str, int]:
    """Return kills that struck, runs that ended before, and what went wrong."""
    return {
        "kills": sum(result.struck for result in results),
        "not_reached": sum(not result.struck for result in results),
        "lost": sum(result.lost for result in results),
        "doubled": sum(result.doubled for result in results),
        "half_published": sum(result.half for result in results),
        "failed_afterwards": sum(result.failure is not None for result in results),
    }


def summary(results: Sequence[Result]) -> str:
    """The totals in one line."""
    found = totals(results)
    cells = {(result.target, result.boundary) for result in results if result.struck}
    return (
        f"{found['kills']} kills, at {len(cells)} pairs of pipeline and boundary: "
        f"{found['lost']} rows lost, {found['doubled']} doubled, {found['half_published']} tables "
        f"half-published, {found['failed_afterwards']} pipelines that did not run afterwards; "
        f"{found['not_reached']} runs ended before their boundary."
    )


def _table(title: str, results: Sequence[Result], key: Callable[[Result], str]) -> Table:
    groups: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        groups[key(result)].append(result)
    table = Table(title, "kills", "not reached", "lost", "doubled", "half-published", "failed")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, group in groups.items():
        table.add_row(name, *(str(number) for number in totals(group).values()))
    return table
