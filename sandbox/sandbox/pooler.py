"""A connection pooler in front of PostgreSQL: pgbouncer in transaction mode, at its strictest.

It keeps what makes clients fail on pgbouncer: each transaction runs on a server connection,
and whatever a client left in another one (settings, temporary tables, prepared statements,
advisory locks) is not there; start-up parameters that pgbouncer refuses are refused in its
words; cancel requests carry the pooler's own keys. Departures from pgbouncer 1.2x:

- A client never gets the same server connection for two transactions running, where pgbouncer
  prefers the connection used last: here what depends on a session fails at once, not under load.
- `max_prepared_statements` is 0: pgbouncer 1.21 and later can carry named statements over.
- Anything in `options` is refused; pgbouncer 1.20 and later takes the parameters it tracks.
- One user and one database; the password is asked for in plain text; no TLS, no console, no
  timeouts, no limit on clients. A client that finds every server connection busy waits.
- A cancel request may hit the next client's transaction if it comes at the very end of one.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg

from sandbox import wire
from sandbox.listener import Listener
from sandbox.pooled_sessions import Session
from sandbox.server_links import TRACKED, LinkPool

if TYPE_CHECKING:
    import socket
    from collections.abc import Collection
    from types import TracebackType

    from sandbox.postgres import Connection

_CLEARTEXT_PASSWORD = wire.message(b"R", (3).to_bytes(4, "big"))
_AUTHENTICATED = wire.message(b"R", (0).to_bytes(4, "big"))
_READY = wire.message(b"Z", b"I")


class Refused(Exception):  # noqa: N818 - as the client sees it
    """A client may not come in: SQLSTATE and text."""


class Pooler(Listener):
    """Serves the database of `server` while it is entered as a context manager.

    Attributes:
        connection: The database as it is reached through the pooler.
    """

    def __init__(
        self,
        server: Connection,
        *,
        pool_size: int = 8,
        ignore_startup_parameters: Collection[str] = (),
    ) -> None:
        super().__init__()
        self.connection = replace(server, port=self.port)
        self._ignored = frozenset(ignore_startup_parameters)
        self._links = LinkPool(server, pool_size)
        self._sessions: dict[bytes, Session] = {}

    def handle(self, client: socket.socket) -> None:
        packet = wire.read_packet(client)
        while packet.code in {wire.SSL_REQUEST, wire.GSSENC_REQUEST}:
            client.sendall(b"N")
            packet = wire.read_packet(client)
        if packet.code == wire.CANCEL_REQUEST:
            if session := self._sessions.get(packet.body):
                session.cancel()
            return
        try:
            parameters = self._admit(client, packet)
            self._serve(client, parameters)
        except Refused as refusal:
            client.sendall(wire.fatal(*refusal.args))
        except psycopg.OperationalError as error:
            client.sendall(wire.fatal("08P01", f"server login failed: {error}"))

    def _admit(self, client: socket.socket, packet: wire.Packet) -> dict[str, str]:
        """Check the start-up packet and the password; return the tracked parameters it sets."""
        if packet.code != wire.PROTOCOL:
            raise Refused("08P01", f"unsupported protocol version: {packet.code}")
        wanted = packet.parameters
        user, database = wanted.pop("user", ""), wanted.pop("database", "")
        tracked = {name.lower(): name for name in TRACKED}
        for name in wanted:
            if name.lower() not in tracked and name not in self._ignored:
                raise Refused("08P01", f"unsupported startup parameter: {name}")
        if (database or user) != self.connection.database:
            raise Refused("08P01", f"no such database: {database or user}")
        client.sendall(_CLEARTEXT_PASSWORD)
        _, password = wire.read_message(client)
        if (user, password) != (self.connection.user, self.connection.password.encode() + b"\0"):
            raise Refused("28P01", f'password authentication failed for user "{user}"')
        return {
            tracked[name.lower()]: value
            for name, value in wanted.items()
            if name.lower() in tracked
        }

    def _serve(self, client: socket.socket, parameters: dict[str, str]) -> None:
        reported = self._links.reported() | parameters
        key = secrets.token_bytes(8)
        session = Session(client, self._links, {name: reported[name] for name in TRACKED})
        statuses = [wire.parameter_status(name, value) for name, value in reported.items()]
        self._sessions[key] = session
        try:
            client.sendall(b"".join([_AUTHENTICATED, *statuses, wire.message(b"K", key), _READY]))
            session.run()
        finally:
            del self._sessions[key]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._links.close()
        super().__exit__(kind, error, traceback)
