"""A streaming standby: the read replica that extraction has to be careful with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psycopg import sql

from sandbox.postgres import Connection, Postgres
from sandbox.process import START_SECONDS, wait_until
from sandbox.settings import SandboxError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Standby(Postgres):
    """A server that is made from a copy of another and follows it from then on."""

    def __init__(self, folder: Path, port: int, primary: Postgres) -> None:
        super().__init__(folder, port)
        self._primary = primary

    def _create_cluster(self) -> None:
        copied = self._run(
            "pg_basebackup", "-d", self._primary.connection().uri, "-D", str(self.data),
            "--write-recovery-conf", "--wal-method", "stream", "--checkpoint", "fast", "--no-sync",
        )  # fmt: skip
        if copied.returncode != 0:
            raise SandboxError(f"Cannot copy {self._primary.data} to {self.data}: {copied.stderr}")


class ReplicatedDatabase:
    """A database on a primary, and the same one on its standby.

    Attributes:
        primary: Takes reads and writes.
        replica: Takes reads only; it is behind until `wait` returns.
    """

    def __init__(self, primary: Connection, replica: Connection) -> None:
        self.primary = primary
        self.replica = replica
        # Not the database itself, which the replica may not have yet.
        self._standby = replace(replica, database="postgres")
        self._changed_settings: list[str] = []

    def pause(self) -> None:
        """Let the replica fall behind: it goes on receiving, but shows nothing new."""
        self._on_replica("SELECT pg_wal_replay_pause()")
        _wait_for("the replica to pause", lambda: self._replay_state() == "paused")

    def resume(self) -> None:
        self._on_replica("SELECT pg_wal_replay_resume()")

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until the replica shows everything that is committed on the primary now.

        Raises:
            SandboxError: It does not get there in so many seconds, as when it is paused.
        """
        with self.primary.connect() as connection:
            # Servers here commit lazily, but only what is flushed is sent.
            connection.execute("SET synchronous_commit = on")
            connection.execute("SELECT pg_logical_emit_message(true, 'sandbox', 'flush')")
            written = connection.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
        reached = "SELECT pg_last_wal_replay_lsn() >= %s"
        with self._standby.connect() as connection:
            _wait_for(
                "the replica to replay what the primary has written (is it paused?)",
                lambda: connection.execute(reached, written).fetchone() == (True,),
                seconds,
            )

    def configure(self, **settings: str | int) -> None:
        """Set parameters of the replica, such as `max_standby_streaming_delay=0`.

        Once it returns, new sessions and the replay itself have them.

        Raises:
            psycopg.Error: There is no such parameter, or it does not take the value.
        """
        for name, value in settings.items():
            change = sql.SQL("ALTER SYSTEM SET {} TO {}")
            self._on_replica(change.format(sql.Identifier(name), sql.Literal(value)))
            self._changed_settings.append(name)
        self._reload()

    def reset(self) -> None:
        """Undo `pause` and `configure`."""
        self.resume()
        for name in self._changed_settings:
            self._on_replica(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
        self._changed_settings.clear()
        self._reload()

    def _reload(self) -> None:
        loaded = "SELECT pg_conf_load_time()"
        before = self._on_replica(loaded)
        self._on_replica("SELECT pg_reload_conf()")
        # A new session has what the server has, which by then has told its other processes.
        _wait_for("the replica to reload", lambda: self._on_replica(loaded) > before)

    def _replay_state(self) -> str:
        return str(self._on_replica("SELECT pg_get_wal_replay_pause_state()"))

    def _on_replica(self, statement: str | sql.Composed) -> Any:  # noqa: ANN401 - one value of any type
        with self._standby.connect() as connection:
            query = statement.encode() if isinstance(statement, str) else statement
            cursor = connection.execute(query)
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None


def _wait_for(what: str, is_so: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    if not wait_until(is_so, lambda: True, seconds):
        raise SandboxError(f"Gave up waiting {seconds} s for {what}.")
