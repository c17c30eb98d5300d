"""The two kinds of lists: events, read by day, and objects, read as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import SchemaDirectory, Stream, StreamSchema
from typing_extensions import override

from tap_thought_industries import schemas
from tap_thought_industries.client import Page, ask
from tap_thought_industries.objects import all_objects
from tap_thought_industries.progress import Progress
from tap_thought_industries.records import DAY, EventReader, fit
from tap_thought_industries.side_by_side import fetch_in_order
from tap_thought_industries.walk import Walk
from tapsupport.snapshot import snapshot, snapshot_version

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.messages import SchemaMessage

    from tap_thought_industries.days import Window
    from tap_thought_industries.tap import TapThoughtIndustries


EMPTY_DAYS_TOGETHER = 30  # replaced by one commit


class ThoughtIndustriesStream(Stream):
    """One list of the API; `hints` tell our loader how its rows replace older ones."""

    schema: ClassVar[StreamSchema[str]] = StreamSchema(SchemaDirectory(schemas))
    emit_activate_version_messages = False  # tapsupport.snapshot sends both markers
    primary_keys: tuple[str, ...] = ("id",)
    path: ClassVar[str]
    list_key: ClassVar[str]
    hints: ClassVar[dict[str, str]]
    _tap: TapThoughtIndustries

    def ask(self, params: dict[str, Any]) -> Page:
        """One page of the list."""
        return ask(self._tap.session, self.path, self.list_key, params)

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, **self.hints}
            yield message


class Events(ThoughtIndustriesStream):
    """Events of one kind, day by day; each day is a snapshot of its own."""

    replication_key = "timestamp"
    list_key = "events"
    hints: ClassVar = {"x-load-method": "replace-slice", "x-slice-column": DAY}

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        progress = Progress(self.stream_state, self.config, self._tap.now)
        count = self.config["max_parallel_windows"]
        version = 0
        empty: list[Window] = []
        for window, shelf in fetch_in_order(progress.windows(), self._walk, count):
            if not shelf.rows and len(empty) < EMPTY_DAYS_TOGETHER:
                empty.append(window)
                continue
            # Days may follow each other within a millisecond, and no two may share a version.
            version = max(version + 1, snapshot_version({}))
            yield from self._replace([*empty, window], shelf.records(), version, progress)
            empty = []
        if empty:
            version = max(version + 1, snapshot_version({}))
            yield from self._replace(empty, (), version, progress)
        progress.finish()

    def _replace(
        self, windows: list[Window], records: Iterable[Record], version: int, progress: Progress
    ) -> Iterator[Record]:
        """Send days, of which all but the last are empty, as one snapshot."""
        with snapshot(self, version, [window.day.isoformat() for window in windows]):
            yield from records
        for window in windows:
            progress.advance(window)
        self._tap.state_writer.write_state(self.tap_state)

    def _walk(self, window: Window) -> Iterator[dict[str, Any]]:
        reader = EventReader(self.name, self.schema, self.primary_keys)
        skip_crowded = self.config["crowded_millisecond"] == "skip"
        return Walk(self.ask, reader, window, skip_crowded=skip_crowded).records()

    @override
    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Records come newest first, so the state follows the days: see `Progress`."""

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        return None  # likewise


class Objects(ThoughtIndustriesStream):
    """All objects of one kind, whenever it is asked for: no filter tells what has changed."""

    selected_by_default = False
    hints: ClassVar = {"x-load-method": "overwrite"}

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        with snapshot(self, snapshot_version({})):
            for item in all_objects(self.ask, self.name):
                self._tap.stop_if_asked()
                yield fit(item, self.schema)
