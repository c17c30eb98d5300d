"""What all streams share: their columns, their own kind of state, messages in either lane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import SchemaDirectory, Stream
from singer_sdk.batch import Batcher
from singer_sdk.helpers._batch import BatchConfig
from singer_sdk.helpers.conform import TypeConformanceLevel
from typing_extensions import override

from tap_zendesk import schemas

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from singer_sdk.helpers.types import Context, Record

    from tap_zendesk.tap import TapZendesk

SCHEMAS = SchemaDirectory(schemas)
MOST_WAITING = 10_000  # rows in memory, with batch_config


class ZendeskStream(Stream):
    """A stream whose state is where a page ended, written when all of the page was sent.

    The SDK's own bookmark is the largest value of a column; Zendesk's exports go on from a cursor
    or a second instead. So its steps that move that bookmark do nothing here.
    """

    primary_keys: ClassVar[tuple[str, ...]] = ("id",)
    emit_activate_version_messages = False
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # a row has the schema's columns already
    _tap: TapZendesk

    def __init__(self, tap: TapZendesk) -> None:
        documented = SCHEMAS.get_schema(self.name)
        self.all_columns = tuple(documented["properties"])  # dropped ones included
        super().__init__(tap=tap, schema=tap.privacy.schema(self.name, documented))
        self._announced = False
        self._waiting: list[dict[str, Any]] = []

    # What is sent

    @override
    def post_process(self, row: Record, context: Context | None = None) -> Record:
        """The row as it may leave the tap; what the vendor left out is null."""
        shown = self._tap.privacy.apply(self.name, row)
        return {name: shown.get(name) for name in self.schema["properties"]}

    def send(self, records: Iterable[Record]) -> None:
        """Send rows that another stream has read."""
        for record in records:
            self._write_record_message(self.post_process(record))

    def announce(self) -> None:
        """Send SCHEMA, unless it was sent."""
        self._write_schema_message()

    @override
    def _write_schema_message(self) -> None:
        if not self._announced:
            self._announced = True
            super()._write_schema_message()

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> BatchConfig | None:
        return None  # else the SDK writes files without regard to pages; see `flush`

    @override
    def _write_record_message(self, record: Record) -> None:
        if not self.config.get("batch_config"):
            super()._write_record_message(record)
            return
        self._waiting += [message.record for message in self._generate_record_messages(record)]
        if len(self._waiting) >= MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """With batch_config: send what waits as a BATCH."""
        if not self._waiting:
            return
        found = BatchConfig.from_dict(self.config["batch_config"])
        batcher = Batcher(tap_name=self.tap_name, stream_name=self.name, batch_config=found)
        for manifest in batcher.get_batches(records=iter(self._waiting)):
            self._write_batch_message(encoding=found.encoding, manifest=manifest)
        self._waiting = []

    # State

    def checkpoint(self, progress: dict[str, Any]) -> None:
        """Make `progress` the stream's state and send STATE: everything before it was sent."""
        for stream in self._tap.streams.values():
            if isinstance(stream, ZendeskStream):
                stream.flush()
        self.stream_state.clear()
        self.stream_state.update(progress)
        self._tap.state_writer.write_state(self.tap_state)

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        return None

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Nothing: see the class."""

    @override
    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Nothing: see the class."""
