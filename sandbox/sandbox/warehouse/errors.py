"""DuckDB's and fakesnow's errors in Snowflake's numbers (fact sheet snowflake.md, section 12)."""

from __future__ import annotations

import re

import duckdb
from snowflake.connector.errors import OperationalError, ProgrammingError

SnowflakeError = ProgrammingError | OperationalError

LOCKED = 625
INTERNAL = 603
MISSING = 2003
EXISTS = 2002
SESSION_GONE = 390111
SESSION_GONE_MESSAGE = "Session no longer exists. New login required to access the service."

# DuckDB's exception, a word of its text, and what Snowflake says instead; the first match counts.
TRANSLATIONS = (
    (duckdb.TransactionException, "onflict", LOCKED, "57014", "Statement aborted for a lock."),
    (duckdb.TransactionException, "", INTERNAL, "25000", "The transaction must be rolled back."),
    (duckdb.ConstraintException, "NOT NULL", 100072, "22000", "NULL in a non-nullable column."),
    (
        duckdb.InvalidInputException,
        "MERGE INTO command cannot affect",
        100090,
        "42P18",
        "Duplicate row detected during DML action.",
    ),
    (duckdb.InvalidInputException, "JSON", 100069, "22P02", "Error parsing JSON."),
    (duckdb.DataError, "", 100038, "22018", "A value does not fit its type."),
)

_NAME = re.compile(r'"([^"]+)"|with name ([^\s"]+)')


def insufficient_privileges(name: str) -> ProgrammingError:
    """The error of a role that lacks a grant."""
    return ProgrammingError(
        msg=f"SQL access control error:\nInsufficient privileges to operate on {name}",
        errno=3001,
        sqlstate="42501",
    )


def to_snowflake(error: Exception) -> SnowflakeError:
    """Translate what DuckDB or fakesnow raised.

    A client that matches on Snowflake's numbers (lock, missing object, bad data) must meet the
    same numbers here. Anything unknown is 000603, as Snowflake's own internal errors are.
    """
    if isinstance(error, SnowflakeError):
        return _reword(error)
    text = f"{type(error).__name__}: {error}"
    for kind, word, errno, sqlstate, meaning in TRANSLATIONS:
        if isinstance(error, kind) and word in text:
            return _error(errno, sqlstate, f"{meaning} {text}")
    return _error(INTERNAL, "XX000", f"SQL execution internal error: {text}")


def _reword(error: SnowflakeError) -> SnowflakeError:
    text = str(error.msg)
    if error.errno not in {MISSING, 2043}:
        return error
    if "not authorized" in text:
        return error
    if "already exists" in text:
        return _error(EXISTS, "42710", f"SQL compilation error:\nObject already exists: {text}")
    if re.search(r"does not exist|No catalog|is not a catalog", text):
        match = _NAME.search(text)
        name = (match[1] or match[2]) if match else "(unknown)"
        name = name.removesuffix(".main")
        return _error(
            MISSING,
            error.sqlstate or "02000",
            f"SQL compilation error:\nObject '{name}' does not exist or not authorized. ({text})",
        )
    return error


def _error(errno: int, sqlstate: str, message: str) -> ProgrammingError:
    return ProgrammingError(msg=message, errno=errno, sqlstate=sqlstate)
