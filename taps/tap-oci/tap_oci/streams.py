"""The three kinds of reports; they differ in their prefix and their columns alone.

Their key is (file_name, line_number): Oracle promises no other ("oci.md", section 6). A correction
is a row of its own, to be added to the one it corrects, so no row ever takes another's place; a
file that is read again replaces the rows of its former self.
"""

from __future__ import annotations

from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, ClassVar

from singer_sdk import SchemaDirectory, Stream, StreamSchema
from typing_extensions import override

from tap_oci import schemas
from tap_oci.choice import Bookmark, Interval, backfill_of, moment, reports
from tap_oci.columns import FILE_NAME, LINE_NUMBER, OF_THE_FILE, Layout
from tap_oci.lanes import Lane
from tap_oci.report import ReportReader
from tapsupport.snapshot import SLICES, snapshot, snapshot_version

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Sequence

    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.messages import SchemaMessage

    from tap_oci.client import ReportFile
    from tap_oci.columns import Header
    from tap_oci.tap import TapOCI

SUFFIX = ".csv.gz"
HINTS = {"x-load-method": "replace-slice", "x-slice-column": FILE_NAME}


class ReportStream(Stream):
    """The files below one prefix; each is read once, and again when it was written anew."""

    prefix_setting: ClassVar[str]
    primary_keys = (FILE_NAME, LINE_NUMBER)
    forced_replication_method = "FULL_TABLE"  # the bookmark is choice.Bookmark's, not the SDK's
    emit_activate_version_messages = False  # tapsupport.snapshot sends both markers
    schema: ClassVar[StreamSchema] = StreamSchema(SchemaDirectory(schemas))
    _tap: TapOCI

    def __init__(self, tap: TapOCI) -> None:
        super().__init__(tap=tap)
        self._reports: list[list[ReportFile]] = []
        self._bookmark: Bookmark | None = None
        self._version = 0

    @property
    def layout(self) -> Layout:
        """The columns that are known before any file was seen."""
        definitions = self.effective_schema["properties"]
        ignored = {
            name
            for name in definitions
            if name not in OF_THE_FILE and not self.mask.get(("properties", name), True)
        }
        return Layout(
            {name: definition for name, definition in definitions.items() if name not in ignored},
            frozenset(ignored),
            folds_tags=self.config["tags"] == "fold",
        )

    @property
    def sends_files(self) -> bool:
        """Whether this is the arrow lane."""
        return bool(self.config.get("batch_config")) and not self.is_dry_run

    @property
    def is_dry_run(self) -> bool:
        """Whether some rows of one file are enough, and count as not loaded."""
        return self.ABORT_AT_RECORD_COUNT is not None

    def write_schema(self, layout: Layout, without_rows: Sequence[str] = ()) -> None:
        """Tell of columns that were not known before, and of files that have no rows (any more)."""
        for message in super()._generate_schema_messages():
            told = _with_layout(message, layout)
            if without_rows:
                told.schema[SLICES] = list(without_rows)
            self._tap.write_message(told)

    # The run

    def _choose(self) -> None:
        """List what this run reads, report by report."""
        config = self.config
        prefix = config[self.prefix_setting]
        backfill = backfill_of(config)
        is_backfill = backfill != Interval()
        wanted = backfill if is_backfill else Interval(begin=moment(config, "start_date"))
        self._bookmark = None if is_backfill else Bookmark(
            prefix, self.stream_state, config["recheck_files"], config["recheck_days"]
        )  # fmt: skip
        start = self._bookmark.start if self._bookmark else None
        listed = [file for file in self._listed(prefix, start) if wanted.has(file.created)]
        self._reports = [
            report
            for report in reports(listed)
            if self._bookmark is None or any(map(self._bookmark.is_new, report))
        ]

    def _listed(self, prefix: str, start: str | None) -> Iterator[ReportFile]:
        for file in self._tap.storage.files(prefix, start):
            if file.name.endswith(SUFFIX):
                yield file
            elif not file.name.endswith("/"):  # a folder that somebody made
                self.logger.warning("%s is no %s file, so it is left out.", file.name, SUFFIX)

    def _send(self) -> None:
        with self.get_record_counter() as counter, self.get_sync_timer():
            reader = ReportReader(self._tap.storage, rounds=self._rounds)
            lane = Lane(self, self._tap, reader, self._tap.storage, counter.increment)
            for files in self._publications():
                self._version = max(self._version + 1, snapshot_version({}))
                with snapshot(self, self._version):
                    loaded = lane.send(files, self._version)
                if self._bookmark:
                    self._bookmark.take([] if self.is_dry_run else loaded)
                    self._tap.write_stream_state(self, self._bookmark.state)

    def _publications(self) -> Iterator[list[ReportFile]]:
        """The files that are published together: whole reports, up to `files_per_publication`."""
        if self.is_dry_run:
            yield from (report[:1] for report in self._reports[:1])
            return
        files: list[ReportFile] = []
        for report in self._reports:
            if files and len(files) + len(report) > self.config["files_per_publication"]:
                yield files
                files = []
            files = [*files, *report]
        if files:
            yield files

    @property
    def _rounds(self) -> bool:
        return bool(self.config["excess_decimals"] == "round")

    # The SDK's

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Yield rows as dicts; the lanes do not take this slow way."""
        self._choose()
        reader = ReportReader(self._tap.storage, rounds=self._rounds)
        for file in chain.from_iterable(self._reports):
            for batch in reader.batches(file, partial(_as_known, self.layout, file.name)):
                yield from batch.to_pylist()

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """The record lane; overridden because the SDK's way handles rows one by one."""
        self._send()
        yield from ()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """The arrow lane; overridden because the SDK makes batch files out of dicts."""
        self._send()

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        """The first thing of a sync: see what there is to read; without files, nothing is sent."""
        self._choose()
        if not self._reports:
            self.logger.info("%s: no new files.", self.name)
            return
        for message in super()._generate_schema_messages():
            yield _with_layout(message, self.layout)

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        return None  # the bookmark is a name, never the tap's clock


def _as_known(layout: Layout, file: str, names: list[str]) -> tuple[Header, Layout]:
    return layout.header(file, names), layout


def _with_layout(message: SchemaMessage, layout: Layout) -> SchemaMessage:
    properties = {name: dict(definition) for name, definition in layout.properties.items()}
    message.schema = {**message.schema, "properties": properties, **HINTS}
    return message


class CostReports(ReportStream):
    """What was used and what it costs, a row for each resource and hour."""

    name = "oci_cost_report"
    prefix_setting = "cost_prefix"


class UsageReports(ReportStream):
    """What was used, before Oracle ended these reports in 2025; an empty listing is as it should.

    Source: "oci.md", section 2.
    """

    name = "oci_usage_report"
    prefix_setting = "usage_prefix"


class FocusReports(ReportStream):
    """Costs in the columns of FOCUS, the FinOps Foundation's standard; a folder for each day."""

    name = "focus_report"
    prefix_setting = "focus_prefix"
