"""What every stream of a method does: one snapshot, replaced as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import SchemaDirectory, Stream, StreamSchema
from singer_sdk.helpers.conform import TypeConformanceLevel
from typing_extensions import override

from tap_adaptive import schemas
from tap_adaptive.errors import AnswerError
from tap_adaptive.records import Recorder
from tap_adaptive.rows import Shape, read_rows
from tapsupport.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from lxml import etree
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.messages import SchemaMessage

    from tap_adaptive.rows import Row
    from tap_adaptive.tap import TapAdaptive

SCHEMAS = SchemaDirectory(schemas)


class MethodStream(Stream):
    """The rows of one method. No method filters by the time of change, so all are read anew.

    A subclass says which method, with which body, and where its rows are.
    """

    method: ClassVar[str]
    shape: ClassVar[Shape] = Shape()
    schema: ClassVar[StreamSchema] = StreamSchema(SCHEMAS)
    hints: ClassVar[dict[str, str]] = {"x-load-method": "overwrite"}
    emit_activate_version_messages = False  # tapsupport.snapshot sends both markers
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE  # the Recorder makes what the schema says
    _tap: TapAdaptive

    def body(self) -> list[etree._Element]:
        """The elements after `<credentials>`."""
        return []

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        ignored = {*self.shape.rows, *self.shape.skipped}
        recorder = Recorder(self.method, self.schema, self.primary_keys or (), ignored)
        with self._tap.client.call(self.method, *self.body()) as answer:
            for row in read_rows(answer, self.shape):
                yield self.complete(recorder.record(self.keyed(row)), row)

    def keyed(self, row: Row) -> Row:
        """Give the row a key that the vendor did not."""
        return row

    def complete(self, record: dict[str, Any], row: Row) -> dict[str, Any]:  # noqa: ARG002 - for all
        """Add what is not in the row's own element."""
        return record

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """Send a snapshot; a call that fails leaves the old one and is told of at the end."""
        try:
            if not self.selected:  # a parent that only its children want
                yield from super()._sync_records(context, write_messages=write_messages)
                return
            with snapshot(self, self._tap.new_version()):
                yield from super()._sync_records(context, write_messages=write_messages)
        except AnswerError as error:
            self._tap.note_failure(self.name, error)

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, **self.hints}
            yield message

    @override
    def get_batch_config(self, config: Any) -> None:
        """Never: only cells are many enough for batch files."""
        return
