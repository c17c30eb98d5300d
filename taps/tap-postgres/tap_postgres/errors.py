"""What PostgreSQL's errors mean for whoever runs the tap."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from adbc_driver_manager import Error

    from tap_postgres.client import Server

_WITHOUT_MANIFEST = "without a manifest run discovery again"
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_ADVICE = {
    "42501": "Grant it to user {user}, or deselect the stream.",
    "42P01": f"It was dropped or renamed: correct the manifest's query; {_WITHOUT_MANIFEST}.",
    "3F000": f"Its schema was dropped or renamed: correct the manifest's query; "
    f"{_WITHOUT_MANIFEST}.",
    "42703": "A column was dropped or renamed: take it out of the manifest's query; "
    f"{_WITHOUT_MANIFEST}.",
    "57014": "Raise statement_timeout_seconds, or ask who cancelled the query.",
    "25006": "The tap reads in read-only transactions: take FOR UPDATE, or what else writes, out.",
    "55P03": "Another session holds a lock on it: run again when that has ended.",
}
_RECOVERY_CONFLICT = (
    "The replica's replay conflicts with a long read: run again, set range_rows lower, or raise "
    "max_standby_streaming_delay on the replica."
)
# libpq reports a lost connection without a SQLSTATE.
_LOST_TEXT = re.compile(
    "server closed|no connection|connection (not open|has been closed|to server)"
    "|could not (receive|send) data|SSL SYSCALL|SSL error"
)
_LOST = "The connection to {label} was lost. Run again: what the last STATE covers is kept."


class ConnectError(TapError):
    """No connection to a server could be made, or nothing says how, so nothing can be read."""


class RecoveryConflictError(TapError):
    """A replica cancelled a query whose snapshot stood in the way of replay.

    The same rows can be read in a new snapshot; less of them at a time has a better chance.
    """


def connection_error(error: Error, server: Server) -> ConnectError:
    """A sentence for a connection that could not be made; libpq's text names no secret."""
    reason = str(error).partition("Failed to connect: ")[2].split("\n")[0] or str(error)
    reason = reason.partition("FATAL:")[2].strip() or reason
    if "password" in reason or "authentication" in reason or "role" in reason:
        advice = server.named("user", "password")
    elif "database" in reason:
        advice = server.named("database")
    elif "SSL" in reason or "certificate" in reason:
        advice = server.named("sslmode", "sslrootcert")
    else:
        advice = f"{server.named('host', 'port')}, and that the server accepts connections"
    reason = reason.rstrip(".")
    return ConnectError(f"Could not connect to {server.label}: {reason}. Check {advice}.")


def query_error(error: Error, doing: str, server: Server) -> TapError:
    """A sentence for a query that failed; `doing` says what it was for."""
    code = error.sqlstate or ""
    message = _primary_message(error).rstrip(".")
    if "conflict with recovery" in message:
        return RecoveryConflictError(f"{doing} failed: {message}. {_RECOVERY_CONFLICT}")
    if code.startswith(("08", "57P")) or (not code and _LOST_TEXT.search(message)):
        return TapError(f"{doing} failed. {_LOST.format(label=server.label)}")
    advice = _ADVICE.get(code, f"SQLSTATE {code or 'unknown'}.").format(user=server.user)
    return TapError(f"{doing} failed: {message}. {advice}")


def _primary_message(error: Error) -> str:
    for key, value in error.details:
        if key in ("PG_DIAG_MESSAGE_PRIMARY", b"PG_DIAG_MESSAGE_PRIMARY"):
            return value.decode() if isinstance(value, bytes) else str(value)
    return str(error).split("\n")[0]
