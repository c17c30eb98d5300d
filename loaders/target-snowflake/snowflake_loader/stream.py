"""One stream on its way: records and files gathered, commits asked for."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec
import pyarrow as pa

from snowflake_loader.batches import Requirements, check, discard, json_lines, local_path
from snowflake_loader.commits import Part, commit_together
from snowflake_loader.constants import Constants
from snowflake_loader.errors import BadRecordError, LoadError, MissingKeyError
from snowflake_loader.files import FileWriter
from snowflake_loader.hints import read_hints
from snowflake_loader.load import Commit, TableLoad
from snowflake_loader.names import fold, refuse_reserved, table_name
from snowflake_loader.records import (
    EXTRACTED_AT,
    ROW_NUMBER,
    RecordDecoder,
    Rejected,
    extracted_at,
)
from snowflake_loader.schema import SchemaMessage, read_schema
from snowflake_loader.settings import (
    LoadMethod,
    OnBadRecord,
    PublishOn,
    Sizes,
    stream_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path

    from snowflake_loader.files import WorkDirectory
    from snowflake_loader.refusals import Refusals
    from snowflake_loader.schema import StreamSchema
    from snowflake_loader.state import StateTracker
    from snowflake_loader.workers import Job, Workers, Workplace

logger = logging.getLogger(__name__)

BATCH_ROWS = 50_000  # records decoded at once; one row group of a Parquet file
BATCH_BYTES = 16 * 1024 * 1024  # or so many bytes of JSON, whichever comes first


@dataclass(frozen=True)
class Surroundings:
    """What all streams of a run share."""

    config: Mapping[str, Any]
    run_id: str
    started_at: datetime
    sizes: Sizes
    states: StateTracker
    refusals: Refusals
    directory: WorkDirectory
    writer_thread: ThreadPoolExecutor


class Stream:
    """Everything of one stream that has not been committed yet.

    Runs in the reading thread; uploads and commits are jobs of the stream's worker. An error of
    this stream alone sets it aside: what comes of it later is dropped, and the others go on.
    """

    def __init__(
        self,
        message: SchemaMessage,
        workers: Workers,
        surroundings: Surroundings,
    ) -> None:
        name = self.name = message.stream
        self._hints = read_hints(name, message.schema)
        settings = self._settings = stream_settings(surroundings.config, name, self._hints)
        self._surroundings = surroundings
        self._records: list[msgspec.Raw] = []
        self._extracted: list[str | None] = []
        self.buffered_bytes = 0
        self._row_number = 0
        self._rejected: list[Rejected] = []
        self._files = FileWriter(surroundings.directory, surroundings.writer_thread)
        self._version: int | None = None
        self._opened: int | None = None
        self._has_rows = False
        self._uncommitted = False
        self.has_uncommitted_rows = False  # without what is dropped only
        self.covered = 0  # messages that a commit was asked for, and that it lets states cover
        self._commit_due = time.monotonic() + surroundings.sizes.commit_seconds
        self._started_at = datetime.now(UTC)
        self._load: TableLoad | None = None
        self._asked = 0  # commits so far
        self._is_dropped = False
        self.table = table_name(
            settings.table or name,
            whole=bool(settings.table or surroundings.config["use_raw_stream_names"]),
        )
        refuse_reserved(self.table, name)
        self._key = message.key_properties
        self._marked = 0
        self._schema = read_schema(message, all_varchar=settings.all_varchar)
        self._method = self._effective_method()
        self._worker = workers.deal(first=self.is_exact)
        self._take_schema(message)
        if self._hints.dropped_columns:  # so that no state goes out before they are dropped
            surroundings.states.receive(name)
            self._uncommitted = True

    # Messages

    def change_schema(self, message: SchemaMessage) -> None:
        """Take in another SCHEMA message; rows of the former one are committed first.

        A schema that cannot be loaded as the settings ask is an error, and so is another key or
        other hints than before: rows of both would be told apart by neither.
        """
        if not self.is_refused:
            with self._refusing():
                self._change_schema(message)

    def _change_schema(self, message: SchemaMessage) -> None:
        if message.key_properties != self._key:
            raise LoadError(
                f"Stream {self.name} changed its key from {self._key} to "
                f"{message.key_properties} in mid-stream; correct the tap. Nothing since the last "
                "commit was kept."
            )
        hints = read_hints(self.name, message.schema)
        if hints != self._hints:
            raise LoadError(
                f"Stream {self.name} changed what it asks of the loader in mid-stream; correct "
                "the tap. Nothing since the last commit was kept."
            )
        if not self.is_exact:
            self.commit()
        elif self.has_uncommitted_rows:
            self._refuse_lost_columns(message)
            self.flush()
            self._close_file()
        self._hints = hints
        self._take_schema(message)

    def _refuse_lost_columns(self, message: SchemaMessage) -> None:
        """Rows of the former schema, which cannot be committed yet, would lose a column."""
        new = read_schema(message, all_varchar=self._settings.all_varchar)
        lost = {c.name for c in self._schema.columns} - {c.name for c in new.columns}
        if lost:
            raise LoadError(
                f"Stream {self.name} lost the column {', '.join(sorted(lost))} in mid-stream, "
                "after rows that no STATE covers. Nothing since the last commit was kept; run "
                "again, so that the tap begins with the new columns."
            )

    def _take_schema(self, message: SchemaMessage) -> None:
        self._schema = read_schema(message, all_varchar=self._settings.all_varchar)
        self._decoder = RecordDecoder(self._schema)
        self._method = self._effective_method()
        columns, method = self._schema, self._method
        self._give(lambda place: self._prepare(place, columns, method))

    def add_record(self, record: msgspec.Raw, version: int | None, extracted: str | None) -> None:
        """Take in one record as JSON text; it is looked at when its batch is decoded."""
        if version is not None and version != self._version:
            self._change_version(version)
        self._records.append(record)
        self._extracted.append(extracted)
        self.buffered_bytes += memoryview(record).nbytes
        self._has_rows = self._uncommitted = self.has_uncommitted_rows = True
        if len(self._records) >= BATCH_ROWS or self.buffered_bytes >= BATCH_BYTES:
            self.flush()

    def add_parquet(self, uri: str, version: int | None) -> None:
        """Take in one Parquet file of a BATCH message."""
        if self.is_refused:
            discard(uri)
            return
        if version is not None and version != self._version:
            self._change_version(version)
        self.flush()
        self._close_file()
        self._has_rows = self._uncommitted = self.has_uncommitted_rows = True
        with self._refusing():
            self._upload_parquet(local_path(uri, self._surroundings.directory))

    def _upload_parquet(self, path: Path) -> None:
        schema, requirements = self._schema, self._requirements()

        def upload(_: Workplace) -> None:
            checked = check(path, schema, requirements, self._surroundings.directory)
            self._set_aside(checked.rejected, self._table_load.rejected)
            if checked.file.rows:
                self._table_load.upload(checked.file.path, checked.file.rows)
            else:
                checked.file.path.unlink()

        self._give(upload, otherwise=lambda: path.unlink(missing_ok=True))

    def add_json_lines(self, uri: str, version: int | None) -> None:
        """Take in one JSONL file of a BATCH message."""
        if self.is_refused:
            discard(uri)
            return
        with self._refusing():
            for line in json_lines(uri):
                self.add_record(msgspec.Raw(line), version, None)

    def activate_version(self, version: int) -> None:
        """Open a snapshot, or publish it.

        The first ACTIVATE_VERSION of a version opens it if no row of it has come; the next one
        says that it is whole.
        """
        if not self._method.is_snapshot or self._settings.publish_on is PublishOn.END_OF_INPUT:
            return
        if version != self._version:
            self._change_version(version)
        if self._opened == version or self._has_rows:
            self._surroundings.states.receive(self.name)  # a later state waits for this commit
            self.commit(publish=True)
            self._opened = self._version = None
        else:
            self._opened = version

    # Gathering

    def flush(self) -> None:
        """Decode the gathered records and hand them to the file writer.

        One that does not fit its schema is an error if `on_bad_record` is `fail`.
        """
        self._worker.check()
        records, extracted = self._records, self._extracted
        self._forget_records()
        if records and not self.is_refused:
            with self._refusing():
                self._decode(records, extracted)

    def _forget_records(self) -> None:
        self._records, self._extracted, self.buffered_bytes = [], [], 0

    def _decode(self, records: list[msgspec.Raw], extracted: list[str | None]) -> None:
        table, faults = self._decoder.decode(records)
        self._check_slices(table, faults)
        bad = [
            Rejected(faults[row], bytes(records[row]).decode(errors="replace"))
            for row in sorted(faults)
        ]
        self._set_aside(bad, self._rejected)
        table = self._with_metadata(table, extracted)
        if faults:
            table = table.filter(pa.array([row not in faults for row in range(len(records))]))
        if table.num_rows:
            self._write(table)

    @property
    def is_exact(self) -> bool:
        """Whether its rows, sent twice, would stand twice: nothing tells one from the other.

        They are committed only as far as a state covers them; see `ExactStreams`.
        """
        return self._method is LoadMethod.APPEND_ONLY or (
            self._method.is_snapshot and not self._schema.keys
        )

    @property
    def is_refused(self) -> bool:
        """Whether the stream was set aside: nothing more of it is loaded."""
        return self._is_dropped or self.name in self._surroundings.refusals

    @property
    def has_uncommitted(self) -> bool:
        """Whether anything has come since the last commit was asked for."""
        return self._uncommitted

    @property
    def ends_with_input(self) -> bool:
        """Whether the end of the input stands for the tap's word that the stream is whole."""
        return self._settings.publish_on is PublishOn.END_OF_INPUT

    def is_commit_due(self) -> bool:
        """Whether rows have waited long enough, or are many enough, to be committed."""
        if not self._uncommitted or not self.can_wait_in_warehouse:
            return False
        # What is staged while a commit is under way may be what it commits.
        is_idle = self._load and self._load.done == self._asked
        staged = self._load.staged_bytes if self._load and is_idle else 0
        return (
            staged >= self._surroundings.sizes.commit_bytes or time.monotonic() >= self._commit_due
        )

    def commit(self, *, publish: bool = False) -> None:
        """Ask for everything received so far to be committed."""
        part, states = self.part(publish=publish), self._surroundings.states
        self._give(lambda place: commit_together(place, [part], states))

    def part(self, *, publish: bool = False, cut: bool = False) -> Part:
        """Return everything received so far as a part of a commit that is about to be given.

        Args:
            publish: whether a snapshot is whole.
            cut: whether what came after the last mark is left out.
        """
        if cut:
            self._forget_records()
        else:
            self.flush()
            self._close_file()
        states = self._surroundings.states
        covered = self._marked if cut else states.received(self.name)
        rejected, self._rejected = ([] if cut else self._rejected), []
        self._asked += 1
        part = Part(
            load=lambda: self._table_load,
            commit=Commit(
                number=self._asked,
                version=self._version or self._run_version,
                publish=publish,
                bookmark=None if cut else states.bookmark(self.name),
                started_at=self._started_at,
                slices=self._hints.slices,
            ),
            rejected=rejected,
            covered=covered if publish or self.can_wait_in_warehouse else None,
            is_refused=lambda: self.name in self._surroundings.refusals,
            is_cut=cut,
            is_exact=self.is_exact,
        )
        self._uncommitted = self.has_uncommitted_rows = False
        self._has_rows = self._has_rows and not publish
        self._marked = covered
        self.covered = max(self.covered, part.covered or 0)
        self._commit_due = time.monotonic() + self._surroundings.sizes.commit_seconds
        self._started_at = datetime.now(UTC)
        return part

    def mark(self) -> None:
        """Note that a state covers everything received so far."""
        self.flush()
        self._close_file()
        rejected, self._rejected = self._rejected, []
        self._marked = self._surroundings.states.received(self.name)

        def work(_: Workplace) -> None:
            self._table_load.rejected += rejected
            self._table_load.mark()

        self._give(work)

    def give(self, job: Job) -> None:
        """Give a job for several streams to the session that this one is loaded by."""
        self._worker.give(job)

    def _give(self, job: Job, *, otherwise: Callable[[], None] = lambda: None) -> None:
        """Give a job for this stream alone.

        Args:
            job: what to do.
            otherwise: what to do if it fails, or the stream was set aside before.
        """

        def work(place: Workplace) -> None:
            refusals = self._surroundings.refusals
            if self.name not in refusals:
                try:
                    job(place)
                except LoadError as error:
                    refusals.add(self.name, error, is_independent=self._hints.is_independent)
                else:
                    return
            otherwise()

        self._worker.give(work)

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        """Set the stream aside if the block finds an error, once what was given before is done."""
        try:
            yield
        except LoadError as found:
            error = found
            if error.ends_run or not self._hints.is_independent:
                raise
            self._is_dropped = True
            self._forget_records()
            self._surroundings.states.receive(self.name)  # no later state may cover what is dropped
            self._give(lambda _: _raise(error))

    def end(self, *, whole: bool) -> bool:
        """Commit the rest at the end of the input; False if a snapshot was left unfinished.

        Args:
            whole: whether the input came to its end, as opposed to a signal to stop.
        """
        if self.is_refused:
            return True
        at_end = self.ends_with_input and whole
        publish = self._method.is_snapshot and at_end and self._has_rows
        waiting = self._method.is_snapshot and (self._has_rows or self._opened is not None)
        if publish or (self.can_wait_in_warehouse and not self.is_exact):
            self.commit(publish=publish)
        return publish or not waiting

    # Parts

    @property
    def can_wait_in_warehouse(self) -> bool:
        """Whether rows may be committed before they are published.

        A later run finds the rows of an unfinished snapshot by their version; without one they
        would be lost to it, so they are kept back, and the state that covers them too.
        """
        resumable = self._settings.publish_on is PublishOn.ACTIVATE_VERSION
        return not self._method.is_snapshot or (resumable and self._version is not None)

    @property
    def _run_version(self) -> int | None:
        """What stands for the version of a snapshot that has none: the start of this run."""
        milliseconds = int(self._surroundings.started_at.timestamp() * 1000)
        return milliseconds if self._method.is_snapshot else None

    @property
    def _table_load(self) -> TableLoad:
        assert self._load is not None  # noqa: S101 - the first job of a stream makes it
        return self._load

    def _prepare(self, place: Workplace, schema: StreamSchema, method: LoadMethod) -> None:
        if self._load is None:
            constants = Constants(self._settings, self._surroundings.started_at)
            self._load = TableLoad(
                stream=self.name,
                run_id=self._surroundings.run_id,
                table=self.table,
                settings=self._settings,
                constants=constants,
                session=place.session,
                tables=place.tables,
                dropped_columns=self._hints.dropped_columns,
                resumes=self._hints.resumes,
                keeps_newer=self._hints.keeps_newer,
                deleted_at_column=self._hints.deleted_at_column,
            )
        self._load.prepare(schema, method)

    def _effective_method(self) -> LoadMethod:
        method = self._settings.load_method
        if method is LoadMethod.UPSERT and not self._schema.keys:
            logger.warning(
                "Stream %s has no key, so its rows are appended and a re-run adds them again; to "
                "avoid that, choose overwrite or replace-slice for it in the setting `streams`.",
                self.name,
            )
            return LoadMethod.APPEND_ONLY
        return method

    def _change_version(self, version: int) -> None:
        if self._uncommitted and self._method is not LoadMethod.APPEND_ONLY:
            self.commit()
        self._version, self._opened, self._has_rows = version, None, False

    def _requirements(self) -> Requirements:
        names = {column.name for column in self._schema.keys}
        if self._method is LoadMethod.REPLACE_SLICE:
            names.add(fold(str(self._settings.slice_column)))
        keyed = bool(self._schema.keys) and self._method is not LoadMethod.APPEND_ONLY
        order = self._settings.order_column
        return Requirements(frozenset(names), keyed, fold(order) if order else None)

    def _check_slices(self, table: pa.Table, faults: dict[int, str]) -> None:
        if self._method is not LoadMethod.REPLACE_SLICE:
            return
        name = fold(str(self._settings.slice_column))
        if name in table.column_names and table[name].null_count:
            nulls = table[name].combine_chunks().is_null().to_pylist()
            for row in (row for row, is_null in enumerate(nulls) if is_null):
                faults.setdefault(row, f"slice column {name} is missing or null")

    def _with_metadata(self, table: pa.Table, extracted: list[str | None]) -> pa.Table:
        start = self._row_number
        self._row_number += table.num_rows
        if self._method is not LoadMethod.APPEND_ONLY:
            numbers = pa.array(range(start, self._row_number), pa.int64())
            table = table.append_column(ROW_NUMBER, numbers)
        if self._settings.add_record_metadata and EXTRACTED_AT not in table.column_names:
            table = table.append_column(EXTRACTED_AT, extracted_at(self.name, extracted))
        return table

    def _set_aside(self, bad: list[Rejected], rejected: list[Rejected]) -> None:
        if not bad:
            return
        if self._settings.on_bad_record is OnBadRecord.FAIL:
            more = f" ({len(bad) - 1} more in the same batch)" if len(bad) > 1 else ""
            kind = MissingKeyError if bad[0].reason.startswith("key ") else BadRecordError
            raise kind(
                f"Stream {self.name} sent a record that does not fit its schema: {bad[0].reason}"
                f"{more}. Correct the tap, or set on_bad_record to quarantine to set such records "
                "aside in _REJECTED; nothing since the last commit was kept."
            )
        rejected += bad

    def _write(self, table: pa.Table) -> None:
        if not self._files.fits(table):
            self._close_file()
        self._files.write(table)
        if self._files.bytes_written >= self._surroundings.sizes.file_bytes:
            self._close_file()

    def _close_file(self) -> None:
        if not self._files.is_open:
            return
        finished = self._files.close()

        def upload(_: Workplace) -> None:
            file = finished.result()
            self._table_load.upload(file.path, file.rows, has_row_numbers=True)

        self._give(upload, otherwise=lambda: finished.result().path.unlink(missing_ok=True))


def _raise(error: LoadError) -> NoReturn:
    raise error
