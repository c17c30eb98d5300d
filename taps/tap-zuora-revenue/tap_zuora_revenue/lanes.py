"""The two lanes: how pages become Parquet files and BATCH messages, or RECORD messages.

Both take the same tables, so they carry the same values.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from singer_sdk.helpers._batch import BaseBatchFileEncoding, SDKBatchMessage
from singer_sdk.helpers._util import utc_now

from tapsupport.parquet import FinishedFile, ParquetFiles
from tapsupport.records import record_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    import pyarrow as pa

    from tap_zuora_revenue.tap import TapZuoraRevenue

PARQUET = BaseBatchFileEncoding(format="parquet")


class Lane(Protocol):
    """Sends tables of one stream.

    Attributes:
        rows: How many rows it has sent.
    """

    rows: int

    def group(
        self, schema: pa.Schema, version: int | None
    ) -> AbstractContextManager[Callable[[pa.Table], None]]:
        """Take tables of one schema; all of them are sent when the context ends well."""


class FileLane:
    """The arrow lane: a group of tables becomes one Parquet file."""

    def __init__(self, tap: TapZuoraRevenue, stream: str) -> None:
        self.rows = 0
        self._tap = tap
        self._stream = stream

    @contextmanager
    def group(self, schema: pa.Schema, version: int | None) -> Iterator[Callable[[pa.Table], None]]:
        unannounced: set[Path] = set()

        def new_path() -> Path:
            directory = self._tap.run_directory
            path = directory.new_file(self._stream, self._tap.stop_if_asked)
            unannounced.add(path)
            return path

        def announce(file: FinishedFile) -> None:
            self._tap.run_directory.hand_over(file.path)
            unannounced.discard(file.path)
            manifest = [file.path.as_uri()]
            self._tap.write_message(
                SDKBatchMessage(
                    stream=self._stream, encoding=PARQUET, manifest=manifest, version=version
                )
            )
            self.rows += file.rows

        try:
            with ParquetFiles(schema, new_path, announce, None) as files:

                def write(table: pa.Table) -> None:
                    for batch in table.to_batches():
                        files.write(batch)

                yield write
        finally:
            self._tap.run_directory.give_up(unannounced)


class RecordLane:
    """The record lane: rows are sent as soon as they have come."""

    def __init__(self, tap: TapZuoraRevenue, stream: str) -> None:
        self.rows = 0
        self._tap = tap
        self._stream = stream

    @contextmanager
    def group(
        self,
        schema: pa.Schema,  # noqa: ARG002 - the other lane needs it
        version: int | None,
    ) -> Iterator[Callable[[pa.Table], None]]:
        def write(table: pa.Table) -> None:
            now = utc_now().isoformat()
            for batch in table.to_batches():
                lines = record_lines(batch, self._stream, version=version, time_extracted=now)
                self._tap.message_writer.write_block(lines)
                self.rows += batch.num_rows

        yield write
