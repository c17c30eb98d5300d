"""One stream's table: files are uploaded to its stage folder, then committed.

Each of the four load methods is a way to bring staged files into the table inside one
transaction. Rows that are not published yet (a snapshot whose end has not come) wait in a
helper table of their own, where readers of the table do not see them.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from snowflake_loader.column_types import INTEGER, ColumnType, Kind
from snowflake_loader.errors import LoadError, WarehouseError
from snowflake_loader.ledger import (
    LOADS,
    REJECTED,
    LedgerEntry,
    as_json,
    insert_entry,
    insert_rejected,
)
from snowflake_loader.names import fold, quote
from snowflake_loader.records import EXTRACTED_AT, ROW_NUMBER
from snowflake_loader.settings import LoadMethod
from snowflake_loader.statements import Statements
from snowflake_loader.tables import TableColumn
from snowflake_loader.warehouse import Transaction

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
    """A file in the stage: its folder (which holds nothing else), rows and bytes."""

    folder: str
    rows: int
    bytes: int


@dataclass(frozen=True)
class Commit:
    """What the main thread asks for: everything received so far, published or not yet."""

    version: int | None
    publish: bool
    bookmark: str | None
    started_at: datetime


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
    method: LoadMethod = LoadMethod.APPEND_ONLY
    staged: list[StagedFile] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    staged_bytes: int = 0

    def prepare(self, schema: StreamSchema, method: LoadMethod) -> None:
        """Bring the table to the stream's schema; this is DDL and so outside any transaction.

        Raises:
            LoadError: a column changed incompatibly, or the slice column is missing.
        """
        self.schema, self.method = schema, method
        slice_column = self._slice_column()
        self.constants.own_names = frozenset(column.name for column in schema.columns)
        columns = [
            TableColumn(column.name, column.type, required=column.is_key)
            for column in schema.columns
        ]
        self.tables.ensure(self.table, [*columns, *self.constants.columns], self.stream)
        self.statements = Statements(
            target=self.tables.reference(self.table),
            schema=schema,
            constants=self.constants,
            slice_column=slice_column,
        )

    def upload(self, path: Path, rows: int) -> None:
        """Upload a file and delete it; its rows are in the table after the next commit."""
        size = path.stat().st_size
        folder = uuid4().hex
        self.session.upload(path, folder)
        path.unlink()
        self.staged.append(StagedFile(folder, rows, size))
        self.staged_bytes += size

    def commit(self, commit: Commit) -> LedgerEntry | None:
        """Commit what is staged, with its ledger entry; nothing to do gives None.

        Raises:
            WarehouseError: Snowflake refused a statement; the table is as it was before.
        """
        if not (self.staged or self.rejected or commit.publish):
            return None
        helper = self._open_helper(commit)
        load_id = uuid4().hex
        self.constants.version = commit.version
        with Transaction(self.session):
            counts = self._load(commit, helper)
            entry = self._entry(load_id, commit, counts)
            self._write_ledger(entry)
        self._clean_up(commit)
        self.staged, self.rejected, self.staged_bytes = [], [], 0
        return entry

    def _load(self, commit: Commit, helper: str | None) -> Counts:
        if self.method is LoadMethod.UPSERT and helper:
            return self._upsert(helper)
        if not self.method.is_snapshot:
            return Counts(inserted=self._append(helper))
        if not commit.publish:
            self._copy_all(str(helper))
            return Counts()
        return self._publish(helper)

    def _append(self, helper: str | None) -> int:
        if helper is None:
            return self._copy_all(self.statements.target)
        self._copy_all(helper)
        inserted = self._count(self.statements.insert(helper), "inserting into")
        self._count(self.statements.empty(helper), "emptying the staging table of")
        return inserted

    def _upsert(self, helper: str) -> Counts:
        counts = Counts()
        for file in self.staged:  # In the order they came, so that the last change wins.
            self._copy(file, helper)
            merge = self.statements.merge(helper)
            (row,) = self.session.execute(merge, f"merging into {self.table}")
            counts.inserted += int(row["NUMBER OF ROWS INSERTED"])
            counts.updated += int(row.get("NUMBER OF ROWS UPDATED") or 0)
            self._count(self.statements.empty(helper), "emptying the staging table of")
        return counts

    def _publish(self, helper: str | None) -> Counts:
        if helper is None:
            deleted = self._count(self.statements.delete_all(), "replacing the rows of")
            return Counts(inserted=self._copy_all(self.statements.target), deleted=deleted)
        self._copy_all(helper)
        counts = Counts()
        if self.method is LoadMethod.REPLACE_SLICE:
            rows = self.session.execute(
                self.statements.slices(helper), f"finding the slices of {self.table}"
            )
            counts.slices = as_json([row["SLICE"] for row in rows])
            delete = self.statements.delete_slices(helper)
        else:
            delete = self.statements.delete_all()
        counts.deleted = self._count(delete, "replacing the rows of")
        counts.inserted = self._count(self.statements.insert_last(helper), "inserting into")
        return counts

    def _copy_all(self, destination: str) -> int:
        return sum(self._copy(file, destination) for file in self.staged)

    def _copy(self, file: StagedFile, destination: str) -> int:
        """Copy one file and make sure that every row of it arrived.

        Raises:
            WarehouseError: another number of rows arrived, or no file was found; COPY calls
                both a success ("snowflake.md", section 2).
        """
        source = self.session.folder(file.folder)
        rows = self.session.execute(
            self.statements.copy(source, destination), f"copying a file into {self.table}"
        )
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

    # Helper tables: made before the transaction, dropped after it.

    def _open_helper(self, commit: Commit) -> str | None:
        """Make the helper table that this commit needs, if any, and return its reference."""
        name = self._helper_name(commit)
        if name is None:
            return None
        self._drop_helpers(but=name)
        columns = [TableColumn(c.name, c.type.staging) for c in self.schema.columns]
        own = {column.name for column in columns}
        extra = [column for column in HELPER_COLUMNS if column.name not in own]
        self.tables.ensure(name, [*columns, *extra], self.stream)
        return self.tables.reference(name)

    def _helper_name(self, commit: Commit) -> str | None:
        if not self.method.is_snapshot:
            direct = self.method is LoadMethod.APPEND_ONLY and self.statements.copies_directly
            return None if direct else f"{STAGING}{self.table}"
        name = f"{PENDING}{commit.version or 0}_{self.table}"
        direct = self.method is LoadMethod.OVERWRITE and self.statements.copies_directly
        return None if commit.publish and direct and name not in self.tables.names() else name

    def _clean_up(self, commit: Commit) -> None:
        if self.method.is_snapshot and commit.publish:
            self._drop_helpers(but=None)

    def _drop_helpers(self, but: str | None) -> None:
        """Drop this table's helpers but one: what an unfinished run or older version left."""
        for name in self.tables.names():
            prefix, _, table = name.removeprefix(PENDING).partition("_")
            pending = name.startswith(PENDING) and prefix.isdigit() and table == self.table
            if name != but and (pending or name == f"{STAGING}{self.table}"):
                self.tables.drop(name)

    def finish(self) -> None:
        """Drop the staging table; rows that wait to be published stay."""
        if f"{STAGING}{self.table}" in self.tables.names():
            self.tables.drop(f"{STAGING}{self.table}")

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
            bookmark=commit.bookmark,
        )

    def _write_ledger(self, entry: LedgerEntry) -> None:
        statements: Iterable[str] = insert_rejected(
            self.tables.reference(REJECTED), entry.load_id, self.stream, self.rejected
        )
        for sql in statements:
            self.session.execute(sql, f"writing the rejected records of {self.stream}")
        insert = insert_entry(self.tables.reference(LOADS), entry)
        self.session.execute(insert, f"writing the ledger entry of {self.stream}")

    def _slice_column(self) -> str | None:
        if self.method is not LoadMethod.REPLACE_SLICE:
            return None
        wanted = fold(str(self.settings.slice_column))
        if wanted not in {column.name for column in self.schema.columns}:
            raise LoadError(
                f"Stream {self.stream} has no column {wanted}, which `slice_column` names; choose "
                f"one of {', '.join(column.name for column in self.schema.columns)}."
            )
        return quote(wanted)


STAGING = "_STAGING_"
PENDING = "_PENDING_"
HELPER_COLUMNS = (
    TableColumn(ROW_NUMBER, INTEGER),
    TableColumn(EXTRACTED_AT, ColumnType(Kind.TIMESTAMP_TZ)),
)
