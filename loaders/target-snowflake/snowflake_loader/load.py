"""One stream's table: files are uploaded to its stage folder, then committed.

Each of the load methods is a way to bring staged files into the table inside one
transaction. Rows that are not published yet (a snapshot whose end has not come) wait in a
helper table of their own, where readers of the table do not see them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from snowflake_loader import deletions
from snowflake_loader.column_types import ColumnType, Kind
from snowflake_loader.errors import LoadError, WarehouseError
from snowflake_loader.faults import Point, reach
from snowflake_loader.helper_tables import HelperTables
from snowflake_loader.ledger import LedgerEntry, as_json, cut_text, insert_entry, insert_rejected
from snowflake_loader.names import LOADS, REJECTED, fold, quote
from snowflake_loader.settings import LoadMethod
from snowflake_loader.statements import Statements
from snowflake_loader.tables import TableColumn

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from snowflake_loader.constants import Constants
    from snowflake_loader.records import Rejected
    from snowflake_loader.schema import StreamSchema
    from snowflake_loader.settings import StreamSettings
    from snowflake_loader.tables import SchemaTables
    from snowflake_loader.warehouse import Session

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StagedFile:
    """A file in the stage: its folder (which holds nothing else), rows and bytes.

    Only a file that this loader wrote from records says in which order its rows came.
    """

    folder: str
    rows: int
    bytes: int
    has_row_numbers: bool


@dataclass(frozen=True)
class Commit:
    """What the main thread asks for: everything received so far, published or not yet.

    Attributes:
        number: Its place among the commits that were asked for of this stream, from 1 on.
        version: Of the snapshot, or None.
        publish: Whether that is whole.
        bookmark: The stream's in the latest state, for the ledger.
        started_at: When the first row of it may have come.
        slices: Slices that are replaced though no row of them may have come.
    """

    number: int
    version: int | None
    publish: bool
    bookmark: str | None
    started_at: datetime
    slices: tuple[str | int, ...] = ()


class NeedsHelperError(Exception):
    """Keys came twice, or newer rows are there: only by way of a helper table is it told apart."""

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self.stream = stream


@dataclass
class Counts:
    """Rows of the stream's table that a transaction touched."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    slices: str | None = None


@dataclass
class TableLoad:
    """Loads one stream into its table, in the thread of the stream's session."""

    stream: str
    run_id: str
    table: str
    settings: StreamSettings
    constants: Constants
    session: Session
    tables: SchemaTables
    dropped_columns: tuple[str, ...] = ()
    resumes: bool = False
    keeps_newer: bool = False
    deleted_at_column: str | None = None
    method: LoadMethod = LoadMethod.APPEND_ONLY
    staged: list[StagedFile] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    staged_bytes: int = 0
    done: int = 0  # the number of the last commit

    def __post_init__(self) -> None:
        self.helpers = HelperTables(self.tables, self.table, self.stream)
        self._marked = (0, 0)
        self._is_applied = False

    def prepare(self, schema: StreamSchema, method: LoadMethod) -> None:
        """Bring the table to the stream's schema; this is DDL and so outside any transaction.

        Raises:
            LoadError: a column changed incompatibly, one that a setting names is missing or a
                VARIANT, or there is no table whose rows could be marked.
        """
        self.schema, self.method = schema, method
        slices = self._column("slice_column") if method is LoadMethod.REPLACE_SLICE else None
        ordered = self.settings.order_column and method is not LoadMethod.MARK_DELETED
        order = self._column("order_column") if ordered else None
        self.constants.own_names = frozenset(column.name for column in schema.columns)
        self.tables.ensure(self.table, self._wanted_columns(), self.stream)
        self.statements = Statements(
            target=self.tables.reference(self.table),
            schema=schema,
            constants=self.constants,
            slice_column=slices,
            order_column=order,
        )

    def _wanted_columns(self) -> list[TableColumn]:
        own = [TableColumn(c.name, c.type, required=c.is_key) for c in self.schema.columns]
        if self.method is not LoadMethod.MARK_DELETED:
            return [*own, *self.constants.columns]
        if not self.schema.keys or not self.tables.columns(self.table):
            raise LoadError(
                f"Stream {self.stream} asks to mark the deleted rows of {self.table}, but there is "
                "no such table, or the stream has no key. Load the table first, by its key."
            )
        return [*own, *deletions.mark_columns(self._deleted_at)]

    def upload(self, path: Path, rows: int, *, has_row_numbers: bool = False) -> None:
        """Upload a file and delete it; its rows are in the table after the next commit."""
        size = path.stat().st_size
        folder = uuid4().hex
        self.session.upload(path, folder)
        reach(Point.FILE_UPLOADED)
        path.unlink()
        self.staged.append(StagedFile(folder, rows, size, has_row_numbers))
        self.staged_bytes += size

    def mark(self) -> None:
        """Note that the tap would not send again what is staged by now."""
        self._marked = (len(self.staged), len(self.rejected))

    def cut(self) -> None:
        """Leave out what was staged after the last mark; the next run brings it again."""
        files, rejected = self._marked
        self.staged, self.rejected = self.staged[:files], self.rejected[:rejected]
        self.staged_bytes = sum(file.bytes for file in self.staged)

    def has_work(self, commit: Commit) -> bool:
        """Whether a transaction is needed; rows of a snapshot that is published are left out."""
        if not (self.staged or self.rejected or commit.publish):
            return False
        if self._was_published(commit):
            logger.warning(
                "%s: snapshot %d is in the table already, so what was sent again (%d rows) is left "
                "out. If they are new rows, the tap must give each snapshot a version of its own.",
                self.stream, commit.version, sum(file.rows for file in self.staged),
            )  # fmt: skip
            self._forget_staged()
            self._is_applied = False
            return False
        return True

    def open_helper(self, commit: Commit) -> str | None:
        """Make the helper table that this commit needs, if any, and return its reference.

        This is DDL and so outside any transaction.

        Raises:
            LoadError: rows of this snapshot that an earlier run sent are gone.
        """
        if not self.method.is_snapshot:
            direct = self.method is LoadMethod.APPEND_ONLY and self.statements.copies_directly
            return None if direct else self.helpers.staging(self.schema)
        waiting = self.helpers.has_pending(self.method, commit.version)
        if self.resumes and not waiting:
            raise LoadError(
                f"Stream {self.stream} goes on with its snapshot {commit.version}, but the rows "
                f"that an earlier run sent do not wait for {self.table} any more. Remove the "
                "stream's bookmark from the state, so that it is read anew."
            )
        self.resumes = False  # what this run has begun is there
        if commit.publish and not waiting and self._can_replace_directly:
            return None
        return self.pending_helper(commit)

    def pending_helper(self, commit: Commit) -> str:
        """Make the table where a snapshot's rows wait, and return its reference."""
        return self.helpers.pending(self.schema, self.method, commit.version)

    def apply(self, commit: Commit, helper: str | None) -> LedgerEntry:
        """Bring the staged rows to the table, and the ledger entry, inside a transaction.

        Raises:
            NeedsHelperError: it has to be done once more, by way of a pending helper table.
            WarehouseError: Snowflake refused a statement.
        """
        self.constants.version = commit.version
        counts = self._load(commit, helper)
        entry = self._entry(uuid4().hex, commit, counts)
        self._write_ledger(entry)
        reach(Point.LEDGER_WRITTEN)
        self._is_applied = True
        return entry

    def clean_up(self, commit: Commit) -> None:
        """Forget what is committed, and drop what it needs no more; DDL again."""
        self._forget_staged()
        if self._is_applied and self.method.is_snapshot and commit.publish:
            self.tables.published.add((self.table, self.method.value, commit.version or 0))
            self.helpers.drop_superseded(self.method, commit.version)
        self._is_applied = False
        self._drop_columns(commit)
        self.done = commit.number

    def _was_published(self, commit: Commit) -> bool:
        # What is merged or appended has a part of its version in each commit, and in each run.
        key = (self.table, self.method.value, commit.version or 0)
        return self.method.is_snapshot and key in self.tables.published

    def _forget_staged(self) -> None:
        self.staged, self.rejected, self.staged_bytes = [], [], 0
        self._marked = (0, 0)

    def _load(self, commit: Commit, helper: str | None) -> Counts:
        if self.method is LoadMethod.UPSERT and helper:
            return self._upsert(helper)
        if not self.method.is_snapshot:
            return Counts(inserted=self._append(helper))
        if not commit.publish:
            self._copy_all(str(helper))
            return Counts()
        return self._publish(helper, commit)

    def _append(self, helper: str | None) -> int:
        if helper is None:
            return self._copy_all(self.statements.target)
        self._copy_all(helper)
        inserted = self._count(self.statements.insert(helper), "inserting into")
        self._count(self.statements.empty(helper), "emptying the staging table of")
        return inserted

    def _upsert(self, helper: str) -> Counts:
        self._copy_all(helper)
        if not self._is_one_file_of_unique_keys:
            self._keep_last_rows(helper)
        counts = Counts()
        counts.inserted, counts.updated = self._merge(self.statements.merge(helper))
        reach(Point.MERGED)
        self._count(self.statements.empty(helper), "emptying the staging table of")
        return counts

    def _publish(self, helper: str | None, commit: Commit) -> Counts:
        if helper is None:
            return self._replace_directly()
        self._copy_all(helper)
        if self.method is LoadMethod.MARK_DELETED:
            return self._mark_deleted(helper, commit.version)
        counts = Counts()
        if self.method is LoadMethod.REPLACE_SLICE:
            rows = self.session.execute(
                self.statements.slices(helper), f"finding the slices of {self.table}"
            )
            found = [row["SLICE"] for row in rows]
            emptied = [name for name in commit.slices if name not in {*found, *map(str, found)}]
            counts.slices = as_json([*found, *emptied])
            delete = self.statements.delete_slices(helper, emptied)
        else:
            delete = self.statements.delete_all()
        insert = self.statements.insert(helper)
        if self._keeps_newer_rows and self._newest(helper) is not None:
            delete = self.statements.delete_not_newer(helper)
            insert = self.statements.insert_missing(helper)
        counts.deleted = self._count(delete, "replacing the rows of")
        reach(Point.ROWS_DELETED)
        self._keep_last_rows(helper)
        counts.inserted = self._count(insert, "inserting into")
        return counts

    @property
    def _keeps_newer_rows(self) -> bool:
        """Whether rows stay that another load brought after this snapshot was taken."""
        has_order = bool(self.schema.keys and self.statements.order_column)
        return self.method is LoadMethod.OVERWRITE and self.keeps_newer and has_order

    def _newest(self, table: str) -> Any:  # noqa: ANN401 - whatever the order column holds
        purpose = f"looking for newer rows of {self.table}"
        return self.session.execute(self.statements.newest(table), purpose)[0]["NEWEST"]

    def _replace_directly(self) -> Counts:
        before = self._newest(self.statements.target) if self._keeps_newer_rows else None
        deleted = self._count(self.statements.delete_all(), "replacing the rows of")
        reach(Point.ROWS_DELETED)
        counts = Counts(inserted=self._copy_all(self.statements.target), deleted=deleted)
        if before is not None:
            now = self._newest(self.statements.target)
            if now is not None and before > now:
                raise NeedsHelperError(self.stream)
        if not self._is_one_file_of_unique_keys and self._has_repeated_keys(self.statements.target):
            raise NeedsHelperError(self.stream)
        return counts

    @property
    def _is_one_file_of_unique_keys(self) -> bool:
        """A Parquet file of the tap's was looked over before it was uploaded."""
        return len(self.staged) == 1 and not self.staged[0].has_row_numbers

    def _has_repeated_keys(self, table: str) -> bool:
        if not self.schema.keys:
            return False
        return self._count(self.statements.repeated_keys(table), "checking the keys of") > 0

    def _keep_last_rows(self, helper: str) -> None:
        if self._has_repeated_keys(helper):
            statement = self.statements.delete_superseded(helper)
            self._count(statement, "dropping superseded rows of")

    def _mark_deleted(self, helper: str, version: int | None) -> Counts:
        statements = deletions.Deletions(
            target=self.statements.target,
            helper=helper,
            schema=self.schema,
            order_column=self._stored_order_column(),
            version=version,
            deleted_at=self._deleted_at,
        )
        living = self._count(statements.living(), "counting the rows of")
        vanished = self._count(statements.vanished(), "counting the vanished rows of")
        if vanished > living * self.settings.max_deleted_share:
            raise LoadError(
                f"Stream {self.stream}: {vanished:,} of {living:,} rows of {self.table} are not in "
                f"the source any more, a larger share than max_deleted_share "
                f"({self.settings.max_deleted_share:g}). Nothing was marked; see whether the "
                "source is whole, and if it is, run once with a larger share."
            )
        _, unmarked = self._merge(statements.unmark())
        _, marked = self._merge(statements.mark())
        reach(Point.MERGED)
        return Counts(updated=unmarked, deleted=marked)

    @property
    def _deleted_at(self) -> str | None:
        """The column for the moment of a deletion, if the tap names one."""
        return fold(self.deleted_at_column) if self.deleted_at_column else None

    def _stored_order_column(self) -> str | None:
        """The order column, where the table has one."""
        name = fold(self.settings.order_column or "")
        return quote(name) if name in self.tables.columns(self.table) else None

    def _merge(self, statement: str) -> tuple[int, int]:
        """Run a MERGE; rows inserted and updated."""
        (row,) = self.session.execute(statement, f"merging into {self.table}")
        inserted = int(row.get("NUMBER OF ROWS INSERTED") or 0)
        return inserted, int(row.get("NUMBER OF ROWS UPDATED") or 0)

    def _copy_all(self, destination: str) -> int:
        """Copy every staged file; in a helper each gets a number, so that the last row wins."""
        numbered = destination != self.statements.target
        # A snapshot that goes straight to its table may have to be copied once more.
        purge = numbered or not self.method.is_snapshot
        rows = 0
        for file in self.staged:
            rows += self._copy(file, destination, purge=purge)
            if numbered:
                number = self.statements.number(destination, self.helpers.next_sequence())
                self._count(number, "numbering the new rows of")
        return rows

    def _copy(self, file: StagedFile, destination: str, *, purge: bool) -> int:
        """Copy one file and make sure that every row of it arrived.

        Raises:
            WarehouseError: another number of rows arrived, or no file was found; COPY calls
                both a success ("snowflake.md", section 2).
        """
        source = self.session.folder(file.folder)
        rows = self.session.execute(
            self.statements.copy(source, destination, purge=purge),
            f"copying a file into {self.table}",
        )
        reach(Point.COPIED)
        loaded = sum(int(row.get("ROWS_LOADED") or 0) for row in rows)
        if loaded != file.rows:
            raise WarehouseError(
                f"Copying a file of stream {self.stream} brought {loaded} of its {file.rows} rows "
                f"into {self.table}; nothing of this commit is kept. Snowflake said: {rows[:1]}."
            )
        return loaded

    def _count(self, sql: str, purpose: str) -> int:
        rows = self.session.execute(sql, f"{purpose} {self.table}")
        return int(next(iter(rows[0].values()))) if rows else 0

    @property
    def _can_replace_directly(self) -> bool:
        return self.method is LoadMethod.OVERWRITE and self.statements.copies_directly

    def _drop_columns(self, commit: Commit) -> None:
        """Drop what left the source, once the rows that came without it are in the table."""
        if self.method.is_snapshot and not commit.publish:
            return
        wanted = {column.name for column in self.schema.columns}
        stored = self.tables.columns(self.table)
        names = [name for name in map(fold, self.dropped_columns) if name in stored]
        if gone := [name for name in dict.fromkeys(names) if name not in wanted]:
            self.tables.drop_columns(self.table, gone)

    # The ledger

    def _entry(self, load_id: str, commit: Commit, counts: Counts) -> LedgerEntry:
        return LedgerEntry(
            load_id=load_id,
            run_id=self.run_id,
            stream=self.stream,
            table_name=self.table,
            method=self.method.value,
            version=commit.version,
            slices=counts.slices,
            rows_read=sum(file.rows for file in self.staged) + len(self.rejected),
            inserted=counts.inserted,
            updated=counts.updated,
            deleted=counts.deleted,
            rejected=len(self.rejected),
            bytes=self.staged_bytes,
            files=len(self.staged),
            published=commit.publish or not self.method.is_snapshot,
            started_at=commit.started_at,
            committed_at=datetime.now(UTC),
            bookmark=None if commit.bookmark is None else cut_text(commit.bookmark),
        )

    def _write_ledger(self, entry: LedgerEntry) -> None:
        statements: Iterable[str] = insert_rejected(
            self.tables.reference(REJECTED), entry.load_id, self.stream, self.rejected
        )
        for sql in statements:
            self.session.execute(sql, f"writing the rejected records of {self.stream}")
        insert = insert_entry(self.tables.reference(LOADS), entry)
        self.session.execute(insert, f"writing the ledger entry of {self.stream}")

    def _column(self, setting: str) -> str:
        """The column that a setting names, quoted."""
        wanted = fold(str(getattr(self.settings, setting)))
        types = {column.name: column.type for column in self.schema.columns}
        if types.get(wanted) == ColumnType(Kind.VARIANT):
            raise LoadError(
                f"Stream {self.stream} has column {wanted}, which `{setting}` names, as a VARIANT, "
                "whose values cannot be compared; choose a column of text, numbers or moments."
            )
        if wanted not in types:
            raise LoadError(
                f"Stream {self.stream} has no column {wanted}, which `{setting}` names; choose "
                f"one of {', '.join(types)}."
            )
        return quote(wanted)
