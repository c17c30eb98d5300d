"""What a statement must become so that DuckDB does as Snowflake does."""

from __future__ import annotations

import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from fakesnow.expr import normalise_ident
from fakesnow.transforms import stage
from sqlglot import exp

if TYPE_CHECKING:
    import duckdb

# Accepted and never enforced by Snowflake (snowflake.md, section 11). DuckDB would enforce them,
# and even refuse to delete and re-insert a key in one transaction.
KEY_CONSTRAINTS = (
    exp.PrimaryKey,
    exp.ForeignKey,
    exp.UniqueColumnConstraint,
    exp.PrimaryKeyColumnConstraint,
    exp.Reference,
)
TEMPORARY = "temporary of "


def for_duckdb(statement: exp.Expr) -> exp.Expr:
    """CREATE TABLE without TEMPORARY (see `mark_temporary`) and without key constraints."""
    if not (isinstance(statement, exp.Create) and statement.args.get("kind") == "TABLE"):
        return statement
    for temporary in list(statement.find_all(exp.TemporaryProperty)):
        temporary.pop()
    for constraint in list(statement.find_all(*KEY_CONSTRAINTS)):
        wrapper = constraint.parent
        (
            wrapper if isinstance(wrapper, exp.ColumnConstraint | exp.Constraint) else constraint
        ).pop()
    return statement


def is_temporary(statement: exp.Expr) -> bool:
    """Whether the statement creates a temporary table or stage."""
    return isinstance(statement, exp.Create) and bool(statement.find(exp.TemporaryProperty))


def target_name(statement: exp.Expr) -> str:
    """What an error message calls the object a statement works on."""
    table = statement.find(exp.Table)
    return f"'{table.sql(dialect='snowflake')}'" if table else "this object"


def full_name(
    statement: exp.Expr, database: str | None, schema: str | None
) -> tuple[str, str, str]:
    """Database, schema and name of the object a CREATE statement makes."""
    table = statement.find(exp.Table)
    if table is None:
        raise ValueError(f"CREATE without a name: {statement.sql(dialect='snowflake')}")
    parts: list[str] = [normalise_ident(p.sql(dialect="snowflake")) for p in table.parts]
    defaults = [database or "", schema or ""]
    catalog, db, name = defaults[: 3 - len(parts)] + parts
    return catalog, db, name


def mark_temporary(
    duck: duckdb.DuckDBPyConnection, name: tuple[str, str, str], session_id: str
) -> None:
    """Note on an ordinary table whose it is.

    DuckDB's own temporary tables cannot be named with database and schema, nor loaded by COPY.
    """
    duck.execute(f"COMMENT ON TABLE {_quoted(name)} IS '{TEMPORARY}{session_id}'")


def drop_temporary_tables(duck: duckdb.DuckDBPyConnection, session_id: str = "") -> None:
    """Drop one session's temporary tables, or those of every session."""
    tables = duck.execute(
        "SELECT database_name, schema_name, table_name FROM duckdb_tables()"
        " WHERE starts_with(comment, ?)",
        [TEMPORARY + session_id],
    ).fetchall()
    for name in tables:
        duck.execute(f"DROP TABLE IF EXISTS {_quoted(name)}")


def drop_stage(duck: duckdb.DuckDBPyConnection, name: str) -> None:
    """Forget a stage and delete its files."""
    duck.execute(
        "DELETE FROM _fs_global._fs_information_schema._fs_stages"
        " WHERE concat_ws('.', database_name, schema_name, name) = ?",
        [name],
    )
    with suppress(FileNotFoundError):  # a stage nothing was uploaded to has no folder
        shutil.rmtree(stage.internal_dir(name))


def _quoted(name: tuple[str, str, str]) -> str:
    return ".".join('"' + part.replace('"', '""') + '"' for part in name)
