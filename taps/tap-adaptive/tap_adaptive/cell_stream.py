"""Streams of exportData: a version's answers, all of them whole, to records or Parquet files."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import Stream, StreamSchema
from singer_sdk.exceptions import MaxRecordsLimitException
from singer_sdk.helpers._batch import BaseBatchFileEncoding, SDKBatchMessage
from singer_sdk.helpers._util import utc_now
from typing_extensions import override

from tap_adaptive.cells import SCHEMA, Cells
from tap_adaptive.csv_output import CsvOutput
from tap_adaptive.method_stream import SCHEMAS
from tapsupport.parquet import DEFAULT_FILE_BYTES, FinishedFile, ParquetFiles
from tapsupport.records import record_lines
from tapsupport.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator
    from pathlib import Path

    import pyarrow as pa
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.messages import SchemaMessage

    from tap_adaptive.report_request import ReportRequest
    from tap_adaptive.tap import TapAdaptive

PARQUET = BaseBatchFileEncoding(format="parquet")
METHOD = "exportData"


class CellStream(Stream):
    """Sends versions, each between two markers: a version is replaced as a whole or not at all."""

    primary_keys = ("version_name", "account_code", "level_name", "dimension_key", "period_code")
    schema: ClassVar[StreamSchema] = StreamSchema(SCHEMAS)
    hints: ClassVar[dict[str, str]]
    emit_activate_version_messages = False  # tapsupport.snapshot sends both markers
    _tap: TapAdaptive

    def load(self, context: Context | None, batch_config: BatchConfig | None) -> None:
        """Send what a run has to send."""
        raise NotImplementedError

    @property
    def request(self) -> ReportRequest:
        """What to ask for: what the settings allow, less what a catalog leaves out."""
        column = self.effective_schema["properties"].get("account_code", {})
        return self._tap.report_request.narrowed(self.name, column.get("enum"))

    def send_version(
        self, version_id: int | None, version: str, batch_config: BatchConfig | None
    ) -> int:
        """Read a version and send it.

        Returns:
            The number of rows sent.

        Raises:
            AnswerError: one of its answers cannot be used; the snapshot stays open.
        """
        cells = Cells(self.request, version_id, version)
        with ExitStack() as answers:
            outputs = [
                CsvOutput(answers.enter_context(self._tap.client.call(METHOD, *body, stream=True)))
                for body in (cells.request.body(version, span) for span in cells.request.spans())
            ]
            batches = self._batches(cells, outputs)
            send = partial(self._send_files) if batch_config else self._send_records
            slices = [] if version_id is None else [version]
            marks = snapshot(self, self._tap.new_version(), slices)
            with self.get_record_counter() as counter, marks:
                for rows in send(batches):
                    counter.increment(rows)
        if cells.invalid:
            self.logger.warning(
                "%s: %d cells of version %s are invalid at the vendor (I) and were sent as null.",
                self.name, cells.invalid, version,
            )  # fmt: skip
        return cells.rows

    def _batches(self, cells: Cells, outputs: list[CsvOutput]) -> Iterator[pa.RecordBatch]:
        """Yield the selected columns; in a dry run no more rows than its limit."""
        names = [name for name in SCHEMA.names if name in self.schema["properties"]]
        names = [name for name in names if self.mask.get(("properties", name), True)]
        limit, count = self.ABORT_AT_RECORD_COUNT, 0
        for output in outputs:
            for batch in cells.batches(output.header, output.batches()):
                self._tap.stop_if_asked()
                yield batch.select(names).slice(0, None if limit is None else limit - count)
                count += batch.num_rows
                if limit is not None and count >= limit:
                    reached = MaxRecordsLimitException(f"The dry run's limit of {limit} rows.")
                    self._abort_sync(reached)

    def _send_records(self, batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
        for batch in batches:
            lines = record_lines(
                batch,
                self.name,
                json_columns={"dimensions"},
                version=self._stream_version,
                time_extracted=utc_now().isoformat(),
            )
            self._tap.message_writer.write_block(lines)
            yield batch.num_rows

    def _send_files(self, batches: Iterator[pa.RecordBatch]) -> Iterator[int]:
        """Write files and announce each one, all from this thread's point of view at the end."""
        directory = self._tap.run_directory
        unannounced: set[Path] = set()

        def new_path() -> Path:
            path = directory.new_file(self.name, self._tap.stop_if_asked)
            unannounced.add(path)
            return path

        def announce(file: FinishedFile) -> None:
            directory.hand_over(file.path)
            unannounced.discard(file.path)
            self._tap.write_message(
                SDKBatchMessage(
                    stream=self.name,
                    encoding=PARQUET,
                    manifest=[file.path.as_uri()],
                    version=self._stream_version,
                )
            )

        try:
            first = next(batches, None)
            if first is None:
                return
            with ParquetFiles(first.schema, new_path, announce, DEFAULT_FILE_BYTES) as files:
                files.write(first)
                yield first.num_rows
                for batch in batches:
                    files.write(batch)
                    yield batch.num_rows
        finally:
            directory.give_up(unannounced)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Nothing: cells go out in blocks, not as dicts."""
        return ()

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        self.load(context, None)
        yield from ()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        self.load(context, batch_config)

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, **self.hints}
            yield message
