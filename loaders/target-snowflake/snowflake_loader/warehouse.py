"""A session with Snowflake: statements, uploads, and errors as sentences."""

from __future__ import annotations

import glob
import logging
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from snowflake_loader.authentication import login
from snowflake_loader.errors import LoadError, StatementError, WarehouseError
from snowflake_loader.names import literal, quote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from snowflake.connector import SnowflakeConnection

logger = logging.getLogger(__name__)
logging.getLogger("snowflake.connector").setLevel(logging.WARNING)  # it greets at every log-in

# What to do about an error of Snowflake ("snowflake.md", section 12).
ADVICE = {
    2003: "Check that it exists and that the role may use it.",
    2043: "Check that it exists and that the role may use it.",
    3001: "Grant the role this privilege.",
    606: "Set `warehouse`, or grant the role USAGE on it.",
    390100: "Check `user`, `password` and `account`.",
    390144: "Check `user`, `account`, the private key, and the clock of this machine.",
    390303: "Check `oauth_access_token`.",
    390318: "It has expired: get a new `oauth_access_token`.",
    390104: "The session has ended; nothing of this commit is in the warehouse. Run again.",
    390111: "The session has ended; nothing of this commit is in the warehouse. Run again.",
    390114: "The session has expired; nothing of this commit is in the warehouse. Run again.",
    625: "Another load holds the table's lock; run again when it has finished.",
    630: "The statement ran into its time limit.",
    90073: "A resource monitor has stopped the warehouse; ask its owner.",
}
# The connector asks once more when an answer is lost, and learns that the session has gone.
SESSION_ENDED = {390104, 390111, 390114}
CONCERNS_ALL = {*SESSION_ENDED, 606, 90073}  # no statement would be answered otherwise
UNREACHABLE = "Check `account`, `host` and `port`, and the network; then run again."
CONNECTION_LOST = "The connection was lost; nothing of this commit is in the warehouse. Run again."


class Session:
    """One connection to Snowflake with a temporary stage of its own.

    The stage and all files in it end with the session. Not to be shared between threads.
    """

    def __init__(self, connection: SnowflakeConnection, database: str, schema: str) -> None:
        self._connection = connection
        self.schema = f"{quote(database)}.{quote(schema)}"
        self._stage = f"@{self.schema}.{quote(f'_LOADER_{uuid4().hex.upper()}')}"
        self._has_stage = False

    def execute(self, sql: str, purpose: str) -> list[dict[str, Any]]:
        """Run one statement and return its rows, keyed by upper-case column name.

        Args:
            sql: the statement.
            purpose: what it is for, as a gerund ("copying files into USERS"); used in errors.

        Raises:
            StatementError: Snowflake refused it, and might not another.
            WarehouseError: Snowflake cannot be reached, or would refuse any statement.
        """
        from snowflake.connector.errors import Error  # noqa: PLC0415 - slow to import

        logger.debug("%s: %s", purpose, sql)
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql)
                names = [column.name.upper() for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except Error as error:
            kind = StatementError if is_refusal(error) else WarehouseError
            raise kind(explain(error, purpose)) from error

    def commit(self) -> None:
        """Commit the open transaction.

        Raises:
            CommitUnansweredError: the connection was lost before the answer came.
            WarehouseError: Snowflake refused to commit.
        """
        try:
            self.execute("COMMIT", "committing")
        except WarehouseError as error:
            number = getattr(error.__cause__, "errno", None)
            if is_lost(error.__cause__) or number in SESSION_ENDED:
                raise CommitUnansweredError(str(error)) from error
            raise WarehouseError(str(error)) from error  # whose transaction may be open still

    def upload(self, path: Path, folder: str) -> None:
        """Put one local file into a folder of the session's stage.

        Raises:
            WarehouseError: the file was not stored whole; Snowflake reports that in the result
                rows only ("snowflake.md", section 9).
        """
        if not self._has_stage:
            self.execute(f"CREATE TEMPORARY STAGE {self._stage[1:]}", "creating a stage")
            self._has_stage = True
        # Not a URI but a path, in which the connector looks for wildcards.
        source = literal(f"file://{glob.escape(str(path.absolute()))}")
        rows = self.execute(
            f"PUT {source} {self.folder(folder)} PARALLEL = 8 AUTO_COMPRESS = FALSE "
            "OVERWRITE = TRUE SOURCE_COMPRESSION = NONE",
            f"uploading {path.name}",
        )
        if [row.get("STATUS") for row in rows] != ["UPLOADED"]:
            found = "; ".join(f"{row.get('STATUS')}: {row.get('MESSAGE')}" for row in rows)
            raise WarehouseError(f"Uploading {path.name} failed, Snowflake said: {found}.")

    def folder(self, name: str) -> str:
        """Return the reference of a folder in the session's stage."""
        return f"{self._stage}/{name}/"

    def close(self) -> None:
        self._connection.close()


def connect(config: Mapping[str, Any], run_id: str) -> Session:
    """Open a session in the configured database and schema.

    Raises:
        LoadError: the authentication settings are incomplete.
        WarehouseError: the log-in was refused or the account cannot be reached.
    """
    from snowflake import connector  # noqa: PLC0415 - slow to import, so in the session's thread
    from snowflake.connector.errors import Error  # noqa: PLC0415

    arguments = {
        "account": config["account"],
        "user": config["user"],
        "database": config["database"].upper(),
        "application": "Tributary",
        "client_session_keep_alive": True,
        "platform_detection_timeout_seconds": 0.0,  # else every log-in asks three clouds
        "login_timeout": config["login_timeout_seconds"],
        "network_timeout": config["network_timeout_seconds"],
        "session_parameters": {
            "QUERY_TAG": f"tributary {run_id}",
            "TIMEZONE": "UTC",
            "QUOTED_IDENTIFIERS_IGNORE_CASE": False,
            "LOCK_TIMEOUT": config["lock_timeout_seconds"],
            "ERROR_ON_NONDETERMINISTIC_MERGE": True,
        },
        **{name: config[name] for name in OPTIONAL if config.get(name)},
        **login(config),
    }
    try:
        connection = connector.connect(**arguments)
    except Error as error:
        purpose = f"logging in to Snowflake as {config['user']}"
        raise WarehouseError(explain(error, purpose, lost=UNREACHABLE)) from error
    return Session(connection, config["database"].upper(), config["schema"].upper())


OPTIONAL = ("host", "port", "protocol", "warehouse", "role")


def is_lost(error: BaseException | None) -> bool:
    """Whether an error of the connector means that the connection is gone."""
    from snowflake.connector.errors import InterfaceError, OperationalError  # noqa: PLC0415

    is_of_network = isinstance(error, (OperationalError, InterfaceError))
    return is_of_network and getattr(error, "errno", None) not in ADVICE


def is_refusal(error: BaseException) -> bool:
    """Whether an error is about its statement alone, so that others may be tried."""
    from snowflake.connector.errors import ProgrammingError  # noqa: PLC0415

    number = getattr(error, "errno", None)
    return isinstance(error, ProgrammingError) and number not in CONCERNS_ALL


def explain(error: Exception, purpose: str, *, lost: str = CONNECTION_LOST) -> str:
    """Return what was being done, what Snowflake said, and what to do, as a sentence."""
    number = getattr(error, "errno", None)
    said = " ".join((getattr(error, "raw_msg", None) or str(error)).split())
    query = getattr(error, "sfqid", None)
    advice = lost if is_lost(error) else ADVICE.get(number or 0, "")
    where = f" (query {query})" if query else ""
    return f"Snowflake refused {purpose}{where}: {said.rstrip('.')}. {advice}".rstrip()


class CommitUnansweredError(WarehouseError):
    """The connection was lost while Snowflake committed: it may have, or not."""


class Transaction:
    """A block whose statements commit together or not at all.

    DDL commits an open transaction in Snowflake ("snowflake.md", section 11), so none may be
    executed inside. Raises CommitUnansweredError when the answer to COMMIT is lost.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def __enter__(self) -> Self:
        self._session.execute("BEGIN TRANSACTION", "beginning a transaction")
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self._session.commit()
            return
        try:
            self._session.execute("ROLLBACK", "rolling back")
        except WarehouseError:
            # The first error is the one to report; a lost session is rolled back by Snowflake.
            if isinstance(error, LoadError):
                error.ends_run = True
            logger.warning("The transaction could not be rolled back; Snowflake will do so itself.")
