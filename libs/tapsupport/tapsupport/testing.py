"""Run a tap inside a test and look at what it sent."""

from __future__ import annotations

import io
import json
from contextlib import redirect_stdout
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from singer_sdk import Tap


@dataclass(frozen=True)
class SyncResult:
    """The messages of one run, in order; fractions are decoded as Decimal, with every digit."""

    messages: list[dict[str, Any]]

    def of_type(self, kind: str, stream: str | None = None) -> list[dict[str, Any]]:
        """Return the messages of one type, of one stream or of all."""
        return [
            message
            for message in self.messages
            if message["type"] == kind and stream in (None, message.get("stream"))
        ]

    def records(self, stream: str) -> list[dict[str, Any]]:
        """Return the stream's records, in the order sent."""
        return [message["record"] for message in self.of_type("RECORD", stream)]

    def batches(self, stream: str) -> list[Path]:
        """Return the stream's batch files, in the order sent."""
        manifests = [message["manifest"] for message in self.of_type("BATCH", stream)]
        return [Path(unquote(urlsplit(url).path)) for urls in manifests for url in urls]

    def table(self, stream: str) -> pa.Table:
        """Read all batch files of the stream; there must be one at least."""
        return pa.concat_tables([pq.read_table(path) for path in self.batches(stream)])

    @property
    def state(self) -> dict[str, Any]:
        """The last STATE sent, or an empty one."""
        states = self.of_type("STATE")
        return dict(states[-1]["value"]) if states else {}


def parse_messages(output: bytes) -> SyncResult:
    """Decode what a tap wrote to standard output; an unfinished last line is left out."""
    lines = output.splitlines(keepends=True)
    whole = [line for line in lines if line.endswith(b"\n")]
    return SyncResult([json.loads(line, parse_float=Decimal) for line in whole])


def run_tap(
    tap_class: type[Tap],
    config: dict[str, Any],
    *,
    state: dict[str, Any] | None = None,
    catalog: dict[str, Any] | None = None,
) -> SyncResult:
    """Run every selected stream in this process; what the tap raises is raised here.

    Nobody takes the batch files meanwhile: set `max_pending_files` higher than there will be.
    """
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with redirect_stdout(output):
        tap_class(config=dict(config), state=state, catalog=catalog).sync_all()
        output.flush()
    return parse_messages(output.buffer.getvalue())
