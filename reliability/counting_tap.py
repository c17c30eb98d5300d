"""A small tap with rows that can be counted, for every load method and both lanes.

It goes on where its state says, exactly, and starts in a fraction of a second. Run as
`python counting_tap.py --config <file> [--state <file>]`; the configuration is `Plan`.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import struct
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAM = "rows"
TWIN = "twins"
ROWS = 600
ROWS_A_STATE = 60
ROWS_A_SLICE = 200
VANISHED_EVERY = 10
POLL_SECONDS = 0.0005


@dataclass(frozen=True)
class Plan:
    """What to send.

    Attributes:
        method: One of the loader's load methods.
        has_key: Whether the stream has a key.
        batches: A folder for Parquet files, for BATCH messages; none for RECORD messages.
        has_twin: Whether a second stream comes between the rows of the first: half of its rows
            before a state that says nothing new of it.
        text: What each row says, with its number.
        has_version: Whether rows that are no snapshot's have a version all the same, as those of
            the SDK's FULL_TABLE streams do, between two ACTIVATE_VERSION messages.
        until: The run ends before the row of this number, as one that was stopped: the version, if
            there is one, is left unfinished in the state.
    """

    method: str
    has_key: bool
    batches: str | None = None
    has_twin: bool = False
    text: str = "row"
    has_version: bool = False
    until: int = ROWS

    @property
    def is_snapshot(self) -> bool:
        return self.method not in {"append-only", "upsert"}

    @property
    def sends_version(self) -> bool:
        return self.is_snapshot or self.has_version


def row(number: int, text: str) -> dict[str, Any]:
    """A row; its number is its key."""
    return {"id": number, "slice": number // ROWS_A_SLICE, "text": f"{text} {number} é"}


def messages(plan: Plan, state: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every message of a run that goes on from a state."""
    bookmarks = dict(state.get("bookmarks", {}))
    bookmark = dict(bookmarks.get(STREAM, {}))
    begin, version = int(bookmark.get("next", 0)), bookmark.get("version")
    if plan.is_snapshot and begin >= ROWS:
        begin, version = 0, None  # the last snapshot is whole: a new one
    if plan.sends_version and version is None:
        version = int(time.time() * 1000)
    yield _schema(plan, STREAM, resumes=plan.is_snapshot and begin > 0)
    yield _state(bookmarks)  # before any row, so that it covers none
    if plan.has_twin:
        yield _schema(plan, TWIN, resumes=False)
    if plan.sends_version:
        yield _activate(version)
    numbers = [
        n for n in range(begin, plan.until) if not (_marks(plan) and n % VANISHED_EVERY == 0)
    ]
    while numbers:
        end = min(numbers[0] // ROWS_A_STATE * ROWS_A_STATE + ROWS_A_STATE, ROWS)
        chunk = [number for number in numbers if number < end]
        numbers = numbers[len(chunk) :]
        twins = [n for n in chunk if n >= int(bookmarks.get(TWIN, {}).get("next", 0))]
        half = len(twins) // 2 if plan.has_twin else 0
        yield from _rows(plan, TWIN, twins[:half], version)
        yield from _rows(plan, STREAM, chunk, version)
        if plan.sends_version and end == ROWS:
            yield _activate(version)
        bookmarks[STREAM] = {"next": end} | ({"version": version} if plan.sends_version else {})
        yield _state(bookmarks)
        if plan.has_twin:
            yield from _rows(plan, TWIN, twins[half:], version)
            bookmarks[TWIN] = {"next": end}
            yield _state(bookmarks)


def _marks(plan: Plan) -> bool:
    return plan.method == "mark-deleted"


def _columns(plan: Plan, number: int) -> dict[str, Any]:
    return {"id": number} if _marks(plan) else row(number, plan.text)


def _state(bookmarks: dict[str, Any]) -> dict[str, Any]:
    return {"type": "STATE", "value": {"bookmarks": dict(bookmarks)}}


def _schema(plan: Plan, stream: str, *, resumes: bool) -> dict[str, Any]:
    types = {"id": "integer", "slice": "integer", "text": "string"}
    names = ["id"] if _marks(plan) else list(types)
    hints: dict[str, Any] = {"x-load-method": plan.method, "x-resumes": resumes}
    if plan.method == "replace-slice":
        hints["x-slice-column"] = "slice"
    properties = {name: {"type": [types[name], "null"]} for name in names}
    return {
        "type": "SCHEMA",
        "stream": stream,
        "schema": {"type": "object", "properties": properties, **hints},
        "key_properties": ["id"] if plan.has_key else [],
    }


def _activate(version: int | None) -> dict[str, Any]:
    return {"type": "ACTIVATE_VERSION", "stream": STREAM, "version": version}


def _rows(
    plan: Plan, stream: str, numbers: list[int], version: int | None
) -> Iterator[dict[str, Any]]:
    rows = [_columns(plan, number) for number in numbers]
    if not rows:
        return
    versioned = {"version": version} if version is not None else {}
    if plan.batches is None:
        for values in rows:
            yield {"type": "RECORD", "stream": stream, "record": values, **versioned}
        return
    path = Path(plan.batches) / f"{uuid4().hex}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path)
    yield {
        "type": "BATCH",
        "stream": stream,
        "encoding": {"format": "parquet"},
        "manifest": [path.as_uri()],
        **versioned,
    }


def main() -> None:
    """Print the messages."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--state", type=Path)
    arguments = parser.parse_args()
    plan = Plan(**json.loads(arguments.config.read_text()))
    state = json.loads(arguments.state.read_text()) if arguments.state else {}
    for message in messages(plan, state):
        sys.stdout.write(f"{json.dumps(message)}\n")
        sys.stdout.flush()
        _wait_until_read()


def _wait_until_read() -> None:
    """Never be ahead of the reader, so that a kill finds this process at work."""
    while struct.unpack("i", fcntl.ioctl(sys.stdout.fileno(), termios.FIONREAD, b"\0" * 4))[0]:
        time.sleep(POLL_SECONDS)


if __name__ == "__main__":
    main()
