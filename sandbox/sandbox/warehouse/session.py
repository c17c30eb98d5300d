"""Sessions and their statements: fakesnow's classes with Snowflake's manners."""

from __future__ import annotations

import time
import uuid
from collections import Counter
from typing import TYPE_CHECKING, Any

from fakesnow.conn import FakeSnowflakeConnection
from fakesnow.cursor import FakeSnowflakeCursor
from fakesnow.dialect import parse_one
from sqlglot import exp

from sandbox.settings import WAREHOUSE_READER
from sandbox.warehouse import rewrite
from sandbox.warehouse.errors import insufficient_privileges, to_snowflake

if TYPE_CHECKING:
    from collections.abc import Sequence

READ_ONLY = (exp.Query, exp.Show, exp.Describe, exp.Use, exp.Transaction, exp.Commit, exp.Rollback)
DEFINITIONS = (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Comment)
NOTHING = "SELECT 'Statement executed successfully.' AS status"


class Session(FakeSnowflakeConnection):  # type: ignore[misc] # fakesnow is untyped
    """A logged-in client.

    Attributes:
        id: Stands for the session in the query log; the token is a secret.
        user: Who logged in.
        last_used: `time.monotonic()` of the last statement's end.
        busy: A statement is running.
        temporary_stages: `DATABASE.SCHEMA.NAME` of each stage to remove at the end.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.id = uuid.uuid4().hex
        self.user = ""
        self.last_used = time.monotonic()
        self.busy = False
        self.temporary_stages: list[str] = []
        self._keeps_order: bool | None = None

    @property
    def in_transaction(self) -> bool:
        return bool(self._in_transaction)

    def note_transaction(self, statement: exp.Expr) -> None:
        if isinstance(statement, exp.Transaction):
            self._in_transaction = True
        elif isinstance(statement, exp.Commit | exp.Rollback):
            self._in_transaction = False

    def keep_order(self, statement: exp.Expr) -> None:
        """Let DuckDB keep the rows' order for queries only: loading is faster without.

        What it fetches in parallel loses even the order that an ORDER BY asked for.
        """
        if isinstance(statement, exp.Query | exp.DML | exp.Copy | exp.Create):
            keeps = isinstance(statement, exp.Query)
            if keeps != self._keeps_order:
                self._duck_conn.execute(f"SET SESSION preserve_insertion_order = {keeps}")
                self._keeps_order = keeps

    def cursor(self, _cursor_class: object = None) -> Cursor:
        return Cursor(conn=self, duck_conn=self._duck_conn)

    def end(self) -> None:
        """Roll back, remove what was temporary, close."""
        if self._in_transaction:
            self._duck_conn.rollback()
        rewrite.drop_temporary_tables(self._duck_conn, self.id)
        for name in self.temporary_stages:
            rewrite.drop_stage(self._duck_conn, name)
        self.close()


class Cursor(FakeSnowflakeCursor):  # type: ignore[misc] # fakesnow is untyped
    """One statement of a session."""

    _conn: Session
    _result: tuple[tuple[Any, ...], ...] | None = None

    def execute(
        self,
        command: str,
        params: Sequence[Any] | dict[Any, Any] | None = None,
        *args: object,
        **kwargs: object,
    ) -> Cursor:
        """Run one statement.

        Raises:
            ProgrammingError: With Snowflake's error number, whatever went wrong.
        """
        statement = parse_one(command)
        if self._conn.user == WAREHOUSE_READER and not _only_reads(statement):
            raise insufficient_privileges(rewrite.target_name(statement))
        try:
            if self._conn.in_transaction:
                self._inside_transaction(statement)
                if isinstance(statement, exp.Transaction):
                    command = NOTHING  # Snowflake ignores BEGIN inside a transaction.
            if _is_alter_session(statement) and "AUTOCOMMIT" not in command.upper():
                command = NOTHING  # QUERY_TAG, TIMEZONE and the like change no result here.
            self._conn.keep_order(statement)
            super().execute(command, params, *args, **kwargs)
            if isinstance(statement, exp.Merge):
                super().execute(self._merge_counts(statement))
        except Exception as error:
            raise to_snowflake(error) from error
        self._after(statement)
        return self

    def _execute(self, transformed: exp.Expr, params: object = None) -> None:
        super()._execute(transformed, params)
        is_kept = transformed.args.get("result_scan_sfqid")
        self._result = None if is_kept else tuple(self._duck_conn.description)

    def _describe_last_sql(self) -> list[tuple[Any, ...]]:
        """Name and type of each column of the result, as DESCRIBE would show them.

        fakesnow runs a DESCRIBE after each statement, which took almost half of the time here.
        """
        if self._result is None:
            kept: list[tuple[Any, ...]] = super()._describe_last_sql()
            return kept
        return [(name, str(kind), "YES", None, None, None) for name, kind, *_ in self._result]

    def _transform_explode(self, expression: exp.Expr) -> list[exp.Expr]:
        statements: list[exp.Expr] = super()._transform_explode(rewrite.for_duckdb(expression))
        return statements

    def _merge_counts(self, statement: exp.Merge) -> str:
        """A query that answers as Snowflake's MERGE does: one count for each kind of clause."""
        actions = Counter(self._arrow_table.column(0).to_pylist())
        kinds = {"INSERT": "inserted", "UPDATE": "updated", "DELETE": "deleted"}
        clauses = {when.args["then"].key.upper() for when in statement.args["whens"].expressions}
        clauses = {"DELETE" if clause == "VAR" else clause for clause in clauses}
        counts = [
            f'{actions[kind]} AS "number of rows {done}"'
            for kind, done in kinds.items()
            if kind in clauses
        ]
        return f"SELECT {', '.join(counts)}"

    def _inside_transaction(self, statement: exp.Expr) -> None:
        if isinstance(statement, exp.Commit):
            # DuckDB answers COMMIT of a failed transaction with success, having rolled it back.
            self._duck_conn.execute("SELECT 1")
        elif isinstance(statement, DEFINITIONS) and not _is_alter_session(statement):
            self._commit()  # DDL commits (snowflake.md, section 11)

    def _commit(self) -> None:
        self._duck_conn.execute("SELECT 1")
        self._duck_conn.commit()
        self._conn._in_transaction = False  # noqa: SLF001 - our own session

    def _after(self, statement: exp.Expr) -> None:
        session = self._conn
        session.note_transaction(statement)
        if rewrite.is_temporary(statement):
            name = rewrite.full_name(statement, session.database, session.schema)
            if statement.args["kind"] == "STAGE":
                session.temporary_stages.append(".".join(name))
            else:
                rewrite.mark_temporary(self._duck_conn, name, session.id)


def _only_reads(statement: exp.Expr) -> bool:
    return isinstance(statement, READ_ONLY) or _is_alter_session(statement)


def _is_alter_session(statement: exp.Expr) -> bool:
    return isinstance(statement, exp.Alter) and statement.args.get("kind") == "SESSION"
