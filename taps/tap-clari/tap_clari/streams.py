"""The streams of tap-clari: exports, what is read out of each, and two of the organisation."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk import SchemaDirectory, Stream, StreamSchema
from typing_extensions import override

from tap_clari import schemas
from tap_clari.answer import moment, shaped_object
from tap_clari.exports import ExportJobs
from tap_clari.failures import Failures
from tapsupport.errors import TapError
from tapsupport.snapshot import snapshot, snapshot_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import SchemaMessage

    from tap_clari.answer import Answer, Export
    from tap_clari.client import Job
    from tap_clari.tap import TapClari


class ClariStream(Stream):
    """A stream of this tap, with its schema from the file of its name."""

    _tap: TapClari
    schema: ClassVar[StreamSchema] = StreamSchema(SchemaDirectory(schemas))

    @property
    @override
    def emit_activate_version_messages(self) -> bool:
        return False  # `snapshot` sends them, at both ends


class ForecastExports(ClariStream):
    """The exports of a run, one for each forecast and quarter; the parent of what they bring.

    All jobs are started, and their ids sent as state, before the first row: nothing but such an id
    keeps the next run from spending quota again, and a loader holds a state back until the rows
    before it are committed.
    """

    name = "forecast_exports"
    has_begun = False  # in this run
    primary_keys = ("forecast_id", "time_period_id", "job_id")

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        if self.ABORT_AT_RECORD_COUNT is not None:  # `--test`, which must not spend quota
            self._tap.clari.limits()
            return
        exports = self._tap.exports
        jobs = ExportJobs(self._tap.clari, self._jobs, self._save_jobs, self._tap.patience)
        jobs.begin(exports)
        self.has_begun = True
        failures = Failures("exports", len(exports))
        for export in exports:
            with failures.of(export.name):
                jobs.start(export)
        for export in exports:
            if export.name not in failures and not jobs.is_loaded(export):
                yield from self._load(export, jobs, failures)
        failures.raise_any()

    @override
    def get_child_context(self, record: Record, context: Context | None) -> Context:
        return {name: record[name] for name in ("forecast_id", "time_period_id")}

    def forget_loaded(self) -> None:
        """Empty the state: the run came to its end, so the next one starts anew."""
        if self._jobs:
            self._save_jobs([])

    def _load(self, export: Export, jobs: ExportJobs, failures: Failures) -> Iterator[Record]:
        """Give one record, whose children send the rows before this goes on."""
        with failures.of(export.name):
            job, answer = jobs.answer(export)
            self._tap.answer = answer
        if export.name not in failures:
            yield self._record(job, answer)
            jobs.mark_loaded(export)

    def _record(self, job: Job, answer: Answer) -> Record:
        columns = self.schema["properties"]
        row = shaped_object(dict(job.properties), columns)
        return {
            **{name: value for name, value in row.items() if name in columns},
            **answer.marks,
            "job_id": job.id,
            "start_time": moment(row.get("start_time")),
            "expired_time": moment(row.get("expired_time")),
            "entries": len(answer.file.entries),
            "users": len(answer.file.users),
        }

    @property
    def _jobs(self) -> list[dict[str, Any]]:
        return list(self.stream_state.get("jobs", []))

    def _save_jobs(self, jobs: list[dict[str, Any]]) -> None:
        self.stream_state["jobs"] = jobs
        self._tap.state_writer.write_state(self._tap.state)


class ExportedStream(ClariStream):
    """One array of the export at hand."""

    parent_stream_type = ForecastExports
    state_partitioning_keys = ()  # what is done is kept with the export
    array: ClassVar[str]
    _version = 0

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        if not self._replaces or not self._tap.answer.names_quarter:
            # A file that names no quarter has no rows: it must not empty the one asked for.
            yield from self._rows()
            return
        # Two versions must differ, however quickly one export follows the other.
        self._version = max(snapshot_version({}), self._version + 1)
        with snapshot(self, self._version, [self._tap.answer.export.name]):
            yield from self._rows()

    @override
    def _generate_schema_messages(self) -> Iterator[SchemaMessage]:  # type: ignore[override]  # an iterator will do
        hints = {"x-load-method": "upsert", "x-order-column": "exported_at"}
        if self._replaces:
            hints = {"x-load-method": "replace-slice", "x-slice-column": "forecast_period"}
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, **hints}
            yield message

    @property
    def _replaces(self) -> bool:
        return not self.config["keep_departed"]

    def _rows(self) -> Iterator[Record]:
        for row in self._tap.answer.rows(self.array, self.schema["properties"]):
            self._tap.stop_if_asked()
            yield row


class ForecastEntries(ExportedStream):
    """The numbers: by week, user and field."""

    name = "forecast_entries"
    primary_keys: tuple[str, ...] = (
        "forecast_id",
        "time_period_id",
        "time_frame_id",
        "user_id",
        "field_id",
    )
    array = "entries"


class ForecastSnapshots(ForecastEntries):
    """The numbers as they were on each day; a day's last export stands, no day is ever deleted."""

    name = "forecast_snapshots"
    primary_keys = ("snapshot_date", *ForecastEntries.primary_keys)
    _replaces = False

    @override
    def post_process(self, row: Record, context: Context | None = None) -> Record:
        return {**row, "snapshot_date": row["exported_at"][: len("2025-01-31")]}


class ForecastUsers(ExportedStream):
    """The hierarchy, as far as it is opted in."""

    name = "forecast_users"
    primary_keys = ("forecast_id", "time_period_id", "user_id")
    array = "users"


class ForecastFields(ExportedStream):
    """Which numbers there are."""

    name = "forecast_fields"
    primary_keys = ("forecast_id", "time_period_id", "field_id")
    array = "fields"


class TimePeriods(ExportedStream):
    """The quarters."""

    name = "time_periods"
    primary_keys = ("forecast_id", "time_period_id")
    array = "time_periods"


class TimeFrames(ExportedStream):
    """The weeks, numbered in each quarter; an id may come back in the next one."""

    name = "time_frames"
    primary_keys = ("forecast_id", "time_period_id", "time_frame_id")
    array = "time_frames"


class AuditEvents(ClariStream):
    """Who did what. Clari gives events no id: the key is a hash of all an event says."""

    name = "audit_events"
    primary_keys = ("event_hash",)
    replication_key = "event_timestamp"

    @override
    def get_records(self, context: Context | None) -> Iterator[Record]:
        since = self.get_starting_timestamp(context)
        for page in self._tap.clari.audit_pages(since.isoformat() if since else None):
            actors = {(a.get("actorType"), a.get("actorId")): a for a in page["actors"]}
            for event in page["items"]:
                yield self._row(event, actors.get((event.get("actorType"), event.get("actorId"))))

    def _row(self, event: Record, actor: Record | None) -> Record:
        found = shaped_object(event, self.schema["properties"])
        text = msgspec.json.encode(event, order="sorted")
        return {
            **found,
            "event_hash": hashlib.sha256(text).hexdigest(),
            "event_timestamp": _happened_at(event).isoformat(),
            "actor_name": (actor or {}).get("name"),
            "actor_email": (actor or {}).get("email"),
        }


def _happened_at(event: Record) -> dt.datetime:
    try:
        happened = dt.datetime.fromisoformat(event["eventTimestamp"])
    except (KeyError, TypeError, ValueError):
        raise TapError(
            "Clari: /audit/events has an event whose eventTimestamp is missing or is no ISO 8601; "
            "report it."
        ) from None
    return (happened if happened.tzinfo else happened.replace(tzinfo=dt.UTC)).astimezone(dt.UTC)


class ExportLimits(ClariStream):
    """Quota and concurrency, one row for each run."""

    name = "export_limits"
    primary_keys = ("measured_at",)

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        found = shaped_object(self._tap.clari.limits(), self.schema["properties"])
        del found["extra"]
        measured_at = dt.datetime.now(dt.UTC).isoformat()
        # Clari leaves runningJobIds out when nothing runs.
        return [{"running_job_ids": [], **found, "measured_at": measured_at}]
